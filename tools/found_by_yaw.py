"""Share of faces that a run's detector found, by true yaw in steps of 15 degrees.

    hpbench run --methods constant --boxes 'dlib[upsample=1]' --timing off --out RUN
    python tools/found_by_yaw.py RUN

A face counts as found if a box overlaps the annotated one by more than an IoU of 0.3.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

EDGES_DEG = np.arange(0.0, 91.0, 15.0)


def main() -> None:
    """Print one line per step: from, to, share, faces."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder with one method and one data set")
    folder = parser.parse_args().run
    faces = pd.read_parquet(folder / "faces.parquet")
    predictions = pd.read_parquet(folder / "predictions.parquet")
    table = faces.merge(predictions[["image_id", "status"]], on="image_id")
    found = table["status"] == "ok"
    # Yaws beyond 90 degrees, which AFLW2000 has, belong to the last step.
    step = pd.cut(table["yaw_deg"].abs().clip(upper=EDGES_DEG[-1]), EDGES_DEG, include_lowest=True)
    for one, group in found.groupby(step, observed=False):
        share = "  -" if group.empty else f"{group.mean():.2f}"
        print(f"{max(one.left, 0.0):3.0f} {one.right:3.0f}  {share}  {len(group):4d} faces")


if __name__ == "__main__":
    main()
