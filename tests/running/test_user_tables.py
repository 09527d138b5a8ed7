"""What users bring: each table ends in the right result or in the one line that says what is wrong.

The faces are those of the embedded sample, the method predicts "frontal", so that its error in
each angle is the mean of the absolute labels.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from hpbench import api
from hpbench.datasets.sample import Sample
from hpbench.detectors.base import make_detector
from hpbench.errors import DataError, UsageError
from hpbench.inference.progress import NoProgress
from hpbench.reports import write_report
from hpbench.results.run_config import RunConfig
from hpbench.rotation import rotation_from_angles
from hpbench.running.runner import run

RECORDS = Sample().records()[::6]
ANGLES = np.array([record.label.angles_deg for record in RECORDS])
MATRICES = np.array([record.label.R_cam for record in RECORDS]).reshape(-1, 9)
TURNED = MATRICES * np.tile([1.0, -1.0, -1.0], 3)  # of a head model with y up
BOXES = np.array([record.box_xyxy for record in RECORDS])
CORNERS = "x0,y0,x1,y1"
YPR = "yaw,pitch,roll"
MATRIX = ",".join(f"r{i}{j}" for i in range(3) for j in range(3))


def size_of_boxes() -> np.ndarray:
    return np.concatenate([BOXES[:, :2], BOXES[:, 2:] - BOXES[:, :2]], axis=1)


def image_sides() -> np.ndarray:
    sizes = [Sample().image_size(record).upright_wh for record in RECORDS]
    return np.tile(np.array(sizes), 2)


@pytest.fixture
def write(tmp_path: Path):
    def table(labels, header=YPR, boxes=BOXES, box_header=CORNERS, separator=",") -> Path:
        lines = [f"image,{header},{box_header}"]
        for record, label, box in zip(RECORDS, labels, boxes, strict=True):
            numbers = ["" if np.isnan(value) else repr(float(value)) for value in (*label, *box)]
            lines.append(",".join([str(record.image_path), *numbers]))
        text = "\n".join(lines) + "\n"
        if separator == ";":
            text = text.replace(",", ";").replace(".", ",").replace(",jpg", ".jpg")
        path = tmp_path / "labels.csv"
        path.write_text(text, encoding="utf-8-sig")
        return path

    return table


def result_of(path: Path, options: str = "", **arguments):
    results = api.run(
        "constant",
        f"table={path}{options}",
        out=path.parent / "run",
        timing="off",
        fresh=True,
        **arguments,
    )
    (row,) = results.rows
    return row, results.warnings


def errors_of(row) -> list[float]:
    return [row.mae_deg.yaw, row.mae_deg.pitch, row.mae_deg.roll]


EXPECTED = np.abs(ANGLES).mean(axis=0)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ({"labels": ANGLES}, ""),
        ({"labels": np.radians(ANGLES)}, "[unit=rad]"),
        ({"labels": np.radians(ANGLES), "header": "yaw_rad,pitch_rad,roll_rad"}, ""),
        ({"labels": ANGLES % 360.0}, ""),
        ({"labels": np.add(ANGLES, [0, 180, 0])}, "[offset=pitch+180]"),
        ({"labels": ANGLES * [-1, 1, 1]}, "[signs=-yaw]"),
        ({"labels": ANGLES[:, [1, 0, 2]]}, '[order="pitch,yaw,roll"]'),
        ({"labels": ANGLES, "separator": ";"}, ""),
        ({"labels": MATRICES, "header": MATRIX}, ""),
        ({"labels": TURNED, "header": MATRIX}, '[signs="-yaw,-roll",offset=pitch+180]'),
        ({"labels": ANGLES, "boxes": size_of_boxes(), "box_header": "x,y,w,h"}, ""),
        ({"labels": ANGLES, "boxes": size_of_boxes()}, "[box=xywh]"),
        ({"labels": ANGLES, "boxes": BOXES / image_sides()}, "[box_unit=fraction]"),
        ({"labels": ANGLES, "boxes": BOXES / image_sides() * 100}, "[box_unit=percent]"),
    ],
    ids=[
        "degrees", "radians told", "radians by name", "0 to 360", "around 180", "sign", "order",
        "semicolons and decimal commas", "matrices", "matrices of a head with y up", "x,y,w,h",
        "width and height told", "fractions", "percent",
    ],
)  # fmt: skip
def test_table_gives_the_right_errors(write, arguments, options):
    row, warnings = result_of(write(**arguments), options)
    assert errors_of(row) == pytest.approx(EXPECTED, abs=2e-3)
    assert (row.images.scored, row.images.excluded) == (24, 0)
    assert [warning.code for warning in warnings] == []
    assert row.by_abs_yaw[0].images == int((np.abs(ANGLES[:, 0]) < 30).sum())


def test_path_of_a_table_stands_for_it(write):
    path = write(np.radians(ANGLES))
    results = api.run("constant", f"{path}[unit=rad]", out=path.parent / "run", timing="off")
    assert errors_of(results.rows[0]) == pytest.approx(EXPECTED, abs=2e-3)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"labels": np.radians(ANGLES)}, r"as radians do; write table=.*labels\.csv\[unit=rad\]"),
        ({"labels": np.add(ANGLES, [0, 180, 0])}, r"pitch lies around 180 .*\[offset=pitch\+180\]"),
        (
            {"labels": TURNED, "header": MATRIX},
            r'pitch lies around 180 .* signs="-yaw,-roll"\).*\[offset=pitch\+180\]',
        ),
        ({"labels": ANGLES * 0}, "all 24 labels are 0"),
        ({"labels": np.tile(ANGLES[:1], (24, 1))}, "as if one row were repeated"),
        ({"labels": ANGLES, "boxes": size_of_boxes()}, r"100% fit as x, y, width, height"),
        (
            {"labels": ANGLES, "boxes": BOXES / image_sides()},
            r"first 0\.\d+,0\.\d+,.* fractions of the image; write .*\[box_unit=fraction\]",
        ),
        ({"labels": ANGLES, "boxes": BOXES * 4}, r"\[box_size=WIDTHxHEIGHT\]"),
    ],
    ids=[
        "radians",
        "around 180",
        "matrices around 180",
        "zeros",
        "repeated",
        "width and height",
        "fractions",
        "larger",
    ],
)
def test_table_that_would_falsify_results_stops_the_run_in_one_line(write, arguments, line):
    path = write(**arguments)
    with pytest.raises(DataError, match=line) as caught:
        result_of(path)
    assert "\n" not in str(caught.value)
    assert "--trust-labels" in str(caught.value)
    assert not (path.parent / "run").exists()


def test_trusted_labels_go_on_with_a_warning_that_travels(write):
    path = write(np.radians(ANGLES))
    row, (warning,) = result_of(path, trust_labels=True)
    assert row.mae_deg.yaw == pytest.approx(np.abs(np.radians(ANGLES[:, 0])).mean(), abs=2e-3)
    assert (warning.code, warning.dataset) == ("radians", "table")
    report = api.load(path.parent / "run").report(("md", "html"))
    assert all("as radians do" in file.read_text(encoding="utf-8") for file in report[:1])


def test_lost_decimal_point_is_excluded_with_its_reason(write):
    labels = ANGLES.copy()
    labels[3, 0] = 10444.3
    row, _ = result_of(write(labels))
    assert (row.images.scored, row.images.excluded) == (23, 1)
    (reason,) = row.excluded_reasons
    assert reason == "label yaw 10444.3 is no angle in degrees; a decimal point may be lost"


def test_face_without_roll_is_scored_in_its_other_angles(write):
    labels = ANGLES.copy()
    labels[::2, 2] = np.nan
    row, _ = result_of(write(labels))
    assert (row.images.scored, row.images.excluded) == (24, 0)
    expected = [*EXPECTED[:2], np.abs(ANGLES[1::2, 2]).mean()]
    assert errors_of(row) == pytest.approx(expected, abs=2e-3)


def test_turned_sign_shows_in_the_predictions_of_a_method(write):
    path = write(ANGLES * [-1, 1, 1])
    results = api.run("hopenet", f"table={path}", out=path.parent / "run", timing="off")
    (warning,) = results.warnings
    assert warning.code == "convention"
    assert "the sign of yaw is swapped, in its labels or in 'hopenet'" in warning.text


def test_sign_that_labels_have_swapped_is_undone_in_them(write):
    """Near gimbal lock, predictions a few degrees off have quite other angles."""
    rng = np.random.default_rng(0)
    angles = rng.uniform(-1.0, 1.0, ANGLES.shape) * [85.0, 60.0, 60.0]
    labels = write(angles * [1, -1, 1])
    off = Rotation.from_rotvec(rng.normal(scale=4.0, size=angles.shape), degrees=True)
    good = off.as_matrix() @ rotation_from_angles(angles)
    lines = [
        ",".join([str(record.image_path), *map(repr, R.ravel().tolist())])
        for record, R in zip(RECORDS, good, strict=True)
    ]
    predicted = labels.with_name("other.csv")
    predicted.write_text("\n".join([f"image_id,{MATRIX}", *lines]) + "\n")
    method = f"{predicted}[frame=camera]"
    results = api.run(method, f"table={labels}", out=labels.parent / "run", timing="off")
    (warning,) = results.warnings
    left_deg = float(np.degrees(off.magnitude()).mean())
    assert "the sign of pitch is swapped, in its labels or in" in warning.text
    assert f"to {left_deg:.1f} degrees" in warning.text


# ---- several faces, cropped faces --------------------------------------------------------------


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Twelve images of two heads each, the labelled one on the left, enlarged; no boxes."""
    front = [k for k in range(24) if np.abs(ANGLES[k]).max() < 45][:12]
    lines = [f"image,{YPR}"]
    for k in front:
        left = Image.open(RECORDS[k].image_path).convert("RGB")
        left = left.resize((left.width * 2, left.height * 2))
        right = Image.open(RECORDS[front[0]].image_path).convert("RGB").resize((160, 160))
        both = Image.new("RGB", (left.width + 160, max(left.height, 160)))
        both.paste(left, (0, 0))
        both.paste(right, (left.width, 0))
        both.save(tmp_path / f"{k}.png")
        lines.append(",".join([f"{k}.png", *(repr(float(value)) for value in ANGLES[k])]))
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "labels.csv"


