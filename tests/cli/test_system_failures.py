"""What the system does not do is one line with the path, and no bug of hpbench."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from hpbench.errors import system_failure
from hpbench.storage.atomic import write_text

LONG = 300 * "x"
NOT_UTF8 = b"a\xff\xfe"


def hpbench(*words: str | bytes | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hpbench", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run_words(*words: str | bytes | Path) -> tuple[str | bytes | Path, ...]:
    return ("run", "--methods", "constant", "--limit", "5", "--timing", "off", "--fresh", *words)


@pytest.mark.parametrize("kind", ["out", "table", "report"])
def test_name_that_is_too_long(tmp_path, kind):
    words = {
        "out": run_words("--out", tmp_path / LONG),
        "table": run_words("--datasets", f"table={tmp_path / LONG}.csv"),
        "report": ("report", tmp_path / LONG),
    }
    done = hpbench(*words[kind])
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"{tmp_path / LONG}" in line
    # for pathlib of Python 3.14, a path with such a name is one that does not exist
    assert "File name too long" in line or "no such" in line


def test_name_that_is_not_utf8(tmp_path):
    done = hpbench(*run_words("--out", bytes(tmp_path) + b"/" + NOT_UTF8))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "a\\udcff\\udcfe': a name that is not UTF-8; rename it" in done.stderr
    assert not list(tmp_path.iterdir())


def test_image_whose_name_is_not_utf8_is_predicted_under_an_escaped_one(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", os.path.join(bytes(tmp_path), NOT_UTF8 + b".png"))  # noqa: PTH104, PTH118
    words = ("predict", tmp_path, "--methods", "constant", "--boxes", "picture")
    done = hpbench(*words, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    (table,) = (tmp_path / "out").glob("*.csv")
    assert "a\\xff\\xfe.png" in table.read_text()


@pytest.mark.parametrize("kilobytes", [0, 40])
def test_full_disk(tmp_path, kilobytes):
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], capture_output=True
    )
    if mount.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        (tmp_path / "full").write_bytes(bytes(1024 * (1024 - kilobytes)))
        done = hpbench(*run_words("--out", tmp_path / "run", "--no-report"))
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"hpbench: {tmp_path / 'run'}")
    assert "No space left on device" in line


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize("gibibytes", [1, 2])
def test_address_space_in_which_libraries_hang_is_refused(gibibytes):
    limit = f"ulimit -v {gibibytes * 2**20}"
    program = f"{limit} && {sys.executable} -m hpbench run --methods pnp --timing off --out x"
    done = subprocess.run(program, shell=True, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(f"hpbench: the address space is limited to {gibibytes}.0 GiB")
    assert len(done.stderr.splitlines()) == 1


def test_reader_that_has_seen_enough(tmp_path):
    program = f"{sys.executable} -m hpbench weights list | head -n 1"
    done = subprocess.run(program, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_errors_of_the_system_are_told_from_bugs():
    with pytest.raises(RuntimeError) as no_thread:
        raise RuntimeError("can't start new thread")
    assert "lower --workers" in system_failure(no_thread.value)
    assert "ulimit -n" in system_failure(OSError(errno.EMFILE, "", "/a"))
    assert system_failure(MemoryError()).startswith("out of memory")
    assert system_failure(ValueError("a bug")) is None


def test_file_that_cannot_be_replaced_is_named_and_not_what_was_to_replace_it(tmp_path):
    (tmp_path / "results.json").mkdir()
    with pytest.raises(OSError) as refused:
        write_text(tmp_path / "results.json", "{}")
    assert system_failure(refused.value) == f"{tmp_path / 'results.json'}: Is a directory"
