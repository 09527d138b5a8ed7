"""Errors of a network on faces that it is not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from hpbench.crops import crop_box, cut_out, resize_and_centre, whole_pixels
from hpbench.dataset import Dataset
from hpbench.errors import DataError
from hpbench.inference.faces import annotated_face
from hpbench.methods.hopenet.bins import Bins
from hpbench.methods.hopenet.network import decode_angles
from hpbench.methods.hopenet.training.batches import normalised
from hpbench.methods.hopenet.training.samples import Sample
from hpbench.methods.hopenet.training.settings import TrainSettings
from hpbench.rotation import ANGLES, nearest_angles, rotation_from_angles, wrap_deg

__all__ = ["ValidationSet", "validation_set"]

Array = npt.NDArray[np.float64]

_BATCH = 64
_YAW_EDGES_DEG = (0.0, 30.0, 60.0, 180.0)


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """Faces that a network is validated on: pixels (n, size, size, 3), labels (n, 3).

    They are cut as the method will cut them; NaN marks an angle that is not labelled.
    """

    name: str
    pixels: npt.NDArray[np.uint8]
    angles_deg: Array

    def errors(
        self, network: nn.Module, bins: Bins | None, size: int, device: torch.device
    ) -> dict[str, Any]:
        """Mean absolute errors: per angle, of all labelled angles, and per range of yaw.

        `size` is the side of the input that is trained on now; heads without `bins` regress.
        """
        predicted: list[Array] = []
        with torch.inference_mode():
            for start in range(0, len(self.pixels), _BATCH):
                pixels = torch.from_numpy(self.pixels[start : start + _BATCH]).to(device)
                images = pixels.permute(0, 3, 1, 2).float() / 255.0
                if size != images.shape[-1]:
                    images = functional.interpolate(
                        images, size=(size, size), mode="bilinear", antialias=True
                    )
                outputs = network(normalised(images))
                predicted.append(decode_angles(outputs, bins).double().cpu().numpy())
        return _errors(np.concatenate(predicted), self.angles_deg)


def validation_set(
    name: str, dataset: Dataset, samples: Sequence[Sample], settings: TrainSettings
) -> ValidationSet:
    """Network inputs and labels of faces, cut by the crop rule of the settings."""
    pixels: list[npt.NDArray[np.uint8]] = []
    angles: list[Array] = []
    for sample in samples:
        try:
            image = annotated_face(dataset, sample.record).image
        except DataError:
            continue  # counted when the cache was built, or by 'hpbench run'
        box = whole_pixels(crop_box(sample.box_xyxy, settings.crop, settings.crop_k))
        size = settings.input_size
        pixels.append(resize_and_centre(cut_out(image, box), size, size))
        angles.append(sample.angles_deg)
    if not pixels:
        raise DataError(f"{dataset.name}: no image for validation can be read")
    return ValidationSet(name, np.stack(pixels), np.stack(angles))


def _errors(predicted_deg: Array, labels_deg: Array) -> dict[str, Any]:
    nearest = nearest_angles(rotation_from_angles(predicted_deg), labels_deg)
    error = np.abs(wrap_deg(nearest - labels_deg))
    per_angle = {name: _mean(error[:, i]) for i, name in enumerate(ANGLES)}
    known = [value for value in per_angle.values() if value is not None]
    by_yaw = []
    for low, high in pairwise(_YAW_EDGES_DEG):
        inside = (np.abs(labels_deg[:, 0]) >= low) & (np.abs(labels_deg[:, 0]) < high)
        mae = _rounded(_mean(error[inside]))
        by_yaw.append({"from": low, "to": high, "faces": int(inside.sum()), "mae": mae})
    return {
        "faces": len(labels_deg),
        **{name: _rounded(value) for name, value in per_angle.items()},
        "mean": _rounded(sum(known) / len(known)),
        "by_abs_yaw": by_yaw,
    }


def _mean(errors_deg: Array) -> float | None:
    labelled = errors_deg[np.isfinite(errors_deg)]
    return float(labelled.mean()) if labelled.size else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
