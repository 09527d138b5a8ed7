"""Text files of the BIWI archive: calibrations, poses, and the user's frame lists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpbench.errors import DataError, io_failure
from hpbench.face import Camera
from hpbench.paths import user_path
from hpbench.rotation import is_rotation, nearest_rotation

__all__ = ["ColourCamera", "read_calibration", "read_frame_list", "read_pose"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ColourCamera:
    """Content of ``rgb.cal``: the colour camera and where the depth camera stands to it.

    Attributes
    ----------
    camera : Camera
    R_rgb_depth : ndarray, shape (3, 3)
    t_rgb_depth_mm : ndarray, shape (3,)
        ``X_rgb = R_rgb_depth @ X_depth + t_rgb_depth_mm``. The archive does not say which
        way it goes; only this way does the labelled head centre fall on the face.
    """

    camera: Camera
    R_rgb_depth: Array
    t_rgb_depth_mm: Array

    def from_depth(self, point_depth_mm: Array) -> Array:
        """A point of the depth camera's frame, shape (3,), in the colour camera's frame."""
        return self.R_rgb_depth @ point_depth_mm + self.t_rgb_depth_mm

    def box_around(self, centre_rgb_mm: Array, side_mm: float) -> Array:
        """Image box x0, y0, x1, y1 of a square that faces the camera.

        Lens distortion is left out: BIWI's calibrations give zero for all its coefficients.

        Raises
        ------
        DataError
            If the centre is not in front of the camera.
        """
        x, y, z = centre_rgb_mm
        if z <= 0:
            raise DataError("the labelled head centre lies behind the camera")
        K = self.camera.matrix
        centre = np.array([K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]])
        half = np.array([K[0, 0], K[1, 1]]) * side_mm / (2.0 * z)
        return np.concatenate([centre - half, centre + half])


def _numbers(path: Path, least: int) -> Array:
    if not path.is_file():  # reading a pipe may never end
        raise DataError(f"{path.name}: no such file")
    try:
        values = np.array(path.read_text(encoding="ascii").split(), dtype=np.float64)
    except OSError as error:
        raise DataError(f"{path.name}: {io_failure(error)}") from None
    except ValueError as error:
        raise DataError(f"{path.name}: does not hold numbers only ({error})") from None
    if len(values) < least:
        raise DataError(f"{path.name}: holds {len(values)} numbers instead of {least}")
    return values


def read_calibration(path: Path) -> ColourCamera:
    """Read ``rgb.cal``: matrix, four distortion coefficients, rotation, translation, size.

    Raises
    ------
    DataError
        With the file's name but not its folder: it is missing or corrupted.
    """
    values = _numbers(path, least=25)
    if not np.isfinite(values).all():
        raise DataError(f"{path.name}: holds something that is not a number")
    matrix, distortion = values[:9].reshape(3, 3), values[9:13]
    rotation, translation_mm = values[13:22].reshape(3, 3), values[22:25]
    if not is_rotation(rotation, tolerance=1e-3) or matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise DataError(f"{path.name}: is not matrix, distortion, rotation, translation")
    camera = Camera(matrix, np.append(distortion, 0.0))
    return ColourCamera(camera, nearest_rotation(rotation), translation_mm)


def read_pose(path: Path) -> tuple[Array, Array]:
    """Read ``frame_00003_pose.txt``.

    Returns
    -------
    R_cam : ndarray, shape (3, 3)
        In the depth camera's frame. The file has six digits; this is the nearest rotation.
    centre_mm : ndarray, shape (3,)
        Head centre in the depth camera's frame.

    Raises
    ------
    DataError
        With the file's name but not its folder: it is missing or corrupted.
    """
    values = _numbers(path, least=12)
    if not np.isfinite(values).all():
        raise DataError(f"{path.name}: label is not a number")
    matrix, centre_mm = values[:9].reshape(3, 3), values[9:12]
    if not is_rotation(matrix, tolerance=1e-3):
        raise DataError(f"{path.name}: its matrix is not a rotation")
    return nearest_rotation(matrix), centre_mm


def read_frame_list(path: Path) -> dict[str, int]:
    """Frame ids with their line numbers, from a file with one ``01/frame_00003`` per line.

    Empty lines and lines that start with ``#`` are skipped.

    Raises
    ------
    DataError
        If the file is missing, is no text, holds no frame, or one frame twice.
    """
    path = user_path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; name a frame list with frames=FILE") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a frame list ({error})") from None
    frames: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        frame = line.strip()
        if not frame or frame.startswith("#"):
            continue
        if frame in frames:
            raise DataError(
                f"{path}:{number}: '{frame}' is already in line {frames[frame]}; remove one"
            )
        frames[frame] = number
    if not frames:
        raise DataError(f"{path}: the frame list is empty; write one 01/frame_00003 per line")
    return frames
