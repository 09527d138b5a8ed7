"""report.md and its figures, from run folders with known errors."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from PIL import Image

import hpbench
from hpbench.errors import DataError, UsageError
from hpbench.reports import write_report
from hpbench.reports.content import load_report
from hpbench.reports.formats.markdown import render_markdown
from hpbench.scoring.registry import all_metrics


@pytest.fixture
def markdown(make_run):
    """Return ``markdown(**settings)``: the text of the report of such a run, without figures."""

    def render(**settings) -> str:
        return render_markdown(load_report(make_run(**settings)))

    return render


@pytest.fixture(scope="module")
def plain(plain_run) -> str:
    """Text of the report of the shared run."""
    path = write_report(plain_run)[0]
    return path.read_text(encoding="utf-8")


def cells(text: str, method: str) -> list[list[str]]:
    """Cells of every table row that starts with a method."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [row[1:] for row in rows if row[0].replace("\\", "") == method]


def test_known_errors_stand_in_the_table(plain) -> None:
    near = cells(plain, "near")[0]
    assert near[:4] == ["**1.00**", "**2.00**", "3.00", "**2.00**"]


def test_the_best_method_is_named_first_in_the_summary(plain) -> None:
    assert "near has the lowest mean error: 2.00 degrees over 59 faces" in plain


def test_missing_predictions_bring_a_table_of_common_faces_and_the_coverage(
    markdown,
) -> None:
    text = markdown(without_prediction={"near": 2})
    assert "Mean absolute error in degrees on the 30 faces that every method predicted" in text
    assert cells(text, "near")[0][-2] == "50.8 %"
    assert "| near | no prediction | nothing seen | 29 |" in text


def test_excluded_faces_are_counted_with_their_reason(plain) -> None:
    assert "| every method | excluded by the protocol | first one is left out | 1 |" in plain


def test_every_figure_of_the_report_exists(plain, plain_run) -> None:
    shown = re.findall(r"\]\((figures/[^)]+)\)", plain)
    assert len(shown) == 6
    for name in shown:
        with Image.open(plain_run / name) as image:
            assert min(image.size) > 300


def test_the_command_can_be_copied(plain) -> None:
    assert "hpbench run --methods 'near,far[k=2]'" in plain


REVIEWED = (
    "95 % interval of the mean", "Geodesic", "Geodesic median", "Coverage",
    "Missing imputed as frontal",
    "Rank", "Balanced MAE", "MAEV", "AUC 15", "AUC 30", "Within 5", "Within 10", "Within 15",
    "Camera aligned", "Head aligned", "A minus B, degrees", "p, corrected",
)  # fmt: skip


def test_columns_that_a_reviewer_asks_for_are_in_both_reports(make_run) -> None:
    markdown_path, page = write_report(make_run(without_prediction={"near": 7}))
    heads = re.findall(r"[^|]+", markdown_path.read_text(encoding="utf-8"))
    shown = {head.strip() for head in heads}
    text = page.read_text(encoding="utf-8")
    for name in REVIEWED:
        assert name in shown, name
        assert f">{name}</button>" in text, name


def test_missing_prediction_costs_what_a_frontal_head_would(make_run) -> None:
    folder = make_run(without_prediction={"near": 2})
    labels = pd.read_parquet(folder / "faces.parquet")[["yaw_deg", "pitch_deg", "roll_deg"]]
    missing = labels.to_numpy()[2::2]  # the first face is excluded
    expected = (30 * 2.0 + np.abs(missing).mean(axis=1).sum()) / 59
    text = render_markdown(load_report(folder))
    assert cells(text, "near")[0][-1] == f"{expected:.2f}"


def test_methods_that_cannot_be_told_apart_share_a_rank(markdown) -> None:
    text = markdown(errors={"one": (1, 1, 1), "two": (-1, 1, 1), "worse": (5, 5, 5)})
    assert [cells(text, name)[0][-1] for name in ("one", "two", "worse")] == ["1", "1", "3"]


