"""Labels that cannot be what they are taken for: radians, lost decimal points, turned axes.

One place for every data set and plugin. It looks at the labels of a whole data set, never at a
prediction. What labels alone do not show (a turned sign, angles exchanged, where there are no
landmarks) is found by ``hpbench check METHOD --dataset ...``, which compares with a method.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Dataset, Label, Record, evenly_spaced, require_well_formed
from hpbench.labels.boxes import FindFaces, review_boxes
from hpbench.labels.landmarks import angles_seen_in_landmarks
from hpbench.labels.suspicion import Suspicion
from hpbench.rotation import ANGLES, is_rotation, wrap_deg

__all__ = [
    "LOOKED_AT",
    "MIN_LABELS",
    "NO_ANGLE",
    "review_angles",
    "review_columns",
    "review_labels",
    "screened",
]

Array = npt.NDArray[np.float64]

MIN_LABELS, MIN_SAME = 6, 3
"""Fewer labels show no pattern; a few that are all the same, or around 180 degrees, do."""

MIN_LANDMARKS = 12

NO_ANGLE = "is no angle in degrees; a decimal point may be lost"
"""End of the reason under which :func:`screened` excludes a face."""

LOOKED_AT = 256
"""Of so many faces landmarks are looked at, and of some of them the images' sizes."""

_TURN = 2.0 * np.pi
_REPEATED_SHARE, _PLACEHOLDER_SHARE = 0.5, 0.1
_ALIKE = 1.5
"""Factor between mean sizes of angles that may be those of the same people."""

_EXCHANGED_P95_DEG = 60.0
"""People do not look further up or down: 95 in 100 labels of a pitch lie within this."""


def screened(records: Iterable[Record]) -> Iterator[Record]:
    """Records with angles wrapped to -180..180, and without those that are no angles.

    An angle beyond 360 degrees is excluded with its reason: a decimal point was lost, or the
    number is none in degrees.

    Raises
    ------
    DataError
        If a record holds something else than :class:`hpbench.dataset.Record` says.
    """
    for record in records:
        require_well_formed(record)
        label = record.label
        if record.excluded is not None or label is None:
            yield record
            continue
        if label.R_cam is not None and not is_rotation(label.R_cam, tolerance=1e-2):
            yield replace(record, label=None, excluded="label is no rotation")
            continue
        beyond = [
            (name, value)
            for name, value in zip(ANGLES, label.angles_deg.tolist(), strict=True)
            if abs(value) > 180.0
        ]
        if not beyond:
            yield record
            continue
        name, value = max(beyond, key=lambda item: abs(item[1]))
        if abs(value) > 360.0:
            reason = f"label {name} {value:.10g} {NO_ANGLE}"
            yield replace(record, label=None, excluded=reason)
        else:
            yield replace(record, label=Label(wrap_deg(label.angles_deg), label.R_cam))


def review_labels(
    records: Sequence[Record], dataset: Dataset, find_faces: FindFaces | None = None
) -> list[Suspicion]:
    """All that looks wrong with the labels and boxes of a data set.

    Parameters
    ----------
    records : sequence of Record
        As :func:`screened` gives them; excluded ones are left out of account, but for those
        that it has excluded itself.
    dataset : Dataset
        For the sizes of its images.
    find_faces : callable or None
        Boxes of the faces in an image, to tell which of two frames a box is made in; None to
        leave that undecided.
    """
    scored = [r for r in records if r.excluded is None and r.label is not None]
    angles = np.array([r.label.angles_deg for r in scored if r.label]).reshape(-1, 3)
    no_angles = sum(NO_ANGLE in (record.excluded or "") for record in records)
    some = [scored[k] for k in evenly_spaced(len(scored), LOOKED_AT)]
    return review_columns(angles, no_angles, some, dataset, find_faces)


