"""3DDFA_V2 as a method of the benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hpbench.crops import resize_linear
from hpbench.face import Face, crop_with_black
from hpbench.inference.torch_method import TorchMethod, TorchOptions
from hpbench.method import MethodCard, NoPrediction, Options, WeightsInfo
from hpbench.rotation import rotation_from_rows, rotation_in_camera_frame

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "INPUT_SIZE",
    "POSE_MEAN",
    "POSE_STD",
    "PUBLISHED",
    "Tddfa",
    "TddfaOptions",
    "roi_square",
]

Array = npt.NDArray[np.float64]

INPUT_SIZE = 120

PUBLISHED = (
    WeightsInfo(
        name="mb05",
        summary="MobileNet of half width, 120 px",
        licence="MIT; trained on 300W-LP, whose images are for research only",
        trained_on=("w300lp",),
        size_bytes=3752462,
        sha256="f93ed7f1c4c0382b16d7c18480a5f67473c1917a47475a9823924f38aeb27280",
        git_blob="6b7be882d53da54cc84732b295695d5c89c93bc3",
        source="https://github.com/cleardusk/3DDFA_V2/tree/1b6c6760/weights",
        file="tddfa_mb05_120x120.pth",
        url="https://github.com/cleardusk/3DDFA_V2/raw/1b6c6760/weights/mb05_120x120.pth",
    ),
)

# configs/param_mean_std_62d_120x120.pkl of cleardusk/3DDFA_V2, the twelve numbers of the pose
POSE_MEAN = np.array(
    [
        [3.4926363e-04, 2.5279013e-07, -6.875198e-07, 60.167957],
        [-6.295513e-07, 5.7572004e-04, -5.0853912e-05, 74.2782],
        [5.400917e-07, 6.5741384e-05, 3.4420125e-04, -66.67158],
    ]
)
POSE_STD = np.array(
    [
        [1.7632153e-04, 6.7379435e-05, 4.470849e-04, 26.550232],
        [1.231377e-04, 4.4930217e-05, 7.923671e-05, 6.982563],
        [4.350444e-04, 1.231489e-04, 1.7400002e-04, 20.80304],
    ]
)


Crop = Annotated[
    Literal["landmarks", "detection"],
    Field(
        description="the authors' square for a box of landmarks (the default, as the boxes of data "
        "sets are), or for a box of their face detector",
    ),
]


class TddfaOptions(TorchOptions):
    """Options of the method ``tddfa``."""

    crop: Crop = "landmarks"


class Tddfa(TorchMethod):
    """Pose from the first twelve parameters: a scaled rotation and a translation."""

    name: ClassVar[str] = "tddfa"
    summary: ClassVar[str] = "3DDFA_V2, 3D face model from a MobileNet (Guo et al. 2020)"
    Options: ClassVar[type[Options]] = TddfaOptions
    options: TddfaOptions
    input_size = INPUT_SIZE
    mean: ClassVar[tuple[float, float, float]] = (127.5, 127.5, 127.5)
    std: ClassVar[tuple[float, float, float]] = (128.0, 128.0, 128.0)
    published: ClassVar[tuple[WeightsInfo, ...]] = PUBLISHED
    facts: ClassVar[MethodCard] = MethodCard(
        name="tddfa",
        title="3DDFA_V2 (MobileNet 0.5)",
        paper="Guo, Zhu, Yang, Yang, Lei, Li: Towards Fast, Accurate and Stable 3D Dense Face "
        "Alignment, ECCV 2020, arXiv:2009.09960",
        code="https://github.com/cleardusk/3DDFA_V2",
        licence="MIT",
        trained_domains=("photo",),
        colour_order="BGR",
        notes=(
            "the labels of AFLW2000 and 300W-LP come from fits of the same face model",
            "published on AFLW2000 (1,969 images): 4.06 / 5.26 / 3.48, mean 4.27 "
            "(Wu et al., 3DV 2021)",
        ),
    )

    def crop_rule(self) -> str:
        """What is cut out, for the card."""
        if self.options.crop == "landmarks":
            return "square of sqrt(2) times the longer side, black outside"
        return "square of 1.58 times the mean side, moved down by 0.14 of it, black outside"

    def make_network(self, path: Path) -> nn.Module:
        """Read the checkpoint."""
        from hpbench.methods.tddfa.network import load_network

        return load_network(path)

    def cut_input(self, face: Face) -> npt.NDArray[np.uint8] | NoPrediction:
        """Cut out the authors' square and stretch it to 120 pixels."""
        bounds = roi_square(face.box_xyxy, self.options.crop)
        return resize_linear(crop_with_black(face.image, bounds), self.input_size)

    def rotations(self, outputs: Array) -> tuple[Array, None]:
        """Rotation nearest to the normalised rows and their cross product."""
        matrix = outputs[:, :12].reshape(-1, 3, 4) * POSE_STD + POSE_MEAN
        return rotation_in_camera_frame(rotation_from_rows(matrix[:, :2, :3]), "y-up"), None


def roi_square(
    box_xyxy: Array, crop: Literal["landmarks", "detection"]
) -> tuple[int, int, int, int]:
    """Square that the authors cut out, in whole pixels (``utils/functions.py``).

    Parameters
    ----------
    box_xyxy : ndarray, shape (4,)
    crop : {'landmarks', 'detection'}

    Examples
    --------
    >>> roi_square(np.array([100.0, 100.0, 200.0, 180.0]), "landmarks")
    (79, 69, 221, 211)
    >>> roi_square(np.array([100.0, 100.0, 200.0, 180.0]), "detection")
    (79, 82, 221, 224)
    """
    x0, y0, x1, y1 = (float(side) for side in box_xyxy)
    centre_x, centre_y = (x0 + x1) / 2.0, (y0 + y1) / 2.0
    if crop == "landmarks":
        side = max(x1 - x0, y1 - y0) * 2.0**0.5
    else:
        mean_side = (x1 - x0 + y1 - y0) / 2.0
        centre_y += 0.14 * mean_side
        side = float(int(1.58 * mean_side))
    left, top = centre_x - side / 2.0, centre_y - side / 2.0
    return round(left), round(top), round(left + side), round(top + side)
