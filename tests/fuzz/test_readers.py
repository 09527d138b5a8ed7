"""A short slice of the fuzz suite (`long_run.py`), and the faults that long runs have found."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from fuzz_targets import SAMPLE, TARGETS, outcome_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpbench.datasets.rendered_labels import read_records
from hpbench.datasets.table import Table
from hpbench.errors import DataError, WeightsError
from hpbench.methods.card.card import read_card
from hpbench.methods.hopenet.weights import load_weights
from hpbench.predicting.sources import open_source
from hpbench.weights.state_dicts import read_state_dict


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return Path(tmp_path_factory.mktemp("fuzzed"))


@pytest.mark.parametrize("name", TARGETS)
@settings(
    max_examples=20, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(chance=st.randoms(use_true_random=False))
def test_reader_gives_a_result_a_reason_or_a_typed_error(name, folder, chance):
    target = TARGETS[name]
    assert outcome_of(target, target.make(chance), folder) in ("result", "row", "error")


def test_long_run_counts_every_input():
    program = Path(__file__).with_name("long_run.py")
    words = ["--inputs", "200", "--only", "specs", "--seconds", "300"]
    done = subprocess.run([sys.executable, program, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cells = [cell.strip() for cell in done.stdout.splitlines()[-1].split("|")[1:-1]]
    assert cells[:2] == ["specs", "200"]
    assert sum(int(cell) for cell in cells[2:5]) == 200
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
    with pytest.raises(DataError, match="cannot be a path"):
        open_source(name)
