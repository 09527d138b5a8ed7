"""A table of portraits with face boxes, for 'hpbench label table=portraits.csv'.

    python portraits.py FOLDER OUT.csv

Per image the largest face that dlib's detector finds, and the extent of its 68 landmarks as the
box: the boxes of AFLW2000 and of renders are made in the same way. Angles are 0 until teachers
label the faces.
"""

from __future__ import annotations

import sys
from pathlib import Path

import dlib
import numpy as np
import pandas as pd

from hpbench.face import Face
from hpbench.geometry.boxes import box_from_points
from hpbench.images import read_rgb
from hpbench.landmarks.dlib import DlibLandmarks, DlibLandmarksOptions

SUFFIXES = (".jpg", ".jpeg", ".png")


def main(folder: Path, out: Path) -> None:
    """Write one row per image with a face; name the others."""
    detector = dlib.get_frontal_face_detector()
    landmarks = DlibLandmarks(DlibLandmarksOptions(detect=False))  # the face is found here
    rows = []
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES):
        rgb = np.ascontiguousarray(read_rgb(path))
        faces = detector(rgb, 1)
        if not faces:
            print(f"{path.name}: no face found")
            continue
        found = max(faces, key=lambda face: face.area())
        found_xyxy = np.array([found.left(), found.top(), found.right(), found.bottom()])
        points = landmarks.find(Face(path.name, rgb, found_xyxy))
        box = dict(zip(("x0", "y0", "x1", "y1"), box_from_points(points), strict=True))
        # a person is known by the same name in what is made of the portrait
        name = {"image": str(path.resolve()), "subject": path.stem}
        rows.append({**name, "yaw": 0, "pitch": 0, "roll": 0, **box})
    pd.DataFrame(rows).to_csv(out, index=False)
    print(f"{out}: {len(rows)} faces")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
