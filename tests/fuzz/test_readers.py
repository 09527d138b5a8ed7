"""A short slice of the fuzz suite (`long_run.py`), and the faults that long runs have found."""

from __future__ import annotations

import io
import json
import math
import struct
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from fuzz_targets import SAMPLE, TARGETS, outcome_of, run_folder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpbench.datasets.rendered_labels import read_records
from hpbench.datasets.table import Table
from hpbench.errors import DataError, HpbenchError, UsageError, WeightsError
from hpbench.methods.card.card import read_card
from hpbench.methods.hopenet.weights import load_weights
from hpbench.predicting.sources import open_source
from hpbench.results.run_record import RunRecord
from hpbench.scoring.runtime import summarise_times
from hpbench.scoring.scores import read_run_table
from hpbench.spec import parse_specs
from hpbench.weights.state_dicts import read_state_dict

NO_TEXT = pa.array([b"\xff"], pa.binary()).view(pa.string())[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return Path(tmp_path_factory.mktemp("fuzzed"))


@pytest.mark.parametrize("name", [name for name, one in TARGETS.items() if not one.runtime])
@settings(
    max_examples=20, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(chance=st.randoms(use_true_random=False))
def test_reader_gives_a_result_a_reason_or_a_typed_error(name, folder, chance):
    target = TARGETS[name]
    assert outcome_of(target, target.make(chance), folder) in ("result", "row", "error")


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("specs", "hpbench"), ("onnx", "onnxruntime"), ("torchscript", "torch"),
        ("openvino", "openvino"), ("tflite", "ai_edge_litert"),
    ],
)  # fmt: skip
def test_long_run_counts_every_input(name, module):
    """Each reader in a process of its own: the runtimes of networks may crash."""
    pytest.importorskip(module)
    program = Path(__file__).with_name("long_run.py")
    words = ["--inputs", "50", "--only", name, "--seconds", "300"]
    done = subprocess.run([sys.executable, program, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cells = [cell.strip() for cell in done.stdout.splitlines()[-1].split("|")[1:-1]]
    assert cells[:2] == [name, "50"]
    assert sum(int(cell) for cell in [*cells[2:5], *cells[7:9]]) == 50
    assert cells[-1] == "0"


# ---- faults that the long runs have found ------------------------------------------------------


def test_card_that_is_nested_too_deeply_is_one_line(tmp_path):
    (tmp_path / "net.toml").write_text("x = " + "[" * 5000)
    with pytest.raises(DataError, match=r"net\.toml: nested deeper than"):
        read_card(tmp_path / "net.toml")


def test_card_with_a_number_of_thousands_of_digits_is_one_line(tmp_path):
    (tmp_path / "net.toml").write_text("x = " + "9" * 5000)
    with pytest.raises(DataError, match=r"net\.toml: cannot be read as TOML"):
        read_card(tmp_path / "net.toml")


def test_weights_whose_archive_has_a_broken_list_of_files_are_one_line(tmp_path):
    file = io.BytesIO()
    torch.save({"a": torch.zeros(2), "b": torch.zeros(2)}, file)
    content = bytearray(file.getvalue())
    content[content.rindex(b"PK\x01\x02")] = 0
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=r"net\.pth: corrupted \(Bad magic number"):
        read_state_dict(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ('{"backbone": "regnet_y_128gf"}', r"does not fit a Hopenet with regnet_y_128gf"),
        ('{"backbone": "resnet18", "bins": 1000000000}', r"its card is not understood \(bins"),
        ('{"backbone": "vit_b_16", "input_size": 100000}', r"its card is not understood \(input_"),
        ('{"backbone": "skynet"}', r"net\.safetensors: no backbone 'skynet'"),
    ],
)
def test_card_in_weights_names_a_network_that_costs_no_memory(tmp_path, card, message):
    from safetensors.torch import save_file

    tensors = {"fc_yaw.weight": torch.zeros(66, 4), "fc_yaw.bias": torch.zeros(66)}
    save_file(tensors, tmp_path / "net.safetensors", metadata={"hpbench": card})
    with pytest.raises(WeightsError, match=message):
        load_weights(tmp_path / "net.safetensors")


@pytest.mark.parametrize("column", ["fx", "x0", "r00", "landmarks_x"])
def test_label_table_of_renders_with_days_for_numbers_is_one_line(tmp_path, column):
    write_days(tmp_path, column)
    with pytest.raises(DataError, match=r"labels\.parquet: a column holds something else"):
        read_records(tmp_path)


def test_factor_of_a_render_that_is_no_text_is_shown_as_text(tmp_path):
    write_days(tmp_path, "light")
    assert read_records(tmp_path)[0].factors["light"].startswith("2020-01-02")


