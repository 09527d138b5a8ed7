"""Finished run folders: damage is found, said once and mended; nothing damaged is scored."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hpbench
from hpbench.api import Results
from hpbench.errors import DataError
from hpbench.inference.progress import NoProgress
from hpbench.reports import write_report
from hpbench.results.run_config import RunConfig
from hpbench.running.runner import run
from hpbench.scoring.comparison import compare_runs
from hpbench.scoring.scores import load_run
from hpbench.scoring.summary import summarise
from hpbench.storage.folder_lock import folder_lock
from hpbench.storage.run_folder import RunFolder

CONFIG = RunConfig(methods="constant", limit=12, device="cpu", timing_images=1)
TABLES = ("faces.parquet", "predictions.parquet", "timing.parquet")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    out = run(CONFIG, tmp_path_factory.mktemp("runs") / "out", NoProgress())
    (out / "figures").mkdir()
    shutil.copy(out / "run.json", out / "figures" / "as_report_md_has.png")
    write_report(out, ["csv"])
    return out


@pytest.fixture
def folder(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def flip(file: Path, byte: int) -> None:
    content = bytearray(file.read_bytes())
    content[byte] ^= 16
    file.write_bytes(content)


def test_standard_tool_verifies_a_run_folder(folder):
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    listed = {line.partition(":")[0] for line in done.stdout.splitlines()}
    assert {*TABLES, "run.json", "timing.json", "results.json"} <= listed
    assert {name.partition("/")[0] for name in listed if "/" in name} == {"tables", "figures"}


@pytest.mark.parametrize("name", [*TABLES, "run.json"])
def test_one_flipped_bit_anywhere_is_never_scored(folder, name):
    original = (folder / name).read_bytes()
    # header, footer and body of a table
    for byte in (0, 5, *np.linspace(8, len(original) - 1, 12).astype(int)):
        flip(folder / name, byte)
        for read in (load_run, hpbench.load, lambda path: compare_runs(path, path)):
            with pytest.raises(DataError, match=rf"{name}: corrupted or edited"):
                read(folder)
        (folder / name).write_bytes(original)


@pytest.mark.parametrize("name", ["timing.parquet", "timing.json"])
def test_times_that_are_gone_are_missed(folder, name):
    (folder / name).unlink()
    with pytest.raises(DataError, match=rf"{name}: missing"):
        write_report(folder, ["csv"])


def test_run_whose_record_is_corrupted_asks_for_another_folder(folder):
    flip(folder / "run.json", 200)
    for command in (lambda: run(CONFIG, folder, NoProgress()), lambda: load_run(folder)):
        with pytest.raises(DataError, match=r"run\.json: corrupted .* with a new --out"):
            command()


@pytest.mark.parametrize("name", [*TABLES, "timing.json"])
def test_repeated_run_replaces_a_corrupted_file_and_says_so_once(folder, caplog, name):
    before = hpbench.load(folder).table()
    flip(folder / name, 200)
    for _ in range(2):
        run(CONFIG, folder, NoProgress())
    assert caplog.text.count(f"{name} corrupted; computed again and replaced") == 1
    if name in ("faces.parquet", "predictions.parquet"):  # others: new times
        assert "results.json" not in caplog.text
    after = hpbench.load(folder).table()
    times = ["total_p50_ms"]
    assert after.drop(columns=times).equals(before.drop(columns=times))


def test_run_that_is_killed_while_it_replaces_a_file_leaves_nothing_corrupted_to_score(folder):
    flip(folder / "predictions.parquet", 200)
    RunFolder(folder).reopen_if_corrupted()
    with pytest.raises(DataError, match=r"predictions\.parquet: missing, the run is not finished"):
        load_run(folder)


@pytest.mark.parametrize("forged", [False, True])
def test_results_are_those_of_the_tables_whatever_results_json_says(folder, caplog, forged):
    file = folder / "results.json"
    right = file.read_text()
    stated = json.loads(right)
    stated["results"][0]["mae_deg"]["yaw"] = 0.5
    file.write_text(json.dumps(stated, indent=2) + "\n")
    if forged:
        (folder / "SHA256SUMS").unlink()
    assert hpbench.load(folder).rows[0].mae_deg.yaw != 0.5
    assert Results(folder).rows[0].mae_deg.yaw != 0.5
    for _ in range(2):
        write_report(folder, ["csv"])
    assert file.read_text() == right
    assert caplog.text.count("results.json") == 1


def test_half_written_files_of_a_killed_report_are_deleted_and_others_are_not(folder):
    left = [folder / f"{name}.0123abcd.partial.md" for name in ("report", "tables/a", "figures/b")]
    for path in (*left, folder / "my.partial.md"):
        path.write_text("half")
    write_report(folder, ["csv"])
    assert not any(path.exists() for path in left)
    assert (folder / "my.partial.md").exists()
    assert "partial" not in (folder / "SHA256SUMS").read_text()


def test_report_waits_for_nobody_who_writes_to_its_folder(folder):
    with folder_lock(folder), pytest.raises(DataError, match="writes to it; wait for its end"):
        write_report(folder, ["csv"])


def test_corrupted_document_is_replaced_and_named_once(folder, caplog):
    document = next((folder / "tables").glob("*.csv"))
    right = document.read_bytes()
    flip(document, 100)
    for _ in range(2):
        write_report(folder, ["csv"])
    assert document.read_bytes() == right
    assert caplog.text.count(f"{document.name}: corrupted or edited; written again") == 1


@pytest.mark.parametrize(
    ("link", "said"), [(os.symlink, "cannot be written"), (os.link, "is a file of another place")]
)
def test_lock_of_a_strangers_folder_empties_no_file_of_the_user(folder, tmp_path, link, said):
    mine = tmp_path / "mine.txt"
    mine.write_text("dear to me")
    link(mine, folder / ".lock")
    (folder / "timing.parquet").unlink()
    for write in (lambda: run(CONFIG, folder, NoProgress()), lambda: write_report(folder, ["csv"])):
        with pytest.raises(DataError, match=said):
            write()
    assert mine.read_text() == "dear to me"


def test_nothing_is_written_through_a_link_of_a_run_folder(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.rmtree(folder / "tables")
    (folder / "tables").symlink_to(elsewhere)
    with pytest.raises(DataError, match="tables: is a link"):
        write_report(folder, ["csv"])
    assert not list(elsewhere.iterdir())


def test_results_are_the_same_from_all_columns_and_from_those_that_errors_need(tmp_path):
    config = CONFIG.model_copy(update={"boxes": "dlib", "limit": 24, "timing_images": 8})
    out = run(config, tmp_path / "out", NoProgress())
    some, every = (summarise(load_run(out, all_columns=whole)) for whole in (False, True))
    assert some.results == every.results
    assert every.results[0].runtime_ms["detect"].low is not None


KILLED = """
import os, sys
from pathlib import Path
from hpbench.inference.progress import NoProgress
from hpbench.results.run_config import RunConfig
from hpbench.running.runner import predict_run

