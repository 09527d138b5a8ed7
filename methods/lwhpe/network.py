"""The network of LwHPE: inverted bottlenecks with grouped expansion, three heads of 66 bins."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from hpbench.weights.state_dicts import fill_network, read_state_dict

__all__ = ["BINS", "LwhpeNetwork", "load_network"]

BINS = 66
"""Bins per angle."""

_GROUPS = 4
_BLOCKS = (
    (32, 3, 2),
    (64, 3, 2),
    (96, 3, 1),
    (96, 5, 2),
    (128, 5, 1),
    (128, 5, 2),
    (128, 3, 1),
)
"""Channels, kernel and stride; the first three have ReLU, the others hard swish."""


def _conv(
    channels_in: int, channels_out: int, kernel: int, stride: int, groups: int, act: nn.Module
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(
            channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False
        ),
        nn.BatchNorm2d(channels_out),
        act,
    )


class _Bottleneck(nn.Module):
    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int, act: type[nn.Module]
    ) -> None:
        super().__init__()
        wide = 2 * channels_in
        self.exp_conv = _conv(channels_in, wide, 1, 1, _GROUPS, act())
        self.dw_conv = _conv(wide, wide, kernel, stride, wide, act())
        self.pw_conv = _conv(wide, channels_out, 1, 1, 1, act())

    def forward(self, features: Tensor) -> Tensor:
        outputs: Tensor = self.pw_conv(self.dw_conv(self.exp_conv(features)))
        return outputs


class LwhpeNetwork(nn.Module):
    """Backbone and heads; the names of tensors are those of the published file."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(3, 16, 3, 2, 1, nn.ReLU())]
        channels = 16
        for index, (channels_out, kernel, stride) in enumerate(_BLOCKS):
            act = nn.ReLU if index < 3 else nn.Hardswish
            layers.append(_Bottleneck(channels, channels_out, kernel, stride, act))
            channels = channels_out
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.ReLU())
        self.fc_yaw = nn.Linear(channels, BINS)
        self.fc_pitch = nn.Linear(channels, BINS)
        self.fc_roll = nn.Linear(channels, BINS)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of yaw, pitch, roll in one row, shape (n, 198), for (n, 3, 224, 224)."""
        features = self.features(images).flatten(1)
        heads = (self.fc_yaw, self.fc_pitch, self.fc_roll)
        return torch.cat([head(features) for head in heads], dim=1)


def load_network(path: Path) -> LwhpeNetwork:
    """Read weights as Shaw-git/Lightweight-Head-Pose-Estimation publishes them.

    Raises
    ------
    WeightsError
        If the file is corrupted or of another architecture.
    """
    network = LwhpeNetwork()
    fill_network(network, read_state_dict(path), path, "the network of LwHPE")
    return network
