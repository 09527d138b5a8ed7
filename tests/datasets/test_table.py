from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpbench.datasets.table import Table
from hpbench.errors import DataError

HEADER = "image,yaw,pitch,roll"


@pytest.fixture
def table(tmp_path: Path):
    def write(text: str, name: str = "labels.csv") -> Table:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return Table(path)

    return write


def test_pictures_are_relative_to_the_table_and_not_to_the_working_folder(table, tmp_path):
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
        ("b.jpg,0,nan,0,1,2,3,4", "label is not a number (pitch: 'nan')"),
        ("b.jpg,0,0,,1,2,3,4", "label is not a number (roll: '')"),
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


def test_two_faces_of_one_picture_get_their_own_ids(table):
    records = table(f"{HEADER},x0,y0,x1,y1\na.jpg,0,0,0,1,2,3,4\na.jpg,9,0,0,50,2,60,4\n").records()
    assert [record.image_id for record in records] == ["a.jpg", "a.jpg#2"]
    assert {record.group for record in records} == {"a.jpg"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,yaw,roll\na.jpg,0,0\n", r"no column 'pitch' \(columns: image, yaw, roll\)"),
        ("picture,yaw,pitch\na.jpg,0,0\n", "no column 'image'"),
        ("image,yaw,pitch,Roll\na.jpg,0,0,0\n", "column 'Roll' must be called 'roll'"),
        (f"{HEADER},x0,y0,x1\na.jpg,0,0,0,1,2,3\n", "no column 'y1'; a box needs"),
        (f"{HEADER}\na.jpg,0,0,0\nb.jpg,0,0\n", r"labels\.csv:3: 3 cells in a table of 4 columns"),
        (f"{HEADER}\na.jpg,0,0,0\na.jpg,5,0,0\n", "rows 1 and 2 are the same face of 'a.jpg'"),
        (f"{HEADER},roll\na.jpg,0,0,0,0\n", "two columns are called 'roll'"),
        (f"{HEADER}\n", "holds no row below the column names"),
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


def test_damaged_parquet_file_is_refused(table):
    with pytest.raises(DataError, match=r"labels\.parquet: cannot be read as Parquet"):
        table(HEADER, "labels.parquet").records()


def test_text_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"image,yaw,pitch\n\xff\xfe.jpg,0,0\n")
    with pytest.raises(DataError, match=r"labels\.csv: cannot be read as CSV in UTF-8"):
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
