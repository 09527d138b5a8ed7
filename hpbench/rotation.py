"""Canonical head rotations, their Euler angles, and distances between them.

One rotation matrix per face, ``R_cam``, in the OpenCV camera frame: x to the right of the
image, y down, z away from the camera. A head that looks into the camera is the identity,
and ``X_cam = R_cam @ X_head + t``. Degrees exist only at the edges::

    R_cam = Rx(-pitch) @ Ry(yaw) @ Rz(roll)

Signs as seen in the image: +yaw turns the nose to the left, +pitch looks up, +roll turns
the head clockwise. This is how the labels of AFLW2000 and 300W-LP (``Pose_Para``) and those
of BIWI as Hopenet reads them are meant (natanielruiz/deep-head-pose, ``code/datasets.py``).

Triples of angles are always in the order yaw, pitch, roll.
"""

from __future__ import annotations

from typing import Literal, cast

import numpy as np
import numpy.typing as npt

__all__ = [
    "ANGLES",
    "EulerName",
    "EulerOrder",
    "Frame",
    "angles_from_rotation",
    "equivalent_angles",
    "euler_from_rotation",
    "euler_order",
    "geodesic_deg",
    "is_rotation",
    "maev_deg",
    "mean_rotation",
    "mirror_angles",
    "mirror_rotation",
    "nearest_angles",
    "nearest_rotation",
    "rotate_in_plane",
    "rotation_from_6d",
    "rotation_from_angles",
    "rotation_from_euler",
    "rotation_from_quaternion",
    "rotation_from_rotvec",
    "rotation_from_rows",
    "rotation_in_camera_frame",
    "rotvec_from_rotation",
    "rq_angles_from_rotation",
    "wrap_deg",
]

Array = npt.NDArray[np.float64]

ANGLES = ("yaw", "pitch", "roll")
"""Order of the three angles in every triple of this project."""

EulerOrder = Literal["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"]
"""Order of the turns X = Rx(-pitch), Y = Ry(yaw) and Z = Rz(roll) in a product, leftmost first.

``XYZ`` is the order of this project, ``ZYX`` that of ``cv2.RQDecomp3x3``.
"""

EulerName = Literal["canonical", "rq"] | EulerOrder
"""What options call an order; see :func:`euler_order`."""

Frame = Literal["camera", "6drepnet", "y-up", "opal"]
"""What a foreign rotation matrix R means; ``S = diag(1, -1, -1)``, ``T = diag(-1, 1, -1)``.

- ``camera``: the OpenCV camera frame of this module, ``R_cam = R``.
- ``6drepnet``: ``R = Rz(roll) Ry(yaw) Rx(pitch)``, ``R_cam = S R^T S`` (6DRepNet).
- ``y-up``: x right, y up, z to the viewer, ``R_cam = S R S`` (3DDFA, face3d, MediaPipe).
- ``opal``: ``R_cam = S T R T S`` (opal23, SRHP).
"""

_ROUNDED_COSINE = 1e-9
"""Below it, entries of a rotation that are multiplied by the cosine are rounding errors."""

_MIRROR = np.diag([-1.0, 1.0, 1.0])
_S = np.diag([1.0, -1.0, -1.0])
_ST = _S @ np.diag([-1.0, 1.0, -1.0])


def rotation_from_angles(angles_deg: npt.ArrayLike) -> Array:
    """Rotation matrices of yaw, pitch, roll triples.

    Parameters
    ----------
    angles_deg : array_like, shape (..., 3)
        Yaw, pitch, roll in degrees. They may lie outside -90..90 (labels at profile do).

    Returns
    -------
    ndarray, shape (..., 3, 3)
        ``R_cam = Rx(-pitch) @ Ry(yaw) @ Rz(roll)``.

    Raises
    ------
    ValueError
        If the last axis does not hold three angles.

    Examples
    --------
    >>> rotation_from_angles([0.0, 0.0, 0.0]).round(3)
    array([[ 1.,  0.,  0.],
           [ 0.,  1.,  0.],
           [ 0.,  0.,  1.]])
    """
    return rotation_from_euler(angles_deg, "XYZ")


