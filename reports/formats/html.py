"""``report.html``: the interactive report, one file that opens without a network."""

from __future__ import annotations

import base64
import gzip
import json
import logging
from collections.abc import Iterable, Mapping
from functools import partial
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from hpbench.errors import HpbenchError
from hpbench.reports.content import Report, Section
from hpbench.reports.figures.faces import EmbeddedFace, embedded_faces
from hpbench.reports.figures.page import page_figure, page_styles
from hpbench.reports.figures.registry import FIGURES
from hpbench.reports.figures.style import MOST_NAMED
from hpbench.reports.tables.table import Cell, Table
from hpbench.reports.tables.worst import worst_faces
from hpbench.scoring.scores import DatasetScores, MethodScores
from hpbench.storage.atomic import write_text

__all__ = ["write_page"]

_log = logging.getLogger("hpbench")

_YAW_STEP_DEG = 5
_MARKS: dict[int | None, str] = {1: "<strong>{}</strong>", 2: "<u>{}</u>"}
_FREE_IMAGES = frozenset({"sample"})
"""Data sets whose images may always be embedded: the project's own renders."""


def write_page(report: Report) -> Path:
    """Write ``report.html``."""
    faces, missing = _faces(report)
    numbers = {spec: number for number, spec in enumerate(report.styles)}
    assets = files("hpbench.reports").joinpath("assets")
    style, *scripts = (
        Markup(assets.joinpath(name).read_text(encoding="utf-8"))
        for name in ("report.css", "figures.js", "report.js")
    )
    template = _environment(numbers).get_template("page.html.j2")
    text = template.render(
        report=report,
        html=True,
        faces_of={key for key, found in faces.items() if found},
        missing_faces=missing,
        numbers=numbers,
        packed={"data": _packed(_json(_data(report, faces))), "plotly": _packed(_plotly())},
        style=style,
        most_named=MOST_NAMED,
        scripts=scripts,
    )
    path = report.folder / "report.html"
    write_text(path, text)
    return path


def _data(report: Report, faces: Mapping[str, Mapping[str, EmbeddedFace]]) -> dict[str, Any]:
    """What the scripts of the page draw; `faces` are by section."""
    return {
        "methods": list(report.styles),
        "labels": report.labels,
        "styles": page_styles(report.styles),
        "angles": ["Yaw", "Pitch", "Roll", "Mean", "Geodesic"],
        "plots": {
            f"{section.key}-{name}": page_figure(shape)
            for section in report.sections
            for name, shape in section.shapes.items()
        },
        "sections": {
            section.key: {
                "by_yaw": {
                    method.spec: sums_by_yaw(section.scores, method)
                    for method in section.scores.methods
                },
                "worst": {
                    method.spec: section.scores.image_ids[worst_faces(method)].tolist()
                    for method in section.scores.methods
                },
                "faces": faces.get(section.key, {}),
            }
            for section in report.sections
        },
    }


def _environment(numbers: Mapping[str, int]) -> Environment:
    """Where the templates are and what they call; `numbers` are those of the methods."""
    environment = Environment(
        loader=PackageLoader("hpbench.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {name: partial(_element, name) for name in ("h1", "h2", "h3", "h4", "p")},
        note=_note, bullets=_bullets,
        facts=_facts, folded=_folded, printed=escape, code=_code, figure=_figure,
        table=partial(_table, environment, numbers),
    )  # fmt: skip
    return environment


def _plotly() -> str:
    """Plotly's script; the Python package, which is slow to import, does nothing else here."""
    spec = find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    script = Path(spec.origin).parent / "package_data/plotly.min.js"
    return script.read_text(encoding="utf-8")


def _element(name: str, content: str) -> Markup:
    return Markup("<{0}>{1}</{0}>").format(Markup(name), content)


def _note(content: str) -> Markup:
    return Markup('<p class="note">{}</p>').format(content)


def _bullets(sentences: Iterable[str]) -> Markup:
    items = Markup("").join(_element("li", sentence) for sentence in sentences)
    return Markup("<ul>{}</ul>").format(items)


def _facts(facts: dict[str, str | None]) -> Markup:
    item = Markup("<dt>{}</dt><dd>{}</dd>")
    items = Markup("").join(item.format(name, fact) for name, fact in facts.items() if fact)
    return Markup("<dl>{}</dl>").format(items)


def _folded(content: str, summary: str) -> Markup:
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, content)


