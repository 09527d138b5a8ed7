"""Help of all commands: one source, one style."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from hpbench.cli import app

ROOT = Path(__file__).resolve().parents[2]
TOOL = runpy.run_path(str(ROOT / "tools" / "command_line_page.py"))
GROUP = typer.main.get_command(app)
COMMANDS = [
    [name, *sub]
    for name, command in GROUP.commands.items()
    for sub in [[name] for name in getattr(command, "commands", {})] or [[]]
]


def test_page_of_the_command_line_is_up_to_date():
    """If not: python tools/command_line_page.py"""
    assert (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8") == TOOL["page"]()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_ends_with_two_examples_of_the_command_and_leaks_no_type(path):
    shown = TOOL["help_of"](path)
    _, _, examples = shown.partition("Examples:\n")
    assert len(examples.splitlines()) == 2
    for line in examples.splitlines():
        assert line.strip().startswith(" ".join(["hpbench", *path])), line
    assert not re.search(r"<(str|int|path|float|list|bool)", shown, re.IGNORECASE)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_examples_of_the_help_have_only_options_that_exist(path):
    command = GROUP
    for name in path:
        command = command.commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    _, _, examples = TOOL["help_of"](path).partition("Examples:\n")
    assert set(re.findall(r"(?<= )--[\w-]+", examples)) <= known


def test_brackets_of_a_spec_are_shown():
    assert "pnp[model=mallick6]" in TOOL["help_of"](["predict"])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["predict", "x.jpg", "--methods", "pnp", "--limit", "0"], "--limit 0: must be"),
        (["predict", "x.jpg", "--methods", "pnp", "--draw", "dots"], "--draw dots: must be"),
        (["check", "pnp", "--data", "biwi"], "--data biwi: write --data NAME=DIR"),
        (["check", "pnp", "--data", "a=b", "--data", "a=c"], "--data a=...: specified twice"),
        (["check", "pnp", "--device", "gpu"], "--device gpu: unknown; use cpu, cuda"),
        (["check", "pnp", "--data", "biwi=DIR"], "--data biwi=...: no data set 'biwi' in this"),
        (["label", "sample", "--methods", "pnp", "--out", "x.csv", "--data", "biwi=DIR"],
         "--data biwi=...: no data set 'biwi' in this command; known: sample"),
        (["train", "hopenet", "--datasets", "sample", "--data", "biwi=DIR"],
         "--data biwi=...: no data set 'biwi' in this command; known: sample"),
        (["train", "hopenet", "--datasets", "sample", "--augment", "mirrors=1"],
         "--augment mirrors=1: no such key; did you mean 'mirror'"),
    ],
)  # fmt: skip
def test_option_that_does_not_fit_is_named_with_its_value_and_the_reason(arguments, line):
    outcome = CliRunner().invoke(app, arguments)
    assert line in str(outcome.exception)
    assert outcome.exception.exit_code == 2
