"""The spec that a line proposes keeps what the user has written already."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpbench.datasets.table import Table
from hpbench.datasets.table._labels import TableOptions
from hpbench.labels.suspicion import Suspicion
from hpbench.rotation import wrap_deg
from hpbench.spec import parse_spec


def proposed(fix: str, **given: str) -> str:
    table = Table(Path("s1.csv"), TableOptions(**given))
    line = Suspicion("code", "seen", fix, is_option=True, stops=False).line("table", table)
    return line.removeprefix("data set 'table': seen; ")


@pytest.mark.parametrize(
    ("fix", "given", "spec"),
    [
        ("unit=rad", {}, "table=s1.csv[unit=rad]"),
        ("unit=rad", {"box": "xywh"}, "table=s1.csv[box=xywh,unit=rad]"),
        ("unit=rad", {"unit": "deg"}, "table=s1.csv[unit=rad]"),
        ("box_unit=fraction,box=xywh", {"unit": "rad"},
         "table=s1.csv[box=xywh,box_unit=fraction,unit=rad]"),
        ("box=xywh", {"order": "pitch,yaw,roll"}, 'table=s1.csv[box=xywh,order="pitch,yaw,roll"]'),
    ],
)  # fmt: skip
def test_options_that_were_given_stay_in_the_proposed_spec(fix, given, spec):
    assert proposed(fix, **given) == f"write {spec}"


@pytest.mark.parametrize(
    ("fix", "given", "spec"),
    [
        ("signs=-yaw", {"signs": "-pitch"}, 'table=s1.csv[signs="-yaw,-pitch"]'),
        ("offset=pitch+180", {"offset": "roll+180"}, 'table=s1.csv[offset="pitch+180,roll+180"]'),
        ("offset=yaw+180", {"offset": "yaw+90"}, "table=s1.csv[offset=yaw-90]"),
    ],
)
def test_angle_is_added_to_those_that_were_given(fix, given, spec):
    assert proposed(fix, **given) == f"write {spec}"


@pytest.mark.parametrize(
    ("fix", "given", "spec"),
    [
        ("signs=-yaw", {"signs": "-yaw"}, "table=s1.csv"),
        ("signs=-yaw", {"signs": "-yaw,-roll"}, "table=s1.csv[signs=-roll]"),
        ("offset=pitch+180", {"offset": "pitch+180", "unit": "rad"}, "table=s1.csv[unit=rad]"),
        ('order="pitch,yaw,roll"', {"order": "pitch,yaw,roll"}, "table=s1.csv"),
    ],
)
def test_change_that_would_be_made_twice_is_taken_back(fix, given, spec):
    assert proposed(fix, **given) == f"write {spec}"


GIVEN = [
    {"signs": "-yaw,-roll"},
    {"offset": "yaw-90"},
    {"offset": "pitch+180,yaw+12.5"},
    {"order": "roll,yaw,pitch"},
    {"order": "pitch,yaw,roll", "signs": "-yaw", "offset": "pitch+90"},
]
FIXES = [
    "signs=-yaw",
    "signs=-pitch",
    "offset=yaw-90",
    "offset=pitch+180",
    'order="pitch,yaw,roll"',
]


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("fix", FIXES)
def test_proposed_spec_changes_what_the_given_one_reads(fix, given):
    written = np.array([13.0, -22.0, 7.0])
    options = parse_spec(proposed(fix, **given).removeprefix("write ")).options
    change = parse_spec(f"table[{fix}]").options
    read = TableOptions(**given).angles_deg(written, "deg")
    expected = TableOptions(**change).angles_deg(read, "deg")
    found = TableOptions(**options).angles_deg(written, "deg")
    np.testing.assert_allclose(wrap_deg(found), wrap_deg(expected), atol=1e-9)


def test_size_of_images_is_not_proposed_beside_a_unit_that_has_none():
    fix = proposed("box_size=WIDTHxHEIGHT", box_unit="percent", box="xywh")
    assert fix == "write table=s1.csv[box=xywh] if boxes are in pixels"


def test_unit_without_a_size_replaces_the_size_that_was_given():
    fix = proposed("box_unit=fraction", box_size="900x900")
    assert fix == "write table=s1.csv[box_unit=fraction]"


def test_spec_that_was_written_already_is_not_proposed_again():
    assert proposed("unit=rad", unit="rad", box="xywh") == "correct the labels"