def _code(text: str) -> Markup:
    return Markup("<pre><code>{}</code></pre>").format(text)


def _figure(name: str, section: Section) -> Markup:
    if name not in section.shapes:
        return Markup("")
    caption = next(figure.caption for figure in FIGURES if figure.name == name)
    return Markup(
        '<figure class="plot" role="img" aria-label="{0}"><div class="drawing" data-plot="{1}">'
        "</div><figcaption>{0}</figcaption></figure>"
    ).format(caption, f"{section.key}-{name}")


def _table(
    environment: Environment, numbers: Mapping[str, int], table: Table, most: int | None = None
) -> Markup:
    """The whole table whatever `most` says: the page scrolls, searches and sorts it."""
    rows = Markup("\n").join(_row(table, index, numbers) for index in range(len(table.rows)))
    return Markup(environment.get_template("table.html.j2").render(table=table, rows=rows))


def _row(table: Table, index: int, numbers: Mapping[str, int]) -> Markup:
    """One row, as short as can be: a page may hold ten thousands."""
    attributes = Markup("")
    if table.methods:
        spec = table.methods[index]
        attributes = Markup(' data-m="{}"').format(numbers[spec])
        if spec in table.references:
            attributes += Markup(' class="reference"')
    cells = Markup("").join(map(_cell, table.rows[index]))
    return Markup("<tr{}>{}").format(attributes, cells)  # HTML needs no end of a row or cell


def _cell(cell: Cell) -> Markup:
    """A cell, with the value it is sorted by where that is not what it shows."""
    shown = Markup(_MARKS.get(cell.rank, "{}")).format(cell.shown)
    value = f"{cell.value:.6g}" if isinstance(cell.value, float) else cell.value
    if value is None or str(value) == cell.shown:
        return Markup("<td>{}").format(shown)
    return Markup('<td data-value="{}">{}').format(value, shown)


def _faces(report: Report) -> tuple[dict[str, dict[str, EmbeddedFace]], dict[str, str]]:
    """Images by section, and why a section has none although it should."""
    faces: dict[str, dict[str, EmbeddedFace]] = {}
    missing: dict[str, str] = {}
    for section in report.sections:
        if report.embed_images or section.record.name in _FREE_IMAGES:
            try:
                table = report.faces_of(section)
                faces[section.key] = embedded_faces(section.scores, table, report.run, report.data)
                if not faces[section.key]:
                    missing[section.key] = "none of its images can be read"
            except HpbenchError as error:
                missing[section.key] = str(error)
            if report.embed_images and section.key in missing:
                name, reason = section.scores.name, missing[section.key]
                _log.warning("no face of '%s' is embedded: %s", name, reason)
    return faces, missing


def _json(data: object) -> str:
    return json.dumps(data, allow_nan=False, separators=(",", ":"))


def _packed(text: str) -> str:
    """A text that the page unpacks: a third of its size, and it cannot end its element."""
    return base64.b64encode(gzip.compress(text.encode("utf-8"), 6, mtime=0)).decode("ascii")


def sums_by_yaw(dataset: DatasetScores, method: MethodScores) -> dict[str, Any]:
    """Sums and counts of the errors in steps of true yaw, to be added up by the page's filter.

    The columns are yaw, pitch, roll, their mean, and the geodesic error.
    """
    starts = np.arange(0, 180, _YAW_STEP_DEG)
    yaw = np.abs(dataset.angles_deg[:, 0])
    bin_of_face = np.minimum(np.nan_to_num(yaw, nan=-1.0) // _YAW_STEP_DEG, len(starts) - 1)
    columns = [*np.abs(method.differences_deg).T, method.face_mae_deg, method.geodesic_deg]
    sums = []
    for column in columns:
        known = np.isfinite(column) & (bin_of_face >= 0)
        steps = bin_of_face[known].astype(np.intp)
        count = np.bincount(steps, minlength=len(starts))
        total = np.bincount(steps, weights=column[known], minlength=len(starts))
        sums.append({"sum": [round(v, 4) for v in total.tolist()], "count": count.tolist()})
    return {"step": _YAW_STEP_DEG, "starts": starts.tolist(), "columns": sums}
