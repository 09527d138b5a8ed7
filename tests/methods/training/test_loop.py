"""Training runs: what they learn and write, resuming, bad input."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hpbench.errors import DataError, UsageError, WeightsError
from hpbench.face import Face
from hpbench.methods.hopenet.bins import Bins
from hpbench.methods.hopenet.card import WeightsCard
from hpbench.methods.hopenet.network import make_network
from hpbench.methods.hopenet.training.cutouts import build_cache
from hpbench.methods.hopenet.training.files import CHECKPOINT
from hpbench.methods.hopenet.training.loop import Training, TrainingError
from hpbench.methods.hopenet.training.samples import (
    TrainingSource,
    collect_samples,
)
from hpbench.methods.hopenet.training.settings import Augmentation, TrainSettings
from hpbench.methods.hopenet.weights import load_weights, save_weights
from hpbench.registry import make_dataset, make_method
from hpbench.rotation import is_rotation

BINS = Bins.centred(66, 3.0)
TINY = TrainSettings(
    backbone="thin_resnet_s", input_size=32, batch_size=8, epochs=3, lr=2e-3, targets="soft",
    penalty="huber", alpha=0.1, holdout=0.25, average=0.9,
)  # fmt: skip


def source(path: Path, out_of_range: str = "drop") -> TrainingSource:
    return collect_samples("table", make_dataset("table", path), 1.0, BINS, out_of_range)


def run(
    table: Path,
    out: Path,
    settings: TrainSettings = TINY,
    resume: bool = False,
    note: Callable[[str], None] | None = None,
) -> list[str]:
    lines: list[str] = []
    card = WeightsCard(backbone=settings.backbone)
    training = Training(settings, Augmentation(), out, resume, note or lines.append)
    training.run([source(table)], [], card)
    return lines


def test_training_learns_and_writes_weights_that_the_method_runs(table, tmp_path):
    settings = TINY.model_copy(update={"epochs": 24})
    lines = run(table, tmp_path / "out", settings)
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert lines[-1].startswith("epoch 24/24")
    loaded = load_weights(tmp_path / "out" / "hopenet.safetensors")
    assert loaded.card is not None
    assert loaded.card.recipe["seed"] == 0
    assert loaded.card.figures["table held out"]["faces"] == 9
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    content = (tmp_path / "out" / "hopenet.safetensors").read_bytes()
    assert card["weights_sha256"] == hashlib.sha256(content).hexdigest()
    assert (tmp_path / "out" / "curves.png").stat().st_size > 1000


def test_checkpoint_of_a_training_is_not_taken_for_weights(table, tmp_path):
    """It would be run with the crop, input size and bins of the authors' files."""
    run(table, tmp_path / "out", TINY.model_copy(update={"epochs": 1}))
    with pytest.raises(
        WeightsError, match=r"checkpoint\.pt: is what .* use the \.safetensors file"
    ):
        load_weights(tmp_path / "out" / CHECKPOINT)


def test_time_for_loading_is_not_taken_from_the_minutes_of_training(table, tmp_path):
    seconds = 0.5

    def slow_to_load(line: str) -> None:
        if "faces to train on" in line:
            time.sleep(2.0 * seconds)

    settings = TINY.model_copy(update={"minutes": seconds / 60.0})
    run(table, tmp_path / "out", settings, note=slow_to_load)
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert history[0]["faces"] > 0


def test_an_interrupted_run_resumes_to_the_same_figures_and_weights(table, tmp_path):
    run(table, tmp_path / "whole")

    def interrupt_after_second(line: str) -> None:
        if line.startswith("epoch 2/"):
            raise KeyboardInterrupt  # as Ctrl-C does; background jobs of a shell ignore its signal

    with pytest.raises(KeyboardInterrupt):
        run(table, tmp_path / "stopped", note=interrupt_after_second)
    assert not (tmp_path / "stopped" / "hopenet.safetensors").exists()
    run(table, tmp_path / "stopped", resume=True)

    def history(name: str) -> list[dict]:
        rows = json.loads((tmp_path / name / "history.json").read_text())
        return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]

    assert history("whole") == history("stopped")
    whole, stopped = (
        load_weights(tmp_path / name / "hopenet.safetensors").network.state_dict()
        for name in ("whole", "stopped")
    )
    assert all(torch.equal(tensor, stopped[name]) for name, tensor in whole.items())


@pytest.mark.parametrize("heads", ["regression", "rotation6d"])
def test_heads_without_bins_train_and_run_as_the_method_regression(heads, table, tmp_path):
    settings = TINY.model_copy(update={"heads": heads, "epochs": 1})
    run(table, tmp_path / "out", settings)
    weights = tmp_path / "out" / "hopenet.safetensors"
    assert load_weights(weights).bins is None
    method = make_method(f"regression[weights={weights}]")
    method.load()
    dataset = make_dataset("table", table)
    record = dataset.records()[0]
    face = Face(record.image_id, dataset.read_image(record), record.box_xyxy)
    assert is_rotation(method.predict([face])[0].R_cam)


