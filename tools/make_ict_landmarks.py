"""Cut the 68 landmarks out of the ICT Face Model Light.

    python tools/make_ict_landmarks.py FILE LICENCE methods/pnp

FILE has the arrays ``mean`` (V, 3), ``quads`` (Q, 4), ``identity`` (100, V, 3), ``expression``
(57, V, 3) and ``landmarks68`` (68,) of ICT-VGL/ICT-FaceKit's face model; LICENCE is its notice.
Written are ``ict_facekit_landmarks.npz`` (the rows of the landmarks, and the mean face's normals
there; centimetres, x right, y up, z to the viewer) and ``ict_facekit_LICENSE.txt``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("file", "licence", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    with np.load(given.file) as model:
        rows = model["landmarks68"]
        np.savez_compressed(
            given.out / "ict_facekit_landmarks.npz",
            mean=model["mean"][rows].astype(np.float32),
            normals=vertex_normals(model["mean"], model["quads"])[rows].astype(np.float32),
            identity=model["identity"][:, rows].astype(np.float16),
            expression=model["expression"][:, rows].astype(np.float16),
        )
    (given.out / "ict_facekit_LICENSE.txt").write_text(given.licence.read_text("utf-8"), "utf-8")


def vertex_normals(
    vertices: npt.NDArray[np.float32], quads: npt.NDArray[np.int32]
) -> npt.NDArray[np.float64]:
    """Outward normals of length 1 (V, 3): means over the faces around, weighted by area."""
    corners = vertices.astype(np.float64)[quads]
    normals = np.zeros(vertices.shape)
    across = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    for corner in range(4):
        np.add.at(normals, quads[:, corner], across)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


if __name__ == "__main__":
    main()