def review_columns(
    angles_deg: Array,
    no_angles: int,
    some: Sequence[Record],
    dataset: Dataset,
    find_faces: FindFaces | None = None,
) -> list[Suspicion]:
    """What :func:`review_labels` does, for an index that is no list of records.

    Parameters
    ----------
    angles_deg : ndarray, shape (n, 3)
        Of the faces that are not excluded; NaN where an axis is missing.
    no_angles : int
        How many faces :func:`screened` has excluded.
    some : sequence of Record
        A few hundred faces from all over the data set, for their landmarks and boxes.
    dataset : Dataset
    find_faces : callable or None
    """
    found = []
    count = len(angles_deg) + no_angles
    if no_angles > max(1, 0.2 * count):
        found.append(
            Suspicion(
                "unit",
                f"{no_angles} of {count} labels lie beyond 360 degrees",
                "write labels in degrees, with their decimal points",
            )
        )
    of_angles = review_angles(angles_deg)
    of_landmarks = [] if any(s.stops for s in of_angles) else _review_against_landmarks(some)
    seen_twice = {suspicion.code for suspicion in of_landmarks}
    found += [s for s in of_angles if s.code not in seen_twice] + of_landmarks
    return [*found, *review_boxes(some, dataset, find_faces)]


def review_angles(angles_deg: Array) -> list[Suspicion]:
    """What the angles of all labels, shape (n, 3), NaN where an axis is missing, look like."""
    angles = angles_deg[np.isfinite(angles_deg).any(axis=1)]
    if len(angles) < MIN_SAME:
        return []
    for check in (_all_the_same, _radians, _around_180, _around_90):
        if found := check(angles):
            return [found]
    checks = (
        _repeated(angles),
        _placeholders(angles),
        _exchanged(angles),
        _yaw_radians(angles),
        _some_in_radians(angles),
        _lost_decimal_point(angles),
    )
    return [found for found in (*checks, *_zero_axes(angles)) if found is not None]


def _all_the_same(angles: Array) -> Suspicion | None:
    first = np.nan_to_num(angles[0])
    if not (np.nan_to_num(angles) == first).all():
        return None
    if not first.any():
        return Suspicion(
            "zero",
            f"all {len(angles)} labels are 0, as placeholders are",
            "write the labels of these faces",
            stops=len(angles) >= MIN_LABELS,
        )
    if len(angles) < MIN_LABELS and (first == np.round(first)).all():
        return None  # a pose of a grid
    return _one_row(f"all {len(angles)}", angles[0])


def _one_row(which: str, angles_deg: Array) -> Suspicion:
    return Suspicion(
        "repeated",
        f"{which} labels are {_written(angles_deg)}, as if one row were repeated",
        "write the label of each face",
    )


def _written(angles_deg: Array) -> str:
    """The angles of one label, those that it has."""
    found = zip(ANGLES, angles_deg, strict=True)
    return ", ".join(f"{name} {value:g}" for name, value in found if np.isfinite(value))


def _radians(angles: Array) -> Suspicion | None:
    values = angles[np.isfinite(angles)]
    size = np.abs(values)
    whole = np.mean(values == np.round(values))
    few = len(angles) < MIN_LABELS
    if few and (size.max() > np.pi / 2.0 or whole > 0.0):
        return None
    if size.max() > _TURN + 1e-3 or size.max() < 0.1 or whole > 0.5:
        return None
    unsigned = values.min() >= 0.0 and bool((values > 4.0).any() and (values < 2.0).any())
    if np.mean(size <= np.pi + 1e-3) < 0.95 and not unsigned:
        return None
    return Suspicion(
        "radians",
        f"all {len(angles)} labels lie between {values.min():.4g} and {values.max():.4g}, "
        "as radians do",
        "unit=rad",
        is_option=True,
        stops=not few,
    )


def _yaw_radians(angles: Array) -> Suspicion | None:
    """Yaw in radians beside others in degrees: heads turn further than they nod or tilt.

    Pitch or roll alone cannot be told so; many people hardly nod or tilt their heads.
    """
    yaw, others = angles[:, 0], angles[:, 1:][np.isfinite(angles[:, 1:])]
    yaw = yaw[np.isfinite(yaw)]
    if min(len(yaw), len(others)) < 2 * MIN_LABELS or np.mean(yaw == np.round(yaw)) > 0.5:
        return None
    if np.abs(yaw).max() > np.pi / 2.0 or np.percentile(np.abs(others), 95) < 10.0:
        return None
    return Suspicion(
        "radians",
        f"yaw lies between {yaw.min():.4g} and {yaw.max():.4g}, as radians do, and the other "
        "angles do not",
        "write yaw in degrees",
        stops=False,
    )


