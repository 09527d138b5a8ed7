from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

import hpbench
from hpbench.datasets.table import Table
from hpbench.datasets.table._labels import TableOptions
from hpbench.errors import DataError, UsageError
from hpbench.registry import make_dataset

HEADER = "image,yaw,pitch,roll"


@pytest.fixture
def table(tmp_path: Path):
    def write(
        text: str, name: str = "labels.csv", encoding: str = "utf-8", **options: str
    ) -> Table:
        path = tmp_path / name
        path.write_text(text, encoding=encoding)
        return Table(path, TableOptions(**options))

    return write


def test_images_are_relative_to_the_table_and_not_to_the_working_folder(table, tmp_path):
    (record,) = table(f"{HEADER}\nphotos/a.jpg,10,-5,2.5\n").records()
    assert record.image_path == tmp_path / "photos" / "a.jpg"
    assert record.image_id == "photos/a.jpg"
    assert record.label.angles_deg.tolist() == [10, -5, 2.5]
    assert record.box_xyxy is None


def test_boxes_subjects_and_further_columns_are_read(table):
    (record,) = table(
        f"{HEADER},x0,y0,x1,y1,subject,light,distance\na.jpg,1,2,3,10,20,30,40,anna,dim,1.5\n"
    ).records()
    assert record.box_xyxy.tolist() == [10, 20, 30, 40]
    assert record.group == "anna"
    assert record.factors == {"light": "dim", "distance": 1.5}


def test_further_column_with_one_word_in_it_is_text_throughout(table):
    records = table(f"{HEADER},room\na.jpg,1,2,3,12\nb.jpg,1,2,3,attic\nc.jpg,1,2,3,\n").records()
    assert [record.factors for record in records] == [{"room": "12"}, {"room": "attic"}, {}]


def test_parquet_and_csv_of_one_table_give_the_same_records(table, tmp_path):
    import pandas as pd

    text = f"{HEADER},x0,y0,x1,y1,light\na.jpg,1,2,3,10,20,30,40,dim\nb.jpg,,2,3,10,20,30,40,\n"
    from_csv = table(text).records()
    pd.read_csv(tmp_path / "labels.csv").to_parquet(tmp_path / "labels.parquet")
    from_parquet = Table(tmp_path / "labels.parquet").records()
    for a, b in zip(from_csv, from_parquet, strict=True):
        assert (a.image_id, a.excluded, a.group, a.factors) == (
            b.image_id,
            b.excluded,
            b.group,
            b.factors,
        )
        assert np.array_equal(a.box_xyxy, b.box_xyxy)
    assert np.array_equal(from_csv[0].label.angles_deg, from_parquet[0].label.angles_deg)


def test_without_a_roll_column_that_axis_is_missing(table):
    (record,) = table("image,yaw,pitch\na.jpg,10,-5\n").records()
    assert record.label.angles_deg[:2].tolist() == [10, -5]
    assert np.isnan(record.label.angles_deg[2])
    assert record.label.R_cam is None
    assert record.excluded is None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("b.jpg,?,0,0,1,2,3,4", "label is not a number (yaw: '?')"),
        ("b.jpg,,nan,,1,2,3,4", "the row has no label"),
        ("b.jpg,0,0,inf,1,2,3,4", "label is not a number (roll: 'inf')"),
        ("b.jpg,0,0,0,1,2,3,", "box is not a number (y1: '')"),
        (",0,0,0,1,2,3,4", "the row names no image"),
    ],
)
def test_unusable_row_among_good_ones_is_excluded_with_its_reason(table, row, reason):
    records = table(f"{HEADER},x0,y0,x1,y1\na.jpg,0,0,0,1,2,3,4\n{row}\n").records()
    assert [record.excluded for record in records] == [None, reason]


def test_row_without_any_box_cell_is_left_to_a_detector(table):
    records = table(f"{HEADER},x0,y0,x1,y1\na.jpg,0,0,0,,,,\n").records()
    assert (records[0].excluded, records[0].box_xyxy) == (None, None)


