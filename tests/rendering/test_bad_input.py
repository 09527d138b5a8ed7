"""``hpbench render`` when things go wrong, as a user meets it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import pytest
from pyarrow.parquet import ParquetFile

from hpbench.datasets.synthetic import Synthetic
from hpbench.errors import DataError, MissingDependencyError
from hpbench.rendering.job import render_dataset
from hpbench.rendering.render_spec import RenderSpec

SPEC = RenderSpec(count=4, seed=5, size=64, shard=2)


@pytest.fixture(scope="module")
def whole(assets, tmp_path_factory) -> Path:
    """A finished run, or a skip where nothing can be rendered."""
    out = tmp_path_factory.mktemp("renders") / "whole"
    try:
        render_dataset(out, SPEC, assets)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    return out


def command(out: Path, assets: Path, *more: str, **variables: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k != "HPBENCH_ENVIRONMENTS"} | variables
    return subprocess.run(
        [sys.executable, "-m", "hpbench", "render", str(out), "--count", "2", "--size", "64",
         "--assets", str(assets), *more],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def one_line(result: subprocess.CompletedProcess) -> str:
    """What the command says on leaving with an error."""
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    return " ".join(result.stderr.split())


def interrupt(_: int) -> None:
    raise KeyboardInterrupt


def same_files(first: Path, second: Path) -> None:
    images = sorted(path.relative_to(first) for path in first.rglob("*.jpg"))
    assert images == sorted(path.relative_to(second) for path in second.rglob("*.jpg"))
    for path in images:
        assert (first / path).read_bytes() == (second / path).read_bytes()
    pd.testing.assert_frame_equal(
        pd.read_parquet(first / "labels.parquet"), pd.read_parquet(second / "labels.parquet")
    )


def test_without_an_egl_driver_the_packages_are_named(whole, assets, tmp_path):
    out, drivers = tmp_path / "out", tmp_path / "drivers"
    drivers.mkdir()
    said = one_line(command(out, assets, __EGL_VENDOR_LIBRARY_DIRS=str(drivers)))
    assert "EGL driver" in said and "libegl1" in said
    assert not (out / "labels.parquet").exists()
    render_dataset(out, SPEC, assets)  # other settings: nothing was rendered that they could mix
    same_files(whole, out)


def test_a_corrupted_environment_stops_the_command_and_is_named(whole, assets, tmp_path):
    pytest.importorskip("OpenEXR")
    panoramas = tmp_path / "panoramas"
    panoramas.mkdir()
    (panoramas / "hall.exr").write_bytes(b"v/1\x01 cut off")
    out = tmp_path / "out"
    said = one_line(command(out, assets, "--environments", str(panoramas), "--count", "12"))
    assert "hall.exr" in said
    assert not (out / "labels.parquet").exists()


def test_a_corrupted_skin_stops_the_command_and_is_named(whole, assets, tmp_path):
    mine = tmp_path / "data"
    shutil.copytree(assets, mine, symlinks=True, copy_function=os.symlink)
    for skin in (mine / "skins" / "textures").glob("*.png"):
        skin.unlink()
        skin.write_bytes(b"no image")
    out = tmp_path / "out"
    said = one_line(command(out, mine))
    assert "_diffuse" in said and ": not an image" in said
    assert not (out / "labels.parquet").exists()


def test_a_full_disk_stops_the_run_and_the_same_command_goes_on(whole, assets, tmp_path):
    """/dev/full fails every write as a full disk does."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    out = tmp_path / "out"
    link = out / "images" / "0000002" / "0000003.jpg"

    def fill_the_disk(_: int) -> None:
        link.parent.mkdir(exist_ok=True)
        if not link.is_symlink() and not link.exists():
            link.symlink_to("/dev/full")

    with pytest.raises(DataError, match="disk is full") as caught:
        render_dataset(out, SPEC, assets, on_progress=fill_the_disk)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="unfinished"):
        Synthetic(root=out).records()
    link.unlink()
    render_dataset(out, SPEC, assets)
    same_files(whole, out)


def test_what_was_lost_of_a_finished_run_is_rendered_again(whole, assets, tmp_path):
    for lost, left in (
        ("images/0000002/0000003.jpg", None),
        ("images/0000000/0000000.jpg", b""),
        ("labels.parquet", b"half a table"),
    ):
        out = tmp_path / Path(lost).stem
        shutil.copytree(whole, out)
        (out / lost).unlink()
        if left is not None:
            (out / lost).write_bytes(left)
        render_dataset(out, SPEC, assets)
        same_files(whole, out)
        assert not (out / "parts").exists()


def test_a_label_table_with_one_wrong_byte_is_made_again(whole, assets, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    table = out / "labels.parquet"
    with ParquetFile(table) as file:
        column = file.metadata.row_group(0).column(file.schema.names.index("x0"))
    content = bytearray(table.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    content[start + column.total_compressed_size - 1] ^= 1
    table.write_bytes(content)
    with pytest.raises(DataError, match="render the folder again"):
        Synthetic(out).records()
    render_dataset(out, SPEC, assets)
    same_files(whole, out)


def test_a_corrupted_table_of_a_piece_is_made_again(whole, assets, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        render_dataset(out, SPEC, assets, on_progress=interrupt)
    (part,) = (out / "parts").iterdir()
    part.write_bytes(b"half a table")
    render_dataset(out, SPEC, assets)
    same_files(whole, out)


def test_a_killed_run_takes_its_workers_along_and_goes_on_to_the_same_bytes(
    whole, assets, tmp_path
):
    script = (
        "import os, psutil, signal, sys; from pathlib import Path\n"
        "from hpbench.rendering.job import render_dataset\n"
        "from hpbench.rendering.render_spec import RenderSpec\n"
        "def stop(_):\n"
        "    print(*(one.pid for one in psutil.Process().children()), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "render_dataset(Path(sys.argv[1]), RenderSpec(count=4, seed=5, size=64, shard=2),\n"
        "               Path(sys.argv[2]), workers=2, on_progress=stop)\n"
    )
    (tmp_path / "script.py").write_text(script)
    killed = subprocess.run(
        [sys.executable, tmp_path / "script.py", tmp_path / "out", assets],
        stdout=subprocess.PIPE, check=False, timeout=120,
    )  # fmt: skip
    assert killed.returncode == -9
    workers = [int(pid) for pid in killed.stdout.split()]
    assert len(workers) == 2
    left = [psutil.Process(pid) for pid in workers if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(left, timeout=60)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
    assert not (tmp_path / "out" / "labels.parquet").exists()
    render_dataset(tmp_path / "out", SPEC, assets)
    same_files(whole, tmp_path / "out")


def test_workers_change_nothing_but_the_time(whole, assets, tmp_path):
    render_dataset(tmp_path / "out", SPEC, assets, workers=2)
    same_files(whole, tmp_path / "out")


def test_two_processes_do_not_render_into_one_folder(assets, tmp_path):
    out, said = tmp_path / "out", []

    def render_again(_: int) -> None:
        with pytest.raises(
            DataError, match=r"out: the run of process \d+ .* writes to it"
        ) as caught:
            render_dataset(out, replace(SPEC, seed=6), assets)
        said.append(caught.value)

    render_dataset(out, SPEC, assets, on_progress=render_again)
    assert len(said) == 2
    assert not (out / ".lock").exists()
    render_dataset(out, SPEC, assets)  # the settings are still those of the first
