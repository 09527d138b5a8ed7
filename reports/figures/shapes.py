"""What a figure is made of, before any library draws it.

``data.py`` makes these shapes from the results, ``static.py`` draws them with Matplotlib, and
``page.py`` hands them to the page, where ``figures.js`` draws them with Plotly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from hpbench.reports.figures.style import MOST_NAMED

__all__ = [
    "Axis",
    "BarPlot",
    "FacePlot",
    "HeatPanel",
    "HeatPlot",
    "Line",
    "LinePlot",
    "Panel",
    "Shape",
]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """One axis of a panel.

    Attributes
    ----------
    title : str
    low, high : float or None
        Ends; None is found from what is drawn.
    ticks : mapping of float to str, or None
        Places with their words; None for numbers.
    log : bool
    """

    title: str = ""
    low: float | None = None
    high: float | None = None
    ticks: Mapping[float, str] | None = None
    log: bool = False


@dataclass(frozen=True, eq=False)
class Line:
    """One method in a panel.

    Attributes
    ----------
    x, y : ndarray, shape (n,)
        NaN is a gap.
    low, high : ndarray, shape (n,), or None
        Interval of `y`; of `x` in a plot whose ``look`` is ``rows`` or ``bars``.
    frontal : ndarray, shape (n,), or None
        `y` with missing predictions imputed as frontal.
    hollow : ndarray of bool, shape (n,), or None
        Points that rest on little.
    texts : sequence of str
        What the pointer shows at each point, where the plot has no common form for it.
    """

    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None
    frontal: Array | None = None
    hollow: npt.NDArray[np.bool_] | None = None
    texts: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Panel:
    """Axes with a line per method.

    Attributes
    ----------
    bars : ndarray, shape (n, 2), or None
        Centres and heights of grey bars.
    reference : ndarray, shape (n, 2), or None
        Points of a grey line that belongs to no method.
    height_inch : float
    """

    x: Axis
    y: Axis
    lines: Mapping[str, Line] = field(default_factory=dict)
    title: str = ""
    bars: Array | None = None
    reference: Array | None = None
    height_inch: float = 3.4


@dataclass(frozen=True, eq=False)
class LinePlot:
    """Panels of lines: in one column with a common x axis, else with a common y axis.

    Attributes
    ----------
    look : {'lines', 'steps', 'points', 'rows', 'bars'}
        ``points`` has one point per method; in ``rows`` y counts rows from above, and the methods
        of a row stand below one another; in ``bars`` each of them has a bar from zero, too.
    hover : str
        What the pointer shows, with ``{x}`` and ``{y}`` in the form of Python, such as
        ``{y:.2f} degrees``.
    most : int
        Methods that are named; all further ones are grey.
    """

    panels: list[Panel]
    look: Literal["lines", "steps", "points", "rows", "bars"] = "lines"
    columns: int = 1
    hover: str = ""
    most: int = MOST_NAMED

    @property
    def in_rows(self) -> bool:
        """Whether y counts rows."""
        return self.look in ("rows", "bars")


@dataclass(frozen=True, eq=False)
class HeatPanel:
    """Cells of a grid, by method.

    Attributes
    ----------
    x_edges, y_edges : ndarray
        y points up.
    values, faces : mapping of str to ndarray, shape (y cells, x cells)
        NaN is an empty cell.
    """

    x: Axis
    y: Axis
    x_edges: Array
    y_edges: Array
    values: Mapping[str, Array]
    faces: Mapping[str, Array]
    title: str = ""


@dataclass(frozen=True, eq=False)
class HeatPlot:
    """One drawing of every panel per method, all in one colour scale from 0 to `highest`.

    Attributes
    ----------
    written : bool
        Whether the numbers stand in the cells.
    most : int
        Methods that are drawn.
    """

    panels: list[HeatPanel]
    highest: float
    written: bool = False
    most: int = 6


@dataclass(frozen=True, eq=False)
class BarPlot:
    """A bar per method, from left to right in parts.

    Attributes
    ----------
    parts : mapping of str to mapping of str to float
        Length by method, by name of the part.
    colours : mapping of str to str
        By part; a part without one has the colour of the method.
    limits : mapping of str to tuple of float
        Ends of an interval by method.
    marks : mapping of str to float
        Place of a mark by method, which is called `mark_name`.
    texts : mapping of str to str
        What stands at the end of the bar.
    """

    x: Axis
    parts: Mapping[str, Mapping[str, float]]
    colours: Mapping[str, str]
    texts: Mapping[str, str]
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    marks: Mapping[str, float] = field(default_factory=dict)
    mark_name: str = ""
    hover: str = ""


@dataclass(frozen=True, eq=False)
class FacePlot:
    """One point per face and method; only the page draws it.

    Attributes
    ----------
    names : sequence of str
    angles_deg : ndarray, shape (faces, 3)
        Ground truth; the first is the x axis.
    errors_deg : mapping of str to ndarray, shape (faces,)
        By method; NaN without a prediction.
    predicted_deg : mapping of str to ndarray, shape (faces, 3)
    """

    x: Axis
    y: Axis
    names: Sequence[str]
    angles_deg: Array
    errors_deg: Mapping[str, Array]
    predicted_deg: Mapping[str, Array]


Shape = LinePlot | HeatPlot | BarPlot | FacePlot
