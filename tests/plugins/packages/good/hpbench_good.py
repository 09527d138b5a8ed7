"""A third-party method, data set, face detector and metric."""

from __future__ import annotations

import numpy as np

from hpbench.dataset import Dataset, DatasetCard, Label, Record
from hpbench.detectors.base import Detector
from hpbench.method import Method, MethodCard, Prediction
from hpbench.protocol import Protocol
from hpbench.rotation import rotation_from_angles
from hpbench.scoring.registry import Metric
from hpbench.scoring.scores import FaceErrors


class Steady(Method):
    """Always a little to the left."""

    name = "steady"
    summary = "always a little to the left"

    def card(self):
        return MethodCard(
            name=self.name, title="Steady", licence="MIT", colour_order="none", crop_rule="none"
        )

    def prepare(self, face):
        return None

    def infer(self, batch):
        return len(batch)

    def decode(self, output):
        return [Prediction(rotation_from_angles([10.0, 0.0, 0.0]))] * output


class Dots(Dataset):
    """Three images that are made when they are read."""

    name = "dots"
    summary = "three grey images"
    needs_root = False
    card = DatasetCard(name="dots", title="Dots", domain="render")
    protocols = (Protocol(dataset="dots", summary="all three"),)

    def records(self):
        from pathlib import Path

        box = np.array([8.0, 8.0, 24.0, 24.0])
        return [
            Record(f"dot{i}", Path(f"dot{i}.png"), Label.from_angles(yaw, 0.0, 0.0), box)
            for i, yaw in enumerate((0.0, 10.0, 20.0))
        ]

    def read_image(self, record):
        return np.full((32, 32, 3), 128, np.uint8)


class Middle(Detector):
    """A face in the middle of every image."""

    name = "middle"
    summary = "a face in the middle of every image"

    def load(self):
        pass

    def detect(self, image_rgb):
        height, width = image_rgb.shape[:2]
        return np.array([[width, height, 3 * width, 3 * height]]) / 4.0, np.array([1.0])


def upside_down(errors: FaceErrors) -> np.ndarray:
    """1 for a prediction whose head's down axis points up, else 0; NaN without a prediction."""
    down = errors.R_pred[:, 1, 1]
    return np.where(np.isfinite(down), down < 0.0, np.nan)


UPSIDE_DOWN = Metric(
    name="upside_down",
    short="upside_down",
    title="Upside down",
    unit="share",
    better="low",
    digits=3,
    help="Share of predictions that are upside down.",
    values=upside_down,
)
