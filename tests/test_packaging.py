"""What the wheel holds, and which way imports go."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("methods", "datasets", "reports")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CORE = "hpbench"


def packages_on_disk() -> set[str]:
    found = set()
    for room in (CORE, *ROOMS):
        for init in (ROOT / room).rglob("__init__.py"):
            dotted = ".".join(init.parent.relative_to(ROOT).parts)
            found.add(dotted if room == CORE else f"{CORE}.{dotted}")
    return found


def modules_of(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported_names(path: Path) -> set[str]:
    """Dotted names that a module imports anywhere, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def rooms_imported_by(path: Path) -> set[str]:
    return {
        room
        for room in (*ROOMS, "cli")
        for name in imported_names(path)
        if name == f"{CORE}.{room}" or name.startswith(f"{CORE}.{room}.")
    }


def test_every_package_is_declared():
    assert packages_on_disk() == set(PROJECT["tool"]["setuptools"]["packages"])


def test_the_core_imports_no_plugin():
    guilty = {
        str(path.relative_to(ROOT)): rooms
        for path in modules_of(CORE)
        if not above_the_rooms(path) and (rooms := rooms_imported_by(path))
    }
    assert guilty == {}


def above_the_rooms(path: Path) -> bool:
    """Whether a module is the command line or the Python API, which put the rooms together."""
    return "cli" in path.parts or path.name in {"__main__.py", "api.py", "run_plots.py"}


def test_only_the_package_itself_and_the_command_line_import_the_python_api():
    guilty = [
        str(path.relative_to(ROOT))
        for folder in (CORE, *ROOMS)
        for path in modules_of(folder)
        if not above_the_rooms(path)
        and path != ROOT / CORE / "__init__.py"
        and imported_names(path) & {"hpbench.api", "hpbench.reports.plots"}
    ]
    assert guilty == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_plugin_imports_no_other_plugin(room):
    guilty = {
        str(path.relative_to(ROOT)): others
        for path in modules_of(room)
        if (others := rooms_imported_by(path) - {room})
    }
    assert guilty == {}


@pytest.mark.parametrize("group", ["hpbench.methods", "hpbench.datasets"])
def test_every_entry_point_names_a_module_of_its_package(group):
    for value in PROJECT["project"]["entry-points"][group].values():
        module, _, cls = value.partition(":")
        folder = ROOT.joinpath(*module.removeprefix(f"{CORE}.").split("."))
        assert folder.with_suffix(".py").exists() or (folder / "__init__.py").exists()
        assert cls.isidentifier()
