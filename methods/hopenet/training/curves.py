"""Loss and error curves of a training run as an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["draw_curves"]


def draw_curves(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw training loss and validation errors over the faces seen.

    Parameters
    ----------
    history : sequence of dict
        Rows of ``history.json``.
    path : Path
        Image file.
    """
    from matplotlib.figure import Figure

    faces = [row["faces"] / 1000.0 for row in history]
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    loss_axes, error_axes = figure.subplots(1, 2)
    loss_axes.plot(faces, [row["loss"] for row in history], marker=".", color="black")
    loss_axes.set(xlabel="training faces seen, thousands", ylabel="training loss")
    for name in history[-1]["validation"]:
        errors = [row["validation"][name]["mean"] for row in history]
        error_axes.plot(faces, errors, marker=".", label=f"{name}: {errors[-1]:.2f}")
    error_axes.set(xlabel="training faces seen, thousands", ylabel="validation MAE, degrees")
    error_axes.set_ylim(bottom=0.0)
    for axes in (loss_axes, error_axes):
        axes.grid(alpha=0.3)
    if history[-1]["validation"]:
        error_axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