def test_the_geodesic_term_adds_to_the_loss(table, tmp_path):
    one_epoch = TINY.model_copy(update={"epochs": 1})
    run(table, tmp_path / "bins", one_epoch)
    run(table, tmp_path / "both", one_epoch.model_copy(update={"geodesic": 1.0}))
    losses = [
        json.loads((tmp_path / name / "history.json").read_text())[0]["loss"]
        for name in ("bins", "both")
    ]
    assert losses[1] > losses[0] + 5.0  # the untrained network is more than 5 degrees off


def test_a_diverging_loss_stops_and_keeps_the_last_good_checkpoint(table, tmp_path):
    run(table, tmp_path / "out", TINY.model_copy(update={"epochs": 1}))
    before = (tmp_path / "out" / CHECKPOINT).read_bytes()
    with pytest.raises(TrainingError, match=r"no longer a number by step .*Lower --lr"):
        run(table, tmp_path / "new", TINY.model_copy(update={"alpha": 1e38, "penalty": "mse"}))
    assert not (tmp_path / "new" / "hopenet.safetensors").exists()
    assert (tmp_path / "out" / CHECKPOINT).read_bytes() == before


def test_a_loss_worse_than_knowing_nothing_stops_as_diverging(table, tmp_path):
    """Gradients are clipped, so a much too high rate ends in large numbers and not in NaN."""
    settings = TINY.model_copy(
        update={"lr": 20.0, "penalty": "mse", "alpha": 1.0, "epoch_faces": 160}
    )
    with pytest.raises(TrainingError, match=r"diverges.*always predicts 0 degrees.*Lower --lr"):
        run(table, tmp_path / "out", settings)
    assert not (tmp_path / "out" / "hopenet.safetensors").exists()


def test_weights_that_are_no_numbers_do_not_reach_a_file(table, tmp_path):
    """The loss of the only step is a number, and what it does to the weights is not."""
    settings = TINY.model_copy(
        update={"lr": 1e30, "epochs": 1, "epoch_faces": 8, "average": 0.0, "warm_up": 0.0}
    )
    with pytest.raises(TrainingError, match=r"weights are not.*Lower --lr"):
        run(table, tmp_path / "out", settings)
    assert not list((tmp_path / "out").glob("*.safetensors"))


def test_resuming_with_other_labels_is_refused(table, tmp_path):
    run(table, tmp_path / "out", TINY.model_copy(update={"epochs": 1}))
    rows = pd.read_csv(table)
    rows["yaw"] *= -1.0
    rows.to_csv(table, index=False)
    with pytest.raises(UsageError, match=r"made with datasets=.*use the same options"):
        run(table, tmp_path / "out", TINY.model_copy(update={"epochs": 1}), resume=True)


def test_options_of_the_loss_that_do_nothing_are_said(table, tmp_path):
    settings = TINY.model_copy(update={"epochs": 1, "heads": "rotation6d", "geodesic": 2.0})
    lines = run(table, tmp_path / "out", settings)
    assert "--alpha, --targets, --penalty, --geodesic" in "\n".join(lines)


@pytest.mark.parametrize(("first", "last"), [(64, 200), (64, 100), (40, 150), (32, 64)])
def test_inputs_grow_from_the_first_size_to_the_last(first, last):
    settings = TrainSettings(input_size=last, first_size=first)
    sizes = [settings.input_size_at(progress) for progress in np.linspace(0.0, 1.0, 101)]
    assert (sizes[0], sizes[-1]) == (first, last)
    assert sizes == sorted(sizes)


def test_resuming_with_other_settings_names_the_setting(table, tmp_path):
    run(table, tmp_path / "out", TINY.model_copy(update={"epochs": 1}))
    with pytest.raises(UsageError, match=r"backbone=thin_resnet_s, not thin_resnet_m"):
        run(
            table,
            tmp_path / "out",
            TINY.model_copy(update={"backbone": "thin_resnet_m"}),
            resume=True,
        )


def test_a_checkpoint_is_not_overwritten_without_being_asked(table, tmp_path):
    run(table, tmp_path / "out", TINY.model_copy(update={"epochs": 1}))
    with pytest.raises(UsageError, match="--resume"):
        run(table, tmp_path / "out", TINY.model_copy(update={"epochs": 1}))


def test_starting_anew_beside_a_checkpoint_leaves_its_cut_out_faces_alone(table, tmp_path):
    run(table, tmp_path / "out", TINY.model_copy(update={"epochs": 1}))
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")}
    with pytest.raises(UsageError, match="--resume"):
        run(table, tmp_path / "out", TINY.model_copy(update={"epochs": 1, "input_size": 64}))
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")} == before