def test_two_faces_of_one_image_get_their_own_ids(table):
    records = table(f"{HEADER},x0,y0,x1,y1\na.jpg,0,0,0,1,2,3,4\na.jpg,9,0,0,50,2,60,4\n").records()
    assert [record.image_id for record in records] == ["a.jpg", "a.jpg#2"]
    assert {record.group for record in records} == {"a.jpg"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,yaw,roll\na.jpg,0,0\n", r"no column 'pitch' \(columns: image, yaw, roll\)"),
        ("name,yaw,pitch\na.jpg,0,0\n", "no column 'image' .* is 'name' the image"),
        ("image,yaw,pitch,rol\na.jpg,0,0,0\n", "is 'rol' the roll"),
        ("image,pose_Rx,pose_Ry\na.jpg,0,0\n", "'pose_Ry' may be the angle .*OpenFace"),
        ("image,pan,tilt\na.jpg,0,0\n", "is 'pan' the yaw"),
        (f"{HEADER},bbox\na.jpg,0,0,0,1 2 3 4\n", "'bbox' looks like a face box"),
        ("file,path,yaw,pitch\na.jpg,a.jpg,0,0\n", "'file' and 'path' may both be 'image'"),
        ("a.jpg,1.5,2,3\nb.jpg,1,2,3\n", "first line has to hold the names"),
        ("image,yaw_rad,pitch_deg\na.jpg,0,0\n", "different units"),
        ("image,qw,qx,qy\na.jpg,1,0,0\n", "no column 'qz'"),
        ("image,w,x,y,z\na.jpg,1,0,0,0\n", "may be a quaternion; rename them qw, qx, qy, qz"),
        (f"{HEADER},x,y,w\na.jpg,0,0,0,1,2,3\n", "no column 'h'; a box needs x, y, w and h"),
        (f"{HEADER},x0,y0,x1\na.jpg,0,0,0,1,2,3\n", "no column 'y1'; a box needs"),
        (
            f"{HEADER}\na.jpg,0,0,0\nb.jpg,0,0\n",
            r"labels\.csv:3: 3 cells .* 4 columns separated by commas",
        ),
        (f"{HEADER}\na.jpg,0,5,0,0,0\n", "6 cells .* separate cells by semicolons"),
        ("image;yaw;pitch\na.jpg;0\n", "2 cells .* 3 columns separated by semicolons"),
        (f"{HEADER}\na.jpg,0,0,0\na.jpg,5,0,0\n", "rows 1 and 2 are the same face of 'a.jpg'"),
        (f"{HEADER},roll\na.jpg,0,0,0,0\n", "two columns are called 'roll'"),
        (f"{HEADER}\n", "contains no row below the column names"),
        ("", r"no column 'image' \(columns: none\)"),
        (f"{HEADER}\na.jpg,x,0,0\nb.jpg,0,y,0\n", "none of its 2 faces .* first, a.jpg: label"),
        (f'{HEADER}\n"a.jpg,0,0,0\n', "cannot be read as CSV"),
    ],
)
def test_wrong_table_is_refused_with_what_is_wrong(table, text, message):
    with pytest.raises(DataError, match=message) as caught:
        table(text).records()
    assert "labels.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_corrupted_parquet_file_is_refused(table):
    with pytest.raises(DataError, match=r"labels\.parquet: cannot be read as Parquet"):
        table(HEADER, "labels.parquet").records()


def test_text_that_is_not_utf8_is_refused_with_its_line(tmp_path):
    """As a spreadsheet on Windows writes it."""
    text = "image;yaw;pitch;city\na.jpg;0;0;Bonn\nb.jpg;0;0;K\u00f6ln\n"
    (tmp_path / "labels.csv").write_bytes(text.encode("cp1252"))
    with pytest.raises(DataError, match=r"labels\.csv: line 3 is no text in UTF-8; save it as CSV"):
        Table(tmp_path / "labels.csv").records()


def test_byte_order_mark_of_a_spreadsheet_is_no_part_of_the_first_name(table):
    assert len(table(f"\ufeff{HEADER}\na.jpg,0,0,0\n").records()) == 1


def test_missing_file_and_folder_are_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.csv: no such file"):
        Table(tmp_path / "nothing.csv").records()
    with pytest.raises(DataError, match="is a folder"):
        Table(tmp_path).records()
    with pytest.raises(DataError, match="needs its file"):
        Table().records()


