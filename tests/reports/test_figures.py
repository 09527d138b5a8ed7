"""Figures with few and with many methods."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import matplotlib.colors
import numpy as np
import pytest

from hpbench.inference.worker_processes import WorkerPool
from hpbench.reports import write_report
from hpbench.reports.content import load_report
from hpbench.reports.figures import data
from hpbench.reports.figures.data import ced, forest
from hpbench.reports.figures.shapes import Axis, Line, LinePlot, Panel
from hpbench.reports.figures.static import draw, render, start_rendering
from hpbench.reports.figures.style import FURTHER, MOST_NAMED, method_styles, split

MANY = {f"m{number:02d}": (0.5 * number, 1.0, 1.0) for number in range(25)}


@pytest.fixture(scope="module")
def many(tmp_path_factory, run_maker):
    """Report of 25 methods of which the first ones are best."""
    folder = run_maker(tmp_path_factory.mktemp("many") / "run", errors=MANY, timed=False).write()
    return load_report(folder)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB as OKLab (Ottosson, 2020)."""
    lms = (
        rgb
        @ np.array(
            [[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]]
        ).T
    )
    return (
        np.cbrt(lms)
        @ np.array(
            [
                [0.21045, 0.79362, -0.00407],
                [1.97800, -2.42859, 0.45059],
                [0.02590, 0.78277, -0.80868],
            ]
        ).T
    )


def test_twenty_methods_have_colours_that_differ_from_one_another_and_from_grey() -> None:
    specs = [f"m{number}" for number in range(MOST_NAMED)]
    styles = method_styles(dict(zip(specs, specs, strict=True)), specs)
    colours = [style.colour for style in styles.values()] + [FURTHER.colour]
    srgb = np.array([matplotlib.colors.to_rgb(colour) for colour in colours])
    seen = oklab(np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4))
    nearest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
    assert len(styles) == 20
    assert nearest > 0.1  # ten times what can just be told apart side by side


def test_methods_that_follow_one_another_differ_in_dash_and_marker_too() -> None:
    specs = [f"m{number}" for number in range(MOST_NAMED)]
    styles = list(method_styles(dict(zip(specs, specs, strict=True)), specs).values())
    for one, other in itertools.pairwise(styles):
        assert one.dash != other.dash
        assert one.marker != other.marker


def test_the_best_twenty_of_many_are_named_and_the_others_grey(many) -> None:
    named, further = split(many.styles, many.styles)
    assert named == [f"m{number:02d}" for number in range(20)]
    assert {many.styles[spec].colour for spec in further} == {FURTHER.colour}


def test_legend_names_the_best_and_counts_the_others(many) -> None:
    (section,) = many.sections
    (legend,) = draw(ced(section.scores), many.styles).legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [*(f"m{number:02d}" for number in range(20)), "5 further methods"]


def test_figure_with_little_room_names_the_six_best(many) -> None:
    (section,) = many.sections
    (legend,) = draw(forest(section.results), many.styles).legends
    assert [text.get_text() for text in legend.get_texts()][-2:] == ["m05", "19 further methods"]


def test_words_of_a_figure_lie_within_it_and_beside_one_another(many) -> None:
    for shape in many.sections[0].shapes.values():
        if shape is many.sections[0].shapes["scatter"]:
            continue
        figure = draw(shape, many.styles)
        figure.canvas.draw()
        width, height = figure.bbox.size
        boxes = [axes.get_tightbbox() for axes in figure.axes]
        legends = [legend.get_window_extent() for legend in figure.legends]
        for box in (*boxes, *legends):
            assert box.x0 >= -1
            assert box.y0 >= -1
            assert box.x1 <= width + 1
            assert box.y1 <= height + 1
        for legend, box in itertools.product(legends, boxes):
            assert not legend.overlaps(box)


def test_marker_at_zero_is_not_cut_by_the_axis() -> None:
    at_zero = Line(np.zeros(1), np.zeros(1), hollow=np.array([True]))
    panel = Panel(Axis(low=0.0), Axis(low=0.6, high=-0.6), {"near": at_zero})
    figure = draw(LinePlot([panel], "bars"), method_styles({"near": "near"}, ["near"]))
    (marker,) = figure.axes[0].get_lines()
    assert not marker.get_clip_on()
    assert marker.get_zorder() > figure.axes[0].spines["left"].get_zorder()


def test_figure_drawn_in_a_process_is_the_same(many) -> None:
    shape = many.sections[0].shapes["ced"]
    with WorkerPool("figures", 1, start_rendering, many.styles, "png") as pool:
        drawn = pool.submit(shape).result()
    assert drawn == render(shape, many.styles, "png")


def test_svg_is_written_when_asked_for(make_run) -> None:
    (folder,) = write_report(make_run(faces=20), ["svg"])
    files = sorted(path.name for path in folder.glob("*.svg"))
    assert "heads_ced.svg" in files
    assert "heads_histogram.svg" in files
    assert all((folder / name).read_text().startswith("<?xml") for name in files)


def test_every_yaw_is_in_one_step_of_the_figure() -> None:
    yaws = np.array([0.0, 9.9, 10.0, -95.0, 170.0, 180.0, -180.0])
    dataset = SimpleNamespace(angles_deg=np.stack([yaws, 0 * yaws, 0 * yaws], axis=1))
    _, inside = data._yaw_steps(dataset)
    assert inside.sum(axis=1).tolist() == [1] * len(yaws)


def test_frontal_baseline_does_not_set_the_scale_of_the_others(make_run) -> None:
    alone, beside = (
        load_report(make_run(name, timed=False, errors=errors)).sections[0].shapes
        for name, errors in (
            ("a", {"near": (1.0, 2.0, 3.0)}),
            ("b", {"near": (1.0, 2.0, 3.0), "constant": (70.0, 20.0, 20.0)}),
        )
    )
    assert beside["histogram"].panels[0].x == alone["histogram"].panels[0].x
    assert beside["map"].highest == alone["map"].highest
