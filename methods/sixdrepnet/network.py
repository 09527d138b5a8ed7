"""RepVGG (Ding et al., CVPR 2021) with a head of six numbers, as 6DRepNet uses it.

A block is trained as three branches: 3x3 and 1x1 convolutions and the identity, each with a batch
norm. All are linear, so one 3x3 convolution with a bias does the same: the *deploy* form. Files of
both forms are read; the network is always the deploy form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpbench.errors import WeightsError
from hpbench.weights.state_dicts import fill_network, first_misfit, read_state_dict, shapes_of

__all__ = ["Backbone", "SixDRepNetwork", "folded", "load_network"]

Backbone = Literal["RepVGG-B1g2", "RepVGG-A0"]

_STAGES: dict[Backbone, tuple[tuple[int, ...], tuple[int, ...], int]] = {
    "RepVGG-B1g2": ((1, 4, 6, 16, 1), (64, 128, 256, 512, 2048), 2),
    "RepVGG-A0": ((1, 2, 4, 14, 1), (48, 48, 96, 192, 1280), 1),
}
"""Blocks and channels of the five stages, and groups of every second block."""

_EPSILON = 1e-5
"""What batch norms add to the variance."""


class _Block(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, stride: int, groups: int) -> None:
        super().__init__()
        self.rbr_reparam = nn.Conv2d(channels_in, channels_out, 3, stride, 1, groups=groups)

    def forward(self, features: Tensor) -> Tensor:
        return functional.relu(self.rbr_reparam(features))


class SixDRepNetwork(nn.Module):
    """Backbone in its deploy form and head; names of tensors are those of the published files."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        blocks, widths, groups = _STAGES[backbone]
        channels, index = 3, 0
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            layers = []
            for number in range(count):
                stride = 2 if number == 0 else 1
                grouped = groups if index % 2 == 0 and index > 0 else 1
                layers.append(_Block(channels, width, stride, grouped))
                channels, index = width, index + 1
            # the first stage is a block by itself, without a number in its name
            self.add_module(f"layer{stage}", nn.Sequential(*layers) if stage else layers[0])
        self.linear_reg = nn.Linear(channels, 6)

    def forward(self, images: Tensor) -> Tensor:
        """First two columns of the rotation, not normalised, shape (n, 6)."""
        features = images
        for stage in range(5):
            features = self.get_submodule(f"layer{stage}")(features)
        outputs: Tensor = self.linear_reg(features.mean(dim=(2, 3)))
        return outputs


def load_network(path: Path) -> SixDRepNetwork:
    """Read a checkpoint of thohemp/6DRepNet in its training or deploy form.

    Raises
    ------
    WeightsError
        If the file is corrupted or of another architecture.
    """
    try:
        tensors = folded(read_state_dict(path))
    except (KeyError, RuntimeError) as error:
        raise WeightsError(
            f"{path}: branches of a RepVGG block do not fit each other ({error})"
        ) from error
    networks: list[SixDRepNetwork] = []
    for backbone in get_args(Backbone):
        network = SixDRepNetwork(backbone)
        if first_misfit(shapes_of(network), tensors) is None:
            networks.insert(0, network)
        networks.append(network)
    fill_network(networks[0], tensors, path, f"6DRepNet with {' or '.join(get_args(Backbone))}")
    return networks[0]


def folded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of the deploy form from that of either form.

    Parameters
    ----------
    tensors : mapping of str to Tensor

    Returns
    -------
    dict of str to Tensor
        With ``rbr_reparam`` in place of ``rbr_dense``, ``rbr_1x1`` and ``rbr_identity``.

    Raises
    ------
    KeyError
        If a branch lacks a tensor.
    """
    result = {name: tensor for name, tensor in tensors.items() if ".rbr_" not in name}
    result |= {name: tensor for name, tensor in tensors.items() if ".rbr_reparam." in name}
    dense = ".rbr_dense.conv.weight"
    for block in [name.removesuffix(dense) for name in tensors if name.endswith(dense)]:
        kernels, biases = zip(*_branches(tensors, block), strict=True)
        result[f"{block}.rbr_reparam.weight"] = sum(kernels[1:], kernels[0])
        result[f"{block}.rbr_reparam.bias"] = sum(biases[1:], biases[0])
    return result


def _branches(tensors: Mapping[str, Tensor], block: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Each branch of a block as the kernel and bias of a 3x3 convolution."""
    kernel = tensors[f"{block}.rbr_dense.conv.weight"]
    yield _with_norm(tensors, f"{block}.rbr_dense.bn", kernel)
    point = tensors[f"{block}.rbr_1x1.conv.weight"]
    yield _with_norm(tensors, f"{block}.rbr_1x1.bn", functional.pad(point, (1, 1, 1, 1)))
    if f"{block}.rbr_identity.weight" in tensors:
        identity = torch.zeros_like(kernel)
        for channel in range(len(kernel)):
            identity[channel, channel % kernel.shape[1], 1, 1] = 1.0
        yield _with_norm(tensors, f"{block}.rbr_identity", identity)


def _with_norm(tensors: Mapping[str, Tensor], norm: str, kernel: Tensor) -> tuple[Tensor, Tensor]:
    deviation = (tensors[f"{norm}.running_var"] + _EPSILON).sqrt()
    scale = tensors[f"{norm}.weight"] / deviation
    bias = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
    return kernel * scale.reshape(-1, 1, 1, 1), bias