def test_image_with_several_faces_and_no_box_is_not_scored_but_counted(pairs):
    row, warnings = result_of(pairs, boxes="dlib")
    refused = row.excluded_reasons["several faces in the image and no annotated box"]
    assert refused >= 6
    (warning,) = [one for one in warnings if one.code == "several"]
    assert f"{refused} images show several faces" in warning.text
    assert "--several largest" in warning.text


@pytest.mark.parametrize("several", ["refuse", "largest"])
def test_images_whose_one_found_face_may_be_the_other_are_counted(pairs, several):
    detector = make_detector("dlib")
    images = [np.array(Image.open(path)) for path in sorted(pairs.parent.glob("*.png"))]
    single = sum(len(detector.detect(image)[0]) == 1 for image in images)
    assert single
    _, warnings = result_of(pairs, boxes="dlib", several=several)
    (warning,) = [one for one in warnings if one.code == "several"]
    assert f"in {single} others the one face found may not be the labelled one" in warning.text


def test_the_face_to_take_of_several_can_be_told(pairs):
    row, warnings = result_of(pairs, boxes="dlib", several="largest")
    assert row.images.excluded == 0
    (warning,) = [one for one in warnings if one.code == "several"]
    assert "the largest was taken" in warning.text
    faces = pd.read_parquet(pairs.parent / "run" / "faces.parquet")
    chosen = faces[faces["box_status"] == "chosen"]
    assert len(chosen) >= 6
    assert ((chosen["x1"] - chosen["x0"]) > 100).all()  # the enlarged head, not the other


