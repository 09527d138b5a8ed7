"""The section "Does it know when it is wrong?" of both report formats."""

from __future__ import annotations

import re

from hpbench.reports import write_report
from hpbench.reports.content import load_report
from hpbench.reports.formats.markdown import render_markdown
from hpbench.reports.plots import Plots

TITLE = "Does it know when it is wrong?"


def test_report_has_curve_and_table_of_methods_with_confidence(make_run, page_data):
    folder = make_run(confidence={"near": float})
    text = write_report(folder)[0].read_text()
    assert f"### {TITLE}" in text
    assert "far\\[k=2\\] gives no confidence." in text
    assert (folder / "figures" / "heads_confidence.png").is_file()
    page = (folder / "report.html").read_text()
    assert TITLE in page
    data = page_data(page)
    (panel,) = data["plots"]["heads-confidence"]["panels"]
    assert list(panel["lines"]) == ["near"]


def test_nothing_is_marked_where_confident_methods_predicted_different_faces(make_run):
    folder = make_run(confidence={"near": float, "far[k=2]": float}, without_prediction={"near": 3})
    table = load_report(folder).sections[0].tables["confidence"]
    assert len(table.rows) == 2
    assert not any(cell.rank for row in table.rows for cell in row)


def test_report_without_confidence_has_no_such_section(make_run):
    text = render_markdown(load_report(make_run()))
    assert TITLE not in text


def test_constant_confidence_is_said_in_words_and_draws_nothing(make_run):
    report = load_report(make_run(confidence={"near": lambda number: 0.5}))
    text = render_markdown(report)
    assert "near is not measured: every predicted face has the same confidence." in text
    assert "confidence.png" not in text


def test_confidence_of_some_faces_is_said_in_words(make_run):
    some = {"near": lambda number: float(number) if number > 9 else float("nan")}
    text = render_markdown(load_report(make_run(confidence=some)))
    assert "near is not measured: only 50 of 59 predicted faces have a confidence." in text


def test_notebook_draws_the_curve(make_run):
    folder = make_run(confidence={"near": float})
    (line,) = Plots(folder).risk_coverage().axes[0].get_lines()
    assert line.get_xdata()[-1] == 100.0


def test_claimed_spread_is_drawn_and_tabled_beside_what_is_observed(make_run, page_data):
    folder = make_run(spread={"near": lambda number: 1000.0})
    text = write_report(folder)[0].read_text()
    assert f"### {TITLE}" in text
    (row,) = re.findall(r"\| near \|.*1000\.00.*", text)
    assert row.count("100.0 %") == 3  # nothing errs as much as it claims
    assert (folder / "figures" / "heads_calibration.png").is_file()
    data = page_data((folder / "report.html").read_text())
    (panel,) = data["plots"]["heads-calibration"]["panels"]
    assert list(panel["lines"]) == ["near"]
    within = panel["lines"]["near"]["y"]
    assert within[1] == 100.0  # the region that is claimed to hold 2.5 %


def test_claimed_spread_of_some_faces_is_said_in_words_and_draws_nothing(make_run):
    some = {"near": lambda number: 5.0 if number > 9 else None}
    text = render_markdown(load_report(make_run(spread=some)))
    assert "near is not measured: only 50 of 59 predicted faces have a claimed spread." in text
    assert "calibration.png" not in text


def test_results_hold_the_shares_with_intervals(make_run):
    (near, *_) = load_report(make_run(spread={"near": lambda number: 5.0})).summary.results
    low, high = near.model_dump()["intervals_95"]["calibration"]["within_80"]
    assert low <= near.calibration.within_80 <= high
