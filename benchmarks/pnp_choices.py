"""What the defaults of `pnp` were chosen by: renders, Pointing'04 and 300W-LP, no test set.

    hpbench render RENDERS --count 600 --seed 31 --size 320 --per-identity 2
    export HPBENCH_FACEMESH_PYTHON=...  # a Python that has mediapipe
    python benchmarks/pnp_choices.py --renders RENDERS --pointing04 DIR --w300lp DIR
        --tddfa FILE --reference "lwhpe[weights=FILE]"

Errors are angles between rotations. Pointing'04 labels where people were asked to look, and no
roll, so there the reference is what another method says, of every fourth photo. Boxes of 300W-LP
are the extents of 3DDFA_V2's landmarks (FILE are its weights): ``pt2d`` of its turned versions
is that of the photo before.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dlib
import numpy as np
import numpy.typing as npt

from hpbench.dataset import Dataset
from hpbench.face import Face
from hpbench.geometry.boxes import box_from_points
from hpbench.geometry.face_fit import ShapeModel, distant_plane, fit_faces
from hpbench.landmarks.base import LandmarkDetector, make_landmark_detector
from hpbench.landmarks.dlib import (
    SEARCH_FACE_PX,
    SEARCH_PX,
    installed_predictor,
    load_predictor,
    search_square,
)
from hpbench.method import Method, NoPrediction
from hpbench.methods.pnp.landmark_check import outside_of_box
from hpbench.methods.pnp.models import ict_shape_model
from hpbench.registry import make_dataset, make_method
from hpbench.rotation import geodesic_deg

Array = npt.NDArray[np.float64]

SCORES = (-0.6, -0.4, -0.2, -0.1, 0.0, 0.1, 0.2)
FIT_ERRORS = (0.03, 0.035, 0.04, 0.045, 0.05, 0.06, 0.08, 0.12)
WRONG_DEG = 20.0
JAW = slice(0, 17)


@dataclass
class Faces:
    """Faces of one data set: rotations (n, 3, 3), and landmarks (n, 68, 2) by detector."""

    name: str
    boxes: Array
    R_label: Array
    scores: Array
    landmarks: dict[str, Array]

    def errors_deg(self, R_cam: Array, which: Array) -> Array:
        """Errors of predictions for some of the faces."""
        return geodesic_deg(R_cam, self.R_label[which])

    def within_box(self, landmarks: str) -> npt.NDArray[np.bool_]:
        """Whether the landmarks of each face lie in its box."""
        pairs = zip(self.landmarks[landmarks], self.boxes, strict=True)
        return np.array([not outside_of_box(points, box) for points, box in pairs])

    def cell(self, R_cam: Array, kept: npt.NDArray[np.bool_]) -> str:
        """Share of the faces that are kept, their mean error, and the share far off."""
        errors = self.errors_deg(R_cam[kept], kept)
        wrong = (errors > WRONG_DEG).mean()
        return f"{self.name} {kept.mean():.2f} {errors.mean():5.2f} {wrong:6.1%}"


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("renders", "pointing04", "w300lp", "tddfa"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--reference", required=True)
    given = parser.parse_args()
    tddfa = make_landmark_detector(f"tddfa[weights={given.tddfa}]")
    reference = make_method(given.reference)
    reference.load()
    sets = [
        read("synthetic", given.renders, tddfa, exact=True),
        read("pointing04[box=landmarks]", given.pointing04, tddfa, every=4, reference=reference),
        read("w300lp", given.w300lp, tddfa),
    ]
    score_table(sets)
    for landmarks in ("facemesh", "tddfa"):
        fit_error_table(sets, landmarks)
    for landmarks in ("dlib", "tddfa", "exact"):
        shape_table([faces for faces in sets if landmarks in faces.landmarks], landmarks)


def read(
    spec: str,
    folder: Path,
    tddfa: LandmarkDetector,
    every: int = 1,
    exact: bool = False,
    reference: Method | None = None,
) -> Faces:
    """Detect all landmarks of a data set."""
    dataset: Dataset = make_dataset(spec, folder)
    detector = dlib.get_frontal_face_detector()
    predictor = load_predictor(installed_predictor())
    facemesh = make_landmark_detector("facemesh")  # $HPBENCH_FACEMESH_PYTHON
    facemesh.load()
    rows = []
    for record in list(dataset.records())[::every]:
        if record.box_xyxy is None or record.label is None:
            continue
        face = Face(record.image_id, dataset.read_image(record), record.box_xyxy)
        found = tddfa.find(face)
        if dataset.name == "w300lp":
            face = replace(face, box_xyxy=box_from_points(found))
        R_cam = reference.predict([face])[0].R_cam if reference else record.label.R_cam
        score, points = dlib_landmarks(face, detector, predictor)
        mesh = facemesh.find(face)
        mesh = np.full((68, 2), np.nan) if isinstance(mesh, NoPrediction) else mesh
        rows.append((face.box_xyxy, R_cam, score, points, found, mesh, record.landmarks_xy))
    boxes, R_label, scores, by_dlib, by_tddfa, by_mesh, annotated = zip(*rows, strict=True)
    landmarks = {
        "dlib": np.stack(by_dlib), "tddfa": np.stack(by_tddfa), "facemesh": np.stack(by_mesh)
    }  # fmt: skip
    if exact:
        landmarks["exact"] = np.stack(annotated)
    return Faces(
        dataset.name,
        np.stack(boxes),
        np.stack(R_label),
        np.array(scores),
        landmarks,
    )


def dlib_landmarks(face: Face, detector: Any, predictor: Any) -> tuple[float, Array]:
    """Score of dlib's detector at the box, -9 below the lowest of SCORES, and its landmarks."""
    square, zoom, corner_xy = search_square(face)
    for box, score in zip(*detector.run(square, 0, SCORES[0])[:2], strict=True):
        sides = np.array([box.left(), box.top(), box.right(), box.bottom()], dtype=float)
        if np.abs((sides[:2] + sides[2:] - SEARCH_PX) / 2.0).max() < SEARCH_FACE_PX / 2.0:
            start = np.rint(sides / zoom + np.tile(corner_xy, 2)).astype(int)
            parts = predictor(np.ascontiguousarray(face.image), dlib.rectangle(*start)).parts()
            return score, np.array([(part.x, part.y) for part in parts], dtype=float)
    return -9.0, np.full((68, 2), np.nan)


