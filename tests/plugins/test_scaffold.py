"""Packages that ``hpbench new`` writes: they install, pass their own tests, and run."""

from __future__ import annotations

import runpy
import subprocess
import sys
import tomllib

import pytest
from typer.testing import CliRunner

from hpbench.cli.new import new
from hpbench.errors import UsageError
from hpbench.scaffold import write_package


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    parent = tmp_path_factory.mktemp("new")
    method, *_ = write_package("method", "my_net", parent)
    dataset, *_ = write_package("dataset", "my_faces", parent)
    return method, dataset


@pytest.fixture(scope="module")
def environment(new_environment, packages):
    made = new_environment("scaffold")
    made.install(*packages, editable=True)
    return made


def test_generated_packages_pass_their_own_tests(environment, packages):
    for package in packages:
        done = environment.run("pytest", "-q", "-p", "no:cacheprovider", package)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "passed" in done.stdout


def test_generated_plugins_are_found_once_installed(environment):
    listing = environment.run("hpbench", "list").stdout
    for name in ("my_net", "my_faces"):
        (line,) = [line for line in listing.splitlines() if line.split()[:1] == [name]]
        assert "cannot be used" not in line


def test_generated_method_and_data_set_run_together(environment, tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 64), "grey").save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text(
        "image,yaw,pitch,roll,x0,y0,x1,y1\na.png,9,0,0,8,8,56,56\n"
    )
    done = environment.run(
        *("hpbench", "run", "--methods", "my_net[margin=0.4]", "--datasets", "my_faces"),
        *("--data", f"my_faces={tmp_path}", "--device", "cpu", "--out", tmp_path / "run"),
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.md").is_file()


def test_generated_code_is_clean(packages):
    pytest.importorskip("ruff", reason="ruff is a tool of developers")
    rules = ["--select", "E,F,B,UP,I", "--line-length", "100", "--config", "src = ['src']"]
    for package in packages:
        done = subprocess.run(
            [sys.executable, "-m", "ruff", "check", "--isolated", *rules, "."],
            cwd=package,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


def test_long_and_short_names_give_valid_classes(tmp_path):
    for name, class_name in (("a", "A"), ("two_words9", "TwoWords9")):
        folder, *_ = write_package("method", name, tmp_path)
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        assert project["entry-points"]["hpbench.methods"] == {name: f"hpbench_{name}:{class_name}"}


@pytest.mark.parametrize(
    ("kind", "name"),
    [("method", "none"), ("method", "pose"), ("dataset", "record"), ("dataset", "true")],
)
def test_names_that_mean_something_in_python_or_hpbench_give_working_classes(kind, name, tmp_path):
    folder, *_ = write_package(kind, name, tmp_path)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    (entry,) = project["entry-points"][f"hpbench.{kind}s"].values()
    words = runpy.run_path(str(folder / "src" / f"hpbench_{name}" / "__init__.py"))
    assert words[entry.partition(":")[2]].name == name


def test_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for below in ("file", "file/deeper"):
        with pytest.raises(UsageError, match=r"file.*--folder"):
            write_package("method", "mine", tmp_path / below)


@pytest.mark.parametrize("name", ["My_Net", "9net", "my-net", "_net", "net_", "a b", "../x", ""])
def test_malformed_names_are_refused(name, tmp_path):
    with pytest.raises(UsageError, match="small letters"):
        write_package("method", name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_in_use_and_folders_that_exist_are_refused(tmp_path):
    with pytest.raises(UsageError, match="taken"):
        write_package("method", "pnp", tmp_path, taken=("pnp",))
    (tmp_path / "hpbench-mine").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        write_package("method", "mine", tmp_path)


def test_command_refuses_the_name_of_a_built_in(tmp_path):
    done = CliRunner().invoke(new, ["dataset", "biwi", "--folder", str(tmp_path)])
    assert isinstance(done.exception, UsageError)
    assert list(tmp_path.iterdir()) == []


def test_command_says_what_it_wrote_and_what_to_do_next(tmp_path):
    done = CliRunner().invoke(new, ["method", "mine", "--folder", str(tmp_path)])
    assert done.exit_code == 0
    assert str(tmp_path / "hpbench-mine" / "src" / "hpbench_mine" / "__init__.py") in done.output
    assert "pip install -e" in done.output.splitlines()[-1]