def euler_order(name: str) -> EulerOrder:
    """The order of the turns that a name stands for: canonical is XYZ, rq is ZYX, yxz is YXZ."""
    return cast("EulerOrder", {"canonical": "XYZ", "rq": "ZYX"}.get(name, name.upper()))


def rotation_from_euler(angles_deg: npt.ArrayLike, order: EulerOrder) -> Array:
    """Rotations, shape (..., 3, 3), of yaw, pitch, roll triples, shape (..., 3), of any order.

    Raises
    ------
    ValueError
        If the last axis does not hold three angles.

    Examples
    --------
    >>> angles_from_rotation(rotation_from_euler([30.0, 20.0, 10.0], "ZYX")).round(1)
    array([23.8, 27.2, 21.2])
    """
    angles = np.asarray(angles_deg, dtype=np.float64)
    if angles.shape[-1:] != (3,):
        raise ValueError(f"angles have shape {angles.shape}; expected (..., 3): yaw, pitch, roll")
    first, middle, last = (_turn("XYZ".index(axis), angles) for axis in order)
    known = np.asarray(np.isfinite(angles).all(axis=-1))[..., None, None]
    return np.where(known, first @ middle @ last, np.nan)


def _turn(axis: int, angles_deg: Array) -> Array:
    """Rotations about one axis of the camera by the angle that turns about it."""
    angle = np.radians((-angles_deg[..., 1], angles_deg[..., 0], angles_deg[..., 2])[axis])
    first, second = (axis + 1) % 3, (axis + 2) % 3
    R = np.zeros((*angle.shape, 3, 3))
    R[..., axis, axis] = 1.0
    with np.errstate(invalid="ignore"):  # infinite angles
        R[..., first, first] = R[..., second, second] = np.cos(angle)
        R[..., second, first] = np.sin(angle)
    R[..., first, second] = -R[..., second, first]
    return R


def angles_from_rotation(R_cam: npt.ArrayLike) -> Array:
    """Read yaw, pitch, roll from rotations, with yaw in -90..90.

    Parameters
    ----------
    R_cam : array_like, shape (..., 3, 3)

    Returns
    -------
    ndarray, shape (..., 3)
        Yaw, pitch, roll in degrees. At exactly +-90 degrees of yaw pitch and roll are not
        separable; pitch is 0 then, and roll takes it all.

    Notes
    -----
    ``yaw = atan2(R02, hypot(R12, R22))``, ``pitch = atan2(R12, R22)``,
    ``roll = atan2(-R01, R00)``; no arcsine, so that rotations with rounding errors are safe.
    Where the cosine of yaw is itself a rounding error, ``roll = atan2(R10, R11)``.

    Examples
    --------
    >>> angles_from_rotation(rotation_from_angles([30.0, -10.0, 5.0])).round(6)
    array([ 30., -10.,   5.])
    """
    return euler_from_rotation(R_cam, "XYZ")


