"""Small networks of this project: inputs near 112 pixels, and no import of torchvision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

__all__ = ["OWN_BACKBONES"]


class _ThinBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut that averages where the image is halved."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            pool = nn.AvgPool2d(2, ceil_mode=True) if stride == 2 else nn.Identity()
            conv = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.shortcut = nn.Sequential(pool, conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.shortcut(x) + self.bn2(self.conv2(y)))


def _thin_resnet(widths: Sequence[int], blocks: Sequence[int]) -> tuple[nn.Module, int]:
    """A small ResNet: widths and blocks per stage."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, widths[0], 5, 2, 2, bias=False),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    ]
    inputs = widths[0]
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        for block in range(count):
            stride = 2 if block == 0 and stage > 0 else 1
            layers.append(_ThinBlock(inputs, width, stride))
            inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1)), widths[-1]


# (expansion, channels, blocks, kernel, stride of the first block) per stage: table 1 of the
# EfficientNet paper (arXiv:1905.11946)
_LITE_STAGES = (
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)
_LITE_STEM, _LITE_FEATURES = 32, 1280


class _InvertedBlock(nn.Module):
    """Widen, one filter per channel, narrow; added to the input where the shape stays."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        widen = _convolution(inputs, wide, 1) if expansion > 1 else []
        filters = _convolution(wide, wide, kernel, stride, groups=wide)
        narrow = _convolution(wide, outputs, 1)[:-1]  # no activation
        self.layers = nn.Sequential(*widen, *filters, *narrow)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.adds else y


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3),
        nn.ReLU6(inplace=True),
    ]


def _efficientnet_lite() -> tuple[nn.Module, int]:
    """EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, and with ReLU6.

    Layers come in the order of tensorflow/tpu (models/official/efficientnet/lite), whose weights
    for ImageNet thus fit; that project pads strided convolutions on one side only, this one on
    both.
    """
    layers = _convolution(3, _LITE_STEM, 3, stride=2)
    inputs = _LITE_STEM
    for expansion, channels, blocks, kernel, stride in _LITE_STAGES:
        for block in range(blocks):
            first_stride = stride if block == 0 else 1
            layers.append(_InvertedBlock(inputs, channels, expansion, kernel, first_stride))
            inputs = channels
    layers += _convolution(inputs, _LITE_FEATURES, 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1)), _LITE_FEATURES


OWN_BACKBONES: dict[str, Callable[[], tuple[nn.Module, int]]] = {
    "thin_resnet_s": partial(_thin_resnet, (24, 48, 96, 192), (1, 2, 2, 1)),
    "thin_resnet_m": partial(_thin_resnet, (32, 64, 128, 256), (1, 1, 2, 2)),
    "thin_resnet_l": partial(_thin_resnet, (48, 96, 192, 384), (2, 2, 2, 2)),
    "efficientnet_lite0": _efficientnet_lite,
}
"""Builders of a backbone, and the numbers per image that it gives."""
