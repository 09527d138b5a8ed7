"""Which faces are trained on, and how they are cut out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hpbench.dataset import Record
from hpbench.errors import DataError, UsageError
from hpbench.methods.hopenet.bins import Bins
from hpbench.methods.hopenet.training.cutouts import build_cache
from hpbench.methods.hopenet.training.samples import (
    Sample,
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
    (kept_back,) = held_out([faces], 0.2)
    people = {
        back: {s.record.group for s, b in zip(faces.samples, kept_back, strict=True) if b == back}
        for back in (True, False)
    }
    assert people[True] and people[False]
    assert not people[True] & people[False]


def named(*names: str) -> TrainingSource:
    box, angles = np.array([0.0, 0.0, 9.0, 9.0]), np.zeros(3)
    samples = [Sample(Record(name, Path(name), None, group=name), box, angles) for name in names]
    return TrainingSource("named", make_dataset("sample"), 1.0, samples, Counter())


def held(*sources: tuple[str, ...], share: float = 0.2) -> list[set[str]]:
    masks = held_out([named(*names) for names in sources], share)
    return [set(np.array(names)[mask]) for names, mask in zip(sources, masks, strict=True)]


def test_a_person_is_held_out_whoever_else_is_in_the_data():
    many = tuple(f"person{number}" for number in range(200))
    (of_many,) = held(many)
    assert 20 < len(of_many) < 60
    some = many[5:100]
    assert held(some) == [of_many & set(some)]


@pytest.mark.parametrize(("count", "least", "most"), [(1, 0, 0), (2, 1, 1), (3, 1, 2)])
def test_of_few_people_some_but_never_all_are_held_out(count, least, most):
    for share in (0.001, 0.999):
        (some,) = held(tuple(map(str, range(count))), share=share)
        assert least <= len(some) <= most


def test_nobody_who_is_validated_on_is_trained_on_in_another_data_set():
    """Of few people the first by hash is taken, and of those without that one another."""
    people = tuple(f"person{number:02d}" for number in range(15))
    ((first,),) = held(people, share=0.001)
    others = tuple(name for name in people if name != first)
    of_all, of_others = held(people, others, share=0.001)
    assert of_all - {first} == of_others != set()


def test_data_set_of_which_all_is_held_out_with_another_is_named():
    people = tuple(f"person{number:02d}" for number in range(15))
    ((first,),) = held(people, share=0.001)
    with pytest.raises(UsageError, match="named: all of its people or sequences are held out"):
        held(people, (first,), share=0.001)


def test_faces_without_a_roll_are_counted_where_whole_labels_are_needed(table):
    rows = pd.read_csv(table).astype({"roll": float})
    rows.loc[:3, "roll"] = float("nan")
    rows.to_csv(table, index=False)
    found = collect_samples("t", make_dataset("table", table), 1.0, BINS, "drop", whole_labels=True)
    assert len(found.samples) == 20
    assert found.left_out == {"a label that lacks an angle, which rotation6d needs": 4}


def test_cut_outs_are_made_again_where_the_image_is_read_in_another_way(table, tmp_path):
    """The EXIF tag 274 says: turn the stored image by 90 degrees."""
    for path in table.parent.glob("*.png"):
        exif = Image.Exif()
        exif[274] = 6
        Image.open(path).save(path, exif=exif)
    turned = source(table)
    ignored = collect_samples("table", make_dataset("table[exif=ignore]", table), 1.0, BINS, "drop")
    cache = tmp_path / "c.npy"
    build_cache(turned.dataset, turned.samples, 32, cache, print)
    again = build_cache(ignored.dataset, ignored.samples, 32, cache, print)
    fresh = build_cache(ignored.dataset, ignored.samples, 32, tmp_path / "fresh.npy", print)
    np.testing.assert_array_equal(again.pixels, fresh.pixels)


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
