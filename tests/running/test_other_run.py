"""What a run says that finds another one in its folder."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpbench.errors import UsageError
from hpbench.inference.progress import NoProgress
from hpbench.results.run_config import RunConfig
from hpbench.results.run_record import RunRecord
from hpbench.running.runner import run

HEADER = "image,yaw,pitch,roll,x0,y0,x1,y1\n"


@pytest.fixture
def here(tmp_path) -> Path:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (48, 48)).save(tmp_path / name)
    table = HEADER + "a.png,1.5,2,3,8,8,40,40\nb.png,-9.5,0,1,8,8,40,40\n"
    (tmp_path / "labels.csv").write_text(table)
    return tmp_path


def run_there(here, **changes) -> None:
    given = {"methods": "constant", "datasets": f"{here}/labels.csv", "device": "cpu"} | changes
    run(RunConfig(timing="off", fresh=True, **given), here / "out", NoProgress())


def refusal(here, **changes) -> str:
    """What is said to differ from a run of the defaults of :func:`run_there`."""
    with pytest.raises(UsageError) as caught:
        run_there(here, **changes)
    text = str(caught.value)
    assert "\n" not in text
    found = re.fullmatch(
        r".*/out: contains another run \((.*)\); use a new --out, or delete the folder", text
    )
    assert found, text
    return found[1]


def test_options_that_differ_are_named_with_both_values(here):
    run_there(here)
    assert refusal(here, limit=1) == "--limit none, now 1"
    assert refusal(here, max_pixels=9999) == "--max-pixels 64000000, now 9999"
    assert refusal(here, boxes="picture") == "data set 'table': boxes annotated, now picture"


def test_methods_and_data_sets_that_differ_are_named(here):
    run_there(here)
    assert refusal(here, methods="constant,pnp") == ("methods 'constant', now 'constant,pnp'")
    assert refusal(here, corrupt=("dark=1",)) == "data sets 'table', now 'table,table + dark=1'"


def test_seed_counts_only_where_there_is_chance(here):
    run_there(here, corrupt=("noise=5",))
    assert refusal(here, corrupt=("noise=5",), seed=7) == "--seed 0, now 7"


def test_table_that_was_edited_is_told_from_another_table(here):
    run_there(here)
    table = here / "labels.csv"
    table.write_text(table.read_text().replace("1.5", "2.5"))
    assert refusal(here) == "data set 'table': the content of its table has changed"
    table.rename(here / "second.csv")
    assert refusal(here, datasets=f"{here}/second.csv") == (
        "data set 'table': the content of its table has changed "
        f"(--datasets {here}/labels.csv, now {here}/second.csv)"
    )


def test_other_folder_of_a_data_set_is_named(here, aflw2000_dir):
    names = sorted(path.name for path in aflw2000_dir.iterdir() if path.suffix in (".jpg", ".mat"))
    for folder in ("one", "two"):
        (here / folder).mkdir()
        for name in names[:4]:
            shutil.copyfile(aflw2000_dir / name, here / folder / name)
    given = {"datasets": "aflw2000", "trust_labels": True}
    run_there(here, data={"aflw2000": here / "one"}, **given)
    assert refusal(here, data={"aflw2000": here / "two"}, **given) == (
        f"data set 'aflw2000': its files or code have changed (--data {here}/one, now {here}/two)"
    )


def test_image_that_was_written_again_is_a_change_of_the_files(here):
    run_there(here)
    os.utime(here / "b.png", (0, 0))
    assert refusal(here) == "data set 'table': its files or code have changed"


def test_versions_and_the_code_of_a_method_are_told_from_each_other(here):
    run_there(here)
    record = RunRecord.read(here / "out").model_copy(update={"fingerprint": "of something else"})
    older = record.versions | {"numpy": "0.9"}
    record.model_copy(update={"versions": older}).write(here / "out")
    assert refusal(here) == f"numpy 0.9, now {np.__version__}"
    method = record.methods["constant"].model_copy(update={"digest": "of other code"})
    record.model_copy(update={"methods": {"constant": method}}).write(here / "out")
    assert refusal(here) == "method 'constant': its code or files have changed"
