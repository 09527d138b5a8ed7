"""LwHPE as a method of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hpbench.face import Face
from hpbench.inference.angle_bins import expected_angles
from hpbench.inference.torch_method import TorchMethod, TorchOptions
from hpbench.method import MethodCard, NoPrediction, Options, Prediction, WeightsInfo
from hpbench.rotation import rotation_from_angles

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Lwhpe", "demo_square"]

Array = npt.NDArray[np.float64]

_NO_CAMERA = "the data set has no camera calibration; use lwhpe without rectify"

_BIN_VALUES_DEG = 3.0 * np.arange(66) - 97.5
"""Middles of 66 bins of 3 degrees from -99 to 99."""


class LwhpeOptions(TorchOptions):
    """Options of the method ``lwhpe``."""

    k: float = Field(
        default=1.5,
        gt=0.0,
        le=4.0,
        description="side of the square crop as a multiple of the box's longer side; the authors' "
        "demo has 1.5",
    )
    rectify: bool = Field(
        default=False,
        description="turn the camera to the face first, as the paper does; needs a data set with "
        "calibrated cameras",
    )


class Lwhpe(TorchMethod):
    """Three heads of 66 bins on a lightweight backbone, decoded by their expectation."""

    name: ClassVar[str] = "lwhpe"
    summary: ClassVar[str] = "lightweight network of 0.2 M parameters (Li et al. 2023)"
    Options: ClassVar[type[Options]] = LwhpeOptions
    options: LwhpeOptions
    input_size = 224
    published: ClassVar[tuple[WeightsInfo, ...]] = (
        WeightsInfo(
            name="b66",
            summary="66 bins per angle, 224 px",
            licence="MIT; trained on 300W-LP, whose images are for research only",
            trained_on=("w300lp",),
            size_bytes=877453,
            sha256="0398c6d13983bc9820dd60fcd00c2e8b655e7a78d4cd7572fa6b4a42b9064879",
            git_blob="7ebc3b874c500964ed822de5f4b7ad1cb026900d",
            source="https://github.com/Shaw-git/Lightweight-Head-Pose-Estimation/tree/aed1802a/models",
            file="lwhpe_model-b66.pkl",
            url="https://github.com/Shaw-git/Lightweight-Head-Pose-Estimation/raw/"
            "aed1802a34cccdd7e35beb788517cc6d01319d5c/models/model-b66.pkl",
        ),
    )
    facts: ClassVar[MethodCard] = MethodCard(
        name="lwhpe",
        title="LwHPE",
        paper="Li, Zhang, Li, Lee: Accurate Head Pose Estimation Using Image Rectification and "
        "a Lightweight Convolutional Neural Network, IEEE Transactions on Multimedia 25, 2023",
        code="https://github.com/Shaw-git/Lightweight-Head-Pose-Estimation",
        licence="MIT",
        trained_domains=("photo",),
        colour_order="RGB",
        notes=(
            "confidence: minus the mean standard deviation of the three bin distributions, degrees",
        ),
    )

    def crop_rule(self) -> str:
        """What is cut out, for the card."""
        rectified = "rectified, " if self.options.rectify else ""
        return (
            f"{rectified}square of {self.options.k:g} times the longer side, moved into the image "
            "at the left and top, cut off at the right and bottom"
        )

    def unsupported_reason(
        self, dataset_name: str, has_camera: bool, has_landmarks: bool
    ) -> str | None:
        """Rectification needs calibrated cameras."""
        return _NO_CAMERA if self.options.rectify and not has_camera else None

    def make_network(self, path: Path) -> nn.Module:
        """Read the state dict."""
        from hpbench.methods.lwhpe.network import load_network

        return load_network(path)

    def cut_input(self, face: Face) -> Any | NoPrediction:
        """Rectify the face if asked to, cut out the demo's square, and stretch it to 224 pixels."""
        R = np.eye(3)
        if self.options.rectify:
            from hpbench.methods.lwhpe.rectify import rectify

            if face.camera is None:
                return NoPrediction(_NO_CAMERA)
            face, R = rectify(face, face.camera)
        pixels = self.stretched(face, demo_square(face.box_xyxy, self.options.k))
        return pixels if isinstance(pixels, NoPrediction) else (pixels, R)

    def infer(self, batch: Sequence[Any]) -> Any:
        """Outputs of the network, and the rotations of the cameras."""
        pixels, rotations = zip(*batch, strict=True)
        return super().infer(pixels), np.stack(rotations)

    def decode(self, output: Any) -> list[Prediction | NoPrediction]:
        """Expectations over the bins, turned back into the camera's frame."""
        outputs, R_rectified = output
        return [
            found if isinstance(found, NoPrediction) else replace(found, R_cam=R.T @ found.R_cam)
            for found, R in zip(super().decode(outputs), R_rectified, strict=True)
        ]

    def rotations(self, outputs: Array) -> tuple[Array, Array]:
        """Rotations of the expected angles, and the spread of the bins."""
        heads = outputs.reshape(-1, 3, len(_BIN_VALUES_DEG))
        read = [expected_angles(heads[:, index], _BIN_VALUES_DEG) for index in range(3)]
        angles, spreads = np.stack(read, axis=2)
        return rotation_from_angles(angles), spreads


def demo_square(box_xyxy: Array, k: float) -> tuple[int, int, int, int]:
    """Square that the authors' demo cuts out, in whole pixels (``test_network.py``).

    Its left and upper sides are moved to the image's edge where they lie outside, and the side
    stays as it is, so the square moves.

    Parameters
    ----------
    box_xyxy : ndarray, shape (4,)
    k : float

    Examples
    --------
    >>> demo_square(np.array([10.0, 100.0, 110.0, 180.0]), 1.5)
    (0, 65, 150, 215)
    """
    x0, y0, x1, y1 = (float(side) for side in box_xyxy)
    side = k * max(x1 - x0, y1 - y0)
    left = int(max((x0 + x1) / 2.0 - side / 2.0, 0.0))
    top = int(max((y0 + y1) / 2.0 - side / 2.0, 0.0))
    return left, top, left + int(side), top + int(side)
