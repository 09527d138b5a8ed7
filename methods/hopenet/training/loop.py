"""Training of Hopenet: multi-loss, weight averaging, checkpoints that resume exactly."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from hpbench.errors import HpbenchError, UsageError, write_errors
from hpbench.inference.devices import resolve_device
from hpbench.methods.hopenet.card import WeightsCard
from hpbench.methods.hopenet.network import (
    REGRESSION_UNIT_DEG,
    HopenetNetwork,
    check_input_size,
    make_network,
)
from hpbench.methods.hopenet.training.batches import Batch, BatchMaker
from hpbench.methods.hopenet.training.cutouts import FaceCache, build_cache
from hpbench.methods.hopenet.training.files import CHECKPOINT, Outputs
from hpbench.methods.hopenet.training.loss import multi_loss, regression_loss, rotation_loss
from hpbench.methods.hopenet.training.samples import TrainingSource, held_out
from hpbench.methods.hopenet.training.settings import Augmentation, TrainSettings
from hpbench.methods.hopenet.training.validation import ValidationSet, validation_set
from hpbench.methods.hopenet.weights import load_backbone

__all__ = ["Training", "TrainingError"]

_DIVERGED = 1.5
"""Loss of an epoch, over that of a network that knows nothing, at which the run is stopped."""

_STEPS_TO_JUDGE = 10
"""Steps that an epoch needs for its mean loss to say so."""

_STEPS_PER_LOOK = 20
"""Steps after which the losses are looked at; at every step a GPU would be waited for."""

Note = Callable[[str], None]


class TrainingError(HpbenchError):
    """Training cannot go on, such as a loss that is no longer a number."""


class Training:
    """A training run, which is checked and has its network before any data are read.

    Parameters
    ----------
    settings, augmentation
    out
        Folder for the face cache, checkpoint, history, curves and weights.
    resume
        Resume the checkpoint in `out`; an epoch that was cut short is done again, and the
        results are those of a run that was never stopped.
    note
        Takes one line for the log.

    Raises
    ------
    UsageError
        If the backbone is unknown or does not take inputs of this size, or `out` holds a
        checkpoint that is not to be resumed.
    WeightsError
        If the network cannot start from the file of `settings.init`.
    DataError
        If the folder cannot be made.
    """

    def __init__(
        self,
        settings: TrainSettings,
        augmentation: Augmentation,
        out: Path,
        resume: bool = False,
        note: Note = print,
    ) -> None:
        if not resume and (out / CHECKPOINT).exists():
            raise UsageError(
                f"{out}: already contains a checkpoint; add --resume, or choose another --out"
            )
        self.settings, self.augmentation, self.out, self.note = settings, augmentation, out, note
        self.resumes = resume
        self.bins = settings.angle_bins
        self.device = torch.device(resolve_device(settings.device))
        torch.manual_seed(settings.seed)
        network = make_network(settings.backbone, settings.outputs, settings.input_size)
        if settings.init is not None:
            load_backbone(network, settings.init, settings.backbone)
        self.network = network.to(self.device)
        for size in {settings.first_size or settings.input_size, settings.input_size}:
            check_input_size(network, settings.backbone, size, "--input-size or --first-size")
        self.network.to(memory_format=torch.channels_last)
        self.averaged = torch.optim.swa_utils.AveragedModel(
            self.network, multi_avg_fn=self._move_average, use_buffers=True
        )
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(network, settings), settings.lr, fused=self.device.type == "cuda"
        )
        precision = settings.precision
        self.bf16 = precision == "bf16" or (precision == "auto" and self.device.type == "cuda")
        self.epoch, self.step, self.seconds = 0, 0, 0.0
        self.clock = time.perf_counter()
        self.history: list[dict[str, Any]] = []
        self.caches: list[FaceCache] = []
        self.validations: list[ValidationSet] = []
        with write_errors(out):
            out.mkdir(parents=True, exist_ok=True)

    def run(
        self,
        sources: Sequence[TrainingSource],
        validations: Sequence[TrainingSource],
        card: WeightsCard,
    ) -> Path:
        """Train the network and return the file of its weights.

        Parameters
        ----------
        sources, validations
            Training faces, of which a share is held out for validation, and data sets that are
            only validated on.
        card
            Name, licence and the like; recipe and results are filled in.

        Raises
        ------
        TrainingError
            If the loss is no longer a number; the last good checkpoint is kept.
        UsageError
            If a checkpoint to resume was made with other settings.
        DataError
            If faces cannot be read or files cannot be written.
        """
        for source in (*sources, *validations):
            self.note(source.summary)
            for warning in source.warnings:
                self.note(f"warning: {warning}")
        if self.settings.unused:
            given = ", ".join(f"--{name}" for name in self.settings.unused)
            self.note(f"no part of the loss of {self.settings.heads}, and without effect: {given}")
        self.prepare_data(sources, validations)
        if self.resumes:
            self.resume()
        self.fit()
        return self.export(card, sources)

    def prepare_data(
        self, sources: Sequence[TrainingSource], validations: Sequence[TrainingSource]
    ) -> None:
        """Cut out all training faces, and the inputs of all validation faces."""
        kept_back_of = held_out(sources, self.settings.holdout)
        for number, (source, kept_back) in enumerate(zip(sources, kept_back_of, strict=True)):
            training = [s for s, back in zip(source.samples, kept_back, strict=True) if not back]
            path = self.out / "cache" / f"{number}_{source.dataset.name}.npy"
            cache = build_cache(source.dataset, training, self.settings.input_size, path, self.note)
            self.caches.append(cache)
            if kept_back.any():
                held = [s for s, back in zip(source.samples, kept_back, strict=True) if back]
                name = f"{source.name} held out"
                self.validations.append(validation_set(name, source.dataset, held, self.settings))
        for source in validations:
            self.validations.append(
                validation_set(source.name, source.dataset, source.samples, self.settings)
            )
        faces = sum(len(cache) for cache in self.caches)
        epoch_faces = self.settings.epoch_faces or faces
        self.epoch_steps = max(1, epoch_faces // self.settings.batch_size)
        weights = [source.weight for source in sources]
        self.maker = BatchMaker(self.caches, weights, self.settings, self.augmentation, self.device)
        self.outputs = Outputs(
            self.out,
            self.settings.model_dump(mode="json")
            | {
                "augmentation": self.augmentation.model_dump(mode="json"),
                "datasets": [source.identity for source in sources],
                "validate": [source.identity for source in validations],
            },
        )
        self.note(f"{faces} faces to train on, {self.epoch_steps} steps per epoch")

    def fit(self) -> None:
        """Train epoch by epoch until the epochs or the minutes are used up."""
        while self.epoch < self.settings.epochs:
            # loading, validation and writing do not count
            self.clock = time.perf_counter() - self.seconds
            if self._progress(self.step) >= 1.0:
                break
            loss = self._train_epoch()
            self.seconds = time.perf_counter() - self.clock
            self._require_finite_weights()
            row = {
                "epoch": self.epoch + 1,
                "faces": self.step * self.settings.batch_size,
                "loss": loss,
                "seconds": round(self.seconds, 1),
                "validation": self._validate(),
            }
            self.history.append(row)
            self.epoch += 1
            self._save_checkpoint()
            self.outputs.write_history(self.history)
            self.note(_line(row, self.settings))

    def _progress(self, step: int) -> float:
        """How much of the run is done, 0..1, by steps or by the clock, whichever is further."""
        by_steps = step / (self.settings.epochs * self.epoch_steps)
        if self.settings.minutes is None:
            return by_steps
        elapsed = time.perf_counter() - self.clock
        return max(by_steps, elapsed / (60.0 * self.settings.minutes))

    def _train_epoch(self) -> float:
        self.network.train()
        torch.manual_seed(self.settings.seed * 100_003 + self.epoch)  # dropout
        total, blind = torch.zeros(2, dtype=torch.float64, device=self.device)
        steps = 0
        first = self.epoch * self.epoch_steps
        batches = self.maker.epoch(
            self.epoch, self.epoch_steps, lambda step: self._progress(first + step)
        )
        with contextlib.closing(batches):
            for batch in batches:
                if batch.progress >= 1.0:
                    break
                for group in self.optimizer.param_groups:
                    share = _schedule(batch.progress, self.settings.warm_up)
                    group["lr"] = self.settings.lr * share
                total = total + self._train_step(batch)
                blind = blind + self._baseline_loss(batch)
                steps += 1
                self.step += 1
                if steps % _STEPS_PER_LOOK == 0:
                    self._require_number(total, steps)
        self._require_number(total, steps)
        if steps >= _STEPS_TO_JUDGE and bool(total > _DIVERGED * blind):
            raise self._diverged(
                f"is {float(total / blind):.1f} times that of a network that always predicts "
                "0 degrees in"
            )
        return float(total) / max(steps, 1)

    def _require_number(self, total: Tensor, steps: int) -> None:
        """End before weights that are not numbers reach a checkpoint."""
        if not math.isfinite(float(total)):
            raise self._diverged(f"is no longer a number by step {steps} of")

    def _require_finite_weights(self) -> None:
        """End before averaged weights that half precision cannot hold reach a checkpoint."""
        tensors = self.averaged.module.state_dict().values()
        # batch norms also count steps, which no file holds
        stored = [one.half() for one in tensors if one.is_floating_point()]
        if not all(bool(one.isfinite().all()) for one in stored):
            raise self._diverged("is a number, but weights are not, at the end of")

    def _train_step(self, batch: Batch) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            outputs = self.network(batch.images)
        loss = self._loss(outputs.float(), batch.angles_deg)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        self.averaged.update_parameters(self.network)
        return loss.detach()

    def _move_average(self, averaged: Any, current: Any, count: Any) -> None:
        """Exponential moving average that forgets the first steps faster."""
        keep = min(self.settings.average, (1.0 + self.step) / (10.0 + self.step))
        torch.optim.swa_utils.get_ema_multi_avg_fn(keep)(averaged, current, count)

    def _baseline_loss(self, batch: Batch) -> Tensor:
        """Loss of outputs of zero: no bin is preferred, every angle is 0 degrees."""
        nothing = torch.zeros(len(batch.images), 3, self.settings.outputs, device=self.device)
        return self._loss(nothing, batch.angles_deg)

    def _loss(self, outputs: Tensor, angles: Tensor) -> Tensor:
        s = self.settings
        if s.heads == "rotation6d":
            return rotation_loss(outputs, angles, None) / REGRESSION_UNIT_DEG
        if s.heads == "bins":
            loss = multi_loss(outputs, angles, self.bins, s.alpha, s.targets, s.penalty)
        else:
            loss = regression_loss(outputs, angles, s.penalty)
        if s.geodesic:
            loss = loss + s.geodesic * rotation_loss(outputs, angles, s.decoded_bins)
        return loss

    def _diverged(self, what: str) -> TrainingError:
        kept = self.outputs.checkpoint
        where = f"the last good checkpoint is {kept}" if kept.exists() else "nothing was kept yet"
        return TrainingError(
            f"the training diverges: the loss {what} epoch {self.epoch + 1}; {where}. "
            f"Lower --lr (now {self.settings.lr:g}) or --alpha (now {self.settings.alpha:g})"
        )

    def _validate(self) -> dict[str, Any]:
        """Errors of the averaged weights, on images of the size that is trained on now."""
        network = self.averaged.module.eval()
        bins = self.settings.decoded_bins
        size = self.settings.input_size_at(self._progress(self.step))
        return {v.name: v.errors(network, bins, size, self.device) for v in self.validations}

    def resume(self) -> None:
        """Continue from the checkpoint in the output folder, if there is one."""
        if not self.outputs.checkpoint.is_file():
            self.note(f"{self.outputs.checkpoint}: not there yet; starting from the beginning")
            return
        stored = self.outputs.load_checkpoint(self.device)
        with self.outputs.corruption_named():
            for name, part in self._stateful().items():
                part.load_state_dict(stored[name])
            self.epoch, self.step = int(stored["epoch"]), int(stored["step"])
            self.seconds = float(stored["seconds"])
            self.history = json.loads(stored["history"])
        self.note(f"{self.outputs.checkpoint}: resumed after epoch {self.epoch}")

    def _stateful(self) -> dict[str, Any]:
        return {
            "network": self.network, "averaged": self.averaged, "optimizer": self.optimizer,
        }  # fmt: skip

    def _save_checkpoint(self) -> None:
        state = {name: part.state_dict() for name, part in self._stateful().items()}
        self.outputs.save_checkpoint(
            state
            | {
                "epoch": self.epoch, "step": self.step, "seconds": self.seconds,
                "history": json.dumps(self.history),
            }
        )  # fmt: skip

    def export(self, card: WeightsCard, sources: Sequence[TrainingSource]) -> Path:
        """Write the averaged weights with their card; returns the file."""
        s = self.settings
        recipe = s.model_dump(mode="json", exclude={"device", "init"})
        recipe["init"] = s.init.name if s.init else None
        recipe["augmentation"] = self.augmentation.model_dump(mode="json")
        recipe["sources"] = [
            {"data": source.name, "weight": source.weight, "training_faces": len(cache)}
            for source, cache in zip(sources, self.caches, strict=True)
        ]
        recipe["faces_seen"] = self.step * s.batch_size
        recipe["training_minutes"] = round(self.seconds / 60.0, 1)
        recipe["torch"] = torch.__version__
        figures = dict(self.history[-1]["validation"]) if self.history else {}
        full = card.model_copy(
            update={
                "backbone": s.backbone,
                "heads": s.heads,
                "bins": s.bins,
                "bin_width_deg": s.bin_width,
                "decode_offset_deg": self.bins.decode_offset_deg,
                "input_size": s.input_size,
                "crop": s.crop,
                "crop_k": s.crop_k,
                "recipe": recipe,
                "figures": {**card.figures, **figures},
            }
        )
        return self.outputs.write_weights(cast(HopenetNetwork, self.averaged.module), full)


def _parameter_groups(network: HopenetNetwork, settings: TrainSettings) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels only, not for biases and norms."""
    parameters = list(network.parameters())
    matrices = [p for p in parameters if p.ndim > 1]
    return [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _schedule(progress: float, warm_up: float) -> float:
    """Share of the learning rate: linear warm-up, then a half cosine to half a percent."""
    rising = min(1.0, (progress + 1e-3) / (warm_up + 1e-3))
    return rising * (0.005 + 0.995 * 0.5 * (1.0 + math.cos(math.pi * progress)))


def _line(row: dict[str, Any], settings: TrainSettings) -> str:
    rate = row["faces"] / max(row["seconds"], 1e-9)
    figures = ", ".join(f"{name} {value['mean']:.2f}" for name, value in row["validation"].items())
    return (
        f"epoch {row['epoch']}/{settings.epochs}  {row['seconds'] / 60:.1f} min  "
        f"{rate:.0f} faces/s  loss {row['loss']:.3f}  MAE {figures or 'not validated'}"
    )
