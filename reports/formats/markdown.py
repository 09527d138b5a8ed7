"""``report.md`` with its figures: Markdown in which names from outside cannot become markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from hpbench.reports.content import Report, Section
from hpbench.reports.figures.registry import still_figures
from hpbench.reports.tables.table import Cell, Table
from hpbench.storage.atomic import write_text
from hpbench.storage.text import visible

__all__ = ["escape", "render_markdown", "write_markdown"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]|#~$])")


class Raw(str):
    """Text that is Markdown already and is printed as it is."""


def escape(value: object) -> str:
    r"""Show a value as plain text, in a table cell too.

    Examples
    --------
    >>> print(escape("a|b <i>_x_</i>"))
    a\|b &lt;i&gt;\_x\_&lt;/i&gt;
    """
    if isinstance(value, Raw):
        return value
    shown = visible(" ".join(str(value).split()))
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", shown)


def write_markdown(report: Report) -> Path:
    """Write ``report.md`` and the figures it shows, as PNG."""
    from hpbench.reports.formats.figures import draw_figures

    draw_figures(report, "png", report.in_short)
    path = report.folder / "report.md"
    write_text(path, render_markdown(report))
    return path


def render_markdown(report: Report) -> str:
    """Text of ``report.md``."""
    environment = Environment(
        loader=PackageLoader("hpbench.reports"),
        finalize=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        h1=partial(_heading, 1), h2=partial(_heading, 2), h3=partial(_heading, 3),
        h4=partial(_heading, 4), p=_paragraph, note=_paragraph, bullets=_bullets, table=_table,
        folded=_folded, printed=Raw, facts=_facts, code=_code,
        figure=partial(_figure, in_short=report.in_short),
    )  # fmt: skip
    text = environment.get_template("report.j2").render(report=report, html=False)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _heading(level: int, title: str) -> Raw:
    return Raw(f"\n{'#' * level} {escape(title)}\n")


def _paragraph(rendered: str) -> Raw:
    """Paragraph of the template, whose values are escaped already."""
    return Raw(f"\n{' '.join(rendered.split())}\n")


def _bullets(sentences: Iterable[str]) -> Raw:
    return Raw("\n" + "".join(f"- {escape(sentence)}\n" for sentence in sentences))


def _facts(facts: dict[str, str | None]) -> Raw:
    return _bullets(f"{name}: {fact}" for name, fact in facts.items() if fact)


def _folded(rendered: str, summary: str) -> Raw:
    return Raw(
        f"\n<details><summary>{html.escape(summary)}</summary>\n\n{rendered.strip()}\n\n</details>\n"
    )


def _figure(name: str, section: Section, in_short: bool) -> Raw:
    for figure in still_figures(section, in_short):
        if figure.name == name:
            path = f"figures/{section.key}_{name}.png"
            short = figure.caption.partition(". ")[0].rstrip(".")
            return Raw(f"\n![{escape(short)}]({path})\n\n{escape(figure.caption)}\n")
    return Raw("")


def _code(text: str) -> Raw:
    """Fenced block; the fence is longer than any run of backticks in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Raw(f"\n{fence}text\n{visible(text)}\n{fence}\n")


def _table(content: Table, most: int | None = None) -> Raw:
    """Table in GitHub's form below its title, the best of a column in bold, its note below."""
    lines = [
        f"\n**{escape(content.title)}**\n",
        _row(escape(column.title) for column in content.columns),
        _row(":--" if column.text else "--:" for column in content.columns),
        *(_row(_cell(cell) for cell in row) for row in content.rows[:most]),
    ]
    note = content.note
    if most is not None and len(content.rows) > most:
        note += (
            f" The first {most} of {len(content.rows)} rows; report.html and the CSV tables hold "
            "all."
        )
    if note:
        lines += ["", escape(note)]
    return Raw("\n".join(lines) + "\n")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    shown = escape(cell.shown)
    return f"**{shown}**" if cell.rank == 1 else shown
