"""Errors of predicted rotations against labels, on whole arrays at once.

A face without a prediction, and an axis without a label, is NaN; no function turns a NaN into a
zero, and every function says how it counts them. Arrays of other shapes or lengths than
documented, and infinite numbers, raise a ``ValueError`` that names the argument; nothing is
broadcast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpbench.protocol import EulerReading, WrapRule
from hpbench.rotation import (
    angles_from_rotation,
    mean_rotation,
    nearest_angles,
    rq_angles_from_rotation,
    wrap_deg,
)

__all__ = [
    "FAILURE_DEG", "YAW_BINS", "YawBin", "align_camera_side", "align_head_side",
    "angle_differences_deg", "auc_gains", "balanced_mae_deg", "ced", "face_mae_deg", "failures",
    "fill_missing_with_frontal", "mae_deg", "read_angles", "yaw_bin_masks", "yaw_bins",
]  # fmt: skip

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FAILURE_DEG = 90.0
"""A geodesic error above this is a failure: the head points the other way."""

YAW_BINS = ((0.0, 30.0), (30.0, 60.0), (60.0, 90.0))
"""Bins of the absolute ground-truth yaw. The last one also takes labels up to `_LAST_BIN_END`."""

_LAST_BIN_END = 99.0  # AFLW2000 keeps labels up to 99 degrees (natanielruiz/deep-head-pose#41)


def _checked(name: str, values: npt.ArrayLike, *row: int, faces: int | None = None) -> Array:
    """The array, of shape (n, *row).

    Raises
    ------
    ValueError
        For another shape, other than `faces` rows, or infinite numbers.
    """
    array = np.asarray(values, dtype=np.float64)
    expected = ", ".join(map(str, ("n", *row)))
    if array.ndim != len(row) + 1 or array.shape[1:] != row:
        raise ValueError(f"{name} has shape {array.shape}; expected ({expected})")
    if faces is not None and len(array) != faces:
        raise ValueError(f"{name} has {len(array)} rows; expected {faces}, one per face")
    if np.isinf(array).any():
        raise ValueError(f"{name} holds infinite numbers; a missing value is NaN")
    return array


def angle_differences_deg(
    R_pred: npt.ArrayLike,
    gt_angles_deg: npt.ArrayLike,
    euler: EulerReading = "nearest",
    wrap: WrapRule = "360",
) -> Array:
    """Predicted minus ground-truth yaw, pitch, roll.

    Parameters
    ----------
    R_pred : array_like, shape (n, 3, 3)
        Predicted rotations; NaN where a face has no prediction.
    gt_angles_deg : array_like, shape (n, 3)
        Yaw, pitch, roll of the labels; NaN where an axis is not labelled.
    euler : {'nearest', 'canonical', 'rq'}
        How angles are read from a rotation, see :class:`hpbench.protocol.Protocol`.
    wrap : {'360', 'none'}
        Whether differences are wrapped to -180..180.

    Returns
    -------
    ndarray, shape (n, 3)
        Signed differences in degrees; NaN without prediction or label.

    Examples
    --------
    >>> from hpbench.rotation import rotation_from_angles
    >>> angle_differences_deg(rotation_from_angles([[10, 0, 5]]), [[7, np.nan, 5]]).round(6)
    array([[ 3., nan,  0.]])
    """
    R = _checked("R_pred", R_pred, 3, 3)
    ground_truth = _checked("gt_angles_deg", gt_angles_deg, 3, faces=len(R))
    difference = read_angles(R, ground_truth, euler) - ground_truth
    return wrap_deg(difference) if wrap == "360" else difference


def read_angles(R_pred: Array, gt_angles_deg: Array, euler: EulerReading) -> Array:
    """Yaw, pitch, roll of predicted rotations as a protocol reads them, shape (n, 3), degrees.

    Of a rotation that looks beyond 90 degrees of yaw, the canonical reading seems upside down.

    Parameters
    ----------
    R_pred : ndarray, shape (n, 3, 3)
        ``R_cam``; NaN without a prediction.
    gt_angles_deg : ndarray, shape (n, 3)
        Labelled angles, which the reading ``nearest`` is near to.
    euler : {'nearest', 'canonical', 'rq'}
    """
    if euler == "nearest":
        return nearest_angles(R_pred, gt_angles_deg)
    if euler == "canonical":
        return angles_from_rotation(R_pred)
    predicted = np.isfinite(R_pred).all(axis=(-1, -2))
    angles = np.full((len(R_pred), 3), np.nan)
    angles[predicted] = rq_angles_from_rotation(R_pred[predicted])
    return angles


def face_mae_deg(differences_deg: npt.ArrayLike) -> Array:
    """Mean absolute error of each face over its labelled axes.

    Parameters
    ----------
    differences_deg : array_like, shape (n, 3)

    Returns
    -------
    ndarray, shape (n,)
        NaN for a face without prediction, or without any labelled axis.
    """
    absolute = np.abs(_checked("differences_deg", differences_deg, 3))
    present = np.isfinite(absolute)
    count = present.sum(axis=-1)
    total = np.where(present, absolute, 0.0).sum(axis=-1)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def mae_deg(differences_deg: npt.ArrayLike) -> Array:
    """Mean absolute error of yaw, pitch, roll and of their mean.

    Sums run over faces, never over batches. The fourth number is the mean over the faces of
    :func:`face_mae_deg`, so it is the mean of the first three wherever every face has the
    same labelled axes.

    Parameters
    ----------
    differences_deg : array_like, shape (n, 3)

    Returns
    -------
    ndarray, shape (4,)
        Degrees; NaN where no face has the axis.

    Examples
    --------
    >>> mae_deg([[3.0, -1.0, 2.0], [1.0, 1.0, -4.0], [np.nan, np.nan, np.nan]])
    array([2., 1., 3., 2.])
    """
    differences = _checked("differences_deg", differences_deg, 3)
    columns = [*np.abs(differences).T, face_mae_deg(differences)]
    return np.array([mean_of_finite(column) for column in columns])


def mean_of_finite(values: Array) -> float:
    """Mean of the numbers among some values; NaN where there is none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")


