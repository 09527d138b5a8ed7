"""The data set BIWI."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from hpbench.dataset import Dataset, DatasetCard, Label, Record, require_scorable
from hpbench.datasets.biwi._files import ColourCamera, read_calibration, read_frame_list, read_pose
from hpbench.errors import DataError
from hpbench.images import IMAGE_SUFFIXES
from hpbench.method import Options
from hpbench.protocol import Protocol

__all__ = ["Biwi", "BiwiOptions"]

_POSE, _IMAGE = "_pose.txt", "_rgb"
_FRAME = re.compile(rf"frame_\d+({_IMAGE})?")

_SUBJECT_SEEN_BEFORE = {"15": "03", "18": "05", "21": "02", "22": "07"}
"""Sequences of people who occur in an earlier one (from the loader in huggingface/datasets)."""


class BiwiOptions(Options):
    """Options of BIWI."""

    calibrated: bool = Field(
        default=False,
        description="turn the labels from the depth camera's frame into that of the colour "
        "camera, which took the images (about 1.2 degrees); the field does not",
    )
    face_mm: float = Field(
        default=150.0,
        gt=0,
        description="side of the square face box around the projected head centre",
    )
    frames: Path | None = Field(
        default=None,
        description="file with the frames to use, one 01/frame_00003 per line; all by default",
    )


class Biwi(Dataset):
    """24 Kinect sequences of 20 people who turn their heads, labelled by 3D face tracking.

    The folder is ``hpdb`` of the official archive (or the one around it): sequences
    ``01`` .. ``24``, each with ``rgb.cal`` and, per frame, ``frame_00003_rgb.png`` and
    ``frame_00003_pose.txt``. Copies with JPEG images, one folder further down, or without
    ``rgb.cal`` are read as well; without it there are no boxes, so that a detector is needed.
    """

    name: ClassVar[str] = "biwi"
    summary: ClassVar[str] = "BIWI Kinect: 24 sequences of 20 people, rotation matrices"
    Options = BiwiOptions
    resample: ClassVar[Literal["image", "group"]] = "group"
    card: ClassVar[DatasetCard] = DatasetCard(
        name="biwi",
        title="BIWI Kinect Head Pose Database",
        paper="G. Fanelli, M. Dantone, J. Gall, A. Fossati, L. Van Gool: Random Forests for "
        "Real Time 3D Face Analysis. IJCV 101(3), 2013",
        licence="non-commercial use such as university research and education",
        faces=15678,
        homepage="https://icu.ee.ethz.ch/research/datsets.html",
        how_to_get="Ask for kinect_head_pose_db.tgz at the Computer Vision Lab of ETH Zurich "
        "and unpack it; the folder is the one named hpdb",
        domain="photo",
        label_source="face template of each person tracked in the depth frames",
        notes=(
            "Labels are in the depth camera's frame, as in all published results; "
            "calibrated=true turns them into the frame of the colour images.",
            "The archive has no face boxes. The default box is a square of 150 mm, about the "
            "breadth of a face and its height from brows to chin, around the projected head "
            "centre. Published results use detectors instead, on differing sets of frames "
            "(13,219 to 15,678), so they do not compare with these.",
            "24 sequences show 20 people: 03 and 15, 05 and 18, 02 and 21, 07 and 22 are the "
            "same. Confidence intervals resample sequences, as the literature counts them.",
        ),
    )
    protocols: ClassVar[tuple[Protocol, ...]] = (
        Protocol.of(name, BiwiOptions(), "all frames, labels in the depth camera's frame"),
        Protocol.of(
            name, BiwiOptions(calibrated=True),
            "all frames, labels turned into the colour camera's frame", "calibrated",
        ),
    )  # fmt: skip

    def protocol_settings(self) -> dict[str, Any]:
        """Options, with the hash of the frame list in place of its path."""
        settings = super().protocol_settings()
        frames: Path | None = self.options.frames
        if frames is not None:
            listed = "\n".join(read_frame_list(frames))
            settings["frames"] = f"sha256:{hashlib.sha256(listed.encode()).hexdigest()}"
        return settings

    def complete_faces(self) -> int | None:
        """Unknown where a list chooses frames; see :meth:`hpbench.dataset.Dataset`."""
        return None if self.options.frames is not None else super().complete_faces()

    def records(self) -> Sequence[Record]:
        """Index of all frames, sorted; see :meth:`hpbench.dataset.Dataset.records`."""
        folder = _sequences_folder(self.require_folder("hpdb"))
        frames = _frames(folder)
        if self.options.frames is not None:
            frames = _selected(frames, self.options.frames, folder)
        cameras: dict[str, ColourCamera | DataError | None] = {}
        records = []
        for (sequence, frame), image in frames.items():
            if sequence not in cameras:
                cameras[sequence] = _try_calibration(folder / sequence / "rgb.cal")
            records.append(self._record(folder, sequence, frame, image, cameras[sequence]))
        return require_scorable(
            records, folder, "sequence folder 01, 02, ... with frame_*_pose.txt"
        )

    def _record(
        self,
        folder: Path,
        sequence: str,
        frame: str,
        image: Path,
        colour: ColourCamera | DataError | None,
    ) -> Record:
        image_id = f"{sequence}/{frame}"
        try:
            if isinstance(colour, DataError):
                raise colour
            if colour is None and self.options.calibrated:
                raise DataError("rgb.cal: no such file, which calibrated=true needs")
            R_cam, centre_mm = read_pose(folder / sequence / f"{frame}{_POSE}")
            box = None
            if colour is not None:
                box = colour.box_around(colour.from_depth(centre_mm), self.options.face_mm)
        except DataError as error:
            return Record(image_id, image, None, excluded=str(error), group=sequence)
        if colour is not None and self.options.calibrated:
            R_cam = colour.R_rgb_depth @ R_cam
        return Record(
            image_id,
            image,
            Label.from_rotation(R_cam),
            box_xyxy=box,
            group=sequence,
            camera=None if colour is None else colour.camera,
            factors={"subject": f"person of {_SUBJECT_SEEN_BEFORE.get(sequence, sequence)}"},
        )


def _try_calibration(path: Path) -> ColourCamera | DataError | None:
    """Calibration of one sequence, or None; an error excludes its frames and no other's."""
    if not path.exists():
        return None
    try:
        return read_calibration(path)
    except DataError as error:
        return error


