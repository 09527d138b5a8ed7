"""The wheel: what ships and nothing else, under which licences, to the byte the same twice."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("hpbench", "datasets", "methods", "reports")
FILES = ("pyproject.toml", "README.md", "LICENSE")


def build(folder: Path) -> Path:
    """A wheel of a copy of the checkout, whose files are as old as the copy."""
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder / "dist"), str(folder)]
    subprocess.run(command, check=True, env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"})
    (wheel,) = (folder / "dist").iterdir()
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def names(wheel) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def licences() -> dict[str, str]:
    """Licence by pattern of paths, from the table of docs/licences.md."""
    text = (ROOT / "docs" / "licences.md").read_text()
    table = text[text.index("## Files of the wheel") :].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|", table, re.MULTILINE)
    return {pattern: licence for cell, licence in rows for pattern in re.findall(r"`(.+?)`", cell)}


def test_wheel_holds_every_module_and_no_other_python(names):
    expected = set()
    for source in SOURCES:
        for path in (ROOT / source).rglob("*.py"):
            inside = path.relative_to(ROOT).as_posix()
            expected.add(inside if source == "hpbench" else f"hpbench/{inside}")
    assert {name for name in names if name.endswith(".py")} == expected


def test_every_file_that_ships_has_a_licence_in_the_table_and_every_row_ships(names):
    table, used = licences(), set()
    for name in names:
        if not re.match(r"hpbench-[\d.]+\.dist-info/", name):
            # the more special pattern goes first
            matching = [one for one in table if fnmatch.fnmatch(name, one)]
            assert matching, f"{name} has no row in docs/licences.md"
            used.add(max(matching, key=len))
    assert used == set(table)


def test_metadata_name_the_licences_of_all_files_that_ship(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    assert set(metadata["License-Expression"].split(" AND ")) == set(licences().values())


@pytest.mark.parametrize(
    ("file", "notice"),
    [
        ("pnp/ict_facekit_LICENSE.txt", "Permission is hereby granted, free of charge"),
        ("facemesh/canonical_face.csv", "The MediaPipe Authors, Apache License 2.0"),
    ],
)
def test_file_from_elsewhere_carries_its_notice(file, notice):
    assert notice in (ROOT / "methods" / file).read_text()


def test_two_builds_are_the_same_to_the_byte(wheel, tmp_path):
    assert build(tmp_path).read_bytes() == wheel.read_bytes()


def test_every_dependency_declares_its_lowest_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(one for lines in extras.values() for one in lines)]
    without = [line for line in lines if ">=" not in line and not line.startswith("hpbench[")]
    assert without == []