def _some_in_radians(angles: Array) -> Suspicion | None:
    """Rows in radians among rows in degrees.

    Labels in degrees thin out towards zero: there are more of them from pi / 2 to pi than below.
    People who keep still for a while are the exception; but then the sizes of their angles, taken
    for radians, are not those of the other labels.
    """
    _, first, _ = _different(angles)
    angles = angles[first]
    size = np.nanmax(np.abs(angles), axis=1)
    whole = (np.isnan(angles) | (angles == np.round(angles))).all(axis=1)
    low, high = angles[(size <= np.pi / 2.0) & ~whole], angles[size > np.pi]
    between = len(angles) - len(high) - np.count_nonzero(size <= np.pi / 2.0)
    if min(len(low), len(high)) < 2 * MIN_LABELS or between > 0.1 * len(low):
        return None
    both = np.isfinite(low).sum(axis=0), np.isfinite(high).sum(axis=0)
    axes = np.minimum(*both) >= 2 * MIN_LABELS
    means = [np.nanmean(np.abs(part[:, axes]), axis=0) for part in (np.degrees(low), high)]
    ratios = means[0] / np.maximum(means[1], 1e-9)
    if len(ratios) < 2 or ratios.min() < 1.0 / _ALIKE or ratios.max() > _ALIKE:
        return None
    return Suspicion(
        "radians",
        f"{len(low)} of {len(angles)} different labels lie within {np.nanmax(np.abs(low)):.4g} in "
        "all angles, as if they were in radians among others in degrees",
        "write all labels in degrees",
        stops=False,
    )


def _around_180(angles: Array) -> Suspicion | None:
    for axis, name in enumerate(ANGLES):
        values = angles[np.isfinite(angles[:, axis]), axis]
        if len(values) < MIN_SAME:
            continue
        far = int((np.abs(values) > 120.0).sum())
        if far <= 0.5 * len(values):
            continue
        cause = {
            "yaw": "as with a head frame that looks away from the camera",
            "pitch": "as solvePnP gives it for a head model with y up (in a matrix, yaw and roll "
            'are then reversed, too: add signs="-yaw,-roll")',
            "roll": "as with a head model that is upside down",
        }[name]
        return Suspicion(
            "around_180",
            f"{name} lies around 180 degrees in {far} of {len(values)} labels, {cause}",
            f"offset={name}+180",
            is_option=True,
        )
    return None


def _around_90(angles: Array) -> Suspicion | None:
    """Yaw or pitch counted from the side: few faces are seen beyond a right angle."""
    for axis, name in ((0, "yaw"), (1, "pitch")):
        values = angles[np.isfinite(angles[:, axis]), axis]
        if len(values) < MIN_LABELS:
            continue
        sign = 1.0 if np.median(values) > 0.0 else -1.0
        beside = sign * values
        beyond = float((beside > 99.0).mean())
        if beyond < 0.2 or float((beside > 45.0).mean()) < 0.9:
            continue
        return Suspicion(
            "around_90",
            f"{name} lies around {90.0 * sign:g} degrees, {beyond:.0%} of the labels beyond it, as "
            "if it were counted from the side",
            f"offset={name}{-90.0 * sign:+g}",
            is_option=True,
        )
    return None


def _repeated(angles: Array) -> Suspicion | None:
    """Labels with decimals that fill many rows; whole degrees may be a grid of poses."""
    rows, first, counts = _different(angles)
    most = int(np.argmax(counts))
    if counts[most] < max(MIN_LABELS, _REPEATED_SHARE * len(angles)):
        return None
    if (rows[most] == np.round(rows[most])).all():
        return None
    return _one_row(f"{counts[most]} of {len(angles)}", angles[first[most]])


def _placeholders(angles: Array) -> Suspicion | None:
    """A label in whole degrees, such as 0, 0, 0, in many rows among different ones with decimals.

    In a grid of poses others are repeated too: of one in radians, often only the frontal is whole.
    """
    rows, first, counts = _different(angles)
    is_whole = (rows == np.round(rows)).all(axis=1)
    most = int(np.argmax(np.where(is_whole, counts, 0)))
    if not is_whole[most] or counts[most] < max(MIN_LABELS, _PLACEHOLDER_SHARE * len(angles)):
        return None
    if counts[is_whole].sum() - counts[most] > 0.1 * (len(angles) - counts[most]):
        return None
    if np.delete(counts, most).max(initial=0) >= max(3, 0.1 * counts[most]):
        return None
    return Suspicion(
        "placeholder",
        f"{counts[most]} of {len(angles)} labels are {_written(angles[first[most]])}, among "
        "labels with decimals, as placeholders are",
        "leave the angles of faces empty that were not annotated",
        stops=False,
    )


