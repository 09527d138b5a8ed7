"""Damage done to images and boxes on purpose, to see how a method bears it.

``hpbench run ... --corrupt downsample=5,10,15 --corrupt blur=1,2,4`` runs every data set once
clean and once per corruption and level. A corruption is part of the protocol and of its hash,
so corrupted and clean results never share a table.

Where a corruption is random it depends on the seed and the image id, and not on the level: a
face is occluded at the same place by a small and by a large patch, and its box is shifted the
same way, so that two levels differ by the level alone. All methods see the same damage.

- ``downsample``, level a whole factor: the image is shrunk by it with nearest neighbour and
  enlarged back, the low-resolution study of Ruiz et al. 2018;
- ``blur``, level sigma in % of the face size: Gaussian;
- ``noise``, level sigma in grey levels of 255: Gaussian, on its own in every pixel and channel;
- ``jpeg``, level the quality 1..95, lower is worse; colour at half resolution (4:2:0);
- ``dark``, level exposure stops: the light is divided by 2 per stop;
- ``occlude``, level % of the box area: a grey patch somewhere inside the box;
- ``box-jitter``, level % of the face size: the box is moved that far in a random direction;
- ``box-scale``, level a factor: the box grows around its centre.

The face size is the geometric mean of the sides of the annotated box. Box corruptions are done
to the box that the methods get, so after detection where a detector finds it; image
corruptions come before detection.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpbench.errors import DataError, UsageError
from hpbench.geometry.boxes import face_size_px
from hpbench.protocol import Protocol
from hpbench.spec import suggest

__all__ = [
    "CORRUPTIONS",
    "Corruption",
    "CorruptionKind",
    "Given",
    "corrupt_box",
    "corrupt_image",
    "corrupted_protocol",
    "parse_corruptions",
]

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

MAX_JPEG_SIDE_PX = 65_500
"""Of libjpeg."""


@dataclass(frozen=True, slots=True)
class Given:
    """What damage to one face may be measured by, and where its chance comes from.

    Attributes
    ----------
    box_xyxy : ndarray, shape (4,)
        The annotated box; of damage to a detected box without an annotated one, that box.
    chance : str
        Names the face and the kind of damage, not its level.
    """

    box_xyxy: Array
    chance: str

    @property
    def random(self) -> np.random.Generator:
        """Random numbers that belong to `chance`, from the first one on."""
        digest = hashlib.sha256(self.chance.encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:16], "little"))


@dataclass(frozen=True, slots=True)
class CorruptionKind:
    """What a corruption does, and what its level means.

    Attributes
    ----------
    unit : str
        For axes and tables.
    lowest, highest : float
        Levels that make sense, both included.
    clean : float or None
        Level that changes nothing; None where every level does something.
    to_image : callable, optional
        From an image, shape (height, width, 3), and a level to the damaged image.
    to_box : callable, optional
        From a box, shape (4,), and a level to the damaged box, instead.
    whole : bool
        Whether levels are whole numbers.
    random : bool
        Whether the seed matters.
    by_box : bool
        Whether the damage to the image is measured by the annotated box.
    """

    unit: str
    lowest: float
    highest: float
    clean: float | None
    to_image: Callable[[Pixels, float, Given], Pixels] | None = None
    to_box: Callable[[Array, float, Given], Array] | None = None
    whole: bool = False
    random: bool = False
    by_box: bool = False


def _downsample(image: Pixels, factor: float, _: Given) -> Pixels:
    """Shrink and enlarge with Pillow's nearest neighbour, as ``AFLW2000_ds`` does.

    That class (natanielruiz/deep-head-pose, ``code/datasets.py``) treats the crop, here it is
    the whole image, since the crop is the method's; only the phase of the grid differs.
    """
    from PIL import Image

    pil_image = Image.fromarray(image)
    small = [max(1, side // int(factor)) for side in pil_image.size]
    nearest = Image.Resampling.NEAREST
    return np.asarray(
        pil_image.resize(small, nearest).resize(pil_image.size, nearest), dtype=np.uint8
    )


def _blur(image: Pixels, sigma_percent: float, given: Given) -> Pixels:
    import cv2

    sigma_px = sigma_percent / 100.0 * face_size_px(given.box_xyxy)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px), dtype=np.uint8)


def _noise(image: Pixels, sigma: float, given: Given) -> Pixels:
    noise = given.random.standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.round(image + np.float32(sigma) * noise), 0, 255).astype(np.uint8)


def _jpeg(image: Pixels, quality: float, _: Given) -> Pixels:
    from PIL import Image

    if max(image.shape) > MAX_JPEG_SIDE_PX:
        raise DataError(f"no JPEG can be wider or higher than {MAX_JPEG_SIDE_PX} pixels")
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=int(quality), subsampling="4:2:0")
    with Image.open(buffer) as pil_image:
        return np.asarray(pil_image.convert("RGB"), dtype=np.uint8)


def _dark(image: Pixels, stops: float, _: Given) -> Pixels:
    """Divide the light, not the stored grey levels: through the sRGB curve and back."""
    stored = np.arange(256) / 255.0
    light = np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)
    light = light / 2.0**stops
    stored = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(255.0 * stored).astype(np.uint8)[image]


def _occlude(image: Pixels, percent: float, given: Given) -> Pixels:
    """Lay a mid-grey patch of the box's shape, with this share of its area, inside the box."""
    box = given.box_xyxy
    size = (box[2:] - box[:2]) * math.sqrt(percent / 100.0)
    top_left = box[:2] + given.random.uniform(size=2) * (box[2:] - box[:2] - size)
    x0, y0 = np.clip(np.round(top_left), 0, None).astype(int)
    x1, y1 = np.clip(np.round(top_left + size), 0, None).astype(int)
    covered = image.copy()
    covered[y0:y1, x0:x1] = 128
    return covered


