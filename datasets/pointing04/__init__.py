"""The data set Pointing'04."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hpbench.dataset import Dataset, DatasetCard, Label, Record, require_scorable
from hpbench.errors import DataError, io_failure
from hpbench.method import Options
from hpbench.protocol import Protocol

__all__ = ["Pointing04", "Pointing04Options"]

Array = npt.NDArray[np.float64]

_NAME = re.compile(r"person(?P<person>\d\d)(?P<series>\d)\d\d(?P<tilt>[+-]\d+)(?P<pan>[+-]\d+)")
"""``person04258+15-15``: person 04, series 2, photo 58, tilt +15, pan -15."""

_TOP, _BOTTOM, _SIDES = 0.07, (0.19, -0.06), (0.04, 0.46, -0.16)
"""How the extent of 68 landmarks differs from the annotated box, as shares of its height and width,
measured on this data set with dlib's landmarks up to 30 degrees of yaw and Face Mesh's beyond: the
top is lower; the bottom is lower, less so in profile; both sides are further out, that of the
ear more in profile and that of the nose less. The parts in profile go with ``sin |yaw|``."""


class Pointing04Options(Options):
    """Options of Pointing'04."""

    box: Literal["annotated", "landmarks"] = Field(
        default="annotated",
        description="annotated: the box of the .txt file, which ends at the cheek of a turned "
        "head; landmarks: the same, changed to what the 68 landmarks span on average. The "
        "change follows the label's yaw, so it is for training data and not for scoring",
    )


class Pointing04(Dataset):
    """2790 photos of 15 people who look at marks on a grid; no roll.

    The folder holds ``Person01`` .. ``Person15``, each with pairs such as
    ``person01146+0+0.jpg`` and ``.txt``; the name says tilt and pan.
    """

    name: ClassVar[str] = "pointing04"
    summary: ClassVar[str] = "Pointing'04: 2790 photos of 15 people, yaw and pitch on a grid"
    Options = Pointing04Options
    resample: ClassVar[Literal["image", "group"]] = "group"
    card: ClassVar[DatasetCard] = DatasetCard(
        name="pointing04",
        title="Pointing'04 Head Pose Image Database",
        paper="N. Gourier, D. Hall, J. L. Crowley: Estimating Face Orientation from Robust "
        "Detection of Salient Facial Features. Pointing 2004, ICPR Workshop on Visual "
        "Observation of Deictic Gestures",
        licence="free for any purpose if the paper is cited",
        faces=2790,
        homepage="http://www-prima.inrialpes.fr/perso/Gourier/Faces/HPDatabase.html",
        how_to_get="Download the archives Person01 .. Person15 from the INRIA page and unpack "
        "them into one folder",
        domain="photo",
        label_source="mark on the wall that the person was asked to look at",
        notes=(
            "The labels say where people were asked to look, not where their heads went: at a "
            "tilt of 60 degrees heads are at about 30, at a pan of 45 at about 41. Errors "
            "measure this gap too.",
            "Roll is not labelled and not scored. Pan is read as yaw and tilt "
            "as pitch, as the literature does, also where both are large.",
        ),
    )
    protocols: ClassVar[tuple[Protocol, ...]] = (
        Protocol.of(
            name, Pointing04Options(), "all 2790 photos, yaw and pitch, boxes of the .txt files"
        ),
    )

    def records(self) -> Sequence[Record]:
        """Index of all photos, sorted by name; see :meth:`hpbench.dataset.Dataset.records`."""
        folder = self.require_folder()
        images = {
            path.with_suffix(".jpg")
            for path in folder.glob("Person*/person*")
            if path.suffix in (".jpg", ".txt")
        }
        records = [self._record(image) for image in sorted(images)]
        return require_scorable(records, folder, "photo such as Person01/person01146+0+0.jpg")

    def _record(self, image: Path) -> Record:
        named = _NAME.fullmatch(image.stem)
        if named is None:
            reason = f"{image.name}: the name does not say tilt and pan"
            return Record(image.stem, image, None, excluded=reason, group=image.parent.name)
        # +pan turns the nose to the left of the image and +tilt lifts it: yaw and pitch.
        yaw_deg, pitch_deg = float(named["pan"]), float(named["tilt"])
        person = f"person{named['person']}"
        try:
            box = _read_box(image.with_suffix(".txt"))
        except DataError as error:
            return Record(image.stem, image, None, excluded=str(error), group=person)
        return Record(
            image.stem,
            image,
            Label.from_angles(yaw_deg, pitch_deg, float("nan")),
            box_xyxy=_box_of_landmarks(box, yaw_deg) if self.options.box == "landmarks" else box,
            group=person,
            factors={"series": named["series"]},
        )


def _read_box(path: Path) -> Array:
    """Face box x0, y0, x1, y1 from lines: image, empty, ``Face``, centre x, y, width, height."""
    if not path.is_file():  # reading a pipe may never end
        raise DataError(f"{path.name}: no such file, and so no face box")
    try:
        lines = path.read_text(encoding="latin-1").split()
        centre_x, centre_y, width, height = (float(word) for word in lines[-4:])
    except OSError as error:
        raise DataError(f"{path.name}: {io_failure(error)}") from None
    except ValueError:
        raise DataError(f"{path.name}: does not end in the four numbers of a face box") from None
    centre, half = np.array([centre_x, centre_y]), np.array([width, height]) / 2
    return np.concatenate([centre - half, centre + half])


def _box_of_landmarks(box_xyxy: Array, yaw_deg: float) -> Array:
    """Box that the 68 landmarks would have, on average over this data set.

    With the nose to the left of the image (+yaw) the ear is on the right.
    """
    x0, y0, x1, y1 = box_xyxy
    turned = float(np.sin(np.radians(abs(yaw_deg))))
    ear = (_SIDES[0] + _SIDES[1] * turned) * (x1 - x0)
    nose = (_SIDES[0] + _SIDES[2] * turned) * (x1 - x0)
    left, right = (nose, ear) if yaw_deg > 0.0 else (ear, nose)
    top, bottom = _TOP * (y1 - y0), (_BOTTOM[0] + _BOTTOM[1] * turned) * (y1 - y0)
    return np.array([x0 - left, y0 + top, x1 + right, y1 + bottom])
