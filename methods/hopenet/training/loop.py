"""Training of Hopenet: multi-loss, weight averaging, checkpoints that resume exactly."""

from __future__ import annotations

import contextlib
import io
import json
import math
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from hpbench.errors import DataError, HpbenchError, UsageError, WeightsError
from hpbench.inference.devices import resolve_device
from hpbench.methods.hopenet.card import WeightsCard
from hpbench.methods.hopenet.loss import decode_angles, multi_loss, regression_loss
from hpbench.methods.hopenet.method import IMAGENET_MEAN, IMAGENET_STD, HopenetOptions
from hpbench.methods.hopenet.network import HopenetNetwork, check_input_size, make_network
from hpbench.methods.hopenet.training.augment import (
    Augmentation,
    cut_batch,
    draw_geometry,
    photometric,
)
from hpbench.methods.hopenet.training.curves import draw_curves
from hpbench.methods.hopenet.training.cutouts import FaceCache, build_cache, validation_inputs
from hpbench.methods.hopenet.training.samples import Sample, Source, held_out
from hpbench.methods.hopenet.training.settings import TrainSettings
from hpbench.methods.hopenet.weights import load_backbone, save_weights
from hpbench.rotation import nearest_angles, rotation_from_angles, wrap_deg
from hpbench.weights.store import sha256_of

__all__ = ["CHECKPOINT", "WEIGHTS", "TrainingError", "train"]

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "hopenet.safetensors"
HISTORY = "history.json"

_RESUMABLE = {"device", "precision", "minutes"}
"""Settings that may differ when a run is taken up again."""

_YAW_EDGES_DEG = (0.0, 30.0, 60.0, 180.0)
_VALIDATION_BATCH = 64

_DIVERGED = 1.5
"""Loss of an epoch, over that of a network that knows nothing, at which the run is stopped."""

_STEPS_TO_JUDGE = 10
"""Steps that an epoch needs for its mean loss to say so."""

Note = Callable[[str], None]
History = list[dict[str, Any]]


class TrainingError(HpbenchError):
    """Training cannot go on, such as a loss that is no longer a number."""


