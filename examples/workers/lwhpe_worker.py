"""A worker in Python: LwHPE as an ONNX file, with onnxruntime and Pillow and nothing of hpbench.

    python lwhpe_worker.py lwhpe.onnx

It speaks the protocol of docs/worker-protocol.md on standard input and output.
"""

import json
import os
import sys

replies = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print must not get between the replies

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
from PIL import Image  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def send(message: dict) -> None:
    """Write one line."""
    print(json.dumps(message), file=replies, flush=True)


def network_input(pixels: np.ndarray, box_xyxy: list[float]) -> np.ndarray:
    """Square of 1.5 times the longer side of the box, cut off at the image, 224 px."""
    x0, y0, x1, y1 = box_xyxy
    half = 0.75 * max(x1 - x0, y1 - y0)
    middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2
    left, top = (max(int(middle - half), 0) for middle in (middle_x, middle_y))
    crop = Image.fromarray(pixels[top : int(middle_y + half), left : int(middle_x + half)])
    scaled = np.asarray(crop.resize((224, 224), Image.Resampling.BILINEAR), np.float32) / 255
    return ((scaled - MEAN) / STD).astype(np.float32).transpose(2, 0, 1)


def reply_to(face: dict, shared: np.ndarray, session: onnxruntime.InferenceSession) -> dict:
    """Prediction for one face of a request."""
    width, height = face["width"], face["height"]
    pixels = shared[face["offset"] :][: 3 * width * height].reshape(height, width, 3)
    x0, y0, x1, y1 = face["box_xyxy"]
    if max(x1 - x0, y1 - y0) < 4:
        return {"no_prediction": "the face is smaller than 4 pixels"}
    inputs = network_input(pixels, face["box_xyxy"])[None]
    outputs = session.run(None, {session.get_inputs()[0].name: inputs})
    roll, yaw, pitch = np.ravel(np.concatenate([np.ravel(one) for one in outputs]))[:3].tolist()
    return {"angles_deg": [yaw, pitch, roll]}


session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
send({"hpbench_worker": 1})
for line in sys.stdin:
    request = json.loads(line)
    shared = np.memmap(request["pixels"], np.uint8, "r")
    found = [reply_to(face, shared, session) for face in request["faces"]]
    send({"request": request["request"], "replies": found})