def test_other_content_is_another_protocol(table):
    first = table(f"{HEADER}\na.jpg,0,0,0\n").protocol_settings()
    second = table(f"{HEADER}\na.jpg,0,0,1\n").protocol_settings()
    assert first != second
    assert len(first["table_sha256"]) == 64


# ---- other dialects ----------------------------------------------------------------------------

COMMAS = "image,yaw,pitch,roll,x0,y0,x1,y1\na.jpg,1.5,-2.25,3,10,20,30,40\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (COMMAS.replace(",", ";").replace(".5", ",5").replace(".25", ",25"), "utf-8-sig"),
        (COMMAS.replace(",", "\t"), "utf-8"),
        (COMMAS.replace(",", "\t").replace(".5", ",5"), "utf-16"),
        (COMMAS.replace(",", "|"), "utf-8"),
        (COMMAS.replace(",", " "), "utf-8"),
        (COMMAS.replace(",", "   "), "utf-8"),
        (COMMAS.replace(",", ", "), "utf-8"),
        (COMMAS.replace("\n", "\r\n"), "utf-8"),
        (COMMAS.replace("\n", "\r"), "utf-8"),
        ("# made by hand\n\n" + COMMAS.replace("\na", "\n\n# the first\na"), "utf-8-sig"),
        ("# " + COMMAS.replace(",", " "), "utf-8"),
        ("sep=;\n" + COMMAS.replace(",", ";"), "utf-8"),
        (COMMAS.replace("1.5", '"1,5"'), "utf-8"),
        (COMMAS.replace("\na.jpg", ",\na.jpg").replace("40\n", "40,\n"), "utf-8"),
    ],
    ids=[
        "semicolons and decimal commas", "tabs", "UTF-16 of a spreadsheet", "bars", "blanks",
        "several blanks", "commas and blanks", "Windows", "old Mac", "comments and blank lines",
        "names in a comment", "sep=", "quoted decimal comma", "trailing commas",
    ],
)  # fmt: skip
def test_table_of_another_dialect_is_read(table, text, encoding):
    (record,) = table(text, encoding=encoding).records()
    assert record.label.angles_deg.tolist() == pytest.approx([1.5, -2.25, 3], abs=0.3)
    assert record.label.angles_deg[0] == 1.5
    assert record.box_xyxy.tolist() == [10, 20, 30, 40]


@pytest.mark.parametrize("name", ["filename", "Path", "img_path", "Image Name", "picture"])
def test_image_column_is_known_under_its_usual_names(table, name):
    assert table(f"{name},Yaw,PITCH\na.jpg,1,2\n").records()[0].image_id == "a.jpg"


@pytest.mark.parametrize(
    "header",
    [
        "xmin,ymin,xmax,ymax",
        "left,top,right,bottom",
        "x1,y1,x2,y2",
        "bbox_x1,bbox_y1,bbox_x2,bbox_y2",
    ],
)
def test_corners_are_known_under_other_names(table, header):
    (record,) = table(f"{HEADER},{header}\na.jpg,0,0,0,10,20,30,50\n").records()
    assert record.box_xyxy.tolist() == [10, 20, 30, 50]


@pytest.mark.parametrize(
    "header", ["x,y,w,h", "left,top,width,height", "bbox_x,bbox_y,bbox_w,bbox_h"]
)
def test_width_and_height_are_known_by_their_names(table, header):
    (record,) = table(f"{HEADER},{header}\na.jpg,0,0,0,10,20,30,50\n").records()
    assert record.box_xyxy.tolist() == [10, 20, 40, 70]


@pytest.mark.parametrize(
    ("box", "cells"),
    [
        ("xywh", "10,20,30,50"), ("cxcywh", "25,45,30,50"), ("yxyx", "20,10,70,40"),
        ("yxhw", "20,10,50,30"), ("xxyy", "10,40,20,70"), ("corners", "40,70,10,20"),
    ],
)  # fmt: skip
def test_box_option_says_what_the_four_columns_hold(table, box, cells):
    (record,) = table(f"{HEADER},x0,y0,x1,y1\na.jpg,0,0,0,{cells}\n", box=box).records()
    assert record.box_xyxy.tolist() == [10, 20, 40, 70]


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        ("0.1,0.4,0.4,0.8", {"box_unit": "fraction"}),
        ("10,40,40,80", {"box_unit": "percent"}),
    ],
)
def test_boxes_in_parts_of_the_image_become_pixels(table, tmp_path, cells, options):
    Image.new("RGB", (100, 50)).save(tmp_path / "a.png")
    text = f"{HEADER},x0,y0,x1,y1\na.png,0,0,0,{cells}\n"
    (record,) = table(text, **options).records()
    assert record.box_xyxy.tolist() == pytest.approx([10, 20, 40, 40])