def score_table(sets: list[Faces]) -> None:
    """What a least score of dlib's detector leaves, without and with the other checks."""
    print("least score | share predicted, mean error, share more than 20 deg off")
    for checked in (False, True):
        print("all three checks" if checked else "score alone")
        for least in SCORES:
            cells = []
            for faces in sets:
                xy = faces.landmarks["dlib"]
                kept = faces.scores >= least
                fits = fit_faces(distant_plane(xy), ict_shape_model(), by_visibility=True)
                if checked:
                    fitted = fits.error <= LandmarkDetector.largest_fit_error
                    kept = kept & faces.within_box("dlib") & fitted
                cells.append(faces.cell(fits.R_cam, kept))
            print(f"  {least:+.1f}  " + " | ".join(cells))


def fit_error_table(sets: list[Faces], landmarks: str) -> None:
    """What a limit of the reprojection error leaves of the landmarks within the box."""
    print(f"{landmarks}: largest error | share predicted, mean error, share more than 20 deg off")
    fitted = [
        (faces, fit_faces(distant_plane(faces.landmarks[landmarks]), ict_shape_model()))
        for faces in sets
    ]
    within = [faces.within_box(landmarks) for faces in sets]
    for limit in FIT_ERRORS:
        cells = [
            faces.cell(fit.R_cam, (fit.error <= limit) & inside)
            for (faces, fit), inside in zip(fitted, within, strict=True)
        ]
        print(f"  {limit:.3f}  " + " | ".join(cells))


def shape_table(sets: list[Faces], landmarks: str) -> None:
    """Mean errors of the fit's variants on one kind of landmarks."""
    print(f"{landmarks} landmarks: mean error, " + ", ".join(faces.name for faces in sets))
    for name, fit in variants():
        cells = []
        for faces in sets:
            xy = faces.landmarks[landmarks]
            kept = np.isfinite(xy).all(axis=(1, 2))
            if landmarks == "dlib":
                kept &= faces.scores >= 0.0
            cells.append(f"{faces.errors_deg(fit(xy[kept]), kept).mean():6.2f}")
        print(f"  {name:34s}" + "".join(cells))


def variants() -> Iterator[tuple[str, Callable[[Array], Array]]]:
    """Fits that differ from the default in one thing."""
    model = ict_shape_model()
    yield "visibility=off, else as by default", lambda xy: fit_faces(distant_plane(xy), model).R_cam
    yield (
        "hidden points count less",
        lambda xy: fit_faces(distant_plane(xy), model, by_visibility=True).R_cam,
    )
    rigid = replace(model, modes=np.empty((0, 68, 3)))
    yield "rigid", lambda xy: fit_faces(distant_plane(xy), rigid).R_cam
    yield (
        "rigid, hidden points count less",
        lambda xy: fit_faces(distant_plane(xy), rigid, by_visibility=True).R_cam,
    )
    for weight in (1.0, 0.3, 0.03):
        weighted = with_jaw(model, weight)
        yield (
            f"jaw points count {weight:g}",
            lambda xy, weighted=weighted: fit_faces(distant_plane(xy), weighted).R_cam,
        )
    for sizes in (2.0, 5.0, 20.0):
        yield (
            f"camera {sizes:g} face sizes away",
            lambda xy, sizes=sizes: fit_faces(distant_plane(xy) * 100.0 / sizes, model).R_cam,
        )
    for robust in ("none", "geman-mcclure"):
        yield (
            f"robust={robust}",
            lambda xy, robust=robust: fit_faces(distant_plane(xy), model, robust=robust).R_cam,
        )


def with_jaw(model: ShapeModel, weight: float) -> ShapeModel:
    """The model with another weight of its jaw points."""
    weights = model.weights.copy()
    weights[JAW] = weight
    return replace(model, weights=weights)


if __name__ == "__main__":
    main()
