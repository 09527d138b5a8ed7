"""The section "Does it know when it is wrong?" of both report formats."""

from __future__ import annotations

import json
import re

from hpbench.reports import write_report
from hpbench.reports.content import load_report
from hpbench.reports.figures.static import drawn
from hpbench.reports.formats.markdown import render_markdown
from hpbench.reports.plots import Plots

TITLE = "Does it know when it is wrong?"


def test_report_has_curve_and_table_of_methods_with_confidence(make_run):
    folder = make_run(confidence={"near": float})
    text = write_report(folder)[0].read_text()
    assert f"### {TITLE}" in text
    assert "far\\[k=2\\] gives no confidence." in text
    assert (folder / "figures" / "heads_confidence.png").is_file()
    page = (folder / "report.html").read_text()
    assert TITLE in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    (trace,) = data["plots"]["heads-confidence"]["data"]
    assert trace["meta"] == "near"


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
    figure = Plots(folder).risk_coverage()
    (line,) = drawn(lambda: figure).axes[0].get_lines()
    assert line.get_xdata()[-1] == 100.0