def ced(errors_deg: npt.ArrayLike, thresholds_deg: npt.ArrayLike) -> Array:
    """Cumulative error distribution: share of faces with an error of at most each threshold.

    Parameters
    ----------
    errors_deg : array_like, shape (n,)
        One error per face; NaN (no prediction) lies beyond every threshold.
    thresholds_deg : array_like, shape (k,)

    Returns
    -------
    ndarray, shape (k,)
        Shares 0..1; NaN when there is no face at all.
    """
    errors = _checked("errors_deg", errors_deg)
    thresholds = _checked("thresholds_deg", thresholds_deg)
    if errors.size == 0:
        return np.full(thresholds.shape, np.nan)
    ordered = np.sort(errors[np.isfinite(errors)])
    return np.searchsorted(ordered, thresholds, side="right") / errors.size


def auc_gains(errors_deg: npt.ArrayLike, limit_deg: float) -> Array:
    """Part of each face in the area under the CED up to a limit, divided by the limit.

    The area is exact, not summed over steps: a face with error e is counted from e to the
    limit, so the normalised area is the mean of ``max(0, 1 - e / limit)``; 1 is perfect.

    Parameters
    ----------
    errors_deg : array_like, shape (n,)
        NaN (no prediction) counts as an error beyond the limit.
    limit_deg : float

    Returns
    -------
    ndarray, shape (n,)
        From 0 to 1.
    """
    errors = _checked("errors_deg", errors_deg)
    return np.nan_to_num(np.clip(1.0 - errors / limit_deg, 0.0, None))


def failures(geodesic_error_deg: npt.ArrayLike) -> Array:
    """1 for a prediction more than 90 degrees off, else 0; NaN without one, shape (n,)."""
    errors = _checked("geodesic_error_deg", geodesic_error_deg)
    return np.where(np.isfinite(errors), errors > FAILURE_DEG, np.nan)


@dataclass(frozen=True, slots=True)
class YawBin:
    """Errors of the faces whose absolute ground-truth yaw lies in one bin.

    Attributes
    ----------
    from_deg, to_deg : float
    faces : int
        Labelled faces in the bin, predicted or not.
    images : int
        Faces in the bin that were scored.
    mae_deg : float
        Mean over these of :func:`face_mae_deg`; NaN if there is none.
    """

    from_deg: float
    to_deg: float
    faces: int
    images: int
    mae_deg: float


def yaw_bin_masks(gt_yaw_deg: npt.ArrayLike) -> list[tuple[float, float, Mask]]:
    """Split faces by absolute ground-truth yaw: 0-30, 30-60, 60-90 degrees.

    A bin holds its lower edge. The last one also takes labels up to 99 degrees, the limit of
    the AFLW2000 protocol; a fourth, 99-180, appears only where such labels exist.

    Parameters
    ----------
    gt_yaw_deg : array_like, shape (n,)
        A face without a yaw label (NaN) is in no bin.

    Returns
    -------
    list of tuple
        First and last yaw in degrees, and a mask of shape (n,), for each bin.
    """
    yaw = np.abs(_checked("gt_yaw_deg", gt_yaw_deg))
    *inner, (start, end) = YAW_BINS
    masks = [(low, high, (yaw >= low) & (yaw < high)) for low, high in inner]
    masks.append((start, end, (yaw >= start) & (yaw <= _LAST_BIN_END)))
    beyond = yaw > _LAST_BIN_END
    if beyond.any():
        masks.append((_LAST_BIN_END, 180.0, beyond))
    return masks


