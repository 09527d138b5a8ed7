"""Which folders are given to data sets, and which are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpbench.errors import UsageError
from hpbench.running.data_folders import data_folders


def test_data_set_that_brings_its_own_files_takes_no_folder() -> None:
    with pytest.raises(UsageError, match="data set 'sample' brings its own files; drop it"):
        data_folders({"sample": Path("/nope")}, "sample")


def test_folders_of_the_environment_are_for_data_sets_that_need_one(tmp_path, monkeypatch) -> None:
    for name in ("sample", "biwi"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HPBENCH_DATA", str(tmp_path))
    assert data_folders({}, "sample,biwi,aflw2000") == {"biwi": tmp_path / "biwi"}