def _jitter(box: Array, percent: float, given: Given) -> Array:
    direction = given.random.uniform(0.0, 2.0 * math.pi)
    distance = percent / 100.0 * face_size_px(given.box_xyxy)
    return box + distance * np.tile([math.cos(direction), math.sin(direction)], 2)


def _scale(box: Array, factor: float, _: Given) -> Array:
    center, half = (box[:2] + box[2:]) / 2.0, (box[2:] - box[:2]) / 2.0
    return np.concatenate([center - factor * half, center + factor * half])


CORRUPTIONS: Mapping[str, CorruptionKind] = {
    "downsample": CorruptionKind("factor", 1, 1000, clean=1, to_image=_downsample, whole=True),
    "blur": CorruptionKind("sigma, % of face size", 0, 50, clean=0, to_image=_blur, by_box=True),
    "noise": CorruptionKind("sigma, grey levels", 0, 255, clean=0, to_image=_noise, random=True),
    "jpeg": CorruptionKind("JPEG quality", 1, 95, clean=None, to_image=_jpeg, whole=True),
    "dark": CorruptionKind("stops", 0, 12, clean=0, to_image=_dark),
    "occlude": CorruptionKind(
        "% of box area", 0, 100, clean=0, to_image=_occlude, random=True, by_box=True
    ),
    "box-jitter": CorruptionKind("% of face size", 0, 100, clean=0, to_box=_jitter, random=True),
    "box-scale": CorruptionKind("factor", 0.1, 10, clean=1, to_box=_scale),
}
"""All corruptions by name."""


