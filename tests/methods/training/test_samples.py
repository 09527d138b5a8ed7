"""Which faces are trained on, and how they are cut out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hpbench.errors import DataError, UsageError
from hpbench.methods.hopenet.bins import Bins
from hpbench.methods.hopenet.training.cutouts import build_cache
from hpbench.methods.hopenet.training.samples import (
    TrainingSource,
    collect_samples,
    held_out,
    parse_source,
)
from hpbench.registry import make_dataset

BINS = Bins.centred(66, 3.0)


def source(path: Path, out_of_range: str = "drop") -> TrainingSource:
    return collect_samples("table", make_dataset("table", path), 1.0, BINS, out_of_range)


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


def test_an_image_that_cannot_be_read_is_noted_and_the_others_are_used(table, tmp_path):
    (table.parent / "05.png").write_bytes(b"not an image")
    faces = source(table)
    notes: list[str] = []
    cache = build_cache(faces.dataset, faces.samples, 32, tmp_path / "c.npy", notes.append)
    assert len(cache) == 23
    assert notes == ["table: 1 left out: image cannot be read"]


def test_changed_image_is_cut_out_anew(table, tmp_path):
    faces = source(table)
    before = build_cache(faces.dataset, faces.samples, 32, tmp_path / "c.npy", print).pixels.copy()
    path = faces.samples[0].record.image_path
    Image.new("RGB", (64, 64), "red").save(path)
    after = build_cache(faces.dataset, faces.samples, 32, tmp_path / "c.npy", print).pixels
    assert np.any(after[0] != before[0])
    np.testing.assert_array_equal(after[1:], before[1:])


def test_a_source_of_unreadable_images_is_an_error(table, tmp_path):
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
        ("pointing04=/data/p[box=landmarks]:0.3", ("pointing04[box=landmarks]", "/data/p", 0.3)),
        ("table=C:\\faces\\a.csv", ("table", "C:\\faces\\a.csv", 1.0)),
        ("sample", ("sample", None, 1.0)),
        ("sample:0.3", ("sample", None, 0.3)),
        ("my-own[a=b]:2", ("my-own[a=b]", None, 2.0)),
    ],
)
def test_sources_are_parsed_with_options_folder_and_share(text, expected):
    spec, share = parse_source(text)
    assert (str(spec), spec.path, share) == expected


def test_a_share_of_zero_is_refused():
    with pytest.raises(UsageError, match="share is zero"):
        parse_source("synthetic=renders:0")
