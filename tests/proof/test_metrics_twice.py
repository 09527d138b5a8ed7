"""Every metric against a second derivation, in 40 digits, from the definitions of docs/metrics.md.

It starts from angles, never from a matrix of ours, and computes with mpmath and plain loops.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import mpmath as mp
import numpy as np
import pytest

from hpbench.rotation import rotation_from_angles
from hpbench.scoring.metrics import angle_differences_deg
from hpbench.scoring.registry import METRICS
from hpbench.scoring.scores import FaceErrors

mp.mp.dps = 40

Triple = tuple[float, float, float]
SEAMS = (0.0, 30.0, 60.0, 90.0, 99.0, 120.0, 150.0, 179.999, 180.0, -180.0, -90.0, -30.0)


@dataclass(frozen=True)
class Case:
    """Labels and predictions; None where there is none."""

    labels: list[Triple]
    predictions: list[Triple | None]

    def errors(self) -> FaceErrors:
        """The same as hpbench has it."""
        labels = np.array(self.labels)
        R_pred = np.full((len(labels), 3, 3), np.nan)
        for row, angles in enumerate(self.predictions):
            if angles is not None:
                R_pred[row] = rotation_from_angles(angles)
        R_gt = rotation_from_angles(np.where(np.isfinite(labels), labels, 0.0))
        R_gt[~np.isfinite(labels).all(axis=1)] = np.nan
        return FaceErrors(R_pred, R_gt, labels, angle_differences_deg(R_pred, labels))


@pytest.fixture(scope="module", params=["complete labels", "some without roll"])
def case(request, many) -> Case:
    """Poses everywhere, on the seams of all bins and angles, at gimbal and 1e-6 degrees off it."""
    chance, count = random.Random(7), many(250, 10_000)
    labels, predictions = [], []
    for number in range(count):
        yaw, pitch, roll = (chance.uniform(-180, 180) for _ in range(3))
        if number % 3 == 0:
            yaw, pitch, roll = (chance.choice(SEAMS) for _ in range(3))
            yaw += chance.choice((0.0, 1e-9, -1e-9))
        if number % 5 == 0:
            yaw = chance.choice((-90.0, 90.0))
        if abs(abs(yaw) - 90.0) < 1e-8:  # at gimbal itself pitch and roll are not separable
            yaw += chance.choice((-1, 1)) * 10.0 ** -chance.randint(1, 6)
        off = [chance.gauss(0, chance.choice((1e-6, 1, 10, 60))) for _ in range(3)]
        if number % 13 == 0:  # at gimbal to the last digit
            off = [90.0 * chance.choice((-1, 1)) - yaw, *off[1:]]
        elif number % 7 == 0:
            off = [chance.choice((0.0, 5.0, 15.0, 90.0, 179.0)), 0.0, 0.0]
        if request.param == "some without roll" and number % 2:
            roll = float("nan")
        predicted = (yaw + off[0], pitch + off[1], (0.0 if roll != roll else roll) + off[2])
        labels.append((yaw, pitch, roll))
        predictions.append(None if number % 11 == 0 else predicted)
    return Case(labels, predictions)


# ---- the second derivation ---------------------------------------------------------------------


def rotation(angles: Triple) -> mp.matrix:
    """Rx(-pitch) Ry(yaw) Rz(roll), as docs/conventions.md has it."""
    yaw, pitch, roll = (mp.mpf(angle) * mp.pi / 180 for angle in angles)
    cp, sp, cy, sy, cr, sr = (
        f(x) for x in (-pitch, yaw, roll) for f in (mp.cos, mp.sin)
    )  # fmt: skip
    return (
        mp.matrix([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        * mp.matrix([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        * mp.matrix([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    )


def degrees_between(a: list, b: list) -> mp.mpf:
    """Angle between two vectors, by its half (Kahan)."""
    difference = mp.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))
    total = mp.sqrt(sum((x + y) ** 2 for x, y in zip(a, b, strict=True)))
    return 2 * mp.atan2(difference, total) * 180 / mp.pi


def geodesic(a: mp.matrix, b: mp.matrix) -> mp.mpf:
    """By the Frobenius norm: |A - B| = 2 sqrt(2) sin(angle / 2)."""
    square = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
    return 2 * mp.atan2(mp.sqrt(square), mp.sqrt(8 - square)) * 180 / mp.pi


def maev(a: mp.matrix, b: mp.matrix) -> mp.mpf:
    """Mean angle of matching columns."""
    columns = [([a[i, j] for i in range(3)], [b[i, j] for i in range(3)]) for j in range(3)]
    return sum(degrees_between(*pair) for pair in columns) / 3


def wrapped(angle: mp.mpf) -> mp.mpf:
    return angle - 360 * mp.nint(angle / 360)


def differences(predicted: Triple, label: Triple) -> list[mp.mpf | None]:
    """Of the two triples that are the predicted rotation, the one nearer to the label.

    Where the label lacks an angle, the one that is nearer to 0 in it.
    """
    yaw, pitch, roll = (mp.mpf(angle) for angle in predicted)
    if abs(mp.cos(yaw * mp.pi / 180)) < mp.mpf("1e-9") and label[1] == label[1]:
        # any pitch will do there, as long as roll goes with it: the label's is the nearest
        roll += mp.sign(mp.sin(yaw * mp.pi / 180)) * (mp.mpf(label[1]) - pitch)
        pitch = mp.mpf(label[1])
    triples = ((yaw, pitch, roll), (180 - yaw, pitch + 180, roll + 180))
    known = [mp.mpf(0 if t != t else t) for t in label]
    found = [[wrapped(p - t) for p, t in zip(triple, known, strict=True)] for triple in triples]
    nearer = min(found, key=lambda three: sum(map(abs, three)))
    return [None if t != t else one for one, t in zip(nearer, label, strict=True)]


def area_under_curve(errors: list[float], faces: int, limit: int) -> float:
    """The curve is a step function: rectangles from one error to the next, up to the limit."""
    steps = sorted(error for error in errors if error < limit)
    ends = [*steps[1:], limit]
    widths = [end - start for start, end in zip(steps, ends, strict=True)]
    return sum(width * (k + 1) for k, width in enumerate(widths)) / (faces * limit)


def second_derivation(case: Case) -> dict[str, float]:
    """Every metric of the registry, by name."""
    predicted = [k for k, angles in enumerate(case.predictions) if angles is not None]
    signed = {k: differences(case.predictions[k], case.labels[k]) for k in predicted}
    face = {
        k: float(
            mp.fsum(abs(d) for d in three if d is not None) / sum(d is not None for d in three)
        )
        for k, three in signed.items()
    }
    complete = [k for k in predicted if case.labels[k][2] == case.labels[k][2]]
    pairs = {k: (rotation(case.predictions[k]), rotation(case.labels[k])) for k in complete}
    turned = {k: float(geodesic(*pair)) for k, pair in pairs.items()}
    faces = len(case.labels)
    all_complete = all(label[2] == label[2] for label in case.labels)
    curve = list((turned if all_complete else face).values())
    values = {
        "mae_deg.mean": statistics.fmean(face.values()),
        "geodesic_deg.mean": statistics.fmean(turned.values()),
        "geodesic_deg.median": statistics.median(turned.values()),
        "maev_deg": statistics.fmean(float(maev(*pair)) for pair in pairs.values()),
        "balanced_mae_deg": balanced(face, [label[0] for label in case.labels]),
        "failures": sum(error > 90 for error in turned.values()),
    }
    for axis, name in enumerate(("yaw", "pitch", "roll")):
        column = [float(three[axis]) for three in signed.values() if three[axis] is not None]
        values[f"mae_deg.{name}"] = statistics.fmean(map(abs, column))
        values[f"bias_deg.{name}"] = statistics.fmean(column)
    for limit in (15, 30):
        values[f"ced.auc_{limit}"] = area_under_curve(curve, faces, limit)
    for limit in (5, 10, 15):
        values[f"ced.accuracy_{limit}"] = sum(error <= limit for error in curve) / faces
    return values


def balanced(face: dict[int, float], yaws: list[float]) -> float:
    """Mean over the bins 0-30, 30-60, 60-99 and beyond of absolute yaw."""
    inside: list[Callable[[float], bool]] = [
        lambda yaw: yaw < 30, lambda yaw: 30 <= yaw < 60, lambda yaw: 60 <= yaw <= 99,
        lambda yaw: yaw > 99,
    ]  # fmt: skip
    means = [
        statistics.fmean(error for k, error in face.items() if holds(abs(yaws[k])))
        for holds in inside
    ]
    return statistics.fmean(means)


@pytest.fixture(scope="module")
def expected(case) -> dict[str, float]:
    return second_derivation(case)


@pytest.fixture(scope="module")
def errors(case) -> FaceErrors:
    return case.errors()


def test_second_derivation_has_every_metric(expected):
    assert set(expected) == {metric.name for metric in METRICS}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_metric_agrees_with_its_second_derivation(metric, errors, expected):
    found = metric.compute(errors)
    difference = abs(found - expected[metric.name])
    print(f"{metric.name}: {found:.9f}, difference {difference:.1e}")
    assert difference <= 1e-6 + _ties(errors, metric.name)


def _ties(errors: FaceErrors, name: str) -> float:
    """What faces can change whose error lies on the limit of a metric: rounding decides there."""
    if name == "failures":
        return float(np.sum(np.abs(errors.geodesic_deg - 90.0) < 1e-6))
    if name.startswith("ced.accuracy_"):
        limit = float(name.rpartition("_")[2])
        return float(np.mean(np.abs(errors.curve_errors_deg - limit) < 1e-6))
    return 0.0
