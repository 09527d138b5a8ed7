"""Measure the constant turn between MakeHuman's head axes and 300W-LP's labels.

    python tools/measure_head_frame.py --assets DIR --w300lp DIR [--renders DIR --fsanet DIR]

Three ways, none of which sees AFLW2000:

1. Landmark geometry. The 68 points of many MakeHuman heads, as a mean shape and as a shape
   that may adapt, are fitted to the annotated points of real 300W-LP images. Only original
   photographs count: in its turned variants (``_1`` and up) ``pt2d`` is not turned along.
2. Detected landmarks. dlib's points on those images and on near-frontal renders, with the
   same fit: what the detector and the fit get wrong, they get wrong on both.
3. Networks. FSA-Net looks at the same two sets; what it predicts differently about renders
   than about photographs is what is left of the turn.

2 and 3 use renders that the renderer has turned already and give what is left to turn.
A positive pitch means that the labels look further up than the mesh's own axes do.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.io import loadmat

from hpbench.rendering.assets import AssetLibrary
from hpbench.rendering.geometry import VIEWER_FROM_CAMERA
from hpbench.rendering.head import HEAD_FRAME_PITCH_DEG, LANDMARK_VERTICES
from hpbench.rendering.identity import draw_expression, morph
from hpbench.rendering.scene import identity_for
from hpbench.rotation import (
    angles_from_rotation,
    geodesic_deg,
    mean_rotation,
    rotation_from_angles,
)

Array = NDArray[np.float64]

INNER = slice(17, 68)  # jaw points slide along the silhouette when a head turns
MAX_ANGLE_DEG = 99.0


def main() -> None:
    """Print the turn in each way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--w300lp", type=Path, required=True)
    parser.add_argument("--renders", type=Path, help="folder that hpbench render wrote")
    parser.add_argument("--fsanet", type=Path, help="folder of fsanet-*.onnx")
    arguments = parser.parse_args()
    faces = read_w300lp(arguments.w300lp)
    print(f"{len(faces)} faces; pitch yaw roll of the turn, spread over faces (degrees)")
    shapes = draw_shapes(AssetLibrary(arguments.assets), 300)
    originals = [face for face in faces if face.image.stem.endswith("_0")]
    print(f"annotated points of {len(originals)} original photographs")
    for name, fit in fits(shapes).items():
        turns = np.stack([fit(face.points).T @ face.R_cam for face in originals])
        print(f"  {name:42s} {describe(turns)}")
    if arguments.renders:
        compare_detected(shapes, arguments.renders, faces)
    if arguments.renders and arguments.fsanet:
        compare_network(arguments.fsanet, arguments.renders, faces)


class RealFace:
    """A 300W-LP image: file, labelled rotation, annotated 68 points (x right, y down)."""

    def __init__(self, path: Path) -> None:
        content = loadmat(path)
        pitch, yaw, roll = np.degrees(content["Pose_Para"].ravel()[:3])
        self.image = path.with_suffix(".jpg")
        self.angles = np.array([yaw, pitch, roll])
        self.R_cam: Array = rotation_from_angles(self.angles)
        self.points: Array = content["pt2d"].T.astype(np.float64)


def read_w300lp(folder: Path) -> list[RealFace]:
    """All labelled faces below a folder within the usual 99 degrees."""
    files = sorted(p for p in folder.rglob("*.mat") if p.with_suffix(".jpg").is_file())
    faces = [RealFace(path) for path in files]
    return [face for face in faces if np.abs(face.angles).max() <= MAX_ANGLE_DEG]


def draw_shapes(library: AssetLibrary, count: int) -> Array:
    """Landmarks (count, 68, 3) of random people with random expressions, OpenCV head axes."""
    shapes = []
    for index in range(count):
        person = identity_for(0, index, library, "all")
        expression = draw_expression(np.random.default_rng(index), library, person)
        vertices = morph(library, person.shape + expression.weights)
        points = vertices[LANDMARK_VERTICES].astype(np.float64) @ VIEWER_FROM_CAMERA
        points -= points.mean(axis=0)
        shapes.append(points / np.sqrt((points**2).sum(axis=1).mean()))
    return np.stack(shapes)