def test_box_of_a_smaller_image_is_where_its_pixels_are_in_the_larger_one(table, tmp_path):
    small = np.zeros((50, 100), np.uint8)
    small[20:41, 10:31] = 255  # pixel centres from 10 to 30 and from 20 to 40
    large = Image.fromarray(small).resize((300, 100), Image.Resampling.NEAREST)
    large.save(tmp_path / "a.png")
    text = f"{HEADER},x0,y0,x1,y1\na.png,0,0,0,10,20,30,40\n"
    (record,) = table(text, box_size="100x50").records()
    # the first and the last covered pixel of the small image are three wide and two high now
    columns, rows = (np.flatnonzero(np.asarray(large).any(axis=axis)) for axis in (0, 1))
    assert record.box_xyxy.tolist() == pytest.approx(
        [columns[:3].mean(), rows[:2].mean(), columns[-3:].mean(), rows[-2:].mean()]
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_box_of_the_stored_image_turns_with_it(table, tmp_path, orientation):
    stored = np.zeros((40, 60, 3), np.uint8)
    stored[8:17, 5:26] = 255  # pixel centres from 8 to 16 and from 5 to 25
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.png")))
    rows, columns = np.nonzero(upright[..., 0])
    text = f"{HEADER},x0,y0,x1,y1\na.png,0,0,0,5,8,25,16\n"
    (record,) = table(text, exif="boxes").records()
    expected = [columns.min(), rows.min(), columns.max(), rows.max()]
    assert record.box_xyxy.tolist() == expected
    ignoring = table(text, exif="ignore")
    assert ignoring.read_image(ignoring.records()[0]).shape == (40, 60, 3)


@pytest.mark.parametrize("written", ["photos\\a.jpg", "C:\\data\\set 1\\photos\\a.jpg"])
def test_path_of_windows_finds_its_file(table, tmp_path, written):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(b"")
    (record,) = table(f"{HEADER}\n{written},0,0,0\n").records()
    assert record.image_path == tmp_path / "photos" / "a.jpg"


def test_relative_path_of_windows_is_not_found_in_another_folder(table, tmp_path):
    """Only of an absolute one, whose folders are another machine's, is the end enough."""
    (tmp_path / "a.jpg").write_bytes(b"")
    (record,) = table(f"{HEADER}\nphotos\\a.jpg,0,0,0\n").records()
    assert record.image_path == tmp_path / "photos" / "a.jpg"


# ---- other labels ------------------------------------------------------------------------------

LABEL_DEG = [30.0, -20.0, 10.0]


def rotation_of_angles(yaw: float, pitch: float, roll: float) -> Rotation:
    return Rotation.from_euler("XYZ", [-pitch, yaw, roll], degrees=True)


def expected_rotation() -> Rotation:
    return rotation_of_angles(*LABEL_DEG)


RQ_DEG = expected_rotation().as_euler("xyz", degrees=True)[[1, 0, 2]] * [1, -1, 1]


def cells(numbers) -> str:
    return ",".join(f"{number:.9f}" for number in np.ravel(numbers))


@pytest.mark.parametrize(
    ("header", "numbers"),
    [
        ("r00,r01,r02,r10,r11,r12,r20,r21,r22", expected_rotation().as_matrix()),
        ("R11,R12,R13,R21,R22,R23,R31,R32,R33", expected_rotation().as_matrix()),
        ("qx,qy,qz,qw", expected_rotation().as_quat()),
        ("rotvec_x,rotvec_y,rotvec_z", expected_rotation().as_rotvec()),
        ("rvec_0,rvec_1,rvec_2", expected_rotation().as_rotvec()),
        ("yaw_rad,pitch_rad,roll_rad", np.radians(LABEL_DEG)),
        ("Yaw (deg),Pitch (deg),Roll (deg)", LABEL_DEG),
        ("pose_yaw,pose_pitch,pose_roll", LABEL_DEG),
    ],
)
def test_label_is_read_in_whatever_form_its_columns_name(table, header, numbers):
    (record,) = table(f"image,{header}\na.jpg,{cells(numbers)}\n").records()
    assert record.label.angles_deg.tolist() == pytest.approx(LABEL_DEG, abs=1e-5)
    assert record.factors == {}


@pytest.mark.parametrize(
    ("options", "angles"),
    [
        ({"unit": "rad"}, np.radians(LABEL_DEG)),
        ({"signs": "-yaw,-roll"}, [-30, -20, -10]),
        ({"signs": "-yaw-roll"}, [-30, -20, -10]),
        ({"order": "pitch,yaw,roll"}, [-20, 30, 10]),
        ({"offset": "pitch-180"}, [30, 160, 10]),
        ({"offset": "pitch+180", "signs": "-pitch"}, [30, 200, 10]),
        ({"euler": "rq"}, RQ_DEG),
    ],
)  # fmt: skip
def test_options_say_what_the_angles_are(table, options, angles):
    (record,) = table(f"{HEADER}\na.jpg,{cells(angles)}\n", **options).records()
    assert record.label.angles_deg.tolist() == pytest.approx(LABEL_DEG, abs=1e-5)


EXPECTED = expected_rotation().as_matrix()
FLIP = np.diag([1.0, -1.0, -1.0])


@pytest.mark.parametrize(
    ("matrix", "options"),
    [
        (FLIP @ EXPECTED @ FLIP, {"frame": "y-up"}),
        (FLIP @ EXPECTED @ FLIP, {"signs": "-yaw,-roll"}),
        (FLIP @ EXPECTED, {"offset": "pitch+180"}),
        (EXPECTED @ FLIP, {"signs": "-yaw,-roll", "offset": "pitch+180"}),
        (EXPECTED @ FLIP, {"frame": "y-up", "offset": "pitch-180"}),
    ],
    ids=["y up", "y up, by signs", "camera with y up", "head with y up", "both ways"],
)
def test_options_say_what_a_rotation_is(table, matrix, options):
    header = ",".join(f"r{i}{j}" for i in range(3) for j in range(3))
    (record,) = table(f"image,{header}\na.jpg,{cells(matrix)}\n", **options).records()
    assert record.label.angles_deg.tolist() == pytest.approx(LABEL_DEG, abs=1e-5)


ANGLES_ONLY = f"{HEADER}\na.jpg,0,0,0\n"
ROTATION_ONLY = (
    f"image,rotvec_x,rotvec_y,rotvec_z\na.jpg,{cells(expected_rotation().as_rotvec())}\n"
)


@pytest.mark.parametrize(
    ("text", "option", "what"),
    [
        (ROTATION_ONLY, {"unit": "rad"}, "angles"),
        (ROTATION_ONLY, {"euler": "rq"}, "angles"),
        (ANGLES_ONLY, {"frame": "y-up"}, "a rotation"),
        (ANGLES_ONLY, {"box": "xywh"}, "boxes"),
        (ANGLES_ONLY, {"box_unit": "percent"}, "boxes"),
        (ANGLES_ONLY, {"box_size": "640x480"}, "boxes"),
        (ANGLES_ONLY, {"exif": "boxes"}, "boxes"),
    ],
)
def test_option_that_no_column_is_read_by_is_refused(table, text, option, what):
    (written,) = (f"{name}={value}" for name, value in option.items())
    message = rf"labels\.csv: {re.escape(written)} is of {what} .* has none; leave it out"
    with pytest.raises(UsageError, match=message):
        table(text, **option).records()


def test_options_act_on_the_angles_of_a_table_that_holds_rotations_too(table):
    """A row without angles has the rotation as it is, like the rows beside it."""
    names = ",".join(f"r{i}{j}" for i in range(3) for j in range(3))
    matrix = cells(EXPECTED)
    rows = [f"a.jpg,-30,-20,10,{matrix}", f"b.jpg,,,,{matrix}"]
    text = "\n".join([f"image,yaw,pitch,roll,{names}", *rows])
    for record in table(text, signs="-yaw").records():
        assert record.excluded is None
        assert record.label.angles_deg.tolist() == pytest.approx(LABEL_DEG, abs=1e-5)


def test_options_act_on_the_rotation_where_all_angles_are_empty(table):
    names = ",".join(f"r{i}{j}" for i in range(3) for j in range(3))
    text = f"image,yaw,pitch,roll,{names}\na.jpg,,,,{cells(FLIP @ EXPECTED)}\n"
    (record,) = table(text, offset="pitch+180").records()
    assert record.label.angles_deg.tolist() == pytest.approx(LABEL_DEG, abs=1e-5)


@pytest.mark.parametrize("option", [{"signs": "-roll"}, {"offset": "roll+180"}])
def test_option_of_an_angle_without_a_column_is_refused(table, option):
    text = "image,yaw,pitch,x0,y0,x1,y1\na.jpg,1,2,1,2,30,40\n"
    with pytest.raises(UsageError, match=r"has no effect: the table has no column of roll"):
        table(text, **option).records()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"signs": "yaw"}, "changes nothing"),
        ({"signs": "-yaw,-yaw"}, "names yaw twice"),
        ({"order": "yaw,pitch,roll"}, "the default order"),
        ({"offset": "yaw+0"}, "zero changes nothing"),
        ({"offset": "yaw+360"}, "a full turn changes nothing"),
        ({"offset": "yaw+90,yaw-90"}, "names yaw twice"),
        ({"box_size": "0x100"}, "write WIDTHxHEIGHT in pixels: box_size=1920x1080"),
    ],
)
def test_option_that_changes_nothing_is_refused(option, said):
    with pytest.raises(ValidationError, match=said):
        TableOptions(**option)


