"""``hpbench train`` and ``hpbench label`` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from hpbench.cli import app
from hpbench.errors import DataError, HpbenchError, UsageError
from hpbench.registry import make_dataset, make_method
from hpbench.storage.folder_lock import folder_lock


@pytest.fixture
def table(tmp_path) -> Path:
    """Ten images of noise with labels and boxes."""
    generator = np.random.default_rng(0)
    rows = []
    for number in range(10):
        pixels = generator.integers(0, 256, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        rows.append([f"{number}.png", 5.0 * number - 20.0, 3.0, 1.0, 12, 12, 36, 36])
    path = tmp_path / "labels.csv"
    columns = ["image", "yaw", "pitch", "roll", "x0", "y0", "x1", "y1"]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, HpbenchError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


TINY = (
    "--backbone=thin_resnet_s", "--input-size=32", "--epochs=1", "--batch-size=4",
    "--holdout=0.2",
)  # fmt: skip


def test_train_writes_weights_and_says_how_to_run_them(table, tmp_path):
    out = tmp_path / "out"
    shown = invoke("train", "hopenet", "--datasets", f"table={table}", "--out", out, *TINY)
    assert f"table={table.name}: 10 faces" in shown
    assert f"MAE table={table.name} held out" in shown
    assert f"hopenet[weights={out / 'hopenet.safetensors'}]" in shown
    method = make_method(f"hopenet[weights={out / 'hopenet.safetensors'}]")
    method.load()
    assert method.card().trained_on == ("table",)


def test_face_that_is_listed_twice_is_said_by_train_and_label(table, tmp_path):
    rows = pd.read_csv(table)
    again = rows.iloc[:1].rename(columns={"x0": "x1", "x1": "x0", "y0": "y1", "y1": "y0"})
    pd.concat([rows, again[rows.columns]]).to_csv(table, index=False)
    spec = f"table={table}[box=corners]"
    shown = invoke("train", "hopenet", "--datasets", spec, "--out", tmp_path / "out", *TINY)
    (line,) = [line for line in shown.splitlines() if line.startswith("warning: ")]
    assert "1 face is listed more than once, the first as '0.png' and '0.png#2'" in line
    options = ("--methods", "constant", "--views", 1, "--out", tmp_path / "labelled.csv")
    assert "1 face is listed more than once" in invoke("label", spec, *options)


def test_second_training_in_a_folder_is_refused(table, tmp_path):
    options = ("--datasets", f"table={table}", "--out", tmp_path / "out", *TINY)
    with folder_lock(tmp_path / "out"), pytest.raises(DataError, match="writes to it; wait"):
        invoke("train", "hopenet", *options)


def test_card_has_the_domains_of_the_data_sets_whose_images_a_table_holds(table, tmp_path):
    out = tmp_path / "out"
    invoke(
        "train", "hopenet", "--datasets", f"table={table}", "--out", out, *TINY,
        "--trained-on", "synthetic,pointing04,my-own",
    )  # fmt: skip
    method = make_method(f"hopenet[weights={out / 'hopenet.safetensors'}]")
    method.load()
    assert method.card().trained_on == ("synthetic", "pointing04", "my-own")
    assert method.card().trained_domains == ("photo", "render")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--backbone", "resnet5"), r"no backbone 'resnet5'; did you mean 'resnet50'"),
        (("--heads", "trees"), r"--heads trees"),
        (("--epochs", "0"), r"--epochs 0"),
        (("--augment", "mirrors=1"), r"did you mean 'mirror'"),
        (("--augment", "mirror=2"), r"--augment mirror"),
        (("--device", "cuda:99"), r"--device cuda:99"),
    ],
)
def test_wrong_options_are_one_line_usage_errors(arguments, message, table, tmp_path):
    with pytest.raises(UsageError, match=message) as caught:
        invoke(
            "train", "hopenet", "--datasets", f"table={table}", "--out", tmp_path / "o", *TINY,
            *arguments,
        )  # fmt: skip
    assert "\n" not in str(caught.value)


def test_both_commands_find_a_device_themselves(table, tmp_path):
    out = tmp_path / "out"
    options = ("--datasets", f"table={table}", "--out", out, "--device", "auto")
    assert "hopenet.safetensors" in invoke("train", "hopenet", *options, *TINY)
    teacher = f"hopenet[weights={out / 'hopenet.safetensors'}]"
    labels = tmp_path / "labelled.csv"
    invoke("label", f"table={table}", "--methods", teacher, "--device", "auto", "--out", labels)
    assert labels.is_file()


def test_only_hopenet_can_be_trained(table):
    with pytest.raises(UsageError, match="hpbench train hopenet"):
        invoke("train", "pnp", "--datasets", f"table={table}")


def test_labels_are_a_table_with_the_teachers_prediction_and_its_spread(table, tmp_path):
    out = tmp_path / "new" / "labels.parquet"
    shown = invoke("label", f"table={table}", "--methods", "constant", "--views", 2, "--out", out)
    assert f"table={out}" in shown
    rows = pd.read_parquet(out)
    assert len(rows) == 10
    assert rows[["yaw", "pitch", "roll", "spread_deg"]].abs().max().max() < 1e-3
    records = make_dataset("table", out).records()
    first = make_dataset("table", table).records()[0]
    assert records[0].image_path.resolve() == first.image_path.resolve()
    np.testing.assert_array_equal(records[0].box_xyxy, first.box_xyxy)


def test_boxes_in_another_form_are_not_labelled(table, tmp_path):
    """Width and height for the second corner; with real labels 'hpbench run' stops there, too."""
    rows = pd.read_csv(table).assign(yaw=0.0, pitch=0.0, x1=8, y1=8)
    rows.to_csv(table, index=False)
    options = (f"table={table}", "--methods", "constant", "--views", 1, "--out", tmp_path / "l.csv")
    with pytest.raises(DataError, match=r"fit as x, y, width, height; write .*box=xywh"):
        invoke("label", *options)
    with pytest.raises(DataError, match="no face could be labelled"):
        invoke("label", *options, "--trust-labels")


def test_table_that_label_has_not_written_is_kept(table, tmp_path):
    mine = tmp_path / "mine.csv"
    mine.write_bytes(table.read_bytes())
    with pytest.raises(UsageError, match=r"mine\.csv: exists and is not from 'hpbench label'"):
        invoke("label", f"table={table}", "--methods", "constant", "--out", mine)
    assert mine.read_bytes() == table.read_bytes()


def test_faces_on_which_teachers_differ_can_be_left_out(table, tmp_path):
    out = tmp_path / "labelled.csv"
    with pytest.raises(HpbenchError, match="raise --max-spread"):
        invoke(
            "label", f"table={table}", "--methods", "hopenet", "--max-spread", 0,
            "--out", out,
        )  # fmt: skip
    assert pd.read_csv(table).columns[0] == "image" and not list(tmp_path.glob("*.partial*"))


def test_a_full_disk_leaves_no_half_table_of_labels(table, tmp_path, full_disk):
    out = tmp_path / "new.csv"
    full_disk()
    with pytest.raises(HpbenchError, match=r"new\.csv: cannot be written"):
        invoke("label", f"table={table}", "--methods", "constant", "--out", out)
    # what the teachers have said is not lost with it
    assert [path.name for path in tmp_path.glob("new*")] == ["new.csv.progress"]


def test_stopped_labelling_goes_on_to_the_same_table(table, tmp_path):
    """Of a whole run's progress four faces and a torn fifth are kept, as a kill leaves it."""
    options = ("--methods", "hopenet", "--views", 2, "--seed", 3)
    whole, stopped = tmp_path / "whole.csv", tmp_path / "stopped.csv"
    invoke("label", f"table={table}", *options, "--max-spread", 1000, "--out", whole)
    with pytest.raises(HpbenchError, match="raise --max-spread"):  # leaves all predictions behind
        invoke("label", f"table={table}", *options, "--max-spread", 0, "--out", stopped)
    progress = tmp_path / "stopped.csv.progress"
    lines = progress.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 10
    progress.write_bytes(b"".join(lines[:5]) + lines[5][:20])
    shown = invoke("label", f"table={table}", *options, "--out", stopped)
    assert "resuming: 4 faces" in shown
    assert stopped.read_text() == whole.read_text()
    assert not progress.exists()


