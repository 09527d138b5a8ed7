"""Cells and comments of a table: what is a number, what is empty, what is a row."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hpbench.errors import DataError
from hpbench.tables.rows import as_number, is_empty, is_empty_text, read_rows


@pytest.fixture
def rows_of(tmp_path: Path):
    def read(text: str) -> list[dict[str, str]]:
        path = tmp_path / "labels.csv"
        path.write_text(text)
        return read_rows(path, lambda names: len({"image", "yaw", "pitch"} & set(names)))[1]

    return read


# ---- numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("12", 12.0), ("-1.5", -1.5), ("+3", 3.0), (".5", 0.5), ("2.", 2.0), ("1e-3", 0.001),
        (" 7 ", 7.0), ("1,5", 1.5), ("-,25", -0.25), (3, 3.0), (2.5, 2.5),
    ],
)  # fmt: skip
def test_number_is_read_with_a_decimal_point_or_comma(cell, number):
    assert as_number(cell) == number


@pytest.mark.parametrize(
    "cell",
    [
        "1_2",
        "1_2.5",
        "1_2,5",
        "\u0661\u0662",
        "\uff11",
        "inf",
        "Infinity",
        "nan",
        "1.2.3",
        "",
        None,
    ],
)
def test_spelling_that_no_table_means_as_a_number_is_none(cell):
    assert as_number(cell) != as_number(cell)  # NaN


# ---- empty cells -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell", ["", " ", "NA", "N/A", "n/a", "nan", "NaN", "null", "NULL", "<NA>", "None", "none"]
)
def test_every_word_for_a_missing_value_leaves_a_cell_for_a_number_empty(cell):
    assert is_empty(cell)


@pytest.mark.parametrize(
    "cell", ["", " ", "NA", "N/A", "n/a", "nan", "NaN", "null", "NULL", "<NA>", None, float("nan")]
)
def test_spellings_of_pandas_leave_a_cell_for_text_empty(cell):
    assert is_empty_text(cell)


@pytest.mark.parametrize("cell", ["none", "None", "Nan", "Na", "0", 0.0])
def test_words_that_may_be_meant_stay_in_a_cell_for_text(cell):
    assert not is_empty_text(cell)


# ---- comments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row", ["#5.jpg,1,2", '#5.jpg,"1,5",2', "#5.jpg,1,2,", "#5.jpg,1,2,3"]
)  # fmt: skip
def test_row_that_may_be_a_comment_is_refused_with_its_line(rows_of, row):
    message = r"labels\.csv:3: .*row or a comment.*in quotes.*'# '"
    with pytest.raises(DataError, match=message) as caught:
        rows_of(f"image,yaw,pitch\na.jpg,1,2\n{row}\n")
    assert "\n" not in str(caught.value)


def test_name_in_quotes_may_begin_with_the_sign_of_a_comment(rows_of):
    rows = rows_of('image,yaw,pitch\n"#5.jpg",1,2\n')
    assert rows == [{"image": "#5.jpg", "yaw": "1", "pitch": "2"}]


@pytest.mark.parametrize("comment", ["# a.jpg,1,2", "#a note", "#", "## see the wiki, page 2"])
def test_plain_comment_among_the_rows_is_none_of_them(rows_of, comment):
    rows = rows_of(f"image,yaw,pitch\n{comment}\na.jpg,1,2\n")
    assert [row["image"] for row in rows] == ["a.jpg"]


def test_comment_above_the_column_names_may_have_as_many_cells_as_a_row(rows_of):
    assert len(rows_of("#made,by,hand\nimage,yaw,pitch\na.jpg,1,2\n")) == 1


def test_column_names_in_a_comment_are_found_above_a_later_comment(rows_of):
    rows = rows_of("#image yaw pitch\na.jpg 1 2\n# the second\nb.jpg 3 4\n")
    assert [row["image"] for row in rows] == ["a.jpg", "b.jpg"]


# ---- Parquet -----------------------------------------------------------------------------------


def test_nameless_index_that_pandas_stores_is_no_column(tmp_path):
    table = pd.DataFrame({"image": list("abcd"), "yaw": [1.0, 2.0, 9.0, 3.0]})
    table[table.yaw < 5.0].to_parquet(tmp_path / "labels.parquet")
    names, rows = read_rows(tmp_path / "labels.parquet", len)
    assert names == ["image", "yaw"]
    assert [tuple(row.values()) for row in rows] == [("a", 1.0), ("b", 2.0), ("d", 3.0)]


def test_index_that_has_a_name_is_a_column(tmp_path):
    table = pd.DataFrame({"image": ["a.jpg"], "yaw": [1.0]})
    table.set_index("image").to_parquet(tmp_path / "labels.parquet")
    assert read_rows(tmp_path / "labels.parquet", len)[1] == [{"image": "a.jpg", "yaw": 1.0}]