def test_options_that_say_what_is_taken_anyhow_are_no_error(table):
    plain = {"frame": "camera", "euler": "canonical", "box_unit": "px", "exif": "upright"}
    for text in (ANGLES_ONLY, ROTATION_ONLY):
        assert len(table(text, **plain).records()) == 1


def test_images_of_a_table_without_boxes_can_be_left_unturned(table):
    assert len(table(ANGLES_ONLY, exif="ignore").records()) == 1


def test_box_unit_and_box_size_exclude_each_other(tmp_path):
    spec = f"{tmp_path}/labels.csv[box_unit=percent,box_size=100x100]"
    with pytest.raises(UsageError, match="box_size=100x100: has no effect with box_unit=percent"):
        make_dataset(spec)


BOTH = "image,yaw,pitch,roll,rotvec_x,rotvec_y,rotvec_z\n"


@pytest.mark.parametrize(
    ("options", "angles"),
    [({}, LABEL_DEG), ({"euler": "rq"}, RQ_DEG), ({"signs": "-yaw"}, [-30, -20, 10])],
)
def test_angles_beside_a_rotation_are_read_by_their_options_and_compared(table, options, angles):
    right = cells([angles, expected_rotation().as_rotvec()])
    wrong = cells([np.multiply(angles, [-1, 1, 1]), expected_rotation().as_rotvec()])
    records = table(f"{BOTH}a.jpg,{right}\nb.jpg,{wrong}\n", **options).records()
    assert records[0].label.angles_deg.tolist() == pytest.approx(LABEL_DEG, abs=1e-5)
    assert records[0].excluded is None
    assert "its angles and its rotation vector differ by" in records[1].excluded


