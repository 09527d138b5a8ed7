"""Training of Hopenet: labels under augmentation, data selection, resuming, bad input."""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hpbench.errors import DataError, UsageError, WeightsError
from hpbench.methods.hopenet.bins import Bins
from hpbench.methods.hopenet.card import WeightsCard
from hpbench.methods.hopenet.network import make_network
from hpbench.methods.hopenet.training.augment import (
    cut_batch,
    draw_geometry,
    photometric,
)
from hpbench.methods.hopenet.training.cutouts import build_cache
from hpbench.methods.hopenet.training.files import CHECKPOINT
from hpbench.methods.hopenet.training.loop import TrainingError, train
from hpbench.methods.hopenet.training.samples import (
    TrainingSource,
    collect_samples,
    held_out,
    parse_source,
)
from hpbench.methods.hopenet.training.settings import Augmentation, TrainSettings
from hpbench.methods.hopenet.weights import load_weights, save_weights
from hpbench.registry import make_dataset, make_method
from hpbench.rotation import geodesic_deg, mirror_rotation, rotation_from_angles

BINS = Bins.centred(66, 3.0)
STILL = Augmentation(
    scale=0, shift=0, aspect=0, mirror=0, rotate=0, test_rule=0, k_min=0.3, k_max=0.3, light=0,
    grey=0, low_resolution=0, blur=0, noise=0, cut_out=0, random_convolution=0,
)  # fmt: skip
TINY = TrainSettings(
    backbone="thin_resnet_s", input_size=32, batch_size=8, epochs=3, lr=2e-3, targets="soft",
    penalty="huber", alpha=0.1, holdout=0.25, average=0.9,
)  # fmt: skip


@pytest.fixture
def table(tmp_path) -> Path:
    """24 images in which a bright bar's place shows the yaw."""
    folder = tmp_path / "images"
    folder.mkdir()
    rows = []
    for number, yaw in enumerate(np.linspace(-60.0, 60.0, 24)):
        pixels = np.full((64, 64, 3), 40, np.uint8)
        column = 32 - round(yaw / 4)
        pixels[16:48, column - 3 : column + 3] = 220
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
        rows.append([f"{number:02d}.png", yaw, 0.0, 0.0, 16, 16, 48, 48])
    path = folder / "labels.csv"
    columns = ["image", "yaw", "pitch", "roll", "x0", "y0", "x1", "y1"]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path


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
    train([source(table)], [], settings, Augmentation(), card, out, resume, note or lines.append)
    return lines


# labels under augmentation ---------------------------------------------------------------------


def one_face(angles: list[float], settings: Augmentation, seed: int = 0):
    boxes = np.array([[40.0, 40.0, 80.0, 80.0]], dtype=np.float32)
    return draw_geometry(boxes, np.array([angles]), BINS, settings, np.random.default_rng(seed))


