"""Files of a training run: checkpoint, history with curves, and the weights with their card."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hpbench.errors import UsageError, WeightsError, write_errors
from hpbench.methods.hopenet.card import WeightsCard
from hpbench.methods.hopenet.network import HopenetNetwork
from hpbench.methods.hopenet.weights import save_weights
from hpbench.storage.atomic import write_bytes, write_json, write_text
from hpbench.weights.store import sha256_of

__all__ = ["CHECKPOINT", "HISTORY", "WEIGHTS", "Outputs"]

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "hopenet.safetensors"
HISTORY = "history.json"

_CHECKPOINT_IS_WHOLE = "the checkpoint is whole, resume with --resume when there is room"
_RESUMABLE = {"device", "precision", "minutes"}
"""Settings that may differ when a run is resumed."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a training run writes; a checkpoint is resumed with the same settings only."""

    folder: Path
    settings: dict[str, Any]

    @property
    def checkpoint(self) -> Path:
        """File that a stopped run is resumed from."""
        return self.folder / CHECKPOINT

    def load_checkpoint(self, device: torch.device) -> dict[str, Any]:
        """State of the last whole epoch, unless the checkpoint was made with other settings."""
        with self.corruption_named():
            stored: dict[str, Any] = torch.load(
                self.checkpoint, map_location=device, weights_only=True
            )
            before = json.loads(stored["settings"])
        for key, value in json.loads(json.dumps(self.settings)).items():
            if key not in _RESUMABLE and before.get(key) != value:
                raise UsageError(
                    f"{self.checkpoint}: was made with {key}={before.get(key)}, not {value}; "
                    "use the same options, or another --out"
                )
        return stored

    @contextmanager
    def corruption_named(self) -> Iterator[None]:
        """Turn whatever a corrupted checkpoint raises, which may be anything, into one line."""
        try:
            yield
        except Exception as error:
            raise WeightsError(
                f"{self.checkpoint}: not a checkpoint, or corrupted ({type(error).__name__}); "
                "remove it"
            ) from None

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint; where the disk is full, the last good one is kept."""
        path = self.checkpoint
        content = io.BytesIO()  # torch's own writer would report a full disk in riddles
        torch.save({"settings": json.dumps(self.settings)} | state, content)
        kept = "it would have been the first, so nothing was kept"
        if path.exists():
            kept = "the last good checkpoint is kept; resume with --resume when there is room"
        with write_errors(path, kept):
            write_bytes(path, content.getvalue())

    def write_history(self, history: Sequence[dict[str, Any]]) -> None:
        """Write the values of all epochs, and draw them."""
        path = self.folder / HISTORY
        with write_errors(path, _CHECKPOINT_IS_WHOLE):
            write_json(path, history)
            _draw_curves(history, self.folder / "curves.png")

    def write_weights(self, network: HopenetNetwork, card: WeightsCard) -> Path:
        """Write weights with their card in the file, and a readable copy of it beside them."""
        path = self.folder / WEIGHTS
        with write_errors(path, _CHECKPOINT_IS_WHOLE):
            save_weights(network, card, path)
            readable = card.model_dump(mode="json") | {"weights_sha256": sha256_of(path)}
            text = json.dumps(readable, indent=1, ensure_ascii=False)
            write_text(self.folder / "card.json", text + "\n")
        return path


def _draw_curves(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw training loss and validation errors over the faces seen."""
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