def euler_from_rotation(R_cam: npt.ArrayLike, order: EulerOrder) -> Array:
    """Yaw, pitch, roll triples, shape (..., 3), of rotations put together in any order.

    The turn in the middle is read in -90..90. Where it is +-90 the two others turn about one axis:
    pitch is 0 then (the first of them, where pitch is in the middle), and the other takes it all.

    Examples
    --------
    >>> euler_from_rotation(rotation_from_euler([30.0, 20.0, 10.0], "YXZ"), "YXZ").round(6)
    array([30., 20., 10.])
    """
    R = np.asarray(R_cam, dtype=np.float64)
    a, b, c = ("XYZ".index(axis) for axis in order)
    sign = 1.0 if (b - a) % 3 == 1 else -1.0
    cosine = np.hypot(R[..., b, c], R[..., c, c])
    middle = np.arctan2(sign * R[..., a, c], cosine)
    first = np.arctan2(-sign * R[..., b, c], R[..., c, c])
    last = np.arctan2(-sign * R[..., a, b], R[..., a, a])
    locked = cosine < _ROUNDED_COSINE
    if order[2] == "X":
        first = np.where(locked, np.arctan2(sign * R[..., c, b], R[..., b, b]), first)
        last = np.where(locked, 0.0, last)
    else:
        last = np.where(locked, np.arctan2(sign * R[..., b, a], R[..., b, b]), last)
        first = np.where(locked, 0.0, first)
    about = dict(zip(order, (first, middle, last), strict=True))
    return np.degrees(np.stack([about["Y"], -about["X"], about["Z"]], axis=-1))


def rq_angles_from_rotation(R_cam: npt.ArrayLike) -> Array:
    """Read the *other* triple that many scripts report: the RQ or ``'xyz'`` order.

    ``cv2.RQDecomp3x3``, ``cv2.decomposeProjectionMatrix`` and BIWI's ``.bin`` labels read
    ``R_cam = Rz Ry Rx``. The triple differs from :func:`angles_from_rotation` for the very
    same rotation, by 6 degrees on average over the AFLW2000 labels, so two tables that mix
    the orders cannot be compared.

    Parameters
    ----------
    R_cam : array_like, shape (..., 3, 3)

    Returns
    -------
    ndarray, shape (..., 3)
        Yaw, pitch, roll in degrees with the signs of this project.
    """
    return euler_from_rotation(R_cam, "ZYX")