@dataclass(frozen=True, slots=True)
class Corruption:
    """One corruption of :data:`CORRUPTIONS` at one level, in its unit; random ones have a seed.

    An unknown name or a level out of range is a UsageError.
    """

    name: str
    level: float
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in CORRUPTIONS:
            raise UsageError(
                f"--corrupt {self.name}: no such corruption; {suggest(self.name, CORRUPTIONS)}"
            )
        kind = CORRUPTIONS[self.name]
        if not kind.lowest <= self.level <= kind.highest:  # a NaN fails, too
            raise UsageError(
                f"--corrupt {self}: the level ({kind.unit}) lies in "
                f"{kind.lowest:g} to {kind.highest:g}"
            )
        if kind.whole and self.level != int(self.level):
            raise UsageError(f"--corrupt {self}: the level ({kind.unit}) is a whole number")

    def __str__(self) -> str:
        return f"{self.name}={self.level:g}"

    def given(self, box_xyxy: Array, image_id: str) -> Given:
        """What damage to one face is measured by and drawn from."""
        return Given(box_xyxy, f"{self.seed}/{self.name}/{image_id}")

    @property
    def kind(self) -> CorruptionKind:
        """What the level means."""
        return CORRUPTIONS[self.name]

    @property
    def changes_nothing(self) -> bool:
        """Whether the level is the clean one, such as ``downsample=1``."""
        return self.level == self.kind.clean


def parse_corruptions(texts: Iterable[str], seed: int = 0) -> list[Corruption]:
    """Parse the values of ``--corrupt``, such as ``blur=1,2,4``.

    Levels that change nothing, such as ``downsample=1``, are left out: the clean data set is always
    run, and stands at that level in a report.

    Examples
    --------
    >>> [str(corruption) for corruption in parse_corruptions(["downsample=1,5,10"])]
    ['downsample=5', 'downsample=10']
    """
    corruptions: list[Corruption] = []
    for text in texts:
        name, equals, levels = text.partition("=")
        if not equals or not levels.strip():
            raise UsageError(f"--corrupt {text}: write NAME=LEVEL,LEVEL,... such as blur=1,2,4")
        for level in levels.split(","):
            try:
                number = float(level)
            except ValueError:
                raise UsageError(f"--corrupt {text}: '{level}' is not a number") from None
            corruption = Corruption(name.strip(), number, seed)
            # rows and results are named by the printed level
            if str(corruption) in map(str, corruptions):
                raise UsageError(
                    f"--corrupt {text}: {corruption} is specified twice (six digits of a level "
                    "count); remove one"
                )
            corruptions.append(corruption)
    return [corruption for corruption in corruptions if not corruption.changes_nothing]


def corrupted_protocol(protocol: Protocol, corruption: Corruption) -> Protocol:
    """The protocol under which corrupted images are scored; its hash is another one."""
    settings = {
        **protocol.settings,
        "corruption": corruption.name,
        "corruption_level": corruption.level,
    }
    if corruption.kind.random:
        settings["corruption_seed"] = corruption.seed
    name = f"{protocol.name} + {corruption}"
    return protocol.model_copy(update={"name": name, "settings": settings})


def corrupt_image(
    image: Pixels, box_xyxy: npt.ArrayLike | None, image_id: str, corruption: Corruption
) -> Pixels:
    """Corrupt an image, shape (height, width, 3); box corruptions leave it as it is.

    `box_xyxy` is the annotated one. Where the corruption is measured by it and there is none, a
    DataError is raised.
    """
    kind = corruption.kind
    if kind.to_image is None or corruption.changes_nothing:
        return image
    if kind.by_box and box_xyxy is None:
        raise DataError(f"no annotated box, by which '{corruption.name}' is measured")
    box = np.zeros(4) if box_xyxy is None else np.asarray(box_xyxy, dtype=np.float64)
    return kind.to_image(image, corruption.level, corruption.given(box, image_id))


def corrupt_box(
    box_xyxy: npt.ArrayLike,
    image_id: str,
    corruption: Corruption,
    annotated_xyxy: npt.ArrayLike | None = None,
) -> Array:
    """Corrupt a face box, shape (4,); image corruptions leave it as it is.

    Jitter is measured by the annotated box, where there is one beside a detected one.
    """
    box = np.array(box_xyxy, dtype=np.float64)
    if corruption.kind.to_box is None:
        return box
    measured = box if annotated_xyxy is None else np.asarray(annotated_xyxy, dtype=np.float64)
    given = corruption.given(measured, image_id)
    return corruption.kind.to_box(box, corruption.level, given)
