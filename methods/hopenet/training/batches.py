"""Batches of augmented faces, drawn from the cut-outs of several data sets."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hpbench.inference.torch_method import IMAGENET_MEAN, IMAGENET_STD
from hpbench.methods.hopenet.training.augment import cut_batch, draw_geometry, photometric
from hpbench.methods.hopenet.training.cutouts import FaceCache
from hpbench.methods.hopenet.training.settings import Augmentation, TrainSettings

__all__ = ["Batch", "BatchMaker", "normalised"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Normalised images (n, 3, size, size) and labels (n, 3) on the device.

    A label is NaN where an angle is not labelled; `progress` is the share of the run that is done.
    """

    images: Tensor
    angles_deg: Tensor
    progress: float


class BatchMaker:
    """Makes the batches of an epoch; all random choices follow from seed and epoch alone.

    `weights` are the shares of the faces that are drawn from each cache, relative to each other.
    """

    def __init__(
        self,
        caches: Sequence[FaceCache],
        weights: Sequence[float],
        settings: TrainSettings,
        augmentation: Augmentation,
        device: torch.device,
    ) -> None:
        self.weights, self.settings, self.augmentation = weights, settings, augmentation
        self.device = device
        self.caches = caches
        self.boxes_xyxy = np.concatenate([cache.boxes_xyxy for cache in caches])
        self.angles_deg = np.concatenate([cache.angles_deg for cache in caches])
        self.first = np.cumsum([0, *(len(cache) for cache in caches)])
        self.pixels_on_gpu = _on_gpu(caches, device)

    def epoch(
        self, epoch: int, steps: int, progress: Callable[[int], float]
    ) -> Generator[Batch, None, None]:
        """Batches of one epoch; the next one is made while the last one is used.

        `progress` tells how much of the run is done at a step of this epoch, 0..1.
        """
        seed = [self.settings.seed, epoch]
        generator = np.random.default_rng(seed)
        torch_generator = torch.Generator(device=self.device)
        torch_generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        size = self.settings.batch_size
        sizes = [len(cache) for cache in self.caches]
        drawn = _draw_faces(sizes, self.weights, steps * size, generator)

        def make(step: int) -> Batch:
            faces = drawn[step * size : (step + 1) * size]
            return self._make(faces, progress(step), generator, torch_generator)

        with ThreadPoolExecutor(1) as maker:
            coming = maker.submit(make, 0)
            for step in range(1, steps):
                batch = coming.result()
                coming = maker.submit(make, step)
                yield batch
            yield coming.result()

    def _make(
        self,
        faces: npt.NDArray[np.int64],
        progress: float,
        generator: np.random.Generator,
        torch_generator: torch.Generator,
    ) -> Batch:
        rows = self.first[faces[:, 0]] + faces[:, 1]
        geometry = draw_geometry(
            self.boxes_xyxy[rows],
            self.angles_deg[rows],
            self.settings.angle_bins,
            self.augmentation,
            generator,
        )
        size = self.settings.input_size_at(progress)
        images = cut_batch(self._pixels(faces, rows), geometry.affine.to(self.device), size)
        images = normalised(photometric(images, self.augmentation, generator, torch_generator))
        labels = torch.from_numpy(geometry.angles_deg).float().to(self.device)
        return Batch(images.contiguous(memory_format=torch.channels_last), labels, progress)

    def _pixels(self, faces: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> Tensor:
        """Cut-outs of (source, face) pairs, which are `rows` of all sources, on the device."""
        if self.pixels_on_gpu is not None:
            return self.pixels_on_gpu[torch.from_numpy(rows).to(self.device)]
        stored = np.stack([self.caches[source].pixels[face] for source, face in faces])
        return torch.from_numpy(stored).to(self.device)


def _on_gpu(caches: Sequence[FaceCache], device: torch.device) -> Tensor | None:
    """All cut-outs in the memory of a GPU, or None without one or if they fill half of it."""
    if device.type != "cuda":
        return None
    free_bytes, _ = torch.cuda.mem_get_info(device)
    if sum(cache.pixels.nbytes for cache in caches) > free_bytes // 2:
        return None
    return torch.cat([torch.from_numpy(np.array(cache.pixels)).to(device) for cache in caches])


def normalised(images: Tensor) -> Tensor:
    """Network input of RGB images in 0..1, shape (n, 3, height, width)."""
    mean, std = _imagenet_statistics(images.device)
    return (images - mean) / std


@cache
def _imagenet_statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    mean, std = (
        torch.tensor([level / 255.0 for level in levels], device=device)
        for levels in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return mean.view(3, 1, 1), std.view(3, 1, 1)


def _draw_faces(
    sizes: Sequence[int], weights: Sequence[float], count: int, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw (source, face) pairs, shape (count, 2); no face twice before all of its source."""
    shares = np.asarray(weights, dtype=np.float64) / sum(weights)
    source = generator.choice(len(sizes), size=count, p=shares)
    face = np.zeros(count, dtype=np.int64)
    for number, size in enumerate(sizes):
        drawn = np.flatnonzero(source == number)
        order = [generator.permutation(size) for _ in range(-(-len(drawn) // size))]
        if order:
            face[drawn] = np.concatenate(order)[: len(drawn)]
    return np.stack([source, face], axis=1)