def fits(shapes: Array) -> dict[str, object]:
    """Ways to find the mesh's rotation from 2D points, by name."""
    mean = shapes.mean(axis=0)
    flat = (shapes - mean).reshape(len(shapes), -1)
    _, spread, basis = np.linalg.svd(flat, full_matrices=False)
    modes = (basis[:30] * spread[:30, None] / np.sqrt(len(shapes))).reshape(30, 68, 3)
    every = slice(0, 68)
    return {
        "mean shape, inner 51, weak perspective": lambda xy: weak(mean[INNER], xy[INNER])[0],
        "mean shape, 68, weak perspective": lambda xy: weak(mean[every], xy[every])[0],
        "mean shape, inner 51, PnP f=450": lambda xy: pnp(mean[INNER], xy[INNER], 450.0),
        "mean shape, inner 51, PnP f=1800": lambda xy: pnp(mean[INNER], xy[INNER], 1800.0),
        "adapting shape, inner 51, weak perspective": lambda xy: adapt(mean, modes, xy, INNER),
        "adapting shape, 68, weak perspective": lambda xy: adapt(mean, modes, xy, every),
    }


def weak(model: Array, xy: Array) -> tuple[Array, float, Array]:
    """Weak-perspective pose: rotation (3, 3), scale, shift (2,).

    Least-squares affine map, made orthonormal (DeMenthon and Davis, 1995, first step).
    """
    design = np.hstack([model, np.ones((len(model), 1))])
    solution, *_ = np.linalg.lstsq(design, xy, rcond=None)
    u, s, vt = np.linalg.svd(solution[:3].T, full_matrices=False)
    rows = u @ vt
    R = np.vstack([rows, np.cross(rows[0], rows[1])])
    return R, float(s.mean()), solution[3]


def pnp(model: Array, xy: Array, focal: float) -> Array:
    """Perspective pose of a 450-pixel image: SQPNP, then refined."""
    K = np.array([[focal, 0, 225.0], [0, focal, 225.0], [0, 0, 1]])
    _, rvec, tvec = cv2.solvePnP(model, xy, K, None, flags=cv2.SOLVEPNP_SQPNP)
    rvec, _ = cv2.solvePnPRefineLM(model, xy, K, None, rvec, tvec)
    return np.asarray(cv2.Rodrigues(rvec)[0])


def adapt(mean: Array, modes: Array, xy: Array, part: slice, ridge: float = 0.5) -> Array:
    """Weak perspective and shape in turns: modes are one standard deviation each."""
    shape, R = mean, np.eye(3)
    for _ in range(8):
        R, scale, shift = weak(shape[part], xy[part])
        size = scale * 0.03  # landmarks are annotated to about 3 % of the face
        residual = (xy[part] - scale * mean[part] @ R[:2].T - shift).ravel() / size
        columns = (scale * modes[:, part] @ R[:2].T).reshape(len(modes), -1).T / size
        normal = columns.T @ columns + ridge * len(residual) / 10 * np.eye(len(modes))
        weights = np.linalg.solve(normal, columns.T @ residual)
        shape = mean + np.tensordot(weights, modes, 1)
    return R


def groups(renders: Path, faces: list[RealFace]) -> dict[str, tuple[list[Path], Array, Array]]:
    """Images, boxes and labels of renders and photographs."""
    table = pd.read_parquet(renders / "labels.parquet")
    names = [f"r{i}{j}" for i in range(3) for j in range(3)]
    return {
        "renders": (
            [renders / name for name in table["image"]],
            table[["x0", "y0", "x1", "y1"]].to_numpy(),
            table[names].to_numpy().reshape(-1, 3, 3),
        ),
        "photographs": (
            [face.image for face in faces],
            np.stack([np.r_[face.points.min(0), face.points.max(0)] for face in faces]),
            np.stack([face.R_cam for face in faces]),
        ),
    }


