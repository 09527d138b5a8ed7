"""Figures that are drawn once, and copied while nothing they depend on has changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from hpbench.reports.figures.cache import Drawing, keep, kept


@dataclass
class Numbers:
    values: np.ndarray
    names: np.ndarray


def numbers(last: float = 3.0, name: str = "b") -> Numbers:
    return Numbers(np.array([1.0, 2.0, last]), np.array(["a", name], dtype=object))


def key(*arguments, function: str = "draw") -> str:
    return Drawing("module", function, arguments).key()


def test_equal_arguments_have_one_key():
    assert key(numbers(), {"m": [1, 2.5, None]}) == key(numbers(), {"m": [1, 2.5, None]})


@pytest.mark.parametrize(
    "other",
    [
        key(numbers(last=3.0000001), {"m": 1}),
        key(numbers(name="c"), {"m": 1}),
        key(numbers(), {"m": 2}),
        key(numbers(), {"n": 1}),
        key(numbers(), {"m": 1}, function="paint"),
        key({"m": 1}, numbers()),
    ],
)
def test_any_change_of_the_arguments_changes_the_key(other):
    assert other != key(numbers(), {"m": 1})


def test_arrays_of_the_same_bytes_in_another_shape_are_another_figure():
    assert key(np.zeros((2, 3))) != key(np.zeros((3, 2)))


def test_drawing_calls_its_function_with_its_arguments():
    assert Drawing("math", "hypot", (3.0, 4.0))() == 5.0


def test_kept_figure_comes_back_by_key_and_format(tmp_path, monkeypatch):
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path))
    keep("k", ".png", b"pixels")
    assert kept("k", ".png") == b"pixels"
    assert kept("k", ".svg") is None


def test_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "file"))
    keep("k", ".png", b"pixels")
    assert kept("k", ".png") is None
