"""Train a small network per setting on one data set and compare the held-out errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

QUICK = (
    "--backbone=thin_resnet_s", "--input-size=64", "--batch-size=32", "--lr=2e-3",
    "--epochs=8", "--epoch-faces=1024", "--holdout=0.3", "--targets=soft", "--penalty=huber",
    "--alpha=0.1",
)  # fmt: skip
"""Small enough for minutes on two cores; the settings of an ablation come after these."""


def compare(title: str, settings: dict[str, list[str]]) -> None:
    """Train once per setting and print one table.

    Parameters
    ----------
    title : str
    settings : dict of str to list of str
        Options of 'hpbench train hopenet' by the name of the row.

    Notes
    -----
    Data from the command line, ``sample`` by default: ``python alpha.py w300lp=DIR``.
    """
    data = sys.argv[1:] or ["sample"]
    rows = []
    for name, options in settings.items():
        out = Path("runs") / "ablations" / f"{title}_{name}".replace(" ", "_")
        command = ["hpbench", "train", "hopenet", *QUICK, *options, "--out", str(out), "--resume"]
        for one in data:
            command += ["--datasets", one]
        subprocess.run(command, check=True)
        history = json.loads((out / "history.json").read_text(encoding="utf-8"))
        rows.append((name, history[-1]["validation"]))
    print(f"\n{title}, held-out faces, mean absolute error in degrees")
    for name, validation in rows:
        for data_name, errors in validation.items():
            shown = "  ".join(
                f"{axis} {errors[axis]:5.2f}"
                for axis in ("yaw", "pitch", "roll", "mean")
                if errors[axis] is not None
            )
            print(f"{name:<24} {data_name:<20} {shown}")
