"""The interactive report: one HTML file that opens without a network."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from hpbench.errors import HpbenchError
from hpbench.reports.content import Content, Section
from hpbench.reports.figures import interactive
from hpbench.reports.figures.data import has_error_map, has_yaw_line, pareto_points
from hpbench.reports.figures.faces import EmbeddedFace, embedded_faces
from hpbench.reports.tables.worst import worst_faces
from hpbench.scoring.scores import DatasetScores, MethodScores
from hpbench.storage.atomic import write_text

__all__ = ["write_page"]

Plot = dict[str, Any]
"""A figure in the form of Plotly's script."""

_YAW_STEP_DEG = 5
_FREE_PICTURES = frozenset({"sample"})
"""Data sets whose images may always be embedded: the project's own renders."""


def write_page(content: Content) -> Path:
    """Write ``report.html``."""
    drawn = {section.key: section_plots(content, section) for section in content.sections}
    faces, missing = _faces(content)
    data = {
        "labels": content.labels,
        "angles": ["Yaw", "Pitch", "Roll", "Mean", "Geodesic"],
        "plots": {
            f"{key}-{name}": plot for key, plots in drawn.items() for name, plot in plots.items()
        },
        "sections": {
            section.key: {
                "by_yaw": {
                    method.spec: sums_by_yaw(section.scores, method)
                    for method in section.scores.methods
                },
                "worst": {
                    method.spec: [face.image_id for face in worst_faces(section.scores, method)]
                    for method in section.scores.methods
                },
                "faces": faces.get(section.key, {}),
            }
            for section in content.sections
        },
    }
    environment = Environment(
        loader=PackageLoader("hpbench.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    assets = files("hpbench.reports").joinpath("assets")
    text = environment.get_template("report.html.j2").render(
        content=content,
        plots_of=drawn,
        faces_of={key for key, found in faces.items() if found},
        missing_faces=missing,
        images_common=lambda section: section.results[0].common_images.images,
        data=_json_in_html(data),
        style=Markup(assets.joinpath("report.css").read_text(encoding="utf-8")),
        script=Markup(assets.joinpath("report.js").read_text(encoding="utf-8")),
        plotly=Markup(get_plotlyjs()),
    )
    path = content.folder / "report.html"
    write_text(path, text)
    return path


def _faces(content: Content) -> tuple[dict[str, dict[str, EmbeddedFace]], dict[str, str]]:
    """Images by section, and why a section has none although it should."""
    faces: dict[str, dict[str, EmbeddedFace]] = {}
    missing: dict[str, str] = {}
    for section in content.sections:
        if content.embed_images or section.record.name in _FREE_PICTURES:
            try:
                table = content.faces_of(section)
                faces[section.key] = embedded_faces(section.scores, table, content.run)
            except HpbenchError as error:
                missing[section.key] = str(error)
    return faces, missing


def _json_in_html(data: object) -> Markup:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def section_plots(content: Content, section: Section) -> dict[str, Plot]:
    """Interactive figures of a data set for Plotly in the browser, by name."""
    dataset, styles = section.scores, content.styles
    plots: dict[str, go.Figure] = {}
    if any(result.images.scored for result in section.results):
        plots["histogram"] = interactive.histogram_plot(dataset, styles)
        plots["ced"] = interactive.ced_plot(dataset, styles)
        if has_yaw_line(dataset):
            plots["yaw"] = interactive.yaw_plot(dataset, styles)
        if np.isfinite(dataset.angles_deg[:, 0]).any():
            plots["scatter"] = interactive.scatter_plot(dataset, styles)
        if has_error_map(dataset):
            plots["map"] = interactive.map_plot(dataset, styles)
    if any(result.runtime_ms["total"].p50 is not None for result in section.results):
        plots["runtime"] = interactive.runtime_plot(section.results, styles)
    if len(pareto_points(section.results)) > 1:
        plots["pareto"] = interactive.pareto_plot(section.results, styles)
    if section.curves:
        plots["robustness"] = interactive.level_plot(section.curves, styles)
    if section.swept:
        plots["sweep"] = interactive.level_plot(section.swept, styles)
    return {name: json.loads(plot.to_json()) for name, plot in plots.items()}


def sums_by_yaw(dataset: DatasetScores, method: MethodScores) -> dict[str, Any]:
    """Sums and counts of the errors in steps of true yaw, to be added up by the page's filter.

    Returns
    -------
    dict
        ``step``; ``starts``, the lower edges of the steps; ``columns``, one ``sum`` and
        ``count`` per step for yaw, pitch, roll, their mean, and the geodesic error.
    """
    starts = np.arange(0, 180, _YAW_STEP_DEG)
    yaw = np.abs(dataset.angles_deg[:, 0])
    place = np.minimum(np.nan_to_num(yaw, nan=-1.0) // _YAW_STEP_DEG, len(starts) - 1)
    columns = [*np.abs(method.differences_deg).T, method.face_mae_deg, method.geodesic_deg]
    sums = []
    for column in columns:
        known = np.isfinite(column) & (place >= 0)
        steps = place[known].astype(np.intp)
        count = np.bincount(steps, minlength=len(starts))
        total = np.bincount(steps, weights=column[known], minlength=len(starts))
        sums.append({"sum": [round(v, 4) for v in total.tolist()], "count": count.tolist()})
    return {"step": _YAW_STEP_DEG, "starts": starts.tolist(), "columns": sums}
