"""Render the embedded sample anew into ``datasets/sample``.

    python tools/make_sample.py --assets DIR --environments DIR [--seed 20] [--sheet sheet.png]

The sample is drawn from the held-out split, lit by environments only, with yaw spread evenly
over -90..90 degrees. ``--sheet`` writes a contact sheet: look at it before committing. A seed
with a defect (eyes under hair, a burnt-out face) is replaced by another seed, never by picking
images, so that nothing about a face's pose decides whether it is in.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from hpbench.rendering.job import render_dataset
from hpbench.rendering.labels import LABELS_NAME
from hpbench.rendering.render_spec import RenderSpec
from hpbench.rendering.scene import PoseRanges, Range

COUNT = 144
SAMPLE = Path(__file__).resolve().parents[1] / "datasets" / "sample"
PITCH = Range(-40.0, 40.0)
ROLL = Range(-35.0, 35.0)


def main() -> None:
    """Render, flatten the folder, put it in place, and draw the contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", type=Path)
    parser.add_argument("--environments", type=Path)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--out", type=Path, default=SAMPLE)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    spec = RenderSpec(
        count=COUNT,
        seed=arguments.seed,
        size=256,
        ranges=PoseRanges(Range(-90.0, 90.0), PITCH, ROLL),
        split="heldout",
        per_identity=2,
        even_yaw=True,
        lamp_share=0.0,
        occluder_share=0.15,
        showcase=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        rendered = Path(folder) / "rendered"
        render_dataset(rendered, spec, arguments.assets, arguments.environments)
        table = pd.read_parquet(rendered / LABELS_NAME)
        install(rendered, table, arguments.out)
    if arguments.sheet:
        draw_sheet(arguments.out, arguments.sheet)


def install(rendered: Path, table: pd.DataFrame, out: Path) -> None:
    """Copy images and label table into the package, images in one flat folder."""
    images = out / "images"
    shutil.rmtree(images, ignore_errors=True)
    images.mkdir(parents=True)
    names = [f"images/sample_{number:03d}.jpg" for number in range(len(table))]
    for source, name in zip(table["image"], names, strict=True):
        shutil.copyfile(rendered / source, out / name)
    table.assign(image=names).to_parquet(out / LABELS_NAME, index=False, compression="zstd")


def draw_sheet(sample: Path, path: Path, columns: int = 16) -> None:
    """One image of all images."""
    table = pd.read_parquet(sample / LABELS_NAME)
    images = [cv2.imread(str(sample / name)) for name in table["image"]]
    images += [np.zeros_like(images[0])] * (-len(images) % columns)
    rows = [np.hstack(images[i : i + columns]) for i in range(0, len(images), columns)]
    cv2.imwrite(str(path), np.vstack(rows))


if __name__ == "__main__":
    main()
