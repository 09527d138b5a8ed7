"""Write docs/command-line.md from the help of all commands."""

from __future__ import annotations

from pathlib import Path

import typer.main
from typer.testing import CliRunner

from hpbench.cli import app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "command-line.md"
WIDTH = 100
HEAD = """\
# Command line

The options of every command, as `--help` shows them. The [Python API](python-api.md) takes the
same names. See also [exit codes](troubleshooting.md#exit-codes) and
[environment variables](environment.md). This page is written by `tools/command_line_page.py`.
"""


def page() -> str:
    """The page as Markdown."""
    root = typer.main.get_command(app)
    paths = [[]]
    for name, command in root.commands.items():
        paths += [[name, sub] for sub in getattr(command, "commands", {})] or [[name]]
    return HEAD + "".join(
        f"\n## {' '.join(['hpbench', *path])}\n\n```text\n{help_of(path)}```\n" for path in paths
    )


def help_of(path: list[str]) -> str:
    """What ``hpbench PATH --help`` prints."""
    done = CliRunner().invoke(
        app, [*path, "--help"], prog_name="hpbench", terminal_width=WIDTH, catch_exceptions=False
    )
    return "".join(f"{line.rstrip()}\n" for line in done.output.splitlines())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
