"""dlib's shape predictor: finding its file, loading it, running it on a box."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.errors import MissingDependencyError, WeightsError

__all__ = ["LANDMARKS", "find_landmarks", "installed_predictor", "load_predictor"]

LANDMARKS = 68
"""Points of the iBUG annotation that every face model here is numbered by."""

_PACKAGE = "face_recognition_models"
_FILE = "shape_predictor_68_face_landmarks.dat"


def installed_predictor() -> Path:
    """Path of the 68-point predictor inside the installed ``face_recognition_models``.

    The package is found and not imported: importing it needs ``pkg_resources``, which new
    versions of setuptools no longer have.

    Raises
    ------
    MissingDependencyError
        If the package is not installed or comes without the file.
    """
    package = importlib.util.find_spec(_PACKAGE)
    folders = package.submodule_search_locations if package is not None else None
    for folder in folders or ():
        file = Path(folder) / "models" / _FILE
        if file.is_file():
            return file
    raise MissingDependencyError(
        f"{_FILE}: not found; pip install face-recognition-models, or pass pnp[predictor=FILE]"
    )


@cache
def load_predictor(path: Path) -> Any:
    """Load a dlib shape predictor once per process.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dlib.shape_predictor

    Raises
    ------
    MissingDependencyError
        If dlib is not installed.
    WeightsError
        If the file is missing, corrupted, or predicts another number of points than 68.
    """
    try:
        import dlib
    except ImportError as error:
        raise MissingDependencyError(
            f"method 'pnp': needs dlib ({error}); pip install dlib-bin"
        ) from error

    if not path.is_file():
        raise WeightsError(f"{path}: no such file; pass a dlib shape predictor, predictor=FILE")
    try:
        predictor = dlib.shape_predictor(str(path))
    except RuntimeError as error:
        raise WeightsError(f"{path}: not a dlib shape predictor, or corrupted ({error})") from error
    blank = np.zeros((8, 8, 3), dtype=np.uint8)
    points = predictor(blank, dlib.rectangle(0, 0, 7, 7)).num_parts
    if points != LANDMARKS:
        raise WeightsError(
            f"{path}: predicts {points} points; a predictor of {LANDMARKS} iBUG points is needed"
        )
    return predictor


def find_landmarks(
    predictor: Any, image: npt.NDArray[np.uint8], box_xyxy: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Landmarks of one face.

    Parameters
    ----------
    predictor : dlib.shape_predictor
    image : ndarray, shape (height, width, 3), uint8
        The whole image, RGB.
    box_xyxy : ndarray, shape (4,)
        Rounded to whole pixels, since dlib knows no others; no margin is added.

    Returns
    -------
    ndarray, shape (68, 2)
        Pixels of the whole image. Points may lie outside of it.
    """
    import dlib

    left, top, right, bottom = (int(value) for value in np.rint(box_xyxy))
    shape = predictor(np.ascontiguousarray(image), dlib.rectangle(left, top, right, bottom))
    return np.array([(part.x, part.y) for part in shape.parts()], dtype=np.float64)