def place_of_dot(geometry, x: float, y: float) -> tuple[float, float]:
    """Where a bright dot of the cut-out lands in the augmented image, in pixels."""
    rows, columns = torch.meshgrid(torch.arange(120.0), torch.arange(120.0), indexing="ij")
    blob = torch.exp(-((columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2) / 18.0)
    pixels = (blob * 255).byte()[None, :, :, None].repeat(1, 1, 1, 3)
    image = cut_batch(pixels, geometry.affine, 64)[0, 0]
    r, c = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    return float((c * image).sum() / image.sum()), float((r * image).sum() / image.sum())


def test_mirror_negates_yaw_and_roll_and_swaps_the_sides():
    always = STILL.model_copy(update={"mirror": 1.0})
    plain, mirrored = one_face([20.0, 10.0, 5.0], STILL), one_face([20.0, 10.0, 5.0], always)
    np.testing.assert_allclose(mirrored.angles_deg, [[-20.0, 10.0, -5.0]])
    expected = mirror_rotation(rotation_from_angles([20.0, 10.0, 5.0]))
    np.testing.assert_allclose(rotation_from_angles(mirrored.angles_deg[0]), expected, atol=1e-12)
    x, y = place_of_dot(plain, 70.0, 50.0)
    mirrored_x, mirrored_y = place_of_dot(mirrored, 70.0, 50.0)
    assert mirrored_x == pytest.approx(63.0 - x, abs=0.1)
    assert mirrored_y == pytest.approx(y, abs=0.1)


def test_turning_the_picture_turns_the_label_by_the_same_angle():
    """The angle is measured in the image, from where two dots land."""
    settings = STILL.model_copy(update={"rotate": 1.0})
    turns = []
    for seed in range(4):
        geometry = one_face([25.0, -15.0, 8.0], settings, seed)
        left, right = place_of_dot(geometry, 50.0, 60.0), place_of_dot(geometry, 70.0, 60.0)
        clockwise = math.degrees(math.atan2(right[1] - left[1], right[0] - left[0]))
        turned = rotation_from_angles([0.0, 0.0, clockwise])
        expected = turned @ rotation_from_angles([25.0, -15.0, 8.0])
        found = rotation_from_angles(geometry.angles_deg[0])
        assert float(geodesic_deg(found, expected)) < 1.0
        turns.append(abs(clockwise))
    assert max(turns) > 5.0


def test_a_profile_beyond_90_degrees_keeps_its_reading_when_turned():
    settings = STILL.model_copy(update={"rotate": 1.0})
    yaw = one_face([95.0, 5.0, 3.0], settings).angles_deg[0, 0]
    assert 90.0 < yaw <= 99.0


def test_a_face_without_roll_label_is_never_turned():
    settings = STILL.model_copy(update={"rotate": 1.0})
    geometry = one_face([30.0, 10.0, math.nan], settings)
    np.testing.assert_array_equal(geometry.angles_deg, [[30.0, 10.0, math.nan]])
    left, right = place_of_dot(geometry, 50.0, 60.0), place_of_dot(geometry, 70.0, 60.0)
    assert left[1] == pytest.approx(right[1], abs=0.05)


def test_augmented_crop_without_jitter_is_the_crop_of_the_method(table, tmp_path):
    """What the network trains on and what 'hpbench run' cuts out show the same pixels."""
    faces = source(table)
    record = faces.samples[0].record
    cache = build_cache(faces.dataset, faces.samples, 64, tmp_path / "c.npy", print)
    geometry = draw_geometry(
        cache.boxes_xyxy[:1], cache.angles_deg[:1], BINS, STILL, np.random.default_rng(0)
    )
    ours = cut_batch(torch.from_numpy(cache.pixels[:1].copy()), geometry.affine, 64)[0]
    weights = tmp_path / "w.safetensors"
    save_weights(
        make_network("thin_resnet_s", 66),
        WeightsCard(backbone="thin_resnet_s", input_size=64, crop_k=0.3),
        weights,
    )
    method = make_method(f"hopenet[weights={weights}]")
    method.load()
    from hpbench.face import Face

    image = faces.dataset.read_image(record)
    theirs = method.prepare(Face("a", image, faces.samples[0].box_xyxy)) / 255.0
    difference = np.abs(ours.permute(1, 2, 0).numpy() - theirs)
    assert difference.mean() < 0.02  # edges of the bar: half a pixel of rounding


def test_photometric_augmentation_keeps_shape_and_range_and_follows_its_seed():
    images = torch.rand(16, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    settings = Augmentation(blur=0.2, random_convolution=0.3)

    def augmented(seed: int) -> torch.Tensor:
        return photometric(images.clone(), settings, torch.Generator().manual_seed(seed))

    first = augmented(1)
    assert first.shape == images.shape
    assert float(first.min()) >= 0.0 and float(first.max()) <= 1.0
    torch.testing.assert_close(first, augmented(1), rtol=0, atol=0)
    assert not torch.equal(first, augmented(2))


# data ------------------------------------------------------------------------------------------


def test_real_300w_lp_pairs_are_training_faces(w300lp_dir):
    faces = collect_samples("w300lp", make_dataset("w300lp", w300lp_dir), 1.0, BINS, "drop")
    assert len(faces.samples) + sum(faces.left_out.values()) == 61
    assert len(faces.samples) >= 55


def test_labels_outside_the_bins_are_counted_and_dropped_or_clipped(table):
    rows = pd.read_csv(table)
    rows.loc[0, "yaw"] = 120.0
    rows.to_csv(table, index=False)
    dropped, clipped = source(table, "drop"), source(table, "clip")
    assert (len(dropped.samples), len(clipped.samples)) == (23, 24)
    assert "1 left out: label outside the bins" in dropped.summary
    assert "1 of them clipped" in clipped.summary and "left out" not in clipped.summary
    assert clipped.samples[0].angles_deg[0] == pytest.approx(99.0, abs=1e-3)


def test_a_box_without_area_is_counted_with_its_reason(table):
    rows = pd.read_csv(table)
    rows.loc[3, "x1"] = rows.loc[3, "x0"]
    rows.to_csv(table, index=False)
    faces = source(table)
    assert len(faces.samples) == 23
    assert "face box without area" in faces.summary


def test_a_picture_that_cannot_be_read_is_noted_and_the_others_are_used(table, tmp_path):
    (table.parent / "05.png").write_bytes(b"not an image")
    faces = source(table)
    notes: list[str] = []
    cache = build_cache(faces.dataset, faces.samples, 32, tmp_path / "c.npy", notes.append)
    assert len(cache) == 23
    assert notes == ["table: 1 left out: image cannot be read"]


def test_changed_picture_is_cut_out_anew(table, tmp_path):
    faces = source(table)
    before = build_cache(faces.dataset, faces.samples, 32, tmp_path / "c.npy", print).pixels.copy()
    path = faces.samples[0].record.image_path
    Image.new("RGB", (64, 64), "red").save(path)
    after = build_cache(faces.dataset, faces.samples, 32, tmp_path / "c.npy", print).pixels
    assert np.any(after[0] != before[0])
    np.testing.assert_array_equal(after[1:], before[1:])


def test_a_source_of_unreadable_pictures_is_an_error(table, tmp_path):
    for image in table.parent.glob("*.png"):
        image.write_bytes(b"")
    faces = source(table)
    with pytest.raises(DataError, match="none of its 24 images can be read"):
        build_cache(faces.dataset, faces.samples, 32, tmp_path / "c.npy", print)


def test_whole_people_are_held_out(pointing04_dir):
    faces = collect_samples("p", make_dataset("pointing04", pointing04_dir), 1.0, BINS, "drop")
    kept_back = held_out(faces.samples, 0.2)
    people = {
        back: {s.record.group for s, b in zip(faces.samples, kept_back, strict=True) if b == back}
        for back in (True, False)
    }
    assert len(people[True]) == 3
    assert not people[True] & people[False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("synthetic=renders", ("synthetic", "renders", 1.0)),
        ("synthetic=renders:0.7", ("synthetic", "renders", 0.7)),
        ("table=/data/labels.parquet:2", ("table", "/data/labels.parquet", 2.0)),
        ("pointing04[box=to-ear]=/data/p:0.3", ("pointing04[box=to-ear]", "/data/p", 0.3)),
        ("table=C:\\faces\\a.csv", ("table", "C:\\faces\\a.csv", 1.0)),
        ("sample", ("sample", "", 1.0)),
        ("sample:0.3", ("sample", "", 0.3)),
        ("my-own[a=b]:2", ("my-own[a=b]", "", 2.0)),
    ],
)
def test_sources_are_parsed_with_options_folder_and_share(text, expected):
    assert parse_source(text) == expected


def test_a_share_of_zero_is_refused():
    with pytest.raises(UsageError, match="share above zero"):
        parse_source("synthetic=renders:0")


# training --------------------------------------------------------------------------------------


def test_training_learns_and_writes_weights_that_the_method_runs(table, tmp_path):
    settings = TINY.model_copy(update={"epochs": 8})
    lines = run(table, tmp_path / "out", settings)
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert lines[-1].startswith("epoch 8/8")
    loaded = load_weights(tmp_path / "out" / "hopenet.safetensors")
    assert loaded.card is not None
    assert loaded.card.recipe["seed"] == 0
    assert loaded.card.figures["table held out"]["faces"] == 6
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    content = (tmp_path / "out" / "hopenet.safetensors").read_bytes()
    assert card["weights_sha256"] == hashlib.sha256(content).hexdigest()
    assert (tmp_path / "out" / "curves.png").stat().st_size > 1000


def test_an_interrupted_run_resumes_to_the_same_figures_and_weights(table, tmp_path):
    run(table, tmp_path / "whole")

    def interrupt_after_second(line: str) -> None:
        if line.startswith("epoch 2/"):
            os.kill(os.getpid(), signal.SIGINT)

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


def test_regression_heads_train_and_run_as_their_own_method(table, tmp_path):
    settings = TINY.model_copy(update={"heads": "regression", "epochs": 1})
    run(table, tmp_path / "out", settings)
    assert load_weights(tmp_path / "out" / "hopenet.safetensors").bins is None


def test_a_diverging_loss_stops_and_keeps_the_last_good_checkpoint(table, tmp_path):
    run(table, tmp_path / "out", TINY.model_copy(update={"epochs": 1}))
    before = (tmp_path / "out" / CHECKPOINT).read_bytes()
    with pytest.raises(TrainingError, match=r"no longer a number at step 1 of epoch 1.*Lower --lr"):
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
    with pytest.raises(DataError, match="cannot create the folder"):
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


def test_a_disk_too_small_for_the_face_cache_is_one_line(table, tmp_path):
    """/dev/full predictions every write as a full disk does."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    faces = source(table)
    (tmp_path / "c.npy.part").symlink_to("/dev/full")
    with pytest.raises(DataError, match="cannot write the face cache") as caught:
        build_cache(faces.dataset, faces.samples, 32, tmp_path / "c.npy", print)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "c.npy").exists()


def test_a_damaged_checkpoint_is_named(table, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / CHECKPOINT).write_bytes(b"half a file")
    with pytest.raises(WeightsError, match=CHECKPOINT):
        run(table, tmp_path / "out", resume=True)


def test_a_full_disk_keeps_the_last_good_checkpoint_to_go_on_from(table, tmp_path):
    """/dev/full predictions every write as a full disk does."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    out = tmp_path / "out"
    run(table, tmp_path / "whole")

    def fill_the_disk(line: str) -> None:
        if line.startswith("epoch 1/"):
            (out / f"{CHECKPOINT}.part").symlink_to("/dev/full")

    with pytest.raises(DataError, match=r"last good checkpoint is kept.*--resume") as caught:
        run(table, out, note=fill_the_disk)
    assert "\n" not in str(caught.value)
    assert not list(out.glob("*.part"))
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
    with pytest.raises(DataError, match=r"no face to train on.*24 left out") as caught:
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