def test_cropped_faces_are_taken_whole(write):
    path = write(ANGLES)
    row, _ = result_of(path, boxes="picture")
    assert (row.images.scored, row.boxes) == (24, "picture")
    faces = pd.read_parquet(path.parent / "run" / "faces.parquet")
    expected = image_sides()[:, :2]
    assert np.array_equal(faces[["x1", "y1"]].to_numpy(), expected)
    assert (faces[["x0", "y0"]] == 0).all(axis=None)


def test_each_of_several_tables_is_called_by_its_path(write):
    first = write(ANGLES)
    second = first.rename(first.with_name("others.csv"))
    first = write(ANGLES)
    results = api.run(
        "constant", f"table={first},table={second}", out=first.parent / "run", timing="off"
    )
    assert [row.dataset for row in results.rows] == [f"table={first}", f"table={second}"]


def test_misspelt_factor_stops_the_run_before_it_begins(tmp_path):
    Image.new("RGB", (50, 50)).save(tmp_path / "a.png")
    table = tmp_path / "labels.csv"
    table.write_text("image,yaw,pitch,roll,x0,y0,x1,y1,light\na.png,0,0,0,5,5,30,30,dim")
    config = RunConfig(methods="constant", datasets=str(table), timing="off", by="lihgt*abs_yaw")
    with pytest.raises(UsageError, match=r"no data set .* has the factor 'lihgt'.*light"):
        run(config, tmp_path / "run", NoProgress())
    assert not (tmp_path / "run").exists()
    for by in ("light*abs_yaw", "group", "brightness"):
        run(config.model_copy(update={"by": by}), tmp_path / by, NoProgress())


