"""``tables.tex`` as papers print it: booktabs, the best in bold, the second best underlined."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hpbench.reports.content import Report, Section
from hpbench.reports.tables.table import Cell, Table
from hpbench.storage.atomic import write_text
from hpbench.storage.text import visible

__all__ = ["document", "escape", "table", "write_latex"]

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}", '"': r"\textquotedbl{}",
}  # fmt: skip
_PATTERN = re.compile("|".join(map(re.escape, _SPECIAL)))

_FLAGS = {
    "†": "† Trained on this data set.",
    "‡": "‡ Trained on rendered heads and scored on such.",
}

_PREAMBLE = r"""% Made by hpbench. It compiles by itself; to copy the tables into a paper, put
% \usepackage{booktabs,textcomp} and \usepackage[T1]{fontenc} into its preamble.
\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{textcomp}
\usepackage{booktabs}
\usepackage[landscape,margin=2cm]{geometry}
\begin{document}
"""


LATEX_TABLES = ("accuracy", "common", "metrics", "yaw", "runtime", "pairs")
"""What a paper prints."""

_MOST_PAIRS = 35
"""A floating table does not break, and more rows are longer than a page; results.json has them."""


def write_latex(report: Report) -> Path:
    """Write the tables that papers print into ``tables.tex``."""
    tables = [
        replace(
            section.tables[key],
            key=f"{section.key}-{key}",
            title=f"{_context(section)}: {section.tables[key].title}",
            note=f"{section.tables[key].note} {_marks(section, key)}".strip(),
        )
        for section in report.sections
        for key in LATEX_TABLES
        # without a timing pass nothing but names is in the table of times
        if section.tables[key].rows and len(section.tables[key].columns) > 1
        if not (key == "common" and section.complete)
        if not (key == "pairs" and len(section.tables[key].rows) > _MOST_PAIRS)
    ]
    path = report.folder / "tables.tex"
    write_text(path, document(tables))
    return path


def _context(section: Section) -> str:
    """What a table that stands alone in a paper has to say: data set, faces and protocol."""
    images, protocol = section.images, section.scores.protocol
    return (
        f"{section.title}, {images.total - images.excluded} faces, protocol {protocol.name} "
        f"({protocol.hash})"
    )


def _marks(section: Section, key: str) -> str:
    """What is not marked: columns of methods on different faces, and rows of the baseline."""
    said = []
    if key in ("accuracy", "metrics") and not section.complete:
        said.append(
            "Only columns that count missing predictions are marked: methods predicted other faces."
        )
    if section.references and _is_marked(section.tables[key]):
        said.append("The frontal baseline is a reference and is not marked.")
    return " ".join(said)


def _is_marked(content: Table) -> bool:
    return any(cell.rank for row in content.rows for cell in row)


def document(tables: Sequence[Table]) -> str:
    """A file with all tables that compiles by itself."""
    return _PREAMBLE + "\n".join(table(one) for one in tables) + "\n\\end{document}\n"


def table(content: Table) -> str:
    """One floating table."""
    kinds = "".join("l" if column.text else "r" for column in content.columns)
    lines = [
        r"\begin{table}[ht]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{escape(_caption(content))}}}",
        rf"\label{{tab:{content.key}}}",
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        _row(escape(column.title) for column in content.columns),
        r"\midrule",
        *(_row(_cell(cell) for cell in row) for row in content.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _caption(content: Table) -> str:
    explained = ". Bold: best, underlined: second best." if _is_marked(content) else "."
    if any(column.title == "Rank" for column in content.columns):
        explained += (
            " Methods share a rank where their paired differences are not significant at 5 % "
            "(Holm)."
        )
    shown = "".join(cell.shown for row in content.rows for cell in row)
    flags = [said for flag, said in _FLAGS.items() if flag in shown]
    return " ".join([f"{content.title}{explained}", *flags, content.note]).strip()


def _row(cells: Iterable[str]) -> str:
    # braces first: after \\ a star or a bracket would be taken for its argument
    return "{}" + " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    shown = escape("--" if cell.shown == "-" else cell.shown)
    if cell.rank == 1:
        return rf"\textbf{{{shown}}}"
    return rf"\underline{{{shown}}}" if cell.rank == 2 else shown


def escape(text: str) -> str:
    r"""Show text as it is.

    Examples
    --------
    >>> print(escape("a_b & 50 %"))
    a\_b \& 50 \%
    """
    return _PATTERN.sub(lambda found: _SPECIAL[found[0]], visible(text))
