"""Published results beside measured ones, and in words what keeps them from being comparable."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from hpbench.protocol import Protocol
from hpbench.reports import words
from hpbench.reports.tables.table import Cell, Column, Table, number, text
from hpbench.results.results_file import MethodResult
from hpbench.rotation import ANGLES

__all__ = ["differences", "literature_table", "published"]

Published = dict[str, str]

SAME = "nothing that is stated"
_UNSTATED = "boxes are not stated"
_FIRST, _BEST = 8, 2
"""Rows of all methods that come first, and those of each method that come before them."""
_WRAPPING = {"none": "angle differences not wrapped", "360": "angle differences wrapped"}


@cache
def published() -> tuple[Published, ...]:
    """Rows of ``assets/published_results.csv``; an empty text is a fact that is not stated."""
    source = files("hpbench.reports").joinpath("assets/published_results.csv")
    return tuple(csv.DictReader(source.read_text(encoding="utf-8").splitlines()))


def differences(row: Published, protocol: Protocol, faces: int) -> list[str]:
    """In what the protocol of a published result differs from that of a run with so many faces."""
    found = []
    if row["faces"] and int(row["faces"]) != faces:
        found.append(f"{int(row['faces']):,} faces, here {faces:,}")
    elif "70/30" in row["protocol"]:
        found.append("a random 30 % of the videos, whose list was never published")
    elif not row["faces"]:
        found.append("number of faces is not stated")
    here = protocol.boxes
    if here == "annotated":
        here = str(protocol.settings.get("box", here))
    if not row["boxes"]:
        found.append(_UNSTATED)
    elif row["boxes"] != here:
        found.append(f"boxes {row['boxes']}, here {here}")
    if row["euler"] == "rq, probably":
        found.append("angles read in the RQ order, to judge by the results (not stated)")
    elif row["euler"] == "nearest":
        if protocol.euler != "nearest":
            found.append("of the two triples of angles the one nearer to the label")
    elif row["euler"]:
        found.append("angles in " * row["euler"].startswith("pyr") + row["euler"])
    if row["wrap"] and row["wrap"] != protocol.wrap:
        found.append(_WRAPPING.get(row["wrap"], row["wrap"]))
    if row["aligned"]:
        found.append("errors after alignment")
    return found


def literature_table(
    dataset: str,
    protocol: Protocol,
    faces: int,
    results: Sequence[MethodResult],
    labels: Mapping[str, str],
) -> Table | None:
    """Measured rows first, then the best published of each method, of all methods and of others.

    None where nothing is published on the data set.
    """
    rows = [row for row in published() if row["dataset"] == dataset and row["mae_deg"]]
    if not rows:
        return None
    families = {result.method for result in results}
    rows.sort(key=lambda row: float(row["mae_deg"]))
    related = [row for row in rows if row["family"] in families]
    others = [row for row in rows if row["family"] not in families]
    best = [row for family in families for row in _of_family(related, family)[:_BEST]]
    best.sort(key=related.index)
    more = [row for row in related if row not in best]
    rows = [*best, *more[:_FIRST], *others[:_FIRST], *more[_FIRST:], *others[_FIRST:]]
    columns = [
        Column("Method", text=True),
        Column("Year", text=True),
        Column("Trained on", text=True),
        *(Column(angle.capitalize()) for angle in (*ANGLES, "mean")),
        Column("Same protocol", text=True),
        Column("What differs", text=True),
        Column("Source", text=True),
    ]
    measured = [_measured_row(result, labels) for result in results]
    return Table(
        "literature",
        "Published results beside the measured ones",
        columns,
        [*measured, *(_published_row(row, protocol, faces) for row in rows)],
    )


def _of_family(rows: Sequence[Published], family: str) -> list[Published]:
    return [row for row in rows if row["family"] == family]


def _measured_row(result: MethodResult, labels: Mapping[str, str]) -> list[Cell]:
    angles = (getattr(result.mae_deg, angle) for angle in (*ANGLES, "mean"))
    images = result.images
    evaluated = images.scored + images.no_answer
    of_some = f" on {images.scored} of {evaluated} faces" if images.no_answer else ""
    return [
        Cell(labels[result.method_spec], result.method_spec, 1),
        text("this run"),
        text(", ".join(result.trained_on) or words.NOTHING),
        *map(number, angles),
        text("-"),
        text("-"),
        text(f"measured here{of_some}"),
    ]


def _published_row(row: Published, protocol: Protocol, faces: int) -> list[Cell]:
    differ = differences(row, protocol, faces)
    if not differ:
        same = "as far as stated"
    elif differ == [_UNSTATED]:
        same = "not known"
    else:
        same = "no"
    return [
        text(row["method"]),
        text(row["year"]),
        text(row["trained_on"]),
        *(
            number(float(row[key]) if row[key] else None)
            for key in ("yaw_deg", "pitch_deg", "roll_deg", "mae_deg")
        ),
        text(same),
        text("; ".join(differ) or SAME),
        text(row["source"]),
    ]
