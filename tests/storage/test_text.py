from __future__ import annotations

import pytest

from hpbench.reports.formats import latex, markdown
from hpbench.storage.text import spreadsheet_cell, visible


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx", "\rx"])
def test_formulas_are_quoted_for_spreadsheets(text):
    assert spreadsheet_cell(text) == "'" + text


@pytest.mark.parametrize("value", [-1.5, "-1.5", "+3", "-", "", "a=b", None, "-inf", "1e-3"])
def test_numbers_and_other_text_stay(value):
    assert spreadsheet_cell(value) == value


@pytest.mark.parametrize("show", [visible, latex.escape, markdown.escape])
def test_control_characters_are_shown_and_not_sent(show):
    shown = show("a\x1b]0;title\x07b\x00c\u202ed\x9b31m")
    assert shown.isprintable()
    assert "x1b" in shown


def test_letters_of_any_script_stay():
    assert visible("Zoë 顔\n\tpose") == "Zoë 顔\n\tpose"
