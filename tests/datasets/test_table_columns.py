"""Columns, cells and ids of a user's table that may mean two things."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hpbench.datasets.table import Table
from hpbench.datasets.table._labels import TableOptions
from hpbench.errors import DataError

HEADER = "image,yaw,pitch,roll"
BOX = "x0,y0,x1,y1"


@pytest.fixture
def records_of(tmp_path: Path):
    def read(text: str, **options: str):
        (tmp_path / "labels.csv").write_text(text)
        return Table(tmp_path / "labels.csv", TableOptions(**options)).records()

    return read


# ---- columns -----------------------------------------------------------------------------------


def test_predictions_beside_the_truth_are_not_mixed_with_it(records_of):
    header = "image,gt_yaw,gt_pitch,gt_roll,yaw,pitch"
    message = r"labels\.csv: columns 'gt_yaw' and 'yaw' belong to different sets of angles; rename"
    with pytest.raises(DataError, match=message):
        records_of(f"{header}\na.jpg,1,2,3,4,5\n")


def test_roll_without_a_unit_is_not_read_in_that_of_the_others(records_of):
    with pytest.raises(DataError, match="'yaw_rad' and 'roll' have different units"):
        records_of("image,yaw_rad,pitch_rad,roll\na.jpg,0.5,0.1,30\n")


def test_stored_index_of_a_filtered_table_is_no_factor(tmp_path):
    table = pd.DataFrame({"image": list("abcd"), "yaw": [1.0, 2.0, 9.0, 3.0], "pitch": 0.0})
    table[table.yaw < 5.0].to_parquet(tmp_path / "labels.parquet")
    records = Table(tmp_path / "labels.parquet").records()
    assert [record.factors for record in records] == [{}, {}, {}]


def test_index_that_pandas_wrote_twice_is_no_factor(tmp_path):
    path = tmp_path / "labels.csv"
    pd.DataFrame({"image": list("ab"), "yaw": [1.0, 2.0], "pitch": 0.0}).to_csv(path)
    pd.read_csv(path).to_csv(path)
    assert [record.factors for record in Table(path).records()] == [{}, {}]


# ---- cells -------------------------------------------------------------------------------------


def factors_of(records_of, *cells: str) -> list[str | float | None]:
    rows = "".join(f"{number}.jpg,1,2,3,{cell}\n" for number, cell in enumerate(cells))
    return [record.factors.get("glasses") for record in records_of(f"{HEADER},glasses\n{rows}")]


def test_label_with_an_underscore_is_excluded_and_no_number(records_of):
    records = records_of(f"{HEADER}\na.jpg,1_2.5,0,0\nb.jpg,1,0,0\n")
    assert records[0].excluded == "label is not a number (yaw: '1_2.5')"


def test_factors_with_underscores_are_two_words(records_of):
    assert factors_of(records_of, "1_12", "11_2") == ["1_12", "11_2"]


def test_none_is_a_value_among_words(records_of):
    assert factors_of(records_of, "none", "sun", "clear") == ["none", "sun", "clear"]
    assert factors_of(records_of, "None", "None") == ["None", "None"]


@pytest.mark.parametrize("cell", ["", "NA", "N/A", "nan", "NaN", "null", "<NA>"])
def test_missing_word_has_no_value(records_of, cell):
    assert factors_of(records_of, "none", cell, "sun") == ["none", None, "sun"]


@pytest.mark.parametrize("cell", ["", "NA", "N/A", "nan", "NaN", "null", "<NA>", "None", "none"])
def test_missing_number_leaves_the_others_numbers(records_of, cell):
    assert factors_of(records_of, "1.5", cell, "2") == [1.5, None, 2.0]


@pytest.mark.parametrize("cell", ["", "NA", "N/A", "nan", "NaN", "null", "<NA>", "None", "none"])
def test_faces_of_no_known_subject_are_not_lumped_together(records_of, cell):
    rows = f"a.jpg,1,2,3,{cell}\nb.jpg,1,2,3,{cell}\nc.jpg,1,2,3,Nan\n"
    groups = [record.group for record in records_of(f"{HEADER},subject\n{rows}")]
    assert groups == ["a.jpg", "b.jpg", "Nan"]


@pytest.mark.parametrize("name", ["driver", "Person", "participant_id", "video", "clip_id"])
def test_frames_of_one_person_or_video_are_resampled_together(records_of, name):
    rows = "a.jpg,1,2,3,7\nb.jpg,1,2,3,7\nc.jpg,1,2,3,8\n"
    assert [record.group for record in records_of(f"{HEADER},{name}\n{rows}")] == ["7", "7", "8"]


def test_people_go_before_videos_which_stay_a_factor(records_of):
    (record,) = records_of(f"{HEADER},video,driver\na.jpg,1,2,3,night.mp4,anna\n")
    assert (record.group, record.factors) == ("anna", {"video": "night.mp4"})


@pytest.mark.parametrize("cell", ["", "NA", "N/A", "nan", "NaN", "null", "<NA>", "None", "none"])
def test_missing_label_and_missing_box_are_left_out(records_of, cell):
    cells = ",".join([cell] * 5)
    (record,) = records_of(f"image,yaw,pitch,roll,{BOX}\na.jpg,1,2,{cells}\n")
    assert (record.excluded, record.box_xyxy, record.label.R_cam) == (None, None, None)


# ---- faces -------------------------------------------------------------------------------------


def ids_of(records_of, *images: str) -> list[str]:
    rows = "".join(f"{image},0,0,{k},{k},{k + 9},{k + 9}\n" for k, image in enumerate(images))
    return [record.image_id for record in records_of(f"image,yaw,pitch,{BOX}\n{rows}")]


def test_further_face_takes_the_next_number_that_no_image_is_called_by(records_of):
    images = ("a.jpg", "a.jpg", "a.jpg#2", "a.jpg", "a.jpg#4", "a.jpg#2")
    expected = ["a.jpg", "a.jpg#3", "a.jpg#2", "a.jpg#5", "a.jpg#4", "a.jpg#2#2"]
    assert ids_of(records_of, *images) == expected


def test_row_without_an_image_has_another_id_than_an_image_of_that_name(records_of):
    assert ids_of(records_of, "row 2", "", "b.jpg") == ["row 2", "row 2#2", "b.jpg"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.jpg,1,2,121.868,4", "a.jpg,1,2,121.8680,4.0"),
        ("a.jpg,1,2,3,4", "./img/../a.jpg,1,2,3,4"),
        ("img/a.jpg,1,2,3,4", "img//a.jpg,1,2,3,4"),
        ("a.jpg,,,,", "a.jpg,NA,NA,NA,NA"),
    ],
)
def test_face_that_is_written_in_two_ways_is_refused(records_of, first, second):
    rows = "\n".join(line.replace(".jpg,", ".jpg,0,0,") for line in (first, second))
    message = r"labels\.csv: rows 1 and 2 are the same face of '.*a\.jpg'; keep one"
    with pytest.raises(DataError, match=message):
        records_of(f"image,yaw,pitch,{BOX}\n{rows}\n")


def test_absolute_path_and_relative_one_are_the_same_face(records_of, tmp_path):
    with pytest.raises(DataError, match="rows 1 and 2 are the same face"):
        records_of(f"{HEADER}\na.jpg,1,2,3\n{tmp_path}/a.jpg,1,2,3\n")


def test_spec_that_is_proposed_for_degrees_keeps_the_other_options(records_of):
    text = f"{HEADER},{BOX}\na.jpg,30,20,10,1,2,3,4\n"
    with pytest.raises(DataError, match=r"write table=\S*labels\.csv\[box=xywh,unit=deg\]"):
        records_of(text, unit="rad", box="xywh")


def test_image_whose_name_begins_as_a_comment_is_said(records_of):
    with pytest.raises(DataError, match=r"labels\.csv:2: .*row or a comment"):
        records_of(f"{HEADER}\n#5.jpg,1,2,3\nb.jpg,1,2,3\n")
    records = records_of(f'{HEADER}\n"#5.jpg",1,2,3\nb.jpg,1,2,3\n')
    assert [record.image_id for record in records] == ["#5.jpg", "b.jpg"]


def test_booleans_of_parquet_are_the_words_that_csv_has_for_them(tmp_path):
    table = pd.DataFrame(
        {"image": list("abc"), "yaw": 1.0, "pitch": 0.0, "glasses": [True, None, False]}
    )
    table.to_parquet(tmp_path / "labels.parquet")
    table.to_csv(tmp_path / "labels.csv", index=False)
    stored, written = (Table(tmp_path / f"labels.{kind}").records() for kind in ("parquet", "csv"))
    assert [record.factors for record in stored] == [record.factors for record in written]
    assert stored[0].factors == {"glasses": "True"}
