"""Files that a reader sees complete or not at all."""

from __future__ import annotations

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpbench.storage.atomic import atomic_path, write_json, write_table, write_tables, write_text


def test_text_keeps_its_line_ends_and_letters(tmp_path):
    write_text(tmp_path / "a.txt", "Größe\nzwei\r\n")
    assert (tmp_path / "a.txt").read_bytes() == "Größe\nzwei\r\n".encode()


def test_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"new": float("nan")})
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half of it")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"old": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_killed_writer_leaves_the_old_file(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    program = (
        "import os, sys; from pathlib import Path\n"
        "from hpbench.storage.atomic import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('new')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.txt")], check=False)
    assert (tmp_path / "a.txt").read_text() == "old"


def test_tables_one_after_the_other_are_one_table(tmp_path):
    pieces = [pa.table({"x": [1, 2]}), pa.table({"x": [3]})]
    write_tables(tmp_path / "many.parquet", pieces[0].schema, iter(pieces))
    write_table(tmp_path / "one.parquet", pa.concat_tables(pieces))
    for name in ("many", "one"):
        assert pq.read_table(tmp_path / f"{name}.parquet")["x"].to_pylist() == [1, 2, 3]