def test_predictions_of_other_teachers_are_neither_reused_nor_lost(table, tmp_path):
    out, progress = tmp_path / "labelled.csv", tmp_path / "labelled.csv.progress"
    with pytest.raises(HpbenchError, match="raise --max-spread"):
        invoke("label", f"table={table}", "--methods", "hopenet", "--max-spread", 0, "--out", out)
    before = progress.read_bytes()
    with pytest.raises(HpbenchError, match=r"progress: holds 10 labels .* made with other methods"):
        invoke("label", f"table={table}", "--methods", "constant", "--out", out)
    assert progress.read_bytes() == before
    progress.unlink()
    invoke("label", f"table={table}", "--methods", "constant", "--out", out)
    assert pd.read_csv(out)["yaw"].abs().max() < 1e-3


@pytest.mark.parametrize(
    "wrong",
    [("label", "sample", "--methods", "constant", "--out", "a.csv", "--max-spread", "nan"),
     ("label", "sample", "--methods", "constant", "--out", "a.csv", "--seed", "-1"),
     ("train", "hopenet", "--datasets", "sample", "--seed", "-1"),
     ("train", "hopenet", "--datasets", "sample", "--augment", "k_min=0.5"),
     ("train", "hopenet", "--datasets", "sample", "--augment", "shift=inf"),
     ("train", "hopenet", "--datasets", "sample", "--input-size", "64", "--first-size", "96")],
    ids=lambda words: " ".join(words[-2:]),
)  # fmt: skip
def test_option_out_of_its_range_is_refused_before_the_work(wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HpbenchError):
        invoke(*wrong)
    assert not list(tmp_path.iterdir())