def test_ranks_on_common_faces_are_those_of_tests_on_these_faces(make_run) -> None:
    errors = {"one": (1, 1, 1), "two": (2, 2, 2), "silent": (5, 5, 5)}
    # one beats two on 16 faces; of those that all three predicted, 8 tell them apart, 6 cannot
    for faces, ranks in ((17, ["1", "2", "3"]), (13, None)):
        folder = make_run(str(faces), errors=errors, without_prediction={"silent": 2}, faces=faces)
        (section,) = load_report(folder).sections
        assert {one.method_spec: one.rank for one in section.results}["two"] == 2
        common = section.tables["common"]
        found = [column.title for column in common.columns]
        assert ("Rank" in found) == (ranks is not None)
        assert ranks is None or [row[-1].shown for row in common.rows] == ranks


def marked(table) -> dict[str, bool]:
    """Whether a column has a best cell, by its title."""
    cells = zip(*table.rows, strict=True)
    pairs = zip(table.columns, cells, strict=True)
    return {column.title: any(cell.rank for cell in found) for column, found in pairs}


def test_only_columns_over_all_faces_are_marked_where_predicted_faces_differ(make_run) -> None:
    tables = load_report(make_run(without_prediction={"near": 3})).sections[0].tables
    readings, metrics = marked(tables["readings"]), marked(tables["metrics"])
    assert readings["Missing imputed as frontal"]
    assert metrics["AUC 15"]
    assert metrics["Within 5"]
    assert not readings["As scored"]
    assert not readings["Camera aligned"]
    assert not metrics["Balanced MAE"]
    assert not metrics["MAEV"]


def test_aligned_errors_stand_after_the_raw_one(plain) -> None:
    (heads,) = [line for line in plain.splitlines() if "Camera aligned" in line and "|" in line]
    assert heads.split(" | ")[1] == "As scored"


def test_every_metric_of_the_registry_is_explained_under_its_table(plain) -> None:
    explained = dict(re.findall("^- (.+?): (.+)$", plain, re.M))
    shown = [metric for metric in all_metrics() if metric.table == "metrics"]
    assert shown
    assert {metric.title: explained[metric.title] for metric in shown} == {
        metric.title: metric.help for metric in shown
    }


def test_missing_roll_is_a_gap_and_not_a_zero(markdown) -> None:
    text = markdown(labelled=(True, True, False))
    assert cells(text, "near")[0][:4] == ["**1.00**", "**2.00**", "**1.50**", "1.50 to 1.50"]
    assert "| Method | Yaw | Pitch | Mean |" in text


def test_run_without_timing_says_so(markdown) -> None:
    assert "No time was measured in this run." in markdown(timed=False)


def test_one_method_alone_is_not_compared(markdown) -> None:
    text = markdown(errors={"near": (1.0, 2.0, 3.0)})
    assert "near has a mean error of 2.00 degrees over 59 faces" in text
    assert "Pairwise tests" not in text


def test_names_with_markup_are_shown_as_text(markdown) -> None:
    evil = "m[k=<script>alert`1`</script>|*x*]"
    html = MarkdownIt("commonmark").enable("table").render(markdown(errors={evil: (1, 1, 1)}))
    assert "<script" not in html
    assert "m[k=&lt;script&gt;alert`1`&lt;/script&gt;|*x*]" in html


def test_method_that_never_predicts_does_not_break_the_report(markdown) -> None:
    text = markdown(without_prediction={"far[k=2]": 1})
    assert cells(text, "far[k=2]")[0][3] == "-"


def test_run_in_which_nothing_is_predicted_is_reported_as_such(markdown) -> None:
    text = markdown(errors={"near": (0, 0, 0)}, without_prediction={"near": 1})
    assert "No method predicted a face of Heads" in text


def test_two_data_sets_get_a_section_each(markdown) -> None:
    text = markdown(datasets=("heads", "faces"))
    assert "\n## Heads\n" in text
    assert "\n## Faces\n" in text


def test_report_again_gives_the_same_bytes(plain, plain_run) -> None:
    images = sorted((plain_run / "figures").iterdir())
    before = [image.read_bytes() for image in images]
    path = write_report(plain_run)[0]
    assert path.read_text(encoding="utf-8") == plain
    assert [image.read_bytes() for image in images] == before


def test_report_changes_no_result_of_the_run(plain, plain_run) -> None:
    written = {path.name for path in plain_run.iterdir()}
    stored = {"run.json", "faces.parquet", "predictions.parquet", "timing.parquet", "results.json"}
    assert written == {*stored, "report.md", "report.html", "figures"}


