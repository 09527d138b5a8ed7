"""Names of angles: one set of them in one unit, or an error that names the columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpbench.errors import DataError
from hpbench.tables.rotation_columns import (
    LABEL_PREFIXES,
    PREDICTION_PREFIXES,
    AngleOptions,
    find_angles,
    find_rotation,
)

PATH = Path("labels.csv")


@pytest.mark.parametrize(
    ("names", "first", "second"),
    [
        ("gt_yaw,gt_pitch,gt_roll,yaw,pitch", "gt_yaw", "yaw"),
        ("yaw,pitch,roll,gt_yaw,gt_pitch,gt_roll", "yaw", "gt_yaw"),
        ("yaw,pitch,gt_roll", "yaw", "gt_roll"),
        ("head_yaw,head_pitch,pose_roll", "head_yaw", "pose_roll"),
        ("gt_yaw_deg,gt_pitch_deg,Yaw (deg)", "gt_yaw_deg", "Yaw (deg)"),
    ],
)
def test_angles_of_two_prefixes_are_refused(names, first, second):
    with pytest.raises(DataError, match="belong to different sets of angles; rename") as caught:
        find_angles(PATH, names.split(","), set(), LABEL_PREFIXES)
    assert str(caught.value).startswith(f"labels.csv: columns '{first}' and '{second}' ")


def test_angles_that_no_label_is_called_do_not_matter():
    names = ["yaw", "pitch", "roll", "pred_yaw", "pred_pitch", "pred_roll"]
    angles, _ = find_angles(PATH, names, set(), LABEL_PREFIXES)
    assert angles == {"yaw": "yaw", "pitch": "pitch", "roll": "roll"}


def test_the_plain_name_is_preferred_to_the_same_angle_with_its_unit():
    names = ["yaw", "pitch", "roll", "yaw_rad", "pitch_rad", "roll_rad"]
    angles, unit = find_angles(PATH, names, set(), LABEL_PREFIXES)
    assert (angles, unit) == ({"yaw": "yaw", "pitch": "pitch", "roll": "roll"}, None)


@pytest.mark.parametrize("prefix", ["", "pose_", "pred_"])
def test_one_set_in_one_unit_is_found_under_its_prefix(prefix):
    names = [f"{prefix}{angle}_rad" for angle in ("roll", "yaw", "pitch")]
    angles, unit = find_angles(PATH, names, set(), PREDICTION_PREFIXES)
    assert angles == {name: f"{prefix}{name}_rad" for name in ("roll", "yaw", "pitch")}
    assert unit == "rad"


@pytest.mark.parametrize("names", ["yaw_rad,pitch_rad,roll", "yaw,pitch_deg", "yaw_rad,pitch_deg"])
def test_units_that_only_some_names_state_or_that_differ_are_refused(names):
    first, *_, last = names.split(",")
    message = rf"labels\.csv: columns '{first}' and '{last}' .*different units.*in all of them"
    with pytest.raises(DataError, match=message):
        find_angles(PATH, names.split(","), set(), LABEL_PREFIXES)


@pytest.mark.parametrize(
    ("options", "written", "angles"),
    [
        ({"offset": "pitch-180"}, [10, -170, 5], [10, 10, 5]),
        ({"signs": "-roll", "offset": "roll+90"}, [10, 20, -120], [10, 20, -150]),
        ({"order": "pitch,yaw,roll", "signs": "-yaw"}, [1, 2, 3], [-2, 1, 3]),
        ({}, [200, 0, 0], [200, 0, 0]),
    ],
)
def test_angles_are_turned_first_then_moved_and_then_wrapped(options, written, angles):
    found = AngleOptions(**options).angles_deg(np.array(written, dtype=float), "deg")
    assert found.tolist() == pytest.approx(angles)
    in_radians = AngleOptions(**options).angles_deg(np.radians(written), "rad")
    assert in_radians.tolist() == pytest.approx(angles)


@pytest.mark.parametrize(
    ("letter", "first", "rows", "columns"),
    [("r", 0, 3, 4), ("m", 0, 4, 4), ("m", 1, 4, 4), ("rot_", 1, 3, 4), ("r", 0, 3, 3)],
)
def test_rotation_is_the_upper_left_of_a_pose_matrix(letter, first, rows, columns):
    """Of 3 x 4 and 4 x 4 matrices, counted from 0 and from 1."""
    names = [f"{letter}{first + i}{first + j}" for i in range(rows) for j in range(columns)]
    wanted = tuple(f"{letter}{first + i}{first + j}" for i in range(3) for j in range(3))
    assert find_rotation(PATH, names, set()) == wanted