@pytest.mark.parametrize(
    ("angles", "digits"),
    [((89.99, 10.0, 5.0), 4), ((95.0, 10.0, 5.0), 6), ((90.0, 30.0, -40.0), 4)],
)
def test_angles_at_profile_agree_with_a_matrix_of_few_digits(table, angles, digits):
    """Pitch and roll of such a matrix follow from its rounding errors."""
    matrix = rotation_of_angles(*angles).as_matrix().round(digits).ravel()
    header = ",".join(f"r{i}{j}" for i in range(3) for j in range(3))
    (record,) = table(
        f"image,yaw,pitch,roll,{header}\na.jpg,{cells([*angles, *matrix])}\n"
    ).records()
    assert record.excluded is None
    assert record.label.angles_deg.tolist() == list(angles)


def test_rotation_says_the_angle_that_a_label_beyond_profile_lacks(table):
    rotvec = rotation_of_angles(95.0, 10.0, 5.0).as_rotvec()
    (record,) = table(f"{BOTH}a.jpg,95,10,,{cells(rotvec)}\n").records()
    assert record.label.angles_deg.tolist() == pytest.approx([95.0, 10.0, 5.0])


def test_row_with_a_rotation_alone_needs_no_rq_angles(table):
    rotvec = cells(expected_rotation().as_rotvec())
    text = f"{BOTH}a.jpg,,,,{rotvec}\nb.jpg,{cells(RQ_DEG)},,,\n"
    for record in table(text, euler="rq").records():
        assert record.label.angles_deg.tolist() == pytest.approx(LABEL_DEG, abs=1e-5)


