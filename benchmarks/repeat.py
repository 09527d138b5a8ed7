"""Big data sets made of links to small ones, for runs that need many images."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

__all__ = ["repeat_aflw2000", "repeat_renders"]


def repeat_aflw2000(source: Path, target: Path, images: int) -> None:
    """Fill `target` with `images` links to the images and labels of `source`."""
    target.mkdir(parents=True, exist_ok=True)
    files = sorted(source.resolve().glob("*.jpg"))
    for number in range(images):
        file = files[number % len(files)]
        for suffix in (".jpg", ".mat"):
            link = target / f"image{number:06d}{suffix}"
            if not link.is_symlink():
                link.symlink_to(file.with_suffix(suffix))


def repeat_renders(source: Path, target: Path, images: int) -> None:
    """Fill `target` with `images` links to images that ``hpbench render`` wrote to `source`."""
    labels = pd.read_parquet(source / "labels.parquet")
    rounds = -(-images // len(labels))
    repeated = pd.concat([labels] * rounds, ignore_index=True)[:images]
    (target / "images").mkdir(parents=True, exist_ok=True)
    names = [
        f"images/{number:07d}{Path(name).suffix}" for number, name in enumerate(repeated["image"])
    ]
    for name, file in zip(names, repeated["image"], strict=True):
        (target / name).symlink_to((source / file).resolve())
    repeated.assign(image=names).to_parquet(target / "labels.parquet", index=False)
