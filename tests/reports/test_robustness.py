"""Error against the level of a damage, and against a factor of swept renders."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hpbench.reports.content import load_report
from hpbench.reports.figures.data import levels
from hpbench.reports.figures.static import draw
from hpbench.reports.figures.style import method_styles
from hpbench.reports.formats.markdown import write_markdown


@pytest.fixture
def section(make_run):
    """Return ``section(**settings)``: the first data set of a report of such a run."""
    return lambda **settings: load_report(make_run(**settings)).sections[0]


DAMAGED = {
    "datasets": ("heads", "heads + blur=4", "heads + blur=2", "heads + jpeg=10", "heads + jpeg=40"),
    "corrupted": {
        "heads + blur=4": ("blur", 4.0, "heads", 3.0),
        "heads + blur=2": ("blur", 2.0, "heads", 2.0),
        "heads + jpeg=10": ("jpeg", 10.0, "heads", 1.5),
        "heads + jpeg=40": ("jpeg", 40.0, "heads", 1.2),
    },
}


def test_corruption_is_a_curve_of_its_data_set_and_no_section_of_its_own(make_run) -> None:
    content = load_report(make_run(**DAMAGED))
    assert [section.title for section in content.sections] == ["Heads"]
    assert [curve.name for curve in content.sections[0].curves] == ["blur", "jpeg"]


def test_known_errors_stand_at_their_levels_from_clean_to_strong(section) -> None:
    blur, jpeg = section(**DAMAGED).curves
    assert blur.levels == ["0", "2", "4"]
    assert [point.mae_deg for point in blur.points["near"]] == pytest.approx([2.0, 4.0, 6.0])
    assert jpeg.levels == ["clean", "40", "10"]


def test_sweep_is_ordered_by_value_and_not_by_text(section) -> None:
    (curve,) = section(sweep={"yaw": ["90.0", "-5.0", "20.0", "-90.0"]}).swept
    assert curve.levels == ["-90", "-5", "20", "90"]
    assert curve.positions == [-90.0, -5.0, 20.0, 90.0]


def test_sweep_of_names_keeps_none_as_a_level(section) -> None:
    (curve,) = section(sweep={"occluder": ["none", "hat"]}).swept
    assert curve.levels == ["hat", "none"]
    assert curve.positions is None


def test_every_face_belongs_to_one_level(section) -> None:
    found = section(sweep={"yaw": ["-30.0", "30.0"], "fov": ["20.0", "40.0"]}, faces=61)
    faces = [point.scored for curve in found.swept for point in curve.points["near"]]
    assert len(faces) == 4
    assert sum(faces) == 60


def test_missing_predictions_are_counted_at_its_level(section) -> None:
    (curve,) = section(sweep={"yaw": ["0.0", "5.0"]}, without_prediction={"near": 2}).swept
    zero, five = curve.points["near"]  # even faces have yaw 0, and are not predicted
    assert (zero.scored, zero.no_answer, zero.mae_deg) == (0, 29, None)
    assert (five.scored, five.no_answer) == (30, 0)
    assert zero.mae_missing_as_frontal_deg > 10.0


def test_level_with_too_few_faces_has_no_interval(section) -> None:
    values = [f"{value}.0" for value in range(12)]
    (curve,) = section(sweep={"yaw": values}, faces=61).swept
    assert all(point.scored == 5 for point in curve.points["near"])
    assert all(point.interval_95_deg is None for point in curve.points["near"])


def test_interval_of_equal_errors_is_their_value(section) -> None:
    (curve,) = section(sweep={"yaw": ["0.0", "5.0"]}).swept
    assert curve.points["near"][0].interval_95_deg == pytest.approx((2.0, 2.0))


def test_renders_without_a_sweep_have_no_curve(section) -> None:
    assert section(factors={"sweep": "none", "light": "sun"}).swept == []


def test_faces_of_which_nothing_else_is_known_have_no_curve(section) -> None:
    assert section(factors=None).swept == []


def test_both_are_shown_with_a_figure_and_a_table(make_run) -> None:
    report = load_report(make_run(**DAMAGED, sweep={"yaw": ["-30.0", "30.0"]}))
    text = write_markdown(report).read_text(encoding="utf-8")
    assert "](figures/heads_robustness.png)" in text
    assert "](figures/heads_sweep.png)" in text
    assert "| blur (sigma, % of face size) | 4 | near | 6.00 |" in text
    assert "| yaw (degrees) | -30 | near | 2.00 | 2.00 to 2.00 | 0 | 2.00 |" in text


def panels(found):
    """Panels of the still figure of a section's damages."""
    specs = ["near", "far[k=2]"]
    styles = method_styles(dict(zip(specs, specs, strict=True)), specs)
    return draw(levels(found.curves), styles).axes


def test_errors_of_a_later_panel_are_not_cut_off(section) -> None:
    datasets = ("heads", "heads + blur=2", "heads + jpeg=10")
    corrupted = {
        "heads + blur=2": ("blur", 2.0, "heads", 1.0),
        "heads + jpeg=10": ("jpeg", 10.0, "heads", 9.0),
    }
    shown = panels(section(datasets=datasets, corrupted=corrupted))
    assert shown[0].get_ylim()[1] >= max(line.get_ydata().max() for line in shown[1].lines) > 20


def test_missing_predictions_are_drawn_as_another_curve(section) -> None:
    found = section(**DAMAGED, without_prediction={"near": 2})
    near, frontal, far = (np.asarray(line.get_ydata()) for line in panels(found)[0].lines)
    assert (near < frontal).all()
    assert frontal[0] == found.curves[0].points["near"][0].mae_missing_as_frontal_deg
    assert len(far) == len(near)


def test_sweep_of_a_column_of_numbers_is_a_curve_too(section) -> None:
    """A user's own table may have these columns, and cells without a value."""
    (curve,) = section(
        factors_of=lambda number: {
            "sweep": "mine",
            "sweep_value": None if number % 3 else number % 2,
        }
    ).swept
    assert (curve.name, curve.levels) == ("mine", ["0", "1"])
    assert sum(point.scored for point in curve.points["near"]) == 19


def test_sweep_without_any_value_has_no_curve(section) -> None:
    assert section(factors={"sweep": "yaw", "sweep_value": None}).swept == []


def test_run_folder_without_factors_has_no_curve(make_run) -> None:
    folder = make_run()
    faces = pd.read_parquet(folder / "faces.parquet").drop(columns="factors")
    faces.to_parquet(folder / "faces.parquet")
    assert load_report(folder).sections[0].swept == []