def test_row_without_its_rotation_is_excluded(table):
    records = table(f"{ROTATION_ONLY}b.jpg,,,\n").records()
    assert [record.excluded for record in records] == [None, "the row has no label"]


def test_empty_cell_of_one_axis_is_a_missing_axis(table):
    records = table(f"{HEADER}\na.jpg,1,2,\nb.jpg,,2,3\nc.jpg,1,2,3\n").records()
    assert [record.excluded for record in records] == [None, None, None]
    assert [record.label.R_cam is None for record in records] == [True, True, False]
    assert np.isnan(records[0].label.angles_deg).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("header", "row", "reason"),
    [
        ("qw,qx,qy,qz", "3,0,0,1", "label is no rotation (quaternion of length 3.162)"),
        ("rotvec_x,rotvec_y,rotvec_z", "30,0,0", "label is no rotation vector in radians"),
        ("r00,r01,r02,r10,r11,r12,r20,r21,r22", "1,0,0,0,1,0,0,0,-1", "label is no rotation (r00"),
        ("yaw,pitch,roll,qw,qx,qy,qz", "30,0,0,1,0,0,0", "differ by 30.0 degrees"),
    ],
)
def test_row_whose_label_is_no_rotation_is_excluded_with_its_reason(table, header, row, reason):
    good = ",".join(
        "1" if name in ("qw", "r00", "r11", "r22") else "0" for name in header.split(",")
    )
    records = table(f"image,{header}\na.jpg,{good}\nb.jpg,{row}\n").records()
    assert records[0].excluded is None
    assert reason in records[1].excluded


def test_degrees_under_unit_rad_are_refused(table):
    with pytest.raises(DataError, match=r"taken as radians but reach 40; .*\[unit=deg\]"):
        table(f"{HEADER}\na.jpg,30,20,10\nb.jpg,40,5,7\n", unit="rad").records()


@pytest.mark.parametrize(
    ("names", "options", "same"),
    [
        ("yaw,pitch,roll", {"unit": "deg"}, True),
        ("yaw_rad,pitch_rad,roll_rad", {"unit": "rad"}, True),
        ("yaw,pitch,roll", {"euler": "XYZ"}, True),
        ("yaw,pitch,roll", {"unit": "rad"}, False),
        ("yaw_rad,pitch_rad,roll_rad", {"unit": "deg"}, False),
        ("yaw,pitch,roll", {"euler": "YXZ"}, False),
    ],
)
def test_options_that_read_the_same_labels_give_the_same_protocol(table, names, options, same):
    text = f"image,{names}\na.jpg,1,0.5,0.2\n"
    plain = table(text).protocol_settings()
    assert (table(text, **options).protocol_settings() == plain) is same


