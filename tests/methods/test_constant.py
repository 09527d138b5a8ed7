from __future__ import annotations

import numpy as np

from hpbench.face import Face
from hpbench.registry import make_method


def test_every_face_is_frontal():
    noise = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    faces = [
        Face("black", np.zeros((4, 4, 3), np.uint8), np.array([0.0, 0.0, 4.0, 4.0])),
        Face("noise, no box", noise, np.full(4, np.nan)),
    ]

    predictions = make_method("constant").predict(faces)

    assert [prediction.R_cam.tolist() for prediction in predictions] == [np.eye(3).tolist()] * 2


def test_predictions_do_not_share_memory():
    face = Face("a", np.zeros((4, 4, 3), np.uint8), np.array([0.0, 0.0, 4.0, 4.0]))
    first, second = make_method("constant").predict([face, face])
    first.R_cam[0, 0] = 5.0
    assert second.R_cam[0, 0] == 1.0
