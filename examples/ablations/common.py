"""Train a small network per setting on one data set and compare the errors."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
from pathlib import Path

from scipy.stats import t as student

QUICK = (
    "--backbone=thin_resnet_s", "--input-size=64", "--batch-size=32", "--lr=2e-3",
    "--holdout=0.3", "--targets=soft", "--penalty=huber", "--alpha=0.1",
)  # fmt: skip
"""Small enough for minutes on two cores; the settings of an ablation come after these."""


def compare(title: str, settings: dict[str, list[str]]) -> None:
    """Train once per setting and seed, and print one table.

    Parameters
    ----------
    title : str
    settings : dict of str to list of str
        Options of 'hpbench train hopenet' by the name of the row.

    Notes
    -----
    Data and budget come from the command line, see ``--help``. A script that was stopped goes on
    where it was.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="*", default=["sample"], help="training data, such as sample")
    parser.add_argument("--validate", action="append", default=[], help="further data to test on")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--epoch-faces", type=int, default=1024)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    budget = [f"--epochs={given.epochs}", f"--epoch-faces={given.epoch_faces}"]
    sources = [part for one in given.data for part in ("--datasets", one)]
    sources += [part for one in given.validate for part in ("--validate", one)]
    errors: dict[str, dict[str, list[float]]] = {name: {} for name in settings}
    for seed in range(given.seeds):  # seed by seed: stopped early, every setting has as many
        for name, options in settings.items():
            out = Path("runs") / "ablations" / f"{title}_{name}_{seed}".replace(" ", "_")
            command = ["hpbench", "train", "hopenet", *QUICK, *budget, *options, *sources]
            command += ["--seed", str(seed), "--out", str(out), "--resume"]
            subprocess.run(command, check=True)
            last = json.loads((out / "history.json").read_text(encoding="utf-8"))[-1]
            for data, figures in last["validation"].items():
                errors[name].setdefault(data, []).append(figures["mean"])
        _print_table(title, errors, seed + 1)


def _print_table(title: str, errors: dict[str, dict[str, list[float]]], seeds: int) -> None:
    print(f"\n{title}: mean absolute error in degrees, {seeds} seeds, 95 % interval of their mean")
    for name, by_data in errors.items():
        shown = "  ".join(f"{data}: {_interval(figures)}" for data, figures in by_data.items())
        print(f"{name:<32} {shown}", flush=True)


def _interval(figures: list[float]) -> str:
    """Mean and, of two or more, Student's interval."""
    mean = statistics.mean(figures)
    if len(figures) < 2:
        return f"{mean:.2f}"
    spread = statistics.stdev(figures) / math.sqrt(len(figures))
    half = float(student.ppf(0.975, len(figures) - 1)) * spread
    return f"{mean:.2f} +- {half:.2f}"