@pytest.mark.parametrize("order", ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"])
def test_angles_of_any_order_are_read_as_scipy_composes_them(table, order):
    yaw, pitch, roll = 30.0, -20.0, 10.0
    turns = {"X": -pitch, "Y": yaw, "Z": roll}
    expected = Rotation.from_euler(order, [turns[axis] for axis in order], degrees=True)
    (record,) = table(f"{HEADER}\na.jpg,{yaw},{pitch},{roll}\n", euler=order).records()
    np.testing.assert_allclose(record.label.R_cam, expected.as_matrix(), atol=1e-12)


def test_angle_that_is_not_written_is_that_of_the_rotation_beside_the_others(table):
    vector = cells([expected_rotation().as_rotvec()])
    (record,) = table(f"{BOTH}a.jpg,{LABEL_DEG[0]},{LABEL_DEG[1]},,{vector}\n").records()
    np.testing.assert_allclose(record.label.R_cam, expected_rotation().as_matrix(), atol=1e-6)
    assert record.label.angles_deg == pytest.approx(LABEL_DEG, abs=1e-4)


def test_names_in_a_binary_column_of_parquet_are_texts(tmp_path):
    import pandas as pd

    rows = {"image": [b"a.jpg"], "yaw": [1.0], "pitch": [2.0], "roll": [3.0]}
    pd.DataFrame(rows).to_parquet(tmp_path / "labels.parquet")
    (record,) = Table(tmp_path / "labels.parquet").records()
    assert record.image_id == "a.jpg"


CAMERA = f"{HEADER},x0,y0,x1,y1,fx,fy,cx,cy,k1,light"


def test_camera_is_read_and_is_no_factor(table):
    one, other = table(
        f"{CAMERA}\na.jpg,1,2,3,5,6,7,8,900,910,320,240,-0.1,dim\nb.jpg,1,2,3,5,6,7,8,,,,,,dim\n"
    ).records()
    assert one.camera.matrix.tolist() == [[900, 0, 320], [0, 910, 240], [0, 0, 1]]
    assert one.camera.distortion.tolist() == [-0.1, 0, 0, 0, 0]
    assert one.factors == {"light": "dim"}
    assert other.camera is None and other.excluded is None


def test_list_of_faces_gives_back_the_camera_that_it_was_made_of(tmp_path):
    import hpbench

    hpbench.faces("sample", limit=3, out=tmp_path / "faces.csv")
    rows = (tmp_path / "faces.csv").read_text().splitlines()
    labelled = [rows[0] + ",yaw,pitch,roll", *(row + ",1,2,3" for row in rows[1:])]
    (tmp_path / "own.csv").write_text("\n".join(labelled).replace("image_id", "name_there"))
    expected = [record.camera for record in make_dataset("sample").records()][:3]
    for record, camera in zip(Table(tmp_path / "own.csv").records(), expected, strict=True):
        np.testing.assert_allclose(record.camera.matrix, camera.matrix)
        np.testing.assert_allclose(record.camera.distortion, camera.distortion)


@pytest.mark.parametrize(
    "cells", ["-900,910,320,240,0", "900,,320,240,0", "900,910,,240,0", "900,910,320,x,0"]
)
def test_camera_that_is_none_is_a_reason_of_its_face(table, cells):
    record, right = table(
        f"{CAMERA}\na.jpg,1,2,3,5,6,7,8,{cells},dim\nb.jpg,1,2,3,5,6,7,8,9,9,0,2,0,dim\n"
    ).records()
    assert "camera" in record.excluded
    assert right.excluded is None


def test_centre_that_may_be_of_the_box_or_of_the_camera_is_asked_for(table):
    (record,) = table(f"{HEADER},cx,cy,w,h\na.jpg,1,2,3,50,60,20,10\n").records()
    assert record.box_xyxy.tolist() == [40, 55, 60, 65]
    assert record.camera is None
    with pytest.raises(DataError, match="'cx' and 'cy' may be of the box or of the camera"):
        table(f"{HEADER},cx,cy,w,h,fx,fy\na.jpg,1,2,3,50,60,20,10,900,900\n").records()


@pytest.mark.parametrize("name", ["t.xlsx", "t.json", "t.jsonl", "t.feather"])
def test_table_in_another_form_is_to_be_saved_as_csv(tmp_path, name):
    (tmp_path / name).write_text("{}")
    with pytest.raises(DataError, match="files are not read; save the table as CSV"):
        make_dataset(str(tmp_path / name)).records()


def test_table_in_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    image = tmp_path / "a.png"
    Image.new("RGB", (64, 64)).save(image)
    (tmp_path / "t.csv").write_text("image,yaw,pitch,roll,x0,y0,x1,y1\na.png,1,2,3,5,5,50,50\n")
    results = hpbench.run(
        methods="constant", datasets="table=~/t.csv", timing="off", out=tmp_path / "run"
    )
    assert results.rows[0].images.scored == 1