def yaw_bins(face_errors_deg: npt.ArrayLike, gt_yaw_deg: npt.ArrayLike) -> list[YawBin]:
    """Errors by absolute ground-truth yaw, in the bins of :func:`yaw_bin_masks`.

    Parameters
    ----------
    face_errors_deg : array_like, shape (n,)
        :func:`face_mae_deg`; NaN without prediction.
    gt_yaw_deg : array_like, shape (n,)

    Returns
    -------
    list of YawBin
    """
    errors = _checked("face_errors_deg", face_errors_deg)
    gt_yaw_deg = _checked("gt_yaw_deg", gt_yaw_deg, faces=len(errors))
    return [
        YawBin(
            from_deg=start,
            to_deg=end,
            faces=int(np.count_nonzero(mask)),
            images=int(np.count_nonzero(mask & np.isfinite(errors))),
            mae_deg=mean_of_finite(errors[mask]),
        )
        for start, end, mask in yaw_bin_masks(gt_yaw_deg)
    ]


def balanced_mae_deg(bins: list[YawBin]) -> float:
    """Mean of the bins' errors, so that profile faces weigh as much as frontal ones.

    NaN where a bin has labelled faces and not one prediction: leaving out the hard bin must not
    lower the value.
    """
    filled = [one for one in bins if one.faces]
    if not filled:
        return float("nan")
    return float(np.mean([one.mae_deg for one in filled]))


def fill_missing_with_frontal(R_pred: npt.ArrayLike) -> Array:
    """Rotations with a frontal head (identity) where a face has no prediction.

    Parameters
    ----------
    R_pred : array_like, shape (n, 3, 3)

    Returns
    -------
    ndarray, shape (n, 3, 3)
    """
    R = _checked("R_pred", R_pred, 3, 3).copy()
    R[~np.isfinite(R).all(axis=(-1, -2))] = np.eye(3)
    return R


def align_camera_side(
    R_pred: npt.ArrayLike, R_gt: npt.ArrayLike, groups: npt.ArrayLike | None = None
) -> Array:
    """Remove the best-fitting constant rotation of the camera.

    ``D`` is the chordal mean of ``R_pred @ R_gt.T`` over the faces with an error below 90
    degrees, and predictions become ``D.T @ R_pred`` (pcr-upm/opal23_headpose, issues #1-#3).

    Parameters
    ----------
    R_pred, R_gt : array_like, shape (n, 3, 3)
        NaN without prediction, or with an incomplete label.
    groups : array_like, shape (n,), optional
        One rotation per group (BIWI: per sequence). The default is one for all.

    Returns
    -------
    ndarray, shape (n, 3, 3)
        As they are in a group without a face below 90 degrees, so that it stays in the mean.
    """
    pred = _checked("R_pred", R_pred, 3, 3)
    true = _checked("R_gt", R_gt, 3, 3, faces=len(pred))
    if groups is None:
        return _offset(pred @ np.swapaxes(true, -1, -2)).T @ pred
    aligned = np.empty_like(pred)
    names = np.asarray(groups, dtype=str)
    if names.shape != (len(pred),):
        raise ValueError(f"groups has shape {names.shape}; expected ({len(pred)},)")
    _, label = np.unique(names, return_inverse=True)
    order = np.argsort(label, kind="stable")
    for faces in np.split(order, np.cumsum(np.bincount(label))[:-1]):
        aligned[faces] = align_camera_side(pred[faces], true[faces])
    return aligned


def align_head_side(R_pred: npt.ArrayLike, R_gt: npt.ArrayLike) -> Array:
    """Remove the best-fitting constant rotation between two neutral heads.

    ``D`` is the chordal mean of ``R_gt.T @ R_pred`` over the faces with an error below 90
    degrees, and predictions become ``R_pred @ D.T``. It undoes another definition of "frontal",
    such as the forehead of another 3D face model.

    Parameters
    ----------
    R_pred, R_gt : array_like, shape (n, 3, 3)
        NaN without prediction, or with an incomplete label.

    Returns
    -------
    ndarray, shape (n, 3, 3)
        As they are where no face is below 90 degrees.
    """
    pred = _checked("R_pred", R_pred, 3, 3)
    true = _checked("R_gt", R_gt, 3, 3, faces=len(pred))
    return pred @ _offset(np.swapaxes(true, -1, -2) @ pred).T


def _offset(turns: Array) -> Array:
    """Chordal mean, shape (3, 3), of the turns below 90 degrees; no turn where there is none."""
    usable = np.trace(turns, axis1=-2, axis2=-1) > 1.0  # trace = 1 + 2 cos(angle)
    if not usable.any():
        return np.eye(3)
    return mean_rotation(turns[usable])