def test_misspelt_backbone_is_refused_before_data_are_read(tmp_path):
    with pytest.raises(HpbenchError, match="did you mean 'resnet50'"):
        invoke(
            "train", "hopenet", "--datasets", f"table={tmp_path / 'no.csv'}", "--backbone",
            "resnet_50", "--out", tmp_path / "out",
        )  # fmt: skip


def test_exact_labels_of_renders_are_not_overwritten(tmp_path):
    renders = tmp_path / "renders"
    renders.mkdir()
    labels = renders / "labels.parquet"
    labels.write_bytes(b"exact")
    with pytest.raises(HpbenchError, match="is read and would be overwritten"):
        invoke("label", f"synthetic={renders}", "--methods", "constant", "--out", labels)
    assert labels.read_bytes() == b"exact"


def test_a_folder_that_cannot_be_made_is_told_before_the_teachers_work(table, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HpbenchError, match="cannot be written"):
        invoke(
            "label", f"table={table}", "--methods", "no-such-teacher",
            "--out", tmp_path / "file" / "labels.csv",
        )  # fmt: skip


def test_own_label_is_blended_in(table, tmp_path):
    rows = pd.read_csv(table)
    rows[["pitch", "roll"]] = 0.0
    rows["yaw"] = [0.0, 30.0, 60.0, 80.0, -80.0, 10.0, 20.0, -30.0, -60.0, 5.0]
    rows.to_csv(table, index=False)
    out = tmp_path / "blended.parquet"
    invoke("label", f"table={table}", "--methods", "constant", "--dataset-label", 0.5, "--out", out)
    assert pd.read_parquet(out)["yaw"].tolist() == pytest.approx(rows["yaw"] / 2.0, abs=1e-3)


def test_two_tables_are_validated_apart(table, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    rows = pd.read_csv(table)
    rows["image"] = [str(table.parent / image) for image in rows["image"]]
    rows.to_csv(other / table.name, index=False)
    out = tmp_path / "out"
    invoke(
        "train", "hopenet", "--datasets", f"table={table}",
        "--datasets", f"table={other / table.name}", "--out", out, *TINY,
    )  # fmt: skip
    (row,) = json.loads((out / "history.json").read_text())
    name = f"table={table.name}"
    assert list(row["validation"]) == [f"{name} held out", f"{name} (2) held out"]


def test_share_of_a_data_set_that_is_only_validated_on_is_refused(table, tmp_path):
    done = CliRunner().invoke(
        app,
        ["train", "hopenet", "--datasets", f"table={table}", "--validate", "sample:0.5",
         "--out", str(tmp_path / "out"), *map(str, TINY)],
    )  # fmt: skip
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == (
        "--validate sample:0.5: a share is for --datasets; leave ':0.5' out"
    )
