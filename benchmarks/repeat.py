"""A big AFLW2000 folder made of links to a small one, for runs that need many images."""

from __future__ import annotations

from pathlib import Path

__all__ = ["repeat_aflw2000"]


def repeat_aflw2000(source: Path, target: Path, images: int) -> None:
    """Fill `target` with `images` links to the pictures and labels of `source`."""
    target.mkdir(parents=True, exist_ok=True)
    pictures = sorted(source.resolve().glob("*.jpg"))
    for number in range(images):
        picture = pictures[number % len(pictures)]
        for suffix in (".jpg", ".mat"):
            link = target / f"image{number:06d}{suffix}"
            if not link.is_symlink():
                link.symlink_to(picture.with_suffix(suffix))
