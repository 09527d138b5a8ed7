"""Shapes as what ``assets/figures.js`` draws: plain JSON, numbers to a thousandth."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict
from functools import singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.reports.figures.shapes import (
    Axis,
    BarPlot,
    FacePlot,
    HeatPanel,
    HeatPlot,
    Line,
    LinePlot,
    Panel,
    Shape,
)
from hpbench.reports.figures.style import FURTHER, MethodStyle

__all__ = ["page_figure", "page_styles"]

_DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
_MARKERS = {
    "o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down",
    "P": "cross", "X": "x", "|": "line-ns-open",
}  # fmt: skip

_HUNDREDTHS = 100.0
_MISSING = -32768


def page_styles(styles: Mapping[str, MethodStyle]) -> dict[str, Any]:
    """How methods are drawn; a method without a look of its own may take one that is free."""

    def look(style: MethodStyle) -> dict[str, str]:
        return {
            "colour": style.colour,
            "dash": _DASHES[style.dash],
            "symbol": _MARKERS[style.marker],
        }

    return {
        "ranked": sorted(styles, key=lambda spec: styles[spec].rank),
        "looks": {spec: look(style) for spec, style in styles.items() if style.named},
        "further": look(FURTHER),
    }


@singledispatch
def page_figure(shape: Shape) -> dict[str, Any]:
    """JSON of a shape; its ``kind`` names the function that draws it."""
    raise TypeError(f"no figure of the page of {type(shape).__name__}")


@page_figure.register
def _lines(shape: LinePlot) -> dict[str, Any]:
    return {
        "kind": "lines",
        "look": shape.look,
        "columns": shape.columns,
        "hover": shape.hover,
        "most": shape.most,
        "panels": [_panel(panel) for panel in shape.panels],
    }


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "title": panel.title,
        "x": _axis(panel.x),
        "y": _axis(panel.y),
        "height": round(panel.height_inch, 2),
        "bars": None if panel.bars is None else _list(panel.bars.T),
        "reference": None if panel.reference is None else _list(panel.reference.T),
        "lines": {spec: _line(line) for spec, line in panel.lines.items()},
    }


def _line(line: Line) -> dict[str, Any]:
    found = {
        "x": _list(line.x),
        "y": _list(line.y),
        "low": None if line.low is None else _list(line.low),
        "high": None if line.high is None else _list(line.high),
        "frontal": None if line.frontal is None else _list(line.frontal),
        "hollow": None if line.hollow is None else line.hollow.tolist(),
        "texts": list(line.texts) or None,
    }
    return {key: value for key, value in found.items() if value is not None}


@page_figure.register
def _heat(shape: HeatPlot) -> dict[str, Any]:
    return {
        "kind": "heat",
        "highest": round(shape.highest, 2),
        "written": shape.written,
        "most": shape.most,
        "panels": [_heat_panel(panel) for panel in shape.panels],
    }


def _heat_panel(panel: HeatPanel) -> dict[str, Any]:
    return {
        "title": panel.title,
        "x": _axis(panel.x),
        "y": _axis(panel.y),
        "x_edges": _list(panel.x_edges),
        "y_edges": _list(panel.y_edges),
        "cells": {
            spec: {"values": _list(values), "faces": panel.faces[spec].astype(int).tolist()}
            for spec, values in panel.values.items()
        },
    }


@page_figure.register
def _bars(shape: BarPlot) -> dict[str, Any]:
    return {"kind": "bars"} | asdict(shape)


@page_figure.register
def _faces(shape: FacePlot) -> dict[str, Any]:
    return {
        "kind": "faces",
        "x": _axis(shape.x),
        "y": _axis(shape.y),
        "names": list(shape.names),
        "angles": _packed(shape.angles_deg),
        "methods": {
            spec: {"errors": _packed(errors), "angles": _packed(shape.predicted_deg[spec])}
            for spec, errors in shape.errors_deg.items()
        },
    }


def _axis(axis: Axis) -> dict[str, Any]:
    found = asdict(axis)
    if axis.ticks is not None:
        found["ticks"] = [list(axis.ticks), list(axis.ticks.values())]
    return found


def _list(values: npt.NDArray[Any]) -> list[Any]:
    """Numbers for JSON; NaN is a gap."""
    shown = np.round(values.astype(np.float64), 3)
    cells = shown.astype(object)
    cells[~np.isfinite(shown)] = None
    return list(cells.tolist())


def _packed(degrees: npt.NDArray[np.float64]) -> str:
    """Many angles, row by row, as base64 of little-endian int16 hundredths; NaN is -32768."""
    hundredths = np.round(np.nan_to_num(degrees, nan=_MISSING / _HUNDREDTHS) * _HUNDREDTHS)
    return base64.b64encode(hundredths.astype("<i2").tobytes()).decode("ascii")
