"""The other side of :mod:`hpbench.methods.facemesh.process`: runs MediaPipe on images from stdin.

Started as a script by any Python that has mediapipe, so nothing of hpbench is imported. All numbers
are little-endian. A request is two int32, height and width, and the image's RGB bytes. The reply is
one int32, the number of landmarks (0: no face), and three float32 for each: x, y in pixels, z as
MediaPipe scales it. The first reply of all is one int32, 468, when the model is ready.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import IO


def main() -> None:
    """Answer requests until stdin ends."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get between the replies
    import mediapipe  # type: ignore[import-not-found, unused-ignore]
    import numpy as np

    mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1)
    replies.write(struct.pack("<i", 468))
    replies.flush()
    while header := _read(sys.stdin.buffer, 8):
        height, width = struct.unpack("<ii", header)
        pixels = np.frombuffer(_read(sys.stdin.buffer, 3 * height * width), np.uint8)
        found = mesh.process(pixels.reshape(height, width, 3)).multi_face_landmarks
        points = found[0].landmark if found else []
        values = np.array([(p.x * width, p.y * height, p.z * width) for p in points], "<f4")
        replies.write(struct.pack("<i", len(points)) + values.tobytes())
        replies.flush()


def _read(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) not in (0, size):
        raise EOFError("the request broke off")
    return data


if __name__ == "__main__":
    main()