def test_unknown_format_is_refused_with_the_known_ones(make_run) -> None:
    with pytest.raises(UsageError, match=r"no report format 'pdf'.*md"):
        write_report(make_run(), ["pdf"])


def test_no_format_at_all_is_refused(make_run) -> None:
    with pytest.raises(UsageError, match="no report format given"):
        write_report(make_run(), [])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"schema": 1}', "schema 1, this hpbench reads 2; use the hpbench that wrote it"),
        ('{"schema": 2}', "corrupted .'hpbench': Field required.; repeat the run with a new --out"),
        ('{"schema": 2, "methods"', "corrupted .*repeat the run with a new --out"),
        ("[]", "corrupted"),
    ],
)
def test_run_that_cannot_be_read_is_refused_with_the_fix(make_run, content, complaint) -> None:
    folder = make_run()
    (folder / "run.json").write_text(content)
    with pytest.raises(DataError, match=complaint):
        write_report(folder)


def test_half_written_run_is_refused(make_run) -> None:
    folder = make_run()
    (folder / "faces.parquet").unlink()
    with pytest.raises(DataError, match="not finished"):
        write_report(folder)


def test_wrong_reading_of_the_angles_is_said_in_words(markdown) -> None:
    assert "Angles are read in the RQ order" in markdown(protocol={"euler": "rq"})


def test_figure_that_would_be_empty_is_left_out_and_its_table_is_not(make_run) -> None:
    folder = make_run(faces=6)  # too few for any step of yaw or any cell
    (path,) = write_report(folder, ["md"])
    assert not list((folder / "figures").glob("heads_yaw.*"))
    assert not list((folder / "figures").glob("heads_map.*"))
    text = path.read_text(encoding="utf-8")
    assert "**Mean error by yaw**" in text
    assert "\\|yaw\\| 60-90" in text
    assert "figures/heads_yaw" not in text


def test_name_with_dollar_signs_is_no_formula(make_run) -> None:
    folder = make_run(errors={r"m[k=$\frac$]": (1, 1, 1), "far": (2, 2, 2)})
    write_report(folder, ["md"])  # as a formula it could not be drawn
    assert (folder / "figures" / "heads_yaw.png").is_file()


def test_results_that_an_older_version_counted_are_brought_up_to_date(make_run) -> None:
    folder = make_run()
    (folder / "results.json").write_text('{"results": [], "made_from": "older"}')
    write_report(folder, ["md"])
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"]
    assert [one["mae_deg"]["mean"] for one in results] == pytest.approx([2.0, 4.0])


@pytest.mark.parametrize("labelled", [(True, True, True), (True, True, False)])
def test_every_table_and_heading_stands_after_a_blank_line(markdown, labelled) -> None:
    lines = markdown(labelled=labelled).splitlines()
    for before, line in itertools.pairwise(lines):
        if line.startswith("#") or (line.startswith("|") and not before.startswith("|")):
            assert before == "", line


def test_nothing_is_aligned_where_no_label_is_complete(make_run) -> None:
    """Without roll there is no rotation to learn from, and a figure would be that of no turn."""
    folder = make_run(errors={"near": (1.0, 2.0, 3.0)}, labelled=(True, True, False))
    write_report(folder, ["md"])
    (result,) = json.loads((folder / "results.json").read_text())["results"]
    assert result["mae_deg"]["mean"] == pytest.approx(1.5)
    assert result["aligned"]["camera_side"]["mae_deg"]["mean"] is None
    assert result["aligned"]["head_side"]["mae_deg"]["mean"] is None
    assert "Camera and head aligned" not in (folder / "report.md").read_text(encoding="utf-8")


def test_run_of_the_python_api_is_repeated_by_its_call(tmp_path) -> None:
    hpbench.run(
        "constant", limit=4, timing="off", corrupt=("dark=2",), out=tmp_path / "run"
    ).report()
    text = (tmp_path / "run" / "report.md").read_text(encoding="utf-8")
    call = re.search(r"^hpbench\.run\(.*\)$", text, re.MULTILINE).group()
    assert call == "hpbench.run(methods='constant', limit=4, timing='off', corrupt=['dark=2'])"