@pytest.fixture
def tables(tmp_path) -> list[str]:
    """Two tables of one image each, without annotated landmarks."""
    Image.new("RGB", (50, 50)).save(tmp_path / "a.png")
    for name in ("one", "two"):
        rows = "image,yaw,pitch,roll,x0,y0,x1,y1\na.png,0,0,0,5,5,30,30"
        (tmp_path / f"{name}.csv").write_text(rows)
    return [str(tmp_path / f"{name}.csv") for name in ("one", "two")]


def test_run_in_which_no_method_can_take_part_ends_with_the_reason(tmp_path, tables):
    config = RunConfig(methods="pnp[landmarks=annotated]", datasets=",".join(tables), timing="off")
    with pytest.raises(UsageError, match=r"no method can be run; pnp.*no annotated landmarks"):
        run(config, tmp_path / "run", NoProgress())


CHOOSY = """
from hpbench.methods.constant import Constant


class Choosy(Constant):
    name = "choosy"
    summary = "for renders only"

    def unsupported_reason(self, dataset_name, has_camera, has_landmarks):
        return None if dataset_name == "sample" else "no renders"
"""


def test_data_set_on_which_no_method_can_take_part_costs_the_others_nothing(tmp_path, tables):
    (tmp_path / "choosy.py").write_text(CHOOSY)
    config = RunConfig(
        methods="choosy", datasets=f"sample,{tables[0]}", timing="off", limit=8,
        plugins=(tmp_path / "choosy.py",), by="light",
    )  # fmt: skip
    out = run(config, tmp_path / "run", NoProgress())
    results = json.loads((out / "results.json").read_text())
    assert [row["dataset"] for row in results["results"]] == ["sample"]
    assert [(row["dataset"], row["reason"]) for row in results["not_run"]] == [
        ("table", "no renders")
    ]
    assert write_report(out, ["md", "csv"])


@pytest.mark.parametrize("changed", [{"timing": "quick"}, {"seed": 7}])
def test_finished_run_is_not_taken_for_one_of_another_seed_or_timing(tmp_path, tables, changed):
    config = RunConfig(methods="constant", datasets=tables[0], timing="off", timing_images=1)
    run(config, tmp_path / "run", NoProgress())
    with pytest.raises(UsageError, match=r"is finished, with --(timing off|seed 0); use"):
        run(config.model_copy(update=changed), tmp_path / "run", NoProgress())
    run(config, tmp_path / "run", NoProgress())
