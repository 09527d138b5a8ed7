"""How far predictions move when a JPEG is decoded at half its size.

    python benchmarks/reduced_decoding.py AFLW2000_DIR [--methods hopenet]

libjpeg can decode at half scale for less time (the discrete cosine transform of each block is
scaled). The crop of a face often has more than twice the pixels of a network's input, so this
would cost no detail; whether it costs degrees is measured here.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from hpbench.face import Face
from hpbench.method import Method
from hpbench.registry import make_dataset, make_method
from hpbench.rotation import geodesic_deg, nearest_angles, wrap_deg
from hpbench.spec import parse_specs


def rotations(method: Method, faces: list[Face]) -> np.ndarray:
    """Rotations of all faces, shape (n, 3, 3)."""
    batches = (faces[start : start + 32] for start in range(0, len(faces), 32))
    return np.stack([one.R_cam for batch in batches for one in method.predict(batch)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--methods", default="hopenet")
    given = parser.parse_args()
    dataset = make_dataset("aflw2000", given.folder)
    records = [record for record in dataset.records() if record.excluded is None]
    labels_deg = np.stack([record.label.angles_deg for record in records])
    whole, half = [], []
    seconds = {"whole": 0.0, "half": 0.0}
    for record in records:
        start = perf_counter()
        image = dataset.read_image(record)
        seconds["whole"] += perf_counter() - start
        start = perf_counter()
        small = cv2.imread(str(record.image_path), cv2.IMREAD_REDUCED_COLOR_2)[..., ::-1]
        seconds["half"] += perf_counter() - start
        face = Face(record.image_id, image, record.box_xyxy)
        scale = small.shape[1] / image.shape[1]
        whole.append(face)
        half.append(
            replace(face, image=np.ascontiguousarray(small), box_xyxy=face.box_xyxy * scale)
        )
    print(
        f"{len(records)} images; reading takes {seconds['half'] / seconds['whole']:.2f} of the time"
    )
    for spec in parse_specs(given.methods):
        method = make_method(spec)
        method.load()
        first, second = rotations(method, whole), rotations(method, half)
        moved = geodesic_deg(first, second)
        mae = [
            np.abs(wrap_deg(nearest_angles(R_cam, labels_deg) - labels_deg)).mean()
            for R_cam in (first, second)
        ]
        print(
            f"{spec}: predictions move by {moved.mean():.2f} degrees in the mean, "
            f"{moved.max():.1f} at most; MAE {mae[0]:.3f} whole, {mae[1]:.3f} half"
        )


if __name__ == "__main__":
    main()
