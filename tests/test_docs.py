"""The documentation builds, its links resolve, and its commands parse."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
INDENTED_COMMAND = re.compile(r"^ {4}(?:pip install \S+ && )?(hpbench .*)$", re.MULTILINE)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands_of(page: Path) -> list[str]:
    """Command lines of a page that start with ``hpbench``, continuation lines joined."""
    text = page.read_text().replace("\\\n", " ")
    found = INDENTED_COMMAND.findall(text)
    for language, body in FENCE.findall(text):
        if language in ("", "bash", "sh", "console"):
            found += [line for line in body.splitlines() if line.startswith("hpbench ")]
    return found


def documented_commands() -> list[tuple[str, str]]:
    return [(page.name, command) for page in PAGES for command in commands_of(page)]


def test_documentation_builds_with_every_link_resolved(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "index.html").exists()


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in PAGES[1:]]
    assert [page for page in pages if page not in navigation] == []


def test_citation_names_the_version_of_the_package():
    from hpbench import __version__

    citation = (ROOT / "CITATION.cff").read_text()
    assert f'version: "{__version__}"' in citation
    assert f"version = {{{__version__}}}" in (ROOT / "docs" / "licences.md").read_text()


def test_links_of_the_readme_exist():
    targets = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text())
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


@pytest.mark.parametrize(("page", "command"), documented_commands())
def test_documented_command_has_only_options_that_exist(page, command):
    from hpbench.cli import app

    words = [word for word in shlex.split(command, comments=True) if word != "..."][1:]
    group = typer.main.get_command(app)
    while words and words[0].startswith("--"):
        words.pop(0)
    if not words:
        return
    context = group.make_context("hpbench", [words[0]], resilient_parsing=True)
    sub = group.get_command(context, words[0])
    assert sub is not None, f"{page}: no command '{words[0]}'"
    known = {option for parameter in sub.params for option in parameter.opts} | {"--help"}
    used = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert used <= known, f"{page}: {command}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_compile(page):
    for language, body in FENCE.findall(page.read_text()):
        if language == "python":
            compile(body, str(page), "exec")
