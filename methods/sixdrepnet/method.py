"""6DRepNet as a method of the benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from hpbench.crops import DEFAULT_K, crop_box, cut_out, resize_and_centre, whole_pixels
from hpbench.face import Face
from hpbench.inference.torch_method import TorchMethod
from hpbench.method import MethodCard, NoPrediction, WeightsInfo
from hpbench.rotation import rotation_from_6d, rotation_in_camera_frame

if TYPE_CHECKING:
    from torch import nn

__all__ = ["SixDRepNet"]

Array = npt.NDArray[np.float64]

_LICENCE = "MIT; trained on 300W-LP, whose images are for research only"
_DRIVE = "https://drive.google.com/drive/folders/1V1pCV0BEW3mD-B9MogGrz_P91UhTtuE_"


class SixDRepNet(TorchMethod):
    """Two columns of a rotation matrix, made orthonormal by Gram and Schmidt."""

    name: ClassVar[str] = "sixdrepnet"
    summary: ClassVar[str] = "6D rotation on RepVGG (Hempel et al. 2022)"
    input_size = 224
    published: ClassVar[tuple[WeightsInfo, ...]] = (
        WeightsInfo(
            name="sixdrepnet-aflw2000",
            summary="RepVGG-B1g2, the run that did best on AFLW2000",
            licence=_LICENCE,
            trained_on=("w300lp",),
            source=f"https://cloud.ovgu.de/s/Q67RnLDy6JKLRWm or {_DRIVE}",
            file="6DRepNet_300W_LP_AFLW2000.pth",
        ),
        WeightsInfo(
            name="sixdrepnet-biwi",
            summary="RepVGG-B1g2, the run that did best on BIWI",
            licence=_LICENCE,
            trained_on=("w300lp",),
            source=_DRIVE,
            file="6DRepNet_300W_LP_BIWI.pth",
        ),
    )
    facts: ClassVar[MethodCard] = MethodCard(
        name="sixdrepnet",
        title="6DRepNet",
        paper="Hempel, Abdelrahman, Al-Hamadi: 6D Rotation Representation for Unconstrained Head "
        "Pose Estimation, ICIP 2022, arXiv:2202.12555",
        code="https://github.com/thohemp/6DRepNet",
        licence="MIT",
        trained_domains=("photo",),
        colour_order="RGB",
        crop_rule=f"hopenet-test k={DEFAULT_K['hopenet-test']:g}, short side 256, middle 224",
        notes=(
            "published on AFLW2000 (1,969 images): 3.63 / 4.91 / 3.37, mean 3.97, with the run of "
            "several that did best there; the run that did best on BIWI has 4.14 (6DRepNet#22)",
            "the authors' test counts an error of 180 degrees as 0; this one does not",
        ),
    )

    def make_network(self, path: Path) -> nn.Module:
        """Read the checkpoint, folded to its deploy form."""
        from hpbench.methods.sixdrepnet.network import load_network

        return load_network(path)

    def cut_input(self, face: Face) -> npt.NDArray[np.uint8] | NoPrediction:
        """Cut out and scale the face as the authors' test does."""
        box = crop_box(face.box_xyxy, "hopenet-test", DEFAULT_K["hopenet-test"])
        return resize_and_centre(cut_out(face.image, whole_pixels(box)), 256, self.input_size)

    def rotations(self, outputs: Array) -> tuple[Array, None]:
        """Rotations of the two columns."""
        return rotation_in_camera_frame(rotation_from_6d(outputs), "6drepnet"), None