def _different(angles: Array) -> tuple[Array, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows that differ, an angle that is missing taken for 0; where each is first; how often."""
    return np.unique(np.nan_to_num(angles), axis=0, return_index=True, return_counts=True)


def _exchanged(angles: Array) -> Suspicion | None:
    both = angles[np.isfinite(angles[:, :2]).all(axis=1), :2]
    if len(both) < 2 * MIN_LABELS:
        return None
    yaw, pitch = np.percentile(np.abs(both), 95, axis=0)
    if pitch < _EXCHANGED_P95_DEG or pitch < 1.5 * yaw:
        return None
    return Suspicion(
        "exchanged",
        f"pitch reaches further than yaw (95 % within {pitch:.0f} and {yaw:.0f} degrees), "
        "as if they were exchanged; labels alone cannot tell, 'hpbench check METHOD' can",
        'order="pitch,yaw,roll"',
        is_option=True,
        stops=False,
    )


def _lost_decimal_point(angles: Array) -> Suspicion | None:
    """Whole degrees beyond all others in an axis of decimals; what is beyond 360 is excluded."""
    for axis, name in enumerate(ANGLES):
        values = angles[np.isfinite(angles[:, axis]), axis]
        whole = values == np.round(values)
        lone = whole & (np.abs(values) > 99.0)
        if not lone.any() or whole.mean() > 0.1 or np.abs(values[~lone]).max() > 90.0:
            continue
        return Suspicion(
            "decimal_point",
            f"{name} {values[lone][0]:g} stands among labels with decimals within "
            f"{np.abs(values[~lone]).max():.0f} degrees, as if its point were lost",
            "correct that label",
            stops=False,
        )
    return None


def _zero_axes(angles: Array) -> list[Suspicion]:
    found = []
    has_decimals = bool((angles[np.isfinite(angles)] % 1.0 != 0.0).any())
    for axis, name in enumerate(ANGLES):
        values = angles[np.isfinite(angles[:, axis]), axis]
        if has_decimals and len(values) >= MIN_LABELS and not values.any():
            found.append(
                Suspicion(
                    "zero_axis",
                    f"{name} is 0 in all {len(values)} labels, as if it were not annotated",
                    f"leave {name} empty where it was not annotated",
                    stops=False,
                )
            )
    return found


def _review_against_landmarks(scored: Sequence[Record]) -> list[Suspicion]:
    """Turned signs and exchanged angles, where the data set has annotated landmarks."""
    pairs = [
        (record.label.angles_deg, angles_seen_in_landmarks(record.landmarks_xy))
        for record in scored
        if record.label is not None and record.landmarks_xy is not None
    ]
    if len(pairs) < MIN_LANDMARKS:
        return []
    labelled, seen = (np.array(part) for part in zip(*pairs, strict=True))
    agreement = np.full((3, 3), np.nan)  # labelled angle, seen angle
    for i in range(3):
        for j in range(3):
            rows = np.isfinite(labelled[:, i]) & np.isfinite(seen[:, j])
            if rows.sum() >= MIN_LANDMARKS and np.std(labelled[rows, i]) > 3.0:
                agreement[i, j] = _rank_correlation(labelled[rows, i], seen[rows, j])
    crossed, straight = (
        abs(agreement[0, 1] * agreement[1, 0]),
        abs(agreement[0, 0] * agreement[1, 1]),
    )
    if crossed > 0.3 and crossed > 4.0 * straight:
        return [
            Suspicion(
                "exchanged",
                f"yaw and pitch are exchanged: in the landmarks of {len(pairs)} faces the one "
                "follows the other's label",
                'order="pitch,yaw,roll"',
                is_option=True,
            )
        ]
    wrong = [name for k, name in enumerate(ANGLES) if agreement[k, k] < -0.5]
    return [
        Suspicion(
            "sign",
            f"{name} has the opposite sign of what the landmarks of {len(pairs)} faces show",
            f"signs=-{name}",
            is_option=True,
        )
        for name in wrong
    ]


def _rank_correlation(a: Array, b: Array) -> float:
    """Spearman's; equal values share their mean rank, as labels of whole degrees do."""
    ranks = []
    for values in (a, b):
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2.0)[place])
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