left, replace = int(sys.argv[2]), os.replace

def replace_until_killed(*paths, **options):
    global left
    left -= 1
    if left < 0:
        os._exit(9)
    replace(*paths, **options)

os.replace = replace_until_killed
config = RunConfig(methods="constant", limit=12, device="cpu", timing_images=1, by="abs_yaw")
predict_run(config, Path(sys.argv[1]), NoProgress())
"""


@pytest.mark.parametrize("replaced", range(3))
def test_run_that_is_killed_while_it_notes_other_slices_can_be_repeated(folder, replaced):
    command = [sys.executable, "-c", KILLED, str(folder), str(replaced)]
    assert subprocess.run(command, check=False).returncode == 9
    assert load_run(folder).run.spec.by in ("", "abs_yaw")
    run(CONFIG.model_copy(update={"by": "abs_yaw"}), folder, NoProgress())
    assert load_run(folder).run.spec.by == "abs_yaw"


def test_times_are_taken_from_all_over_the_data_set(tmp_path):
    config = CONFIG.model_copy(update={"limit": 63, "timing_images": 32})
    timed = pd.read_parquet(run(config, tmp_path, NoProgress()) / "timing.parquet")["image_id"]
    numbers = sorted({int(name.removeprefix("sample_")) for name in timed})
    assert numbers[0] == 0 and numbers[-1] == 62 and max(np.diff(numbers)) <= 2
