"""dlib's shape predictor: finding its file, loading it, running it on a box."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from hpbench.errors import MissingDependencyError, WeightsError
from hpbench.face import Face
from hpbench.landmarks.base import LANDMARK_COUNT, Array, LandmarkDetector
from hpbench.method import MethodCard
from hpbench.plugin import Options
from hpbench.weights.store import sha256_of

__all__ = ["DlibLandmarks", "DlibLandmarksOptions", "installed_predictor", "load_predictor"]

_PACKAGE = "face_recognition_models"
_FILE = "shape_predictor_68_face_landmarks.dat"


class DlibLandmarksOptions(Options):
    """Options of the landmark detector `dlib`."""

    predictor: Path | None = Field(
        None, description="File of another dlib predictor of the 68 iBUG points"
    )


class DlibLandmarks(LandmarkDetector):
    """dlib's regression trees (Kazemi and Sullivan, CVPR 2014), started from the box."""

    name = "dlib"
    summary = "dlib's shape predictor, from the box as it is"
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
        """SHA-256 of the predictor."""
        return f"dlib {sha256_of(self._path())}"

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
            crop_rule="no crop: the box goes to the predictor as it is, in whole pixels",
            notes=("300W-LP is made of the images of 300-W that the predictor was trained on.",),
        )

    def find(self, face: Face) -> Array:
        """Landmarks from the box in whole pixels, since dlib knows no others."""
        import dlib

        # from a cache of this process, so that an instance pickles at any time
        predictor = load_predictor(self._path())
        left, top, right, bottom = (int(value) for value in np.rint(face.box_xyxy))
        image = np.ascontiguousarray(face.image)
        shape = predictor(image, dlib.rectangle(left, top, right, bottom))
        return np.array([(part.x, part.y) for part in shape.parts()], dtype=np.float64)

    def _path(self) -> Path:
        named = self.options.predictor
        return installed_predictor() if named is None else named.expanduser()


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
    if points != LANDMARK_COUNT:
        raise WeightsError(
            f"{path}: predicts {points} points; a predictor of {LANDMARK_COUNT} iBUG points "
            "is needed"
        )
    return predictor