@dataclass(frozen=True, slots=True)
class _Validation:
    name: str
    pixels: npt.NDArray[np.uint8]
    angles_deg: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Normalised images and labels on the device, and how far the run will be with them."""

    images: Tensor
    angles_deg: Tensor
    progress: float


def train(
    sources: Sequence[Source],
    validations: Sequence[Source],
    settings: TrainSettings,
    augmentation: Augmentation,
    card: WeightsCard,
    out: Path,
    resume: bool = False,
    note: Note = print,
) -> Path:
    """Train a network and write its weights.

    Parameters
    ----------
    sources : sequence of Source
        Training faces; a share of each is held out for validation.
    validations : sequence of Source
        Further data sets that are only validated on.
    settings : TrainSettings
    augmentation : Augmentation
    card : WeightsCard
        Name, licence and the like; recipe and figures are filled in.
    out : Path
        Folder for the face cache, checkpoint, history, curves and weights.
    resume : bool
        Take up the checkpoint in `out`; an epoch that was cut short is done again, and the
        figures are those of a run that was never stopped.
    note : callable
        Takes one line for the log.

    Returns
    -------
    Path
        The weights file.

    Raises
    ------
    TrainingError
        If the loss is no longer a number; the last good checkpoint is kept.
    UsageError
        If a checkpoint to take up was made with other settings.
    DataError
        If faces cannot be read or files cannot be written.
    """
    if not resume and (out / CHECKPOINT).exists():
        raise UsageError(f"{out}: holds a checkpoint; add --resume, or choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: no folder can be made here ({error.strerror})") from error
    for source in (*sources, *validations):
        note(source.summary)
    run = _Run(settings, augmentation, out, note)
    run.prepare_data(sources, validations)
    if resume:
        run.take_up()
    run.fit()
    return run.export(card, sources)


class _Run:
    """State of a training run."""

    def __init__(
        self, settings: TrainSettings, augmentation: Augmentation, out: Path, note: Note
    ) -> None:
        self.settings, self.augmentation, self.out, self.note = settings, augmentation, out, note
        self.bins = settings.angle_bins
        self.device = torch.device(resolve_device(settings.device))
        torch.manual_seed(settings.seed)
        network = make_network(settings.backbone, settings.outputs, settings.input_size)
        if settings.init is not None:
            load_backbone(network, settings.init, settings.backbone)
        self.network = network.to(self.device)
        for size in {settings.first_size or settings.input_size, settings.input_size}:
            check_input_size(network, settings.backbone, size)
        self.network.to(memory_format=torch.channels_last)
        self.averaged = torch.optim.swa_utils.AveragedModel(
            self.network, avg_fn=_average(settings.average), use_buffers=True
        )
        self.optimizer = torch.optim.AdamW(_parameter_groups(network, settings), settings.lr)
        precision = settings.precision
        self.bf16 = precision == "bf16" or (precision == "auto" and self.device.type == "cuda")
        self.scale = torch.tensor(IMAGENET_STD, device=self.device).view(3, 1, 1)
        self.shift = torch.tensor(IMAGENET_MEAN, device=self.device).view(3, 1, 1)
        self.epoch = 0
        self.step = 0
        self.seconds = 0.0
        self.clock = time.perf_counter()
        self.history: History = []
        self.caches: list[FaceCache] = []
        self.weights: list[float] = []
        self.validations: list[_Validation] = []

    # data ------------------------------------------------------------------------------------

    def prepare_data(self, sources: Sequence[Source], validations: Sequence[Source]) -> None:
        """Cut out all training faces, and the inputs of all validation faces."""
        for number, source in enumerate(sources):
            kept_back = held_out(source.samples, self.settings.holdout)
            training = [s for s, back in zip(source.samples, kept_back, strict=True) if not back]
            path = self.out / "cache" / f"{number}_{source.dataset.name}.npy"
            cache = build_cache(source.dataset, training, self.settings.input_size, path, self.note)
            self.caches.append(cache)
            self.weights.append(source.weight)
            if kept_back.any():
                held = [s for s, back in zip(source.samples, kept_back, strict=True) if back]
                self._add_validation(f"{source.name} held out", source, held)
        for source in validations:
            self._add_validation(source.name, source, source.samples)
        faces = sum(len(cache) for cache in self.caches)
        self.epoch_faces = self.settings.epoch_faces or faces
        self.epoch_steps = max(1, self.epoch_faces // self.settings.batch_size)
        self.note(f"{faces} faces to train on, {self.epoch_steps} steps per epoch")

    def _add_validation(self, name: str, source: Source, samples: Sequence[Sample]) -> None:
        options = HopenetOptions(crop=self.settings.crop, k=self.settings.crop_k)
        size = self.settings.input_size
        pixels, angles = validation_inputs(source.dataset, samples, options, size)
        self.validations.append(_Validation(name, pixels, angles))

    def _batches(self) -> Generator[_Batch, None, None]:
        """Batches of one epoch; the next one is made while the last one is used.

        All random choices follow from seed and epoch alone.
        """
        seed = [self.settings.seed, self.epoch]
        generator = np.random.default_rng(seed)
        torch_generator = torch.Generator(device=self.device)
        torch_generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        size = self.settings.batch_size
        drawn = _draw_faces(
            [len(cache) for cache in self.caches],
            self.weights,
            self.epoch_steps * size,
            generator,
        )

        def make(number: int) -> _Batch:
            progress = self._progress(self.epoch * self.epoch_steps + number)
            faces = drawn[number * size : (number + 1) * size]
            return self._make_batch(faces, progress, generator, torch_generator)

        with ThreadPoolExecutor(1) as maker:
            coming = maker.submit(make, 0)
            for number in range(1, self.epoch_steps):
                batch = coming.result()
                coming = maker.submit(make, number)
                yield batch
            yield coming.result()

    def _make_batch(
        self,
        faces: npt.NDArray[np.int64],
        progress: float,
        generator: np.random.Generator,
        torch_generator: torch.Generator,
    ) -> _Batch:
        pairs = [(self.caches[source], int(face)) for source, face in faces]
        boxes = np.stack([cache.boxes_xyxy[face] for cache, face in pairs])
        angles = np.stack([cache.angles_deg[face] for cache, face in pairs])
        stored = np.stack([cache.pixels[face] for cache, face in pairs])
        geometry = draw_geometry(boxes, angles, self.bins, self.augmentation, generator)
        pixels = torch.from_numpy(stored).to(self.device)
        images = cut_batch(pixels, geometry.affine.to(self.device), self._size(progress))
        images = photometric(images, self.augmentation, torch_generator)
        images = (images - self.shift) / self.scale
        labels = torch.from_numpy(geometry.angles_deg).float().to(self.device)
        return _Batch(images.contiguous(memory_format=torch.channels_last), labels, progress)

    # training --------------------------------------------------------------------------------

    def fit(self) -> None:
        """Train epoch by epoch until the epochs or the minutes are used up."""
        while self.epoch < self.settings.epochs and self._progress(self.step) < 1.0:
            self.clock = time.perf_counter() - self.seconds
            loss = self._train_epoch()
            self.seconds = time.perf_counter() - self.clock
            row = {
                "epoch": self.epoch + 1,
                "faces": self.step * self.settings.batch_size,
                "loss": loss,
                "seconds": round(self.seconds, 1),
                "validation": {v.name: self._validate(v) for v in self.validations},
            }
            self.history.append(row)
            self.epoch += 1
            self._save_checkpoint()
            self._write_history()
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
        total, blind, steps = 0.0, 0.0, 0
        with contextlib.closing(self._batches()) as batches:
            for batch in batches:
                if batch.progress >= 1.0:
                    break
                for group in self.optimizer.param_groups:
                    share = _schedule(batch.progress, self.settings.warm_up)
                    group["lr"] = self.settings.lr * share
                loss = self._train_step(batch)
                if not math.isfinite(loss):
                    raise self._diverged(f"is no longer a number at step {steps + 1} of")
                total, blind, steps = total + loss, blind + self._baseline_loss(batch), steps + 1
                self.step += 1
        if steps >= _STEPS_TO_JUDGE and total > _DIVERGED * blind:
            raise self._diverged(
                f"is {total / blind:.1f} times that of a network that always predicts 0 degrees in"
            )
        return total / max(steps, 1)

    def _train_step(self, batch: _Batch) -> float:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            outputs = self.network(batch.images)
        loss = self._loss(outputs.float(), batch.angles_deg)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_norm)
        value = float(loss.detach())
        if math.isfinite(value):  # weights that are not numbers never reach a checkpoint
            self.optimizer.step()
            self.averaged.update_parameters(self.network)
        return value

    def _baseline_loss(self, batch: _Batch) -> float:
        """Loss of outputs of zero: no bin is preferred, every angle is 0 degrees."""
        nothing = torch.zeros(len(batch.images), 3, self.settings.outputs, device=self.device)
        return float(self._loss(nothing, batch.angles_deg))

    def _loss(self, outputs: Tensor, angles: Tensor) -> Tensor:
        s = self.settings
        if s.heads == "regression":
            return regression_loss(outputs, angles, s.penalty)
        return multi_loss(outputs, angles, self.bins, s.alpha, s.targets, s.penalty)

    def _size(self, progress: float) -> int:
        """Input side at this point: small images first, full size for the last third."""
        s = self.settings
        if s.first_size is None:
            return s.input_size
        grown = s.first_size + (s.input_size - s.first_size) * min(1.0, progress / 0.65)
        return min(s.input_size, 16 * round(grown / 16))

    def _diverged(self, what: str) -> TrainingError:
        kept = self.out / CHECKPOINT
        where = f"the last good checkpoint is {kept}" if kept.exists() else "nothing was kept yet"
        return TrainingError(
            f"the training diverges: the loss {what} epoch {self.epoch + 1}; {where}. "
            f"Lower --lr (now {self.settings.lr:g}) or --alpha (now {self.settings.alpha:g})"
        )

    # validation ------------------------------------------------------------------------------

    def _validate(self, validation: _Validation) -> dict[str, Any]:
        """Errors of the averaged weights, on images of the size that is trained on now."""
        network = self.averaged.module.eval()
        bins = self.bins if self.settings.heads == "bins" else None
        size = self._size(self._progress(self.step))
        predicted: list[npt.NDArray[np.float64]] = []
        with torch.inference_mode():
            for start in range(0, len(validation.pixels), _VALIDATION_BATCH):
                chunk = validation.pixels[start : start + _VALIDATION_BATCH]
                pixels = torch.from_numpy(chunk).to(self.device)
                images = pixels.permute(0, 3, 1, 2).float() / 255.0
                if size != images.shape[-1]:
                    images = functional.interpolate(
                        images, size=(size, size), mode="bilinear", antialias=True
                    )
                outputs = network((images - self.shift) / self.scale)
                predicted.append(decode_angles(outputs, bins).double().cpu().numpy())
        return _errors(np.concatenate(predicted), validation.angles_deg)

    # files -----------------------------------------------------------------------------------

    def take_up(self) -> None:
        """Continue from the checkpoint in the output folder, if there is one."""
        path = self.out / CHECKPOINT
        if not path.is_file():
            self.note(f"{path}: not there yet; starting from the beginning")
            return
        try:
            stored = torch.load(path, map_location=self.device, weights_only=True)
            before = json.loads(stored["settings"])
        except Exception as error:  # torch raises almost anything on a corrupted file
            raise _damaged(path, error) from None
        now = json.loads(self._settings_text())
        for key, value in now.items():
            if key not in _RESUMABLE and before.get(key) != value:
                raise UsageError(
                    f"{path}: was made with {key}={before.get(key)}, not {value}; "
                    "use the same options, or another --out"
                )
        try:
            self.network.load_state_dict(stored["network"])
            self.averaged.load_state_dict(stored["averaged"])
            self.optimizer.load_state_dict(stored["optimizer"])
            self.epoch, self.step = int(stored["epoch"]), int(stored["step"])
            self.seconds = float(stored["seconds"])
            self.history = json.loads(stored["history"])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise _damaged(path, error) from None
        self.note(f"{path}: taken up after epoch {self.epoch}")

    def _settings_text(self) -> str:
        fields = self.settings.model_dump(mode="json")
        fields["augmentation"] = self.augmentation.model_dump(mode="json")
        fields["sources"] = [
            [len(cache), weight] for cache, weight in zip(self.caches, self.weights, strict=True)
        ]
        return json.dumps(fields)

    def _save_checkpoint(self) -> None:
        path = self.out / CHECKPOINT
        temporary = path.with_name(path.name + ".part")
        state = {
            "settings": self._settings_text(),
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "history": json.dumps(self.history),
        }
        content = io.BytesIO()  # torch's own writer would report a full disk in riddles
        torch.save(state, content)
        try:
            temporary.write_bytes(content.getbuffer())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            kept = (
                "the last good checkpoint is kept, go on from it with --resume when there is room"
                if path.exists()
                else "it would have been the first, so nothing was kept"
            )
            raise DataError(f"{path}: cannot be written ({error.strerror}); {kept}") from error

    def _write_history(self) -> None:
        path = self.out / HISTORY
        temporary = path.with_name(path.name + ".part")
        try:
            temporary.write_text(json.dumps(self.history, indent=1), encoding="utf-8")
            temporary.replace(path)
            draw_curves(self.history, self.out / "curves.png")
        except OSError as error:
            raise DataError(
                f"{path}: cannot be written ({error.strerror}); the checkpoint is whole, "
                "go on from it with --resume when there is room"
            ) from error

    def export(self, card: WeightsCard, sources: Sequence[Source]) -> Path:
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
        path = self.out / WEIGHTS
        try:
            save_weights(cast(HopenetNetwork, self.averaged.module), full, path)
            readable = full.model_dump(mode="json") | {"weights_sha256": sha256_of(path)}
            text = json.dumps(readable, indent=1, ensure_ascii=False)
            (self.out / "card.json").write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise DataError(
                f"{path}: cannot be written ({error.strerror}); the checkpoint is whole, "
                "go on from it with --resume when there is room"
            ) from error
        return path


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{path}: not a checkpoint, or corrupted ({type(error).__name__}); remove it"
    )


def _parameter_groups(network: HopenetNetwork, settings: TrainSettings) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels only, not for biases and norms."""
    parameters = list(network.parameters())
    return [
        {
            "params": [p for p in parameters if p.ndim > 1],
            "weight_decay": settings.weight_decay,
        },
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Exponential moving average that forgets the first steps faster."""

    def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        if not averaged.is_floating_point():
            return current
        keep = min(decay, (1.0 + float(count)) / (10.0 + float(count)))
        return averaged * keep + current * (1.0 - keep)

    return average


def _schedule(progress: float, warm_up: float) -> float:
    """Share of the learning rate: linear warm-up, then a half cosine to half a percent."""
    rising = min(1.0, (progress + 1e-3) / (warm_up + 1e-3))
    return rising * (0.005 + 0.995 * 0.5 * (1.0 + math.cos(math.pi * progress)))


def _draw_faces(
    sizes: Sequence[int], weights: Sequence[float], count: int, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw (source, face) pairs, shape (count, 2); no face twice before all of its source."""
    shares = np.asarray(weights, dtype=np.float64) / sum(weights)
    source = generator.choice(len(sizes), size=count, p=shares)
    face = np.zeros(count, dtype=np.int64)
    for number, size in enumerate(sizes):
        places = np.flatnonzero(source == number)
        rounds = -(-len(places) // size)
        order = [generator.permutation(size) for _ in range(rounds)]
        if order:
            face[places] = np.concatenate(order)[: len(places)]
    return np.stack([source, face], axis=1)


def _errors(
    predicted_deg: npt.NDArray[np.float64], labels_deg: npt.NDArray[np.float64]
) -> dict[str, Any]:
    """Mean absolute errors: per angle, of all labelled angles, and per range of yaw."""
    nearest = nearest_angles(rotation_from_angles(predicted_deg), labels_deg)
    error = np.abs(wrap_deg(nearest - labels_deg))
    labelled = np.isfinite(np.asarray(error)).any(axis=0, keepdims=True)[0]
    per_angle = [float(np.nanmean(error[:, i])) if labelled[i] else None for i in range(3)]
    by_yaw = []
    for low, high in pairwise(_YAW_EDGES_DEG):
        inside = (np.abs(labels_deg[:, 0]) >= low) & (np.abs(labels_deg[:, 0]) < high)
        mean = _rounded(float(np.nanmean(error[inside]))) if inside.any() else None
        by_yaw.append({"from": low, "to": high, "faces": int(inside.sum()), "mae": mean})
    known = [value for value in per_angle if value is not None]
    return {
        "faces": len(labels_deg),
        "yaw": _rounded(per_angle[0]),
        "pitch": _rounded(per_angle[1]),
        "roll": _rounded(per_angle[2]),
        "mean": _rounded(sum(known) / len(known)),
        "by_abs_yaw": by_yaw,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _line(row: dict[str, Any], settings: TrainSettings) -> str:
    rate = row["faces"] / max(row["seconds"], 1e-9)
    figures = ", ".join(f"{name} {value['mean']:.2f}" for name, value in row["validation"].items())
    return (
        f"epoch {row['epoch']}/{settings.epochs}  {row['seconds'] / 60:.1f} min  "
        f"{rate:.0f} faces/s  loss {row['loss']:.3f}  MAE {figures or 'not validated'}"
    )
