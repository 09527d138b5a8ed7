"""MediaPipe as a worker (docs/worker-protocol.md): landmarks of the surest face in each image.

Started as a script by any Python that has mediapipe, so nothing of hpbench is imported. A reply
holds ``landmarks``, 468 times x, y in pixels and z as MediaPipe scales it, or ``no_prediction``.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> None:
    """Reply to requests until standard input ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get between the replies
    import mediapipe  # type: ignore[import-not-found, unused-ignore]
    import numpy as np

    mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1)

    def reply_to(face: dict[str, Any], shared: Any) -> dict[str, Any]:
        width, height = face["width"], face["height"]
        pixels = np.array(shared[face["offset"] :][: 3 * width * height])
        found = mesh.process(pixels.reshape(height, width, 3)).multi_face_landmarks
        if not found:
            return {"no_prediction": "MediaPipe found no face"}
        scale = width, height, width
        return {
            "landmarks": [
                [round(value * size, 4) for value, size in zip((p.x, p.y, p.z), scale, strict=True)]
                for p in found[0].landmark
            ]
        }

    print(json.dumps({"hpbench_worker": 1}), file=replies, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        shared = np.memmap(request["pixels"], np.uint8, "r")
        found = [reply_to(face, shared) for face in request["faces"]]
        reply = {"request": request["request"], "replies": found}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