def compare_detected(shapes: Array, renders: Path, faces: list[RealFace]) -> None:
    """The mean shape fitted to dlib's points of renders and photographs, against the labels."""
    import dlib

    carrier = importlib.util.find_spec("face_recognition_models")
    assert carrier is not None and carrier.origin is not None
    models = Path(carrier.origin).parent / "models"
    predictor = dlib.shape_predictor(str(models / "shape_predictor_68_face_landmarks.dat"))
    detector = dlib.get_frontal_face_detector()
    mean = shapes.mean(axis=0)[INNER]
    print("mean shape fitted to dlib's inner 51 points, against labels")
    for name, (paths, _, ground_truth) in groups(renders, faces).items():
        turns = []
        for path, R_cam in zip(paths, ground_truth, strict=True):
            image = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
            found = detector(image, 1)
            if len(found) != 1 or abs(angles_from_rotation(R_cam)[0]) > 30:
                continue
            parts = predictor(image, found[0]).parts()
            xy = np.array([(part.x, part.y) for part in parts], np.float64)
            turns.append(weak(mean, xy[INNER])[0].T @ R_cam)
        print(f"  {name:42s} {describe(np.stack(turns))}")


def compare_network(folder: Path, renders: Path, faces: list[RealFace]) -> None:
    """What the networks say about near-frontal renders and photographs, against the labels."""
    import onnxruntime

    sessions = [onnxruntime.InferenceSession(str(p)) for p in sorted(folder.glob("fsanet-*.onnx"))]
    print(f"FSA-Net against labels (renders already turned by {HEAD_FRAME_PITCH_DEG:g})")
    for name, (paths, boxes, ground_truth) in groups(renders, faces).items():
        crops = [fsanet_crop(path, box) for path, box in zip(paths, boxes, strict=True)]
        prediction = rotation_from_angles(np.mean([run(s, crops) for s in sessions], axis=0))
        frontal = np.abs(angles_from_rotation(ground_truth)[:, 0]) <= 30
        turns = np.swapaxes(ground_truth[frontal], 1, 2) @ prediction[frontal]
        print(f"  {name:42s} {describe(turns)}")


def run(session: object, crops: list[Array]) -> Array:
    """Yaw, pitch, roll (N, 3) of one network."""
    name = session.get_inputs()[0].name  # type: ignore[attr-defined]
    return np.concatenate([session.run(None, {name: crop[None]})[0] for crop in crops])  # type: ignore[attr-defined]


def fsanet_crop(path: Path, box: Array) -> Array:
    """FSA-Net's input: margin 0.6, 64 pixels, BGR, (x - 127.5) / 128."""
    image = cv2.imread(str(path))
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    left, top = max(int(x0 - 0.6 * width), 0), max(int(y0 - 0.6 * height), 0)
    right, bottom = int(x1 + 0.6 * width), int(y1 + 0.6 * height)
    crop = cv2.resize(image[top : bottom + 1, left : right + 1], (64, 64)).astype(np.float32)
    return ((crop - 127.5) / 128).transpose(2, 0, 1)


def describe(turns: Array) -> str:
    """Pitch, yaw, roll of the mean of rotations (N, 3, 3), with a robust standard error."""
    mean = mean_rotation(turns)
    kept = turns[geodesic_deg(mean, turns) < 20]
    mean = mean_rotation(kept)
    yaw, pitch, roll = angles_from_rotation(mean)
    error = angles_from_rotation(kept).std(axis=0)[1] / np.sqrt(len(kept))
    return f"pitch {pitch:+.2f} +- {error:.2f}  yaw {yaw:+.2f}  roll {roll:+.2f}  (n {len(kept)})"


if __name__ == "__main__":
    main()
