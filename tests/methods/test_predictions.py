"""Another program's predictions as a method: what is read, asked for, refused and shown."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

import hpbench
from hpbench.cli import app
from hpbench.errors import DataError, UsageError
from hpbench.face import Face
from hpbench.method import Prediction
from hpbench.methods.predictions import Predictions
from hpbench.registry import make_dataset, make_method
from hpbench.rotation import geodesic_deg, rotation_from_angles

BOX = np.array([10.0, 20.0, 60.0, 90.0])
R = rotation_from_angles([30.0, -20.0, 10.0])
S = np.diag([1.0, -1.0, -1.0])


def face_of(image_id: str, box=BOX) -> Face:
    return Face(image_id, np.zeros((100, 100, 3), np.uint8), box)


@pytest.fixture
def predict(tmp_path):
    """Predictions for some faces by a file of this text."""

    def run(text: str, options: str = "", ids: str = "a", box=BOX):
        (tmp_path / "other.csv").write_text(text)
        method = make_method(f"{tmp_path}/other.csv" + (f"[{options}]" if options else ""))
        method.load()
        return method.predict([face_of(one, box) for one in ids])

    return run


def numbers(values) -> str:
    return ",".join(repr(float(value)) for value in np.ravel(values))


MATRIX = ",".join(f"r{i}{j}" for i in range(3) for j in range(3))
WXYZ = np.roll(Rotation.from_matrix(R).as_quat(), 1)
ROTVEC = Rotation.from_matrix(R).as_rotvec()


@pytest.mark.parametrize(
    ("columns", "values", "options"),
    [
        ("yaw_deg,pitch_deg,roll_deg", [30, -20, 10], "euler=canonical"),
        ("yaw,pitch,roll", [30, -20, 10], "unit=deg,euler=XYZ"),
        ("pred_yaw,pred_pitch,pred_roll", np.radians([30, -20, 10]), "unit=rad,euler=canonical"),
        ("yaw_deg,pitch_deg,roll_deg", [-30, -20, 10], "euler=canonical,signs=-yaw"),
        ("roll_deg,yaw_deg,pitch_deg", [10, 30, -20], "euler=canonical"),
        (MATRIX, R, "frame=camera"),
        (MATRIX, S @ R @ S, "frame=y-up"),
        (MATRIX, S @ R.T @ S, "frame=6drepnet"),
        (MATRIX, R @ S, 'frame=camera,signs="-yaw,-roll",offset=pitch+180'),  # head with y up
        ("qw,qx,qy,qz", WXYZ, "frame=camera"),
        ("qx,qy,qz,qw", np.roll(WXYZ, -1), "frame=camera"),
        ("q0,q1,q2,q3", WXYZ, "frame=camera,quaternion=wxyz"),
        ("q0,q1,q2,q3", np.roll(WXYZ, -1), "frame=camera,quaternion=xyzw"),
        ("rotvec_x,rotvec_y,rotvec_z", ROTVEC, "frame=camera"),
    ],
)
def test_every_form_of_a_rotation_is_read(predict, columns, values, options):
    (found,) = predict(f"image_id,{columns}\na,{numbers(values)}\n", options)
    assert geodesic_deg(found.R_cam, R) < 1e-6


@pytest.mark.parametrize("order", ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"])
def test_the_order_of_the_turns_is_that_of_the_product(predict, order):
    turns = {
        "X": Rotation.from_euler("x", 20, degrees=True).as_matrix(),  # pitch -20
        "Y": Rotation.from_euler("y", 30, degrees=True).as_matrix(),
        "Z": Rotation.from_euler("z", 10, degrees=True).as_matrix(),
    }
    (found,) = predict("id,yaw_deg,pitch_deg,roll_deg\na,30,-20,10\n", f"euler={order}")
    expected = turns[order[0]] @ turns[order[1]] @ turns[order[2]]
    assert geodesic_deg(found.R_cam, expected) < 1e-6


def test_rq_angles_are_those_of_opencv(predict):
    import cv2

    x, y, z = cv2.RQDecomp3x3(R)[0]
    (found,) = predict(f"id,yaw_deg,pitch_deg,roll_deg\na,{numbers([y, -x, z])}\n", "euler=rq")
    assert geodesic_deg(found.R_cam, R) < 1e-6


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        ("id,yaw,pitch,roll", "", r"unit of yaw, pitch, roll cannot be known; add unit=deg"),
        ("id,yaw_deg,pitch_deg,roll_deg", "", r"make a rotation cannot be known; add euler="),
        (f"id,{MATRIX}", "", r"frame of its matrix cannot be known; add frame=camera"),
        ("id,qw,qx,qy,qz", "", r"frame of its quaternion cannot be known"),
        ("id,q0,q1,q2,q3", "frame=camera", r"order of the quaternion q0, q1, q2, q3 cannot be"),
    ],
)
def test_what_cannot_be_known_is_asked_for(predict, header, options, message):
    row = "a," + ",".join(["0.5"] * header.count(","))
    with pytest.raises(UsageError, match=message):
        predict(f"{header}\n{row}\n", options)


@pytest.mark.parametrize("option", ["unit=rad", "euler=rq"])
def test_options_of_angles_are_refused_where_a_matrix_is_read(predict, option):
    text = f"id,{MATRIX},yaw,pitch,roll\na,{numbers(R)},1,2,3\n"
    with pytest.raises(UsageError, match=rf"other\.csv: {option} has no effect on its matrix"):
        predict(text, f"frame=camera,{option}")


@pytest.mark.parametrize("option", ["frame=camera", "quaternion=wxyz"])
def test_options_of_a_rotation_are_refused_where_angles_are_read(predict, option):
    message = rf"other\.csv: {option} has no effect on its angles; leave it out"
    with pytest.raises(UsageError, match=message):
        predict(f"{GOOD}\na,1,2,3\n", f"euler=canonical,{option}")


def test_order_of_a_quaternion_is_refused_where_its_columns_say_it(predict):
    with pytest.raises(UsageError, match="quaternion=xyzw has no effect on its quaternion"):
        predict(f"id,qw,qx,qy,qz\na,{numbers(WXYZ)}\n", "frame=camera,quaternion=xyzw")


def test_euler_chooses_the_angles_of_a_file_that_has_a_rotation_too(predict):
    text = "id,q0,q1,q2,q3,yaw_deg,pitch_deg,roll_deg\na,1,0,0,0,-30,-20,10\n"
    (found,) = predict(text, "euler=canonical,signs=-yaw")
    assert geodesic_deg(found.R_cam, R) < 1e-6


GOOD = "id,yaw_deg,pitch_deg,roll_deg"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("yaw_deg,pitch_deg,roll_deg\n1,2,3\n", r"no column 'image_id' with the ids"),
        ("id,yaw_deg,pitch_deg\na,1,2\n", r"no column 'roll'"),
        (f"{GOOD}\na,1,2,3\nb,1,2,3\na,4,5,6\n", r"rows 1 and 3 are both of face 'a'; keep one"),
        (f"{GOOD}\n,1,2,3\n", r"row 1 has no id"),
        (f"{GOOD}\n", r"contains no row"),
        (f"{GOOD},x0,x1,y1\na,1,2,3,0,9,9\n", r"no column 'y0'; a box needs x0, y0, x1 and y1"),
        (f"{GOOD}\na,nan,nan,nan\nb,,,\n", r"none of its 2 rows holds a prediction; the first, a"),
        (f"{GOOD}\na,1,2\n", r"other.csv:2: 3 cells in a table of 4 columns"),
    ],
)
def test_a_file_that_is_wrong_is_one_line(predict, text, message):
    with pytest.raises(DataError, match=message):
        predict(text, "euler=canonical")


def test_degrees_that_are_taken_as_radians_are_refused(predict):
    text = f"{GOOD}\na,30,2,3\nb,0.5,1,2\nc,40,-10,5\n".replace("_deg", "")
    with pytest.raises(DataError, match=r"2 of its 3 rows are no poses, .*unit=deg"):
        predict(text, "unit=rad,euler=canonical")


def test_rows_without_a_rotation_are_counted_with_a_reason(predict):
    text = (
        f"{GOOD},reason\na,1,2,3,\nb,,,,face too small\nc,,,,\nd,1,,3,\ne,x,2,3,\nf,inf,2,3,\n"
        "g,1200,2,3,\n"
    )
    found = predict(text, "euler=canonical", ids="abcdefgh")
    assert isinstance(found[0], Prediction)
    assert [one.reason for one in found[1:]] == [
        "face too small",
        "the file has an empty row for this face",
        "the prediction has no pitch",
        "the prediction is not a number (yaw_deg: 'x')",
        "the prediction is not a number (yaw_deg: 'inf')",
        "yaw 1200 deg is beyond 360",
        "the file has no row of this face",
    ]


def test_what_is_no_rotation_is_counted(predict):
    text = f"id,{MATRIX}\na,{numbers(R)}\nb,{numbers(2 * R)}\nc,{numbers(np.diag([1, 1, -1]))}\n"
    found = predict(text, "frame=camera", ids="abc")
    assert all("is no rotation (r00..r22, determinant" in one.reason for one in found[1:])


def test_confidence_comes_along(predict):
    text = f"{GOOD},confidence\na,1,2,3,0.75\nb,1,2,3,\nc,1,2,3,nan\n"
    assert [one.confidence for one in predict(text, "euler=canonical", ids="abc")] == [
        0.75, None, None,
    ]  # fmt: skip


def test_confidence_and_time_that_are_none_are_counted(predict):
    text = f"{GOOD},confidence,ms\na,1,2,3,,\nb,1,2,3,64%,5\nc,1,2,3,1,fast\nd,1,2,3,1,-1\n"
    text += "e,1,2,3,1,17e17\nf,1,2,3,1,1e9\n"
    *found, longest = predict(text, "euler=canonical", ids="abcdef")
    assert isinstance(longest, Prediction)
    assert isinstance(found[0], Prediction)
    assert [one.reason for one in found[1:]] == [
        "the prediction's confidence is not a number ('64%')",
        "the prediction's ms is not a number ('fast')",
        "the prediction's ms is negative (-1); leave it empty",
        "the prediction's ms is no time in milliseconds (1.7e+18)",
    ]


def test_a_prediction_for_another_box_is_none_for_this_one(predict):
    text = f"{GOOD},x0,y0,x1,y1\na,1,2,3,10.4,19.9,60,90\nb,1,2,3,10,20,80,90\n"
    found = predict(text, "euler=canonical", ids="ab")
    assert isinstance(found[0], Prediction)
    assert "for another box than this run's" in found[1].reason


def test_a_row_without_a_box_is_taken_for_this_one(predict):
    text = f"{GOOD},x0,y0,x1,y1\na,30,-20,10,,,,\nb,30,-20,10,10,20,60,90\n"
    for found in predict(text, "euler=canonical", ids="ab"):
        assert geodesic_deg(found.R_cam, R) < 1e-6


def test_a_box_that_lacks_a_number_is_counted_as_that(predict):
    text = f"{GOOD},x0,y0,x1,y1\na,1,2,3,10,20,60,90\nb,1,2,3,10,20,60,\nc,1,2,3,10,x,60,90\n"
    found = predict(text, "euler=canonical", ids="abc")
    assert [one.reason for one in found[1:]] == [
        "the prediction's box is not a number (y1: '')",
        "the prediction's box is not a number (y0: 'x')",
    ]


def test_the_card_names_columns_that_make_no_box(predict, tmp_path):
    predict(f"{GOOD},x1,y1\na,1,2,3,4,5\n", "euler=canonical")
    card = make_method(f"{tmp_path}/other.csv[euler=canonical]").card()
    assert "columns that are not used: x1, y1" in card.notes


def test_parquet_is_read(tmp_path):
    table = pd.DataFrame(
        {"image_id": ["a"], **dict(zip(MATRIX.split(","), np.ravel(R), strict=True))}
    )
    table.to_parquet(tmp_path / "other.parquet")
    method = make_method(f"predictions[file={tmp_path}/other.parquet,frame=camera]")
    (found,) = method.predict([face_of("a")])
    assert geodesic_deg(found.R_cam, R) < 1e-9


def test_two_data_sets_in_a_file_are_told_apart(predict):
    text = f"dataset,{GOOD}\nsample,a,30,-20,10\naflw2000,a,1,2,3\n"
    with pytest.raises(UsageError, match=r"of the data sets sample, aflw2000; name one"):
        predict(text, "euler=canonical")
    (found,) = predict(text, "euler=canonical,dataset=sample")
    assert geodesic_deg(found.R_cam, R) < 1e-6
    with pytest.raises(UsageError, match=r"dataset=biwi: the file has no row of it"):
        predict(text, "euler=canonical,dataset=biwi")


def test_the_key_of_stored_rows_covers_the_content_and_not_the_folder(tmp_path):
    keys = []
    for folder, yaw in (("one", 1), ("two", 1), ("three", 2)):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "other.csv"
        file.write_text(f"{GOOD}\na,{yaw},2,3\n")
        keys.append(make_method(f"{file}[euler=canonical]").fingerprint())
    assert keys[0] == keys[1] != keys[2]


def test_the_card_says_what_was_read_and_what_not(tmp_path):
    file = tmp_path / "other.csv"
    file.write_text(f"{GOOD},x0,y0,x1,y1,tx,note\na,1,2,3,0,0,9,9,5.0,hm\n")
    card = make_method(f'{file}[euler=rq,signs=-yaw,trained_on="w300lp,biwi"]').card()
    notes = "; ".join(card.notes)
    assert "yaw_deg, pitch_deg, roll_deg in deg, euler=rq, signs=-yaw" in notes
    assert "columns that are not used: tx, note" in notes
    assert card.trained_on == ("w300lp", "biwi")


# ---- in a run ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample():
    """Labels of the embedded sample."""
    return make_dataset("sample").records()


@pytest.fixture(scope="module")
def other(tmp_path_factory, sample):
    """A program whose yaw is 5 degrees off, with two faces missing."""
    file = tmp_path_factory.mktemp("other") / "other.csv"
    angles = np.array([record.label.angles_deg for record in sample])
    angles[:, 0] += 5.0
    rows = "".join(
        f"{record.image_id},{numbers(row)},{k + 1}\n"
        for k, (record, row) in enumerate(zip(sample, angles, strict=True))
        if k not in (3, 4)
    )
    file.write_text(f"{GOOD},ms\n{rows}")
    return file


@pytest.fixture(scope="module")
def run(tmp_path_factory, other):
    """The program beside the frontal baseline, clean and darkened."""
    return hpbench.run(
        f"constant,{other}[euler=canonical]",
        corrupt="dark=1",
        timing_images=2,
        out=tmp_path_factory.mktemp("run") / "run",
    )


def test_its_errors_are_scored_like_those_of_any_method(run, other):
    result = next(row for row in run.rows if row.method == "predictions")
    assert result.mae_deg.yaw == pytest.approx(5.0, abs=1e-3)
    assert result.mae_deg.pitch == pytest.approx(0.0, abs=1e-3)
    assert result.no_answer_reasons == {"the file has no row of this face": 2}


def test_no_time_is_measured_and_a_stated_one_is_called_so(run):
    result = next(row for row in run.rows if row.method == "predictions")
    assert result.runtime_ms["total"].p50 is None
    assert result.stated_ms.count == 142
    assert result.stated_ms.p50 == np.median([k + 1 for k in range(144) if k not in (3, 4)])
    stored = run.predictions().query("method != 'constant'")
    assert stored["prepare_ms"].isna().all()
    report = run.report()[0].read_text()
    assert "Stated: median of the times in a file of stored predictions" in report


def test_it_has_no_row_under_corruption_and_the_report_says_why(run, other):
    by_dataset = {(row.dataset, row.method) for row in run.rows}
    assert ("sample + dark=1", "constant") in by_dataset
    assert ("sample + dark=1", "predictions") not in by_dataset
    report = run.report()[0].read_text()
    assert "- other (stored): not applicable: stored predictions do not change with" in report


def test_explain_reruns_the_others_only(run):
    done = CliRunner().invoke(app, ["explain", str(run.folder)])
    assert done.exit_code == 0, done.output
    explained = json.loads((run.folder / "explain.json").read_text())
    assert {row["method_spec"] for row in explained["rows"]} == {"constant"}
    assert [one["reason"].partition(":")[0] for one in explained["failed"]] == ["not applicable"]


def test_a_run_of_stored_predictions_alone_has_nothing_to_corrupt(other, tmp_path):
    with pytest.raises(UsageError, match=r"--corrupt: stored predictions do not change"):
        hpbench.run(f"{other}[euler=canonical]", corrupt="dark=1", out=tmp_path / "run")


def test_unknown_ids_are_an_error_before_anything_runs(other, tmp_path):
    file = tmp_path / "typo.csv"
    file.write_text(other.read_text().replace("sample_010", "sample_10"))
    with pytest.raises(DataError, match=r"1 of its 142 ids are no faces of 'sample', the first"):
        hpbench.run(f"{file}[euler=canonical]", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_limit_leaves_later_rows_of_the_file_unused(other, tmp_path):
    results = hpbench.run(f"{other}[euler=canonical]", limit=10, timing="off", out=tmp_path / "run")
    assert results.rows[0].images.scored == 8


def test_a_data_set_that_the_file_is_not_of_has_no_row(other, tmp_path):
    table = tmp_path / "mine.csv"
    image = make_dataset("sample").records()[0].image_path
    table.write_text(f"image,yaw,pitch,roll,x0,y0,x1,y1\n{image},1,2,3,60,60,200,200\n")
    results = hpbench.run(
        f"constant,{other}[euler=canonical]",
        f"sample,table={table}",
        timing="off",
        trust_labels=True,
        out=tmp_path / "run",
    )
    rows = {(row.dataset, row.method) for row in results.rows}
    assert ("table", "predictions") not in rows
    assert ("sample", "predictions") in rows


def test_it_predicts_no_new_images(other, sample):
    with pytest.raises(UsageError, match="hpbench predict predicts new images"):
        hpbench.predict(str(sample[0].image_path), f"{other}[euler=canonical]")


# ---- check ---------------------------------------------------------------------------------------


def outcomes(spec: str, limit: int = 48) -> dict[str, str]:
    table = hpbench.check(spec, limit=limit).table()
    return dict(zip(table["name"], table["status"], strict=True))


def test_check_names_a_mistaken_convention(other):
    right = outcomes(f"{other}[euler=canonical]")
    assert right["signs"] == right["euler_order"] == "passed"
    assert right["mirror"] == right["colour_order"] == right["unsolvable_faces"] == "skipped"
    assert outcomes(f"{other}[euler=canonical,signs=-pitch]")["signs"] == "failed"
    assert outcomes(f"{other}[euler=rq]")["euler_order"] == "failed"


def test_too_few_predictions_are_not_applicable_and_never_ok(other, tmp_path):
    lines = other.read_text().splitlines()
    (tmp_path / "few.csv").write_text("\n".join(lines[:12]))
    found = outcomes(f"{tmp_path}/few.csv[euler=canonical]", limit=144)
    assert found["signs"] == found["euler_order"] == found["angle_unit"] == "skipped"


def test_check_of_the_wrong_data_set_is_one_line(predict, tmp_path):
    predict(f"{GOOD}\na,1,2,3\n", "euler=canonical")
    with pytest.raises(UsageError, match=r"names no face of 'sample' .*--datasets"):
        hpbench.check(f"{tmp_path}/other.csv[euler=canonical]")


def test_without_a_file_it_asks_for_one():
    with pytest.raises(UsageError, match="needs its file"):
        Predictions().fingerprint()


def test_finite_times_only(predict, tmp_path):
    predict(f"{GOOD},ms\na,1,2,3,inf\nb,1,2,3,4.5\n", "euler=canonical")
    method = make_method(f"{tmp_path}/other.csv[euler=canonical]")
    assert method.stated_ms("a") is None
    assert math.isclose(method.stated_ms("b"), 4.5)
