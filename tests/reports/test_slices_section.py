"""Slices in results.json, both report formats and the command line."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from hpbench.cli import app
from hpbench.errors import UsageError
from hpbench.reports import write_report
from hpbench.reports.content import load_report
from hpbench.reports.figures.data import forest, importance
from hpbench.reports.formats.markdown import render_markdown


def light(number: int) -> dict[str, str]:
    return {"light": "night" if number % 2 else "day"}


@pytest.fixture
def dark_run(make_run):
    """Run whose errors are three times as large at night; two methods, 59 faces."""
    return make_run(factors_of=light, worse=lambda number: 3.0 if number % 2 else 1.0)


def test_planted_slice_is_the_worst_one_in_results_and_report(dark_run):
    text = write_report(dark_run)[0].read_text()
    results = json.loads((dark_run / "results.json").read_text())["results"]
    for one, mean in zip(results, (2.0, 4.0), strict=True):
        assert (one["worst_slice"]["factor"], one["worst_slice"]["slice"]) == ("light", "night")
        assert one["worst_slice"]["mae_deg"] == pytest.approx(3 * mean)
        assert one["slice_gap"]["gap_deg"] == pytest.approx(2 * mean)
    assert "| near | light: night | 6.00 | 30 | 4.00 | light: day | light: night |" in text
    assert (dark_run / "figures" / "heads_slices.png").is_file()


def test_by_chooses_the_factors_and_ranges(dark_run):
    result = CliRunner().invoke(
        app, ["report", str(dark_run), "--format", "md", "--by", "light,abs_yaw=0:45:90"]
    )
    assert result.exit_code == 0, result.output
    near, _ = json.loads((dark_run / "results.json").read_text())["results"]
    assert [(one["factor"], one["slice"]) for one in near["slices"]] == [
        ("light", "day"), ("light", "night"), ("abs_yaw", "0 to 45"), ("abs_yaw", "45 to 90"),
    ]  # fmt: skip


def test_misspelt_factor_is_refused_by_report(dark_run):
    with pytest.raises(UsageError, match="did you mean 'light'"):
        write_report(dark_run, ["md"], by="ligth")


def test_frontal_baseline_is_a_reference_in_the_table_of_slices(make_run):
    errors = {"constant": (1.0, 1.0, 1.0), "near": (2.0, 2.0, 2.0)}
    (section,) = load_report(make_run(errors=errors, factors_of=light)).sections
    assert section.tables["slices"].references == {"constant"}


def scene(number: int) -> dict[str, str]:
    return {"camera": "left" if number % 4 < 2 else "right"} | light(number)


def test_two_crossed_factors_are_a_table_of_cells_by_method(make_run, page_data):
    folder = make_run(factors_of=scene, faces=121, worse=lambda n: 3.0 if n % 4 == 3 else 1.0)
    page = write_report(folder, ["md", "html"], by="camera*light")[1].read_text()
    (panel,) = page_data(page)["plots"]["heads-crossed"]["panels"]
    assert panel["x"]["ticks"][1] == ["left", "right"]
    assert panel["y"]["ticks"][1] == ["night", "day"]  # from below
    assert panel["cells"]["near"] == {
        "values": [[2.0, 6.0], [2.0, 2.0]],
        "faces": [[30, 30], [30, 30]],
    }
    assert (folder / "figures" / "heads_crossed.png").is_file()


def test_cells_with_few_faces_are_empty_and_one_factor_is_no_table(make_run):
    folder = make_run(factors_of=scene, faces=61)  # fifteen faces in each cell
    (section,) = load_report(folder, by="camera*light,light").sections
    assert "crossed" not in section.shapes


def test_stars_in_values_do_not_mix_crossed_factors_up(make_run):
    starred = {True: "a * b", False: "c"}
    folder = make_run(
        factors_of=lambda n: {"one": starred[n % 2 == 0], "two": starred[n % 4 < 2]}, faces=121
    )
    (section,) = load_report(folder, by="one*two").sections
    (panel,) = section.shapes["crossed"].panels
    assert set(panel.x.ticks.values()) == set(panel.y.ticks.values()) == {"a * b", "c"}


def test_hostile_names_are_text_in_both_formats(make_run):
    name, value = "<script>a,b*c|</script>", "<b>|x,*"
    folder = make_run(
        factors_of=lambda number: {name: value if number % 2 else "plain"},
        worse=lambda number: 3.0 if number % 2 else 1.0,
    )
    markdown, page = (path.read_text() for path in write_report(folder))
    assert "<script>a" not in markdown
    assert "<script>a" not in page
    assert "&lt;script&gt;a,b" in page


def test_factor_with_many_values_is_said_in_words(make_run):
    folder = make_run(factors_of=lambda number: {"file": f"name {number}"})
    text = render_markdown(load_report(folder))
    assert "No slices by file: 59 values; at most 30 can be shown." in text


def test_every_line_of_the_figure_on_the_page_belongs_to_a_method(dark_run, page_data):
    page = write_report(dark_run, ["html"])[0].read_text()
    data = page_data(page)
    panels = data["plots"]["heads-slices"]["panels"]
    assert [list(panel["lines"]) for panel in panels] == [["near", "far[k=2]"]] * len(panels)
    assert panels


def test_figure_of_many_slices_and_long_names_stays_readable(make_run):
    names = [f"factor {i} {'x' * 300}" for i in range(8)]
    folder = make_run(factors_of=lambda number: dict.fromkeys(names, f"{number % 25}{'y' * 300}"))
    (section,) = load_report(folder).sections
    names = [list(panel.y.ticks.values()) for panel in forest(section.results).panels]
    assert sum(map(len, names)) <= 60
    assert max(len(name) for same in names for name in same) < 60


def test_report_says_which_factor_matters_and_shows_the_slices_of_no_other(make_run):
    night = np.random.default_rng(0).permutation(59) < 30
    folder = make_run(
        factors_of=lambda n: {"light": "night" if night[n - 1] else "day", "camera": "ab"[n % 2]},
        worse=lambda n: 3.0 if night[n - 1] else 1.0,
    )
    text = write_report(folder)[0].read_text()
    assert "near: light explains 100 % of the differences between the errors of faces; no" in text
    assert "Not shown without --by, for they matter for no method: abs" in text
    report = load_report(folder)
    (section,) = report.sections
    assert {one.factor for one in section.sliced[0].slices} == {"light"}
    assert {"camera", "abs_yaw"} < {one.factor for one in section.results[0].slices}
    alone, together = importance(section.results).panels
    assert alone.y.ticks[0.0] == "light"
    assert alone.lines["near"].x[0] == pytest.approx(100.0)
    assert alone.lines["near"].hollow.tolist() == [False] + [True] * (len(alone.y.ticks) - 1)
    assert together.lines["near"].y.tolist() == [0.0]
    assert (folder / "figures" / "heads_importance.png").is_file()


def test_factors_of_equal_weight_stand_in_the_figure_as_in_the_table(make_run):
    night = np.random.default_rng(0).permutation(59) < 30
    same = [f"light{number}" for number in range(8)]
    folder = make_run(
        factors_of=lambda n: dict.fromkeys(same, "night" if night[n - 1] else "day"),
        worse=lambda n: 3.0 if night[n - 1] else 1.0,
    )
    (section,) = load_report(folder).sections
    alone, _ = importance(section.results).panels
    in_table = [one.factor for one in section.results[0].importance.factors]
    in_figure = list(alone.y.ticks.values())
    assert [name for name in in_figure if name in same] == [n for n in in_table if n in same]


def test_no_factor_that_matters_is_said_in_words_and_shows_no_slice(make_run):
    errors = np.random.default_rng(1).gamma(2.0, 2.0, 60)
    report = load_report(make_run(factors_of=light, worse=lambda number: float(errors[number])))
    text = render_markdown(report)
    assert "near: no factor matters beyond chance." in text
    assert "slices.png" not in text
    assert "importance.png" not in text
    assert [one.slices for one in report.sections[0].sliced] == [[], []]


def test_by_shows_what_is_asked_for_although_it_does_not_matter(make_run):
    folder = make_run(factors_of=lambda number: {"camera": "ab"[number % 2]})
    (section,) = load_report(folder, by="camera").sections
    assert {one.factor for one in section.sliced[0].slices} == {"camera"}


def test_factor_that_was_not_judged_is_not_said_to_matter_for_no_method(make_run):
    """Each camera has one of twelve sequences, so nobody knows whether it is the camera."""
    folder = make_run(factors_of=lambda n: {"camera": f"c{n % 12}"}, worse=lambda n: 1.0 + n % 12)
    faces = pd.read_parquet(folder / "faces.parquet")
    faces["group"] = [f"s{n % 12}" for n in range(len(faces))]
    faces.to_parquet(folder / "faces.parquet")
    record = json.loads((folder / "run.json").read_text())
    record["datasets"]["heads"]["resample"] = "group"
    (folder / "run.json").write_text(json.dumps(record))
    text = write_report(folder)[0].read_text()
    assert (
        "Not shown without --by, and not judged, for their slices lie in fewer than 6 sequences "
        "or subjects: camera, group." in text
    )
    assert not re.search(r"matter for no method: [^.]*(camera|group)", text)
