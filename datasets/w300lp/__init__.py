"""The data set 300W-LP, on which Hopenet and most of its successors are trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from hpbench.dataset import Dataset, DatasetCard, Record, iter_scorable
from hpbench.datasets.mat_3ddfa import BoxRule, FittedOptions, face_images, record_of
from hpbench.protocol import Protocol

__all__ = ["W300lp", "W300lpOptions"]

_PARTS = ("AFW", "HELEN", "IBUG", "LFPW")
"""Folders of the archive that hold images, each with a mirrored twin."""


class W300lpOptions(FittedOptions):
    """Options of 300W-LP."""

    box: BoxRule = Field(
        default="pt2d",
        description="points whose extent is the face box. Here pt2d are all 68 points and none "
        "is marked hidden, so that pt2d-visible gives the same; pt3d_68 is in few copies",
    )


class W300lp(Dataset):
    """61,225 photos of 300-W, most turned to larger poses by rendering, and their mirror images.

    The folder holds ``AFW``, ``HELEN``, ``IBUG``, ``LFPW`` and their ``*_Flip`` twins (or some
    of them), or is one of these; images and ``.mat`` files lie side by side.
    """

    name: ClassVar[str] = "w300lp"
    summary: ClassVar[str] = "300W-LP: 122,450 photos turned to large poses, for training"
    Options = W300lpOptions
    resample: ClassVar[Literal["image", "group"]] = "group"
    card: ClassVar[DatasetCard] = DatasetCard(
        name="w300lp",
        title="300W-LP",
        paper="X. Zhu, Z. Lei, X. Liu, H. Shi, S. Z. Li: Face Alignment Across Large Poses: "
        "A 3D Solution. CVPR 2016",
        licence="research only; the photos are those of AFW, HELEN, IBUG and LFPW",
        homepage="http://www.cbsr.ia.ac.cn/users/xiangyuzhu/projects/3DDFA/main.htm",
        how_to_get="Download 300W-LP.zip from the 3DDFA project page and unpack it",
        domain="photo",
        label_source="3D morphable model fitted to landmarks (Pose_Para); larger poses are "
        "rendered from the fit",
        notes=(
            "A training set. AFLW2000-3D labels come from the same sort of fit.",
            "A photo, its turned versions and their mirror images form one group, so that none "
            "of them is split between training and validation.",
            "pt2d of a turned version is that of the photo before it was turned (seen on the AFW "
            "part), so its box only roughly frames the face, which Hopenet's training script takes "
            "as it is, and it has no annotated landmarks here.",
            "Some copies have wrong pt2d points altogether (cleardusk/3DDFA, issue 192).",
        ),
    )
    protocols: ClassVar[tuple[Protocol, ...]] = (
        Protocol.of(name, W300lpOptions(), "all faces within 99 degrees, box of the 68 2D points"),
    )

    def records(self) -> Sequence[Record]:
        """Index of all faces, sorted by name; see :meth:`hpbench.dataset.Dataset.records`."""
        return list(self.iter_records())

    def iter_records(self) -> Iterator[Record]:
        """Index of all faces, one by one; see :meth:`hpbench.dataset.Dataset.iter_records`."""
        root = self.require_folder("300W_LP").resolve()
        # nothing else: a folder of several data sets holds AFLW2000's pairs of the same form
        parts = [path for path in root.iterdir() if path.name.removesuffix("_Flip") in _PARTS]
        folders = [root, *sorted(path for path in parts if path.is_dir())]
        records = (self._record(image) for folder in folders for image in face_images(folder))
        yield from iter_scorable(records, root, "image with a .mat file in AFW, HELEN, ...")

    def _record(self, image: Path) -> Record:
        # AFW_134212_1_0 .. _17 are versions of the photo AFW_134212_1, turned by rendering.
        photo, _, version = image.stem.rpartition("_")
        image_id = f"{image.parent.name}/{image.stem}"
        record = record_of(image_id, image, self.options, group=photo or image.stem)
        # the points of a turned version are those of the photo before it was turned
        return record if version == "0" else replace(record, landmarks_xy=None)