def _sequences_folder(folder: Path) -> Path:
    """The folder of the sequences, or the one in it that holds them."""
    if any(_sequences(folder)):
        return folder
    inner = [path for path in sorted(folder.iterdir()) if path.is_dir() and any(_sequences(path))]
    if len(inner) > 1:
        names = " and ".join(path.name for path in inner)
        raise DataError(f"{folder}: {names} hold sequences; pass one: --data biwi={inner[0]}")
    return inner[0] if inner else folder


def _sequences(folder: Path) -> Iterator[Path]:
    """Folders of frames, 01, 02, ..."""
    for path in folder.iterdir():
        if path.is_dir() and path.name.isdigit() and any(path.glob("frame_*")):
            yield path


def _frames(folder: Path) -> dict[tuple[str, str], Path]:
    """Image by sequence and frame, of every pose file and every image, sorted.

    Copies of the data set have JPEG images; where there are both, the original is taken.
    """
    found: dict[tuple[str, str], Path] = {}
    for sequence in _sequences(folder):
        for path in sorted(sequence.glob("frame_*"), reverse=True):  # .png behind .jpg
            if path.name.endswith(_POSE):
                frame = path.name.removesuffix(_POSE)
                found.setdefault((sequence.name, frame), path.with_name(f"{frame}{_IMAGE}.png"))
            elif _FRAME.fullmatch(path.stem) and path.suffix.lower() in IMAGE_SUFFIXES:
                key = sequence.name, path.stem.removesuffix(_IMAGE)
                if key not in found or not found[key].exists():
                    found[key] = path
    return dict(sorted(found.items()))


def _selected(
    frames: Mapping[tuple[str, str], Path], list_path: Path, folder: Path
) -> dict[tuple[str, str], Path]:
    """The frames that a list names, in the order of the data set."""
    wanted = read_frame_list(list_path)
    held = {f"{sequence}/{frame}" for sequence, frame in frames}
    for name, number in wanted.items():
        if name not in held:
            raise DataError(f"{list_path}:{number}: no frame '{name}' in {folder}")
    return {item: image for item, image in frames.items() if "/".join(item) in wanted}
