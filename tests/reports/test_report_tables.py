"""CSV and LaTeX tables."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess

import pandas as pd
import pytest

from hpbench.reports import write_report
from hpbench.reports.content import load_report
from hpbench.reports.formats.latex import escape, write_latex


def test_csv_holds_unrounded_numbers_and_gaps(make_run) -> None:
    folder = make_run(
        errors={"near": (1.0, 2.0, 3.25), "far": (0, 0, 0)}, without_prediction={"far": 1}
    )
    (tables,) = write_report(folder, ["csv"])
    with (tables / "heads_accuracy.csv").open(encoding="utf-8", newline="") as stream:
        near, far = csv.DictReader(stream)
    assert float(near["Roll"]) == pytest.approx(3.25)
    assert far["Roll"] == ""
    assert far["Method"] == "far"


def test_csv_holds_the_interval_of_every_figure(make_run) -> None:
    folder = make_run(
        errors={"near": (1.0, 2.0, 3.0), "far": (8.0, 0, 0)}, without_prediction={"far": 2}
    )
    (tables,) = write_report(folder, ["csv"])
    with (tables / "heads_intervals.csv").open(encoding="utf-8", newline="") as stream:
        rows = {(row["Method"], row["Metric"]): row for row in csv.DictReader(stream)}
    assert len(rows) == 2 * 18
    coverage = rows["far", "Within 15"]
    assert float(coverage["From"]) < float(coverage["Value"]) < float(coverage["To"])
    assert float(rows["near", "MAE yaw"]["To"]) == pytest.approx(1.0)


def test_csv_holds_both_ends_of_an_interval_as_numbers(make_run) -> None:
    folder = make_run(
        errors={"near": (1.0, 2.0, 3.25), "far": (8.0, 0, 0)}, without_prediction={"far": 2}
    )
    (tables,) = write_report(folder, ["csv"])
    with (tables / "heads_accuracy.csv").open(encoding="utf-8", newline="") as stream:
        near, _ = csv.DictReader(stream)
    ends = [float(near[f"95 % interval of the mean, {end}"]) for end in ("from", "to")]
    assert ends == pytest.approx([6.25 / 3, 6.25 / 3], abs=1e-6)


def test_csv_holds_how_many_faces_each_mean_by_yaw_is_of(make_run) -> None:
    folder = make_run(errors={"near": (1.0, 2.0, 3.0)}, without_prediction={"near": 3})
    (tables,) = write_report(folder, ["csv"])
    with (tables / "heads_yaw.csv").open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    scored = sum(int(value) for title, value in row.items() if title.startswith("Scored"))
    assert scored == sum(1 for number in range(1, 60) if number % 3)


def test_share_in_a_csv_lies_in_its_interval(make_run) -> None:
    folder = make_run(
        errors={"near": (4.0, 2.0, 3.0)}, spread={"near": lambda number: 1.0 + number % 5}
    )
    (tables,) = write_report(folder, ["csv"])
    with (tables / "heads_calibration.csv").open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    low, high = (float(row[f"95 % interval (50 %), {end}"]) for end in ("from", "to"))
    assert 0.0 < low <= float(row["Within 50 % region"]) <= high < 1.0


def test_csv_holds_all_published_rows(make_run) -> None:
    folder = make_run(datasets=("biwi",), errors={"hopenet": (1, 1, 1)})
    (tables,) = write_report(folder, ["csv"])
    with (tables / "biwi_literature.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["Source"] == "measured here"
    assert len(rows) > 80


def test_latex_marks_the_best_and_the_second(make_run) -> None:
    (path,) = write_report(make_run(), ["latex"])
    text = path.read_text(encoding="utf-8")
    assert r"near & \textbf{1.00} & \textbf{2.00} & \underline{3.00}" in text
    assert r"far[k=2] & \underline{8.00} & \underline{4.00} & \textbf{0.00}" in text


def test_latex_rows_begin_with_nothing_that_belongs_to_the_row_before(make_run) -> None:
    """A star or a bracket after a double backslash would be its argument."""
    (path,) = write_report(make_run(errors={"*a": (1, 1, 1), "[v2]b": (2, 2, 2)}), ["latex"])
    rows = [line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith(r"\\")]
    assert any("[v2]b" in row for row in rows)
    assert all(row.startswith("{}") for row in rows)


def test_latex_escapes_what_it_would_read_as_commands() -> None:
    assert escape(r"a\b_c{d}%") == r"a\textbackslash{}b\_c\{d\}\%"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(make_run) -> None:
    evil = r"m[k=\input{x}_^&%$#~<>|†‡]"
    folder = make_run(errors={evil: (1, 1, 1), "far": (2, 2, 2)}, without_prediction={"far": 3})
    (path,) = write_report(folder, ["latex"])
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", path.name],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert path.with_suffix(".pdf").stat().st_size > 10_000


def test_latex_has_no_table_of_times_where_none_were_taken(make_run) -> None:
    times = {}
    for timed in (True, False):
        (path,) = write_report(make_run(f"timed-{timed}", timed=timed), ["latex"])
        times[timed] = "Time per face" in path.read_text(encoding="utf-8")
    assert times == {True: True, False: False}


def test_latex_says_what_a_flag_means(make_run) -> None:
    folder = make_run()
    run = json.loads((folder / "run.json").read_text())
    run["methods"]["near"]["card"]["trained_on"] = ["heads"]
    (folder / "run.json").write_text(json.dumps(run))
    (path,) = write_report(folder, ["latex"])
    assert r"\textdagger{} Trained on this data set." in path.read_text(encoding="utf-8")


def test_prediction_beyond_profile_is_shown_as_its_error_was_taken(make_run) -> None:
    folder = make_run(errors={"near": (12.0, 0.0, 0.0)})  # labels go up to 90 degrees of yaw
    (tables,) = write_report(folder, ["csv"])
    with (tables / "heads_worst.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            true, predicted = (
                [float(angle) for angle in row[name].split(",")]
                for name in ("Ground-truth yaw, pitch, roll", "Predicted")
            )
            assert predicted == pytest.approx([true[0] + 12.0, *true[1:]], abs=0.11)


def test_every_table_of_errors_flags_a_method_that_knows_renders(make_run) -> None:
    folder = make_run()
    run = json.loads((folder / "run.json").read_text())
    run["methods"]["near"]["card"]["trained_domains"] = ["photo", "render"]
    run["datasets"]["heads"]["card"]["domain"] = "render"
    (folder / "run.json").write_text(json.dumps(run))
    (tables,) = write_report(folder, ["csv"])
    for name in (
        "accuracy",
        "metrics",
        "yaw",
        "readings",
        "intervals",
        "pairs",
        "worst",
        "explain",
    ):
        with (tables / f"heads_{name}.csv").open(encoding="utf-8", newline="") as stream:
            shown = {row[0] for row in csv.reader(stream)}
        assert "near‡" in shown, name
        assert "near" not in shown, name


def test_times_that_overlap_are_named_beside_the_frontal_baseline_too(make_run) -> None:
    errors = {"constant": (9.0, 9.0, 9.0), "near": (1.0, 2.0, 3.0), "far": (-8.0, 4.0, 0.0)}
    folder = make_run(errors=errors)
    times = pd.read_parquet(folder / "timing.parquet")
    times["round"] = times.groupby("method").cumcount() % 3
    times.loc[times["method"] == "constant", "total_ms"] = 0.1
    times.to_parquet(folder / "timing.parquet")
    note = load_report(folder).sections[0].tables["runtime"].note
    assert re.search(r"Not told apart from (near|far), the fastest, .*: (near|far)\.", note)


def test_methods_whose_rounds_are_not_known_are_not_compared_by_them(make_run) -> None:
    folder = make_run()
    times = pd.read_parquet(folder / "timing.parquet").drop(columns="round")
    times.to_parquet(folder / "timing.parquet")
    assert "overlap" not in load_report(folder).sections[0].tables["runtime"].note


def test_latex_leaves_out_pairs_that_no_page_holds(make_run) -> None:
    few, many = (
        write_latex(
            load_report(
                make_run(
                    f"run{count}",
                    timed=False,
                    errors={f"m{n}": (float(n), 1.0, 1.0) for n in range(count)},
                )
            )
        ).read_text()
        for count in (8, 10)
    )
    assert "-pairs" in few
    assert "-pairs" not in many


def test_latex_captions_say_why_a_baseline_between_marked_rows_is_not_marked(make_run) -> None:
    errors = {"near": (1.0, 1.0, 1.0), "constant": (2.0, 2.0, 2.0), "far": (3.0, 3.0, 3.0)}
    text = write_latex(load_report(make_run(errors=errors))).read_text()
    captions = re.findall(r"\\caption\{(.*)\}\n", text)
    marked = ["Bold: best" in caption for caption in captions]
    assert any(marked)
    assert marked == ["The frontal baseline is a reference" in caption for caption in captions]


def test_latex_caption_says_what_a_table_alone_does_not(make_run) -> None:
    report = load_report(make_run(without_prediction={"near": 2}))
    text = write_latex(report).read_text()
    (section,) = report.sections
    captions = re.findall(r"\\caption\{(.*)\}\n", text)
    assert captions
    for caption in captions:
        start = f"Heads, 59 faces, protocol default ({section.scores.protocol.hash}): "
        assert caption.startswith(start)
    (accuracy,) = (one for one in captions if "): Mean absolute error in degrees." in one)
    assert "Only columns that count missing predictions are marked" in accuracy
    assert sum("Only columns" in one for one in captions) == 2  # of accuracy and other measures
    (common,) = (one for one in captions if "30 faces that every method predicted" in one)
    assert "Methods share a rank where their paired differences are not significant" in common