def write_days(folder: Path, column: str) -> None:
    """The sample's label table with a day in every cell of a column."""
    labels = pq.read_table(SAMPLE / "labels.parquet").slice(0, 3)
    days = pa.array([datetime(2020, 1, 2)] * 3, pa.timestamp("us"))
    other = labels.set_column(labels.column_names.index(column), column, days)
    pq.write_table(other, folder / "labels.parquet")


def test_text_of_a_table_that_is_no_text_is_one_line(tmp_path):
    strange = pa.array([b"\xff"], pa.binary()).view(pa.string())
    table = pa.table({"image": strange, "yaw": [1.0], "pitch": [1.0], "roll": [1.0]})
    pq.write_table(table, tmp_path / "labels.parquet")
    with pytest.raises(DataError, match=r"labels\.parquet: cannot be read as Parquet"):
        Table(tmp_path / "labels.parquet").records()


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "~nobody-of-this-name/a.png"])
def test_source_that_cannot_be_a_path_is_one_line(name):
    # for pathlib of Python 3.14, a path with too long a name is one that does not exist
    with pytest.raises(DataError, match=r"cannot be a path|no such image, folder or video"):
        open_source(name)


@pytest.mark.parametrize("name", ["C:\\", "C:\\" + "9" * 300 + "\\b.png", "x" * 5000 + "\\b.png"])
def test_image_name_of_windows_that_no_file_can_have_is_a_row(tmp_path, name):
    (tmp_path / "labels.csv").write_text(f"image,yaw,pitch,roll\na.png,1,2,3\n{name},1,2,3\n")
    records = Table(tmp_path / "labels.csv").records()
    assert [record.image_id for record in records] == ["a.png", name]


def test_weights_in_an_archive_of_several_disks_are_one_line(tmp_path):
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 2)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 0)
    (tmp_path / "net.pth").write_bytes(locator + end)
    with pytest.raises(WeightsError, match=r"net\.pth: (corrupted|not a weights file)"):
        read_state_dict(tmp_path / "net.pth")


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory) -> Path:
    out = Path(tmp_path_factory.mktemp("finished"))
    for name, content in run_folder().items():
        (out / name).write_bytes(content)
    return out


@pytest.mark.parametrize(
    ("name", "column", "cell", "message"),
    [
        ("faces", "yaw_deg", pa.scalar(math.inf), "labelled angle of image '.*' is infinite"),
        ("faces", "factors", NO_TEXT, "corrupted"),
        ("predictions", "method", NO_TEXT, "corrupted"),
        ("timing", "infer_device_ms", pa.scalar("fast"), "'infer_device_ms' holds string"),
    ],
)
def test_table_of_a_run_with_what_no_run_writes_is_one_line(
    finished_run, name, column, cell, message
):
    table = pq.read_table(finished_run / f"{name}.parquet")
    place = table.column_names.index(column)
    other = table.set_column(place, column, pa.repeat(cell, len(table)))
    pq.write_table(other, finished_run / f"{name}.parquet")
    with pytest.raises(DataError, match=rf"{name}\.parquet: .*{message}"):
        read_run_table(finished_run, name)


def test_camera_that_opencv_would_crash_on_is_one_line():
    with pytest.raises(DataError, match="not UTF-8"):
        open_source("/dev/video\ud800")


def test_camera_of_a_number_that_no_camera_has_is_one_line():
    with pytest.raises(DataError, match="no such image, folder or video"):
        open_source("camera:9999999999")


@pytest.mark.parametrize("text", ["biwi[frames='a' \"b.txt\"]", "x=a'b\"c'", "table='it\"s' mine"])
def test_spec_that_would_be_stored_as_another_is_refused(text):
    with pytest.raises(UsageError, match="cannot be written; rename it"):
        parse_specs(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("by", [["light"]]), ("by", [{"light": 1}]), ("methods", {"constant": "yaw=1"}),
        ("methods", {"constant": [1]}), ("datasets", [{"sample": 5}, 7]),
    ],
)  # fmt: skip
def test_run_record_with_an_option_of_another_form_is_one_line(tmp_path, field, value):
    record = json.loads(run_folder()["run.json"])
    record["spec"][field] = value
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(HpbenchError, match=r"mapping|must be a valid string"):
        RunRecord.read(tmp_path)


@pytest.mark.parametrize("methods", [["constant", 3], [["constant"]], {"constant": [1]}])
def test_list_of_names_that_holds_something_else_is_one_line(methods):
    with pytest.raises(UsageError, match="mapping"):
        parse_specs(methods)


def test_times_of_rounds_that_are_not_told_are_summarised():
    found = summarise_times([1.0, 2.0, 3.0], [None, None, None])
    assert found is not None
    assert found.p50 == 2.0