def rotation_from_quaternion(wxyz: npt.ArrayLike) -> Array:
    """Rotations, shape (..., 3, 3), of quaternions, shape (..., 4), of any length.

    NaN for one of length zero.

    Examples
    --------
    >>> rotation_from_quaternion([1.0, 0.0, 0.0, 0.0]).round(3)
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])
    """
    quaternion = np.asarray(wxyz, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        quaternion = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    w, x, y, z = np.moveaxis(quaternion, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def rotation_in_camera_frame(R: npt.ArrayLike, frame: Frame) -> Array:
    """Rotations ``R_cam`` of rotations that another code base defines, shape (..., 3, 3)."""
    matrix = np.asarray(R, dtype=np.float64)
    if frame == "6drepnet":
        return _S @ np.swapaxes(matrix, -1, -2) @ _S
    if frame == "y-up":
        return _S @ matrix @ _S
    if frame == "opal":
        return _ST @ matrix @ _ST.T
    return matrix


def rotation_from_rows(rows: npt.ArrayLike) -> Array:
    """Rotations, shape (n, 3, 3), nearest to two rows each, normalised, and their cross product.

    `rows` has shape (n, 2, 3). As in 3DDFA_V2 (Guo et al., "Towards Fast, Accurate and Stable 3D
    Dense Face Alignment", ECCV 2020, ``utils/pose.py``). NaN where a row has no length.
    """
    two = np.asarray(rows, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        two = two / np.linalg.norm(two, axis=2, keepdims=True)
    third = np.cross(two[:, 0], two[:, 1])
    three = np.concatenate([two, third[:, None]], axis=1)
    return nearest_rotation(three)


def rotation_from_rotvec(rotvec_rad: npt.ArrayLike) -> Array:
    """Rotation matrices, shape (..., 3, 3), of rotation vectors, shape (..., 3), in radians."""
    x, y, z = np.moveaxis(np.asarray(rotvec_rad, dtype=np.float64), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    with np.errstate(over="ignore", invalid="ignore"):  # NaN of what is no angle
        angle = np.sqrt(x**2 + y**2 + z**2)[..., None, None]
        # sin(a) / a and (1 - cos(a)) / a^2, also of small angles (Rodrigues)
        sine, versine = np.sinc(angle / np.pi), 0.5 * np.sinc(angle / (2.0 * np.pi)) ** 2
        return np.asarray(np.eye(3) + sine * cross + versine * (cross @ cross))


def rotvec_from_rotation(R_cam: npt.ArrayLike) -> Array:
    """Rotation vectors, shape (..., 3), of rotations: their axis times their angle in radians."""
    R = np.asarray(R_cam, dtype=np.float64)
    xx, yy, zz = R[..., 0, 0], R[..., 1, 1], R[..., 2, 2]
    skew, even = R - np.swapaxes(R, -1, -2), R + np.swapaxes(R, -1, -2)
    x, y, z = skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]
    xy, xz, yz = even[..., 0, 1], even[..., 0, 2], even[..., 1, 2]
    # each row is the quaternion x, y, z, w, times four times one of these: the largest is exact
    rows = np.stack(
        [
            1 + xx - yy - zz, xy, xz, x, xy, 1 - xx + yy - zz, yz, y,
            xz, yz, 1 - xx - yy + zz, z, x, y, z, 1 + xx + yy + zz,
        ],
        axis=-1,
    ).reshape(*xx.shape, 4, 4)  # fmt: skip
    largest = np.argmax(np.diagonal(rows, axis1=-2, axis2=-1), axis=-1)[..., None, None]
    quaternion = np.take_along_axis(rows, largest, axis=-2)[..., 0, :]
    quaternion = np.where(quaternion[..., 3:] < 0.0, -quaternion, quaternion)
    length = np.linalg.norm(quaternion[..., :3], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(length, quaternion[..., 3:])
    # sine of half the angle over half the angle, also of small ones
    scale = np.linalg.norm(quaternion, axis=-1, keepdims=True) * np.sinc(angle / (2.0 * np.pi))
    return 2.0 * quaternion[..., :3] / scale


def rotation_from_6d(columns: npt.ArrayLike) -> Array:
    """Rotation matrices, shape (..., 3, 3), of their first two columns, shape (..., 6).

    The columns are made orthonormal by Gram and Schmidt (Zhou et al., CVPR 2019); the result is
    not finite where they are parallel or zero.
    """
    values = np.asarray(columns, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        x = values[..., :3] / np.linalg.norm(values[..., :3], axis=-1, keepdims=True)
        z = np.cross(x, values[..., 3:])
        z = z / np.linalg.norm(z, axis=-1, keepdims=True)
    return np.stack([x, np.cross(z, x), z], axis=-1)


def equivalent_angles(angles_deg: npt.ArrayLike) -> Array:
    """The second triple, shape (..., 3), of the same rotation, wrapped to -180..180.

    Every rotation has two: (yaw, pitch, roll) and (180 - yaw, pitch + 180, roll + 180).
    """
    angles = np.asarray(angles_deg, dtype=np.float64)
    yaw, pitch, roll = angles[..., 0], angles[..., 1], angles[..., 2]
    return wrap_deg(np.stack([180.0 - yaw, pitch + 180.0, roll + 180.0], axis=-1))


def nearest_angles(R_cam: npt.ArrayLike, reference_deg: npt.ArrayLike) -> Array:
    """Read rotations as that one of their two triples that lies nearer to a reference.

    A label of yaw 95 degrees and a perfect prediction are the same rotation, yet a reading
    with yaw in -90..90 would call it 85 with pitch and roll off by 180. Both triples
    describe the rotation exactly, so the nearer one is the error that was made. At exactly +-90
    degrees of yaw there are more than two: the one with the reference's pitch is as near as any.

    Parameters
    ----------
    R_cam : array_like, shape (..., 3, 3)
    reference_deg : array_like, shape (..., 3)
        Yaw, pitch, roll of the label. An angle that the label lacks is NaN and taken as 0: heads
        are rarely upside down, and by yaw alone both triples would be equally good.

    Returns
    -------
    ndarray, shape (..., 3)
    """
    first = angles_from_rotation(R_cam)
    reference = np.nan_to_num(np.asarray(reference_deg, dtype=np.float64))
    entries = np.asarray(R_cam, dtype=np.float64)[..., 1:, 2]
    locked = np.hypot(entries[..., 0], entries[..., 1]) < _ROUNDED_COSINE
    if locked.any():
        pitch = np.where(locked, reference[..., 1], 0.0)
        roll = wrap_deg(first[..., 2] + np.sign(first[..., 0]) * pitch)
        first[..., 1] += pitch
        first[..., 2] = np.where(locked, roll, first[..., 2])
    second = equivalent_angles(first)
    distance_first = np.abs(wrap_deg(first - reference)).sum(axis=-1)
    distance_second = np.abs(wrap_deg(second - reference)).sum(axis=-1)
    return np.where((distance_second < distance_first)[..., None], second, first)


def wrap_deg(angle_deg: npt.ArrayLike) -> Array:
    """Wrap angles to -180 (included) .. 180 degrees; NaN stays NaN."""
    return (np.asarray(angle_deg, dtype=np.float64) + 180.0) % 360.0 - 180.0


def mirror_rotation(R_cam: npt.ArrayLike) -> Array:
    """Rotation of the head in the mirrored image: (yaw, pitch, roll) -> (-yaw, pitch, -roll).

    That is ``F @ R_cam @ F`` with ``F = diag(-1, 1, 1)``, for any shape (..., 3, 3).
    """
    return _MIRROR @ np.asarray(R_cam, dtype=np.float64) @ _MIRROR


def mirror_angles(angles_deg: npt.ArrayLike) -> Array:
    """Yaw, pitch, roll of the head in the mirrored image, shape (..., 3); NaN stays NaN."""
    return np.asarray(angles_deg, dtype=np.float64) * (-1.0, 1.0, -1.0)


def rotate_in_plane(R_cam: npt.ArrayLike, angle_deg: npt.ArrayLike) -> Array:
    """Rotation ``Rz(angle) @ R_cam`` of the head in an image rotated about its principal point.

    `R_cam` has shape (..., 3, 3), `angle_deg` shape (...): clockwise, as seen.
    """
    angle = np.asarray(angle_deg, dtype=np.float64)
    zero = np.zeros_like(angle)
    roll = rotation_from_angles(np.stack([zero, zero, angle], axis=-1))
    return roll @ np.asarray(R_cam, dtype=np.float64)


def geodesic_deg(R_a: npt.ArrayLike, R_b: npt.ArrayLike) -> Array:
    """Angle of the rotation that takes one rotation to the other, in degrees (0..180).

    Parameters
    ----------
    R_a, R_b : array_like, shape (..., 3, 3)
        Of the same shape, or one of fewer leading dimensions for all of the other.

    Returns
    -------
    ndarray, shape (...)
        NaN where either is NaN.

    Raises
    ------
    ValueError
        For other shapes, and infinite numbers.

    Notes
    -----
    ``atan2(|vee(D - D.T)| / 2, (tr D - 1) / 2)`` with ``D = R_a.T @ R_b``: the usual arccosine
    of the trace loses half of its digits near 0 and 180 degrees.
    """
    a, b = _matching(R_a, R_b)
    D = np.swapaxes(a, -1, -2) @ b
    axis = np.stack(
        [D[..., 2, 1] - D[..., 1, 2], D[..., 0, 2] - D[..., 2, 0], D[..., 1, 0] - D[..., 0, 1]],
        axis=-1,
    )
    sine = np.linalg.norm(axis, axis=-1) / 2.0
    cosine = (np.trace(D, axis1=-2, axis2=-1) - 1.0) / 2.0
    return np.degrees(np.arctan2(sine, cosine))


def _matching(R_a: npt.ArrayLike, R_b: npt.ArrayLike) -> tuple[Array, Array]:
    """Rotations of the same shape, or one of fewer leading dimensions."""
    a, b = np.asarray(R_a, dtype=np.float64), np.asarray(R_b, dtype=np.float64)
    shorter, longer = sorted((a.shape, b.shape), key=len)
    if shorter[-2:] != (3, 3) or longer[len(longer) - len(shorter) :] != shorter:
        raise ValueError(
            f"rotations have shapes {a.shape} and {b.shape}; expected (..., 3, 3) twice, with the "
            "same leading dimensions or fewer"
        )
    if np.isinf(a).any() or np.isinf(b).any():
        raise ValueError("rotations hold infinite numbers; a missing one is NaN")
    return a, b


def maev_deg(R_a: npt.ArrayLike, R_b: npt.ArrayLike) -> Array:
    """Mean angle between matching columns of two rotations, in degrees.

    The columns are the head's own left, down and front axes in the camera frame
    (TriNet, Cao et al., WACV 2021, "MAEV").

    Parameters
    ----------
    R_a, R_b : array_like, shape (..., 3, 3)
        As for :func:`geodesic_deg`.

    Returns
    -------
    ndarray, shape (...)
        NaN where either is NaN.

    Raises
    ------
    ValueError
        For other shapes, and infinite numbers.
    """
    a, b = _matching(R_a, R_b)
    cosine = np.clip(np.sum(a * b, axis=-2), -1.0, 1.0)
    return np.degrees(np.arccos(cosine)).mean(axis=-1)


def is_rotation(R: npt.ArrayLike, tolerance: float = 1e-4) -> npt.NDArray[np.bool_]:
    """Whether matrices, shape (..., 3, 3), are orthonormal with determinant +1."""
    matrix = np.asarray(R, dtype=np.float64)
    # 1e308 overflows here, and keeps LAPACK busy for ever
    matrix = np.where((np.abs(matrix) <= 2.0).all(axis=(-1, -2), keepdims=True), matrix, 0.0)
    product = np.swapaxes(matrix, -1, -2) @ matrix
    orthonormal = np.abs(product - np.eye(3)).max(axis=(-1, -2)) <= tolerance
    return np.asarray(orthonormal & (np.linalg.det(matrix) > 0.0))


def nearest_rotation(M: npt.ArrayLike) -> Array:
    """Rotation nearest to a 3x3 matrix in the Frobenius norm (orthogonal Procrustes).

    Parameters
    ----------
    M : array_like, shape (..., 3, 3)
        For example a rotation stored with six digits, or a mean of rotations.

    Returns
    -------
    ndarray, shape (..., 3, 3)
    """
    matrix = np.asarray(M, dtype=np.float64)
    known = np.isfinite(matrix).all(axis=(-1, -2), keepdims=True)
    matrix = np.where(known, matrix, np.eye(3))  # LAPACK raises for NaN
    largest = np.abs(matrix).max(axis=(-1, -2), keepdims=True)
    # of 1e308 LAPACK finds no singular values and does not end; the rotation has no scale
    U, _, Vt = np.linalg.svd(np.where(largest > 1e6, matrix / np.maximum(largest, 1.0), matrix))
    U[..., :, 2] *= np.linalg.det(U @ Vt)[..., None]
    return np.where(known, U @ Vt, np.nan)


def mean_rotation(rotations: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Array:
    """Chordal mean of rotations: the rotation nearest to the mean of the matrices.

    Parameters
    ----------
    rotations : array_like, shape (n, 3, 3)
    weights : array_like, shape (n,), optional

    Returns
    -------
    ndarray, shape (3, 3)
        See Hartley et al., "Rotation Averaging", IJCV 2013.
    """
    shares = None if weights is None else np.asarray(weights, dtype=np.float64)
    return nearest_rotation(np.average(np.asarray(rotations, float), axis=0, weights=shares))
