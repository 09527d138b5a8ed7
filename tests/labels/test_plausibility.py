"""Labels that are not what they are taken for are found; honest ones raise nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpbench.dataset import Dataset, Label, Record
from hpbench.datasets.sample import Sample
from hpbench.datasets.table import Table
from hpbench.detectors.base import face_finder
from hpbench.errors import DataError
from hpbench.labels.files import faces_of, review_files
from hpbench.labels.landmarks import angles_seen_in_landmarks
from hpbench.labels.plausibility import review_angles, review_labels, screened
from hpbench.labels.suspicion import Suspicion, stop_at
from hpbench.registry import make_dataset
from hpbench.rotation import geodesic_deg

HONEST = np.random.default_rng(0).normal(0.0, (30.0, 15.0, 10.0), (40, 3)).clip(-90.0, 90.0)


def records_of(angles) -> list[Record]:
    return [
        Record(f"{number}.jpg", Path(f"{number}.jpg"), Label.from_angles(*triple))
        for number, triple in enumerate(np.asarray(angles).tolist())
    ]


def found_in(angles) -> list[Suspicion]:
    return review_labels(list(screened(records_of(angles))), Table(Path("labels.csv")))


@pytest.mark.parametrize("label", [(0.0, 0.0, 0.0), (-1.0, -1.0, -1.0)])
def test_whole_label_in_many_rows_among_decimals_is_warned_of(label):
    angles = np.where(np.arange(40)[:, None] % 4 == 0, label, HONEST)
    (suspicion,) = found_in(angles)
    assert (suspicion.code, suspicion.stops) == ("placeholder", False)
    assert suspicion.seen.startswith("10 of 40 labels are yaw")


def test_grid_of_poses_has_no_placeholders():
    grid = [(yaw, pitch, 0.0) for yaw in (-30, 0, 30) for pitch in (-30, 0, 30)] * 8
    assert all(found.code != "placeholder" for found in found_in([*grid, *HONEST.tolist()]))


@pytest.mark.parametrize("step", [22.5, float(np.degrees(0.2618))])
def test_frontal_pose_of_a_grid_with_decimals_is_no_placeholder(step):
    grid = [(yaw, pitch, 2.5) for yaw in (-step, 0, step) for pitch in (-step, 0, step)]
    angles = np.array([*grid, (0, 0, 0)] * 8)
    assert found_in(angles) == []


def test_angle_that_a_placeholder_lacks_is_not_written_as_zero():
    angles = np.where(np.arange(40)[:, None] % 4 == 0, 0.0, HONEST)
    angles[:, 2] = np.nan
    (suspicion,) = found_in(angles)
    assert suspicion.seen.startswith("10 of 40 labels are yaw 0, pitch 0, among")


@pytest.mark.parametrize(
    ("angles", "code", "fix"),
    [
        (np.radians(HONEST), "radians", "unit=rad"),
        (np.radians(HONEST)[:6], "radians", "unit=rad"),
        (np.radians(HONEST % 360.0), "radians", "unit=rad"),
        (np.add(HONEST, [0, 180, 0]), "around_180", "offset=pitch+180"),
        (np.subtract(HONEST, [0, 180, 0]), "around_180", "offset=pitch+180"),
        (np.add(HONEST, [0, 0, 180]), "around_180", "offset=roll+180"),
        (np.add(HONEST, [180, 0, 0]), "around_180", "offset=yaw+180"),
        (np.add(HONEST, [90, 0, 0]), "around_90", "offset=yaw-90"),
        (np.subtract(HONEST, [90, 0, 0]), "around_90", "offset=yaw+90"),
        (np.add(HONEST, [0, 90, 0]), "around_90", "offset=pitch-90"),
        (HONEST * 0.0, "zero", "write the labels of these faces"),
        (HONEST * 0.0 + [7.5, -3.0, 1.0], "repeated", "write the label of each face"),
        (np.where(np.arange(40)[:, None] < 25, HONEST[0], HONEST), "repeated", None),
        (HONEST * 1000.0, "unit", None),
    ],
)
def test_label_that_would_falsify_results_stops_the_run(angles, code, fix):
    (suspicion,) = found_in(angles)
    assert (suspicion.code, suspicion.stops) == (code, True)
    assert fix is None or suspicion.fix == fix


@pytest.mark.parametrize(
    ("angles", "code"),
    [
        (HONEST[:, [1, 0, 2]] * [1.0, 2.0, 1.0], "exchanged"),
        (HONEST * [1, 1, 0], "zero_axis"),
        (np.where(np.arange(120).reshape(40, 3) == 9, 227.0, HONEST), "decimal_point"),
    ],
)
def test_what_may_be_so_is_a_warning(angles, code):
    (suspicion,) = found_in(angles)
    assert (suspicion.code, suspicion.stops) == (code, False)


def test_the_line_names_the_option_where_the_data_set_has_it():
    (suspicion,) = found_in(np.radians(HONEST))
    table = suspicion.line("table", Table(Path("here/labels.csv")))
    assert table.endswith(
        "write table=here/labels.csv[unit=rad], or --trust-labels if they are right"
    )
    assert "correct the labels" in suspicion.line("sample", Sample())
    with pytest.raises(DataError, match="data set 'mine': all 40 labels lie between"):
        stop_at([suspicion], "mine", Sample())


def test_degrees_of_0_to_360_are_wrapped_and_stay_the_same_rotation():
    before, after = records_of(HONEST % 360.0), list(screened(records_of(HONEST % 360.0)))
    for honest, raw, record in zip(HONEST, before, after, strict=True):
        assert record.label.angles_deg == pytest.approx(honest)
        assert geodesic_deg(raw.label.R_cam, record.label.R_cam) < 1e-9
    assert review_angles(np.array([record.label.angles_deg for record in after])) == []


def test_lost_decimal_point_is_excluded_with_its_reason():
    angles = np.where(np.arange(120).reshape(40, 3) == 9, 10444.3, HONEST)
    records = list(screened(records_of(angles)))
    assert [record.excluded for record in records if record.excluded] == [
        "label yaw 10444.3 is no angle in degrees; a decimal point may be lost"
    ]
    assert review_labels(records, Table(Path("labels.csv"))) == []


def test_labels_of_missing_axes_are_looked_at_as_far_as_they_go():
    angles = np.radians(HONEST)
    angles[::2, 2] = np.nan
    assert [suspicion.code for suspicion in found_in(angles)] == ["radians"]


def test_yaw_alone_in_radians_is_a_warning():
    (suspicion,) = found_in(HONEST * [np.pi / 180.0, 1.0, 1.0])
    assert (suspicion.code, suspicion.stops) == ("radians", False)


MANY = np.random.default_rng(0).normal(0.0, (30.0, 15.0, 10.0), (200, 3)).clip(-90.0, 90.0)


@pytest.mark.parametrize("share", [0.15, 0.5, 0.85])
@pytest.mark.parametrize("axes", [3, 2])
def test_rows_in_radians_among_others_in_degrees_are_a_warning(share, axes):
    in_radians = np.arange(200) % 20 < 20 * share
    angles = np.where(in_radians[:, None], np.radians(MANY), MANY)
    angles[:, axes:] = np.nan
    (suspicion,) = found_in(angles)
    assert (suspicion.code, suspicion.stops) == ("radians", False)
    # a face or two in degrees looks straight ahead
    assert int(suspicion.seen.split()[0]) == pytest.approx(in_radians.sum(), abs=2)


@pytest.mark.parametrize("moved_deg", [0.1, 0.5, 1.0])
def test_people_who_keep_still_in_half_of_the_rows_raise_no_alarm(moved_deg):
    still = np.random.default_rng(1).normal(0.0, moved_deg, (200, 3))
    assert found_in(np.where(np.arange(200)[:, None] % 2, still, MANY)) == []


@pytest.mark.parametrize(
    ("angles", "codes"),
    [
        (np.add(HONEST[:3], [0, 180, 0]), ["around_180"]),
        ([[1.25, 2.5, 3.5]] * 3, ["repeated"]),
        ([[0.0, 0.0, 0.0]] * 3, ["zero"]),
        ([[15.0, 0.0, 0.0]] * 3, []),
        (np.radians(HONEST[:5]), ["radians"]),
        (HONEST[:5], []),
    ],
    ids=["around 180", "repeated", "zero", "one pose of a grid", "radians", "degrees"],
)
def test_of_three_to_five_labels_what_they_show_is_said(angles, codes):
    found = found_in(np.array(angles))
    assert [suspicion.code for suspicion in found] == codes
    assert all(one.stops == (one.code in ("around_180", "repeated")) for one in found)


@pytest.mark.parametrize(
    ("change", "code", "fix"),
    [
        (lambda angles: angles * [-1, 1, 1], "sign", "signs=-yaw"),
        (lambda angles: angles * [1, -1, 1], "sign", "signs=-pitch"),
        (lambda angles: angles * [1, 1, -1], "sign", "signs=-roll"),
        (lambda angles: angles[[1, 0, 2]], "exchanged", 'order="pitch,yaw,roll"'),
    ],
)
def test_landmarks_show_a_turned_sign_and_exchanged_angles(change, code, fix):
    records = [
        replace(record, label=Label.from_angles(*change(record.label.angles_deg)))
        for record in Sample().records()
    ]
    (suspicion,) = review_labels(records, Sample())
    assert (suspicion.code, suspicion.fix, suspicion.stops) == (code, fix, True)


def test_angles_seen_in_landmarks_do_not_follow_the_size_of_the_image():
    """Else faces near the camera would outweigh the others when they are compared with labels."""
    points = Sample().records()[17].landmarks_xy
    larger = 3.0 * points + [40.0, -25.0]
    np.testing.assert_allclose(angles_seen_in_landmarks(larger), angles_seen_in_landmarks(points))


@st.composite
def honest_tables(draw: st.DrawFn) -> np.ndarray:
    """Poses as people hold their heads: grids or continuous, of few or many faces."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 300))
    yaw_deg = draw(st.floats(4.0, 50.0))
    pitch_deg = draw(st.floats(2.0, min(25.0, yaw_deg)))
    roll_deg = draw(st.floats(0.5, 20.0))
    lean = rng.normal(0.0, 5.0, 3)
    angles = rng.normal(lean, (yaw_deg, pitch_deg, roll_deg), (count, 3))
    angles = angles.clip((-99, -60, -60), (99, 60, 60))
    decimals = draw(st.sampled_from((0, 1, 6)))
    step = draw(st.sampled_from((0.0, 5.0, 15.0))) if decimals == 0 else 0.0
    angles = np.round(angles / step) * step if step else np.round(angles, decimals)
    if draw(st.booleans()):
        angles[:, 2] = np.nan
    return angles


@settings(max_examples=100, deadline=None, derandomize=True)
@given(honest_tables())
def test_honest_table_raises_no_alarm(angles):
    constant = len(np.unique(np.nan_to_num(angles), axis=0)) == 1  # then it is no honest table
    assert constant or found_in(angles) == []


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("aflw2000", "aflw2000"),
        ("aflw2000[max_abs_angle_deg=none]", "aflw2000"),
        ("aflw2000[box=pt2d]", "aflw2000"),
        ("biwi", "biwi"),
        ("pointing04", "pointing04"),
        ("w300lp", "300w_lp"),
    ],
)
def test_real_data_set_raises_no_alarm(shared_path, name, folder):
    dataset: Dataset = make_dataset(name, shared_path(f"data/{folder}"))
    before = list(dataset.iter_records())
    records = list(screened(before))
    assert [r.excluded for r in records] == [r.excluded for r in before]
    find_faces = face_finder()
    assert review_labels(records, dataset, find_faces) == []
    assert review_files(dataset, faces_of(records)) == []


def test_embedded_sample_raises_no_alarm():
    records = list(screened(Sample().records()))
    assert review_labels(records, Sample(), face_finder()) == []
    assert review_files(Sample(), faces_of(records)) == []