def test_a_checkpoint_without_some_of_its_parts_is_named(table, tmp_path):
    settings = TINY.model_copy(update={"epochs": 1})
    run(table, tmp_path / "out", settings)
    stored = torch.load(tmp_path / "out" / CHECKPOINT, weights_only=True)
    del stored["averaged"]
    torch.save(stored, tmp_path / "out" / CHECKPOINT)
    with pytest.raises(WeightsError, match=CHECKPOINT):
        run(table, tmp_path / "out", settings, resume=True)


def test_an_output_folder_that_is_a_file_is_named(table, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        run(table, tmp_path / "out")


@pytest.mark.parametrize(("backbone", "first_size"), [("alexnet", None), ("vit_b_16", 32)])
def test_a_backbone_that_cannot_take_the_input_size_is_refused(
    backbone, first_size, table, tmp_path
):
    settings = TINY.model_copy(
        update={"backbone": backbone, "first_size": first_size, "input_size": 48}
    )
    with pytest.raises(UsageError, match=r"cannot take .* pixel inputs.*--input-size") as caught:
        run(table, tmp_path / "out", settings)
    assert "\n" not in str(caught.value)


def test_a_disk_too_small_for_the_face_cache_is_one_line(table, tmp_path, full_disk):
    faces = source(table)
    full_disk()
    with pytest.raises(DataError, match=r"c\.npy: cannot be written") as caught:
        build_cache(faces.dataset, faces.samples, 32, tmp_path / "c.npy", print)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "c.npy").exists()


def test_a_corrupted_checkpoint_is_named(table, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / CHECKPOINT).write_bytes(b"half a file")
    with pytest.raises(WeightsError, match=CHECKPOINT):
        run(table, tmp_path / "out", resume=True)


def test_a_full_disk_keeps_the_last_good_checkpoint_to_go_on_from(
    table, tmp_path, full_disk, monkeypatch
):
    out = tmp_path / "out"
    run(table, tmp_path / "whole")

    def fill_the_disk(line: str) -> None:
        if line.startswith("epoch 1/"):
            full_disk()

    with pytest.raises(DataError, match=r"last good checkpoint is kept.*--resume") as caught:
        run(table, out, note=fill_the_disk)
    assert "\n" not in str(caught.value)
    assert not list(out.glob("*.partial*"))
    monkeypatch.undo()
    assert torch.load(out / CHECKPOINT, weights_only=True)["epoch"] == 1
    run(table, out, resume=True)
    whole, resumed = (
        json.loads((folder / "history.json").read_text()) for folder in (tmp_path / "whole", out)
    )
    assert [row["loss"] for row in whole] == [row["loss"] for row in resumed]


def test_figures_and_curves_are_written_after_each_epoch(table, tmp_path):
    seen: list[tuple[int, bool]] = []

    def look(line: str) -> None:
        if line.startswith("epoch "):
            rows = json.loads((tmp_path / "out" / "history.json").read_text())
            assert rows[-1]["validation"]["table held out"]["mean"] > 0.0
            seen.append((len(rows), (tmp_path / "out" / "curves.png").is_file()))

    run(table, tmp_path / "out", note=look)
    assert seen == [(1, True), (2, True), (3, True)]


def test_a_table_without_a_usable_face_is_one_line(table):
    rows = pd.read_csv(table)
    rows["x1"] = rows["x0"]
    rows.to_csv(table, index=False)
    with pytest.raises(DataError, match="24 of 24 face boxes") as caught:
        source(table)
    assert "\n" not in str(caught.value)


def test_init_takes_own_weights_with_another_number_of_bins(table, tmp_path):
    first = tmp_path / "first.safetensors"
    network = make_network("thin_resnet_s", 20)
    save_weights(network, WeightsCard(backbone="thin_resnet_s", bins=20), first)
    run(table, tmp_path / "out", TINY.model_copy(update={"epochs": 1, "init": first}))


def test_init_of_another_architecture_names_the_first_wrong_tensor(table, tmp_path):
    first = tmp_path / "first.safetensors"
    save_weights(make_network("thin_resnet_m", 66), WeightsCard(backbone="thin_resnet_m"), first)
    with pytest.raises(WeightsError, match=r"thin_resnet_s: tensor '0.weight' has shape"):
        run(table, tmp_path / "out", TINY.model_copy(update={"init": first}))


def test_init_takes_a_torchvision_classifier(tmp_path):
    import torchvision

    from hpbench.methods.hopenet.weights import load_backbone

    torch.manual_seed(0)
    classifier = torchvision.models.resnet18(weights=None)
    torch.save(classifier.state_dict(), tmp_path / "imagenet.pth")
    network = make_network("resnet18", 66)
    load_backbone(network, tmp_path / "imagenet.pth", "resnet18")
    torch.testing.assert_close(network.backbone.conv1.weight, classifier.conv1.weight)
