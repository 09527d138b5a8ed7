"""The data set AFLW2000-3D."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from hpbench.dataset import Dataset, DatasetCard, Record, iter_scorable
from hpbench.datasets.mat_3ddfa import FittedOptions, face_images, record_of
from hpbench.protocol import Protocol

__all__ = ["Aflw2000", "Aflw2000Options"]

_DOUBTFUL = frozenset(
    f"image{number:05d}" for number in (77, 263, 1887, 2139, 2295, 3101, 3714, 3782, 3871)
)
"""Faces whose label is more than 20 degrees (geodesic) off a weak-perspective fit to
independently re-annotated landmarks (A. Bulat's, in cleardusk/3DDFA ``test.configs``)."""


class Aflw2000Options(FittedOptions):
    """Options of AFLW2000-3D."""

    clean: bool = Field(
        default=False,
        description="also exclude 9 faces whose labels contradict independent landmarks "
        "by more than 20 degrees",
    )


class Aflw2000(Dataset):
    """2000 photos with large poses, labelled by fitting a 3D face model to landmarks.

    The folder holds ``image00002.jpg`` and ``image00002.mat`` side by side, or has them in a
    sub-folder ``AFLW2000`` (as in the original archive, with ``Code`` beside it).
    """

    name: ClassVar[str] = "aflw2000"
    summary: ClassVar[str] = "AFLW2000-3D: 2000 photos with large poses, .mat labels"
    Options = Aflw2000Options
    card: ClassVar[DatasetCard] = DatasetCard(
        name="aflw2000",
        title="AFLW2000-3D",
        paper="X. Zhu, Z. Lei, X. Liu, H. Shi, S. Z. Li: Face Alignment Across Large Poses: "
        "A 3D Solution. CVPR 2016",
        licence="research only; the photos are AFLW's and fall under its terms",
        faces=2000,
        homepage="http://www.cbsr.ia.ac.cn/users/xiangyuzhu/projects/3DDFA/main.htm",
        how_to_get="Download AFLW2000-3D.zip from the 3DDFA project page and unpack it",
        domain="photo",
        label_source="3D morphable model fitted to landmarks, hidden ones included (Pose_Para)",
        notes=(
            "31 of the 2000 faces have an angle beyond 99 degrees and are excluded by default, "
            "as nearly all publications do.",
            "300W-LP labels come from the same sort of fit, so methods trained there share its "
            "bias.",
            "Raw pt2d boxes contain the -1 of hidden points and often start at the image's "
            "edge; one and the same network scores 13 degrees on them and 5 on pt3d_68 boxes.",
        ),
    )
    protocols: ClassVar[tuple[Protocol, ...]] = (
        Protocol.of(
            name, Aflw2000Options(),
            "faces within 99 degrees (1,969 of all 2,000), box of all 68 points",
        ),
        Protocol.of(
            name, Aflw2000Options(box="pt2d"),
            "Hopenet's test script: raw pt2d box with its -1 entries, plain |a - b|",
            "hopenet-paper", wrap="none",
        ),
        Protocol.of(
            name, Aflw2000Options(box="pt2d-positive"),
            "FSA-Net's data script: box of positive pt2d points, plain |a - b|",
            "fsanet", wrap="none",
        ),
        Protocol.of(
            name, Aflw2000Options(max_abs_angle_deg=None),
            "all 2000 faces, also those beyond 99 degrees", "all-2000",
        ),
    )  # fmt: skip

    def records(self) -> Sequence[Record]:
        """Index of all faces, sorted by name; see :meth:`hpbench.dataset.Dataset.records`."""
        return list(self.iter_records())

    def iter_records(self) -> Iterator[Record]:
        """Index of all faces, one by one; see :meth:`hpbench.dataset.Dataset.iter_records`."""
        folder = self.require_folder("AFLW2000")
        records = (self._record(image) for image in face_images(folder))
        yield from iter_scorable(records, folder, "image with a .mat file of the same name")

    def _record(self, image: Path) -> Record:
        record = record_of(image.stem, image, self.options)
        if self.options.clean and record.excluded is None and record.image_id in _DOUBTFUL:
            reason = "label contradicts re-annotated landmarks by more than 20 deg"
            return replace(record, excluded=reason)
        return record
