"""MobileNet (Howard et al. 2017) of half width, as 3DDFA_V2 uses it."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from hpbench.weights.state_dicts import fill_network, read_state_dict

__all__ = ["HEADS", "MobileNet", "load_network"]

HEADS = {"fc_param": 62, "fc_lm": 136}
"""Outputs: 12 numbers of the pose, 40 of the shape and 10 of the expression; and x, y of 68
landmarks, which guided the training and which the authors' own inference leaves out."""

_BLOCKS = (
    ("dw2_1", 2, 1),
    ("dw2_2", 4, 2),
    ("dw3_1", 4, 1),
    ("dw3_2", 8, 2),
    ("dw4_1", 8, 1),
    ("dw4_2", 16, 2),
    *((f"dw5_{number}", 16, 1) for number in range(1, 6)),
    ("dw5_6", 32, 2),
    ("dw6", 32, 1),
)
"""Name, channels as a multiple of the first layer's, and stride."""


class _Block(nn.Module):
    """Depthwise 3x3 and pointwise convolution, each with batch norm and ReLU."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(
            channels_in, channels_in, 3, stride, 1, groups=channels_in, bias=False
        )
        self.bn_dw = nn.BatchNorm2d(channels_in)
        self.conv_sep = nn.Conv2d(channels_in, channels_out, 1, bias=False)
        self.bn_sep = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        features = self.relu(self.bn_dw(self.conv_dw(features)))
        return self.relu(self.bn_sep(self.conv_sep(features)))


class MobileNet(nn.Module):
    """Backbone and one head; the names of tensors are those of the published file.

    Parameters
    ----------
    width : int
        Channels of the first layer: 16 for ``mb05``, 32 for ``mb1``.
    head : str
        See :data:`HEADS`.
    """

    def __init__(self, width: int = 16, head: str = "fc_param") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        channels = width
        for name, multiple, stride in _BLOCKS:
            self.add_module(name, _Block(channels, multiple * width, stride))
            channels = multiple * width
        self.head = head
        self.add_module(head, nn.Linear(channels, HEADS[head]))

    def forward(self, images: Tensor) -> Tensor:
        """Outputs of the head, shape (n, 62) or (n, 136), for images (n, 3, 120, 120)."""
        features = self.relu(self.bn1(self.conv1(images)))
        for name, _, _ in _BLOCKS:
            features = self.get_submodule(name)(features)
        outputs: Tensor = self.get_submodule(self.head)(features.mean(dim=(2, 3)))
        return outputs


def load_network(path: Path, head: str = "fc_param") -> MobileNet:
    """Read a checkpoint as cleardusk/3DDFA_V2 publishes them.

    Raises
    ------
    WeightsError
        If the file is corrupted or of another architecture.
    """
    unused = tuple(f"{name}." for name in HEADS if name != head)
    tensors = {
        name: tensor
        for name, tensor in read_state_dict(path).items()
        if not name.startswith(unused)
    }
    first = tensors.get("conv1.weight")
    network = MobileNet(len(first) if first is not None else 16, head)
    fill_network(network, tensors, path, "the MobileNet of 3DDFA_V2")
    return network
