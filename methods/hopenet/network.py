"""Hopenet's network: a shared backbone and one fully connected head per angle."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpbench.errors import UsageError, first_line
from hpbench.methods.hopenet.backbones import OWN_BACKBONES
from hpbench.methods.hopenet.bins import Bins, BinsPerHead
from hpbench.methods.hopenet.rotations import (
    angles_from_rotations,
    rotations_from_angles,
    rotations_from_columns,
)
from hpbench.spec import suggest

__all__ = [
    "HEADS",
    "REGRESSION_UNIT_DEG",
    "HopenetNetwork",
    "Outputs",
    "backbone_names",
    "check_input_size",
    "decode_angles",
    "decode_rotations",
    "make_network",
    "parameter_count",
    "spread_deg",
]

HEADS = ("fc_yaw", "fc_pitch", "fc_roll")
"""Names of the heads, in the order of the output; the same as in the authors' state dicts."""

REGRESSION_UNIT_DEG = 30.0
"""A regression head's output of one means this many degrees, so that it starts well scaled."""

_IMAGENET_CLASSES = 1000

_NO_CHANCE = -1e4
"""A logit that softmax makes zero."""

Outputs = int | tuple[int, int, int]


class HopenetNetwork(nn.Module):
    """Backbone, which gives `features` numbers per image, and three heads.

    `outputs` per angle are the number of bins, 1 for plain regression, or 2 for a rotation's
    columns. The attribute names are those of natanielruiz/deep-head-pose with ``backbone.`` before
    everything that is not a head.
    """

    def __init__(self, backbone: nn.Module, features: int, outputs: Outputs) -> None:
        super().__init__()
        per_head = (outputs,) * 3 if isinstance(outputs, int) else outputs
        self.backbone = backbone
        self.fc_yaw, self.fc_pitch, self.fc_roll = (nn.Linear(features, n) for n in per_head)
        self.padding = [max(per_head) - n for n in per_head]

    def forward(self, images: Tensor) -> Tensor:
        """Logits (or scaled angles), shape (n, 3, outputs), for yaw, pitch and roll.

        A head of fewer bins than another gets logits behind its last bin that mean no chance.
        """
        features = self.backbone(images).flatten(1)
        outputs = [self.fc_yaw(features), self.fc_pitch(features), self.fc_roll(features)]
        if any(self.padding):
            outputs = [
                functional.pad(output, (0, padding), value=_NO_CHANCE)
                for output, padding in zip(outputs, self.padding, strict=True)
            ]
        return torch.stack(outputs, dim=1)


def decode_angles(outputs: Tensor, bins: Bins | BinsPerHead | None) -> Tensor:
    """Yaw, pitch and roll in degrees, shape (n, 3), from outputs of shape (n, 3, bins or 1).

    They are the expectation of the bins' values under the softmax. Without bins, heads of one
    output regress the angles themselves, and heads of two, together, a rotation.
    """
    if bins is None:
        if outputs.shape[-1] == 2:
            return angles_from_rotations(decode_rotations(outputs, None))
        return outputs.squeeze(-1) * REGRESSION_UNIT_DEG
    values = torch.as_tensor(bins.values_deg, dtype=outputs.dtype, device=outputs.device)
    return _expectation(outputs.softmax(dim=-1), values)


def decode_rotations(outputs: Tensor, bins: Bins | BinsPerHead | None) -> Tensor:
    """Rotations ``R_cam``, shape (n, 3, 3), from outputs of shape (n, 3, bins, 1 or 2).

    Heads of two outputs give the first two columns of the rotation, as differences from those of a
    frontal head, so that outputs of zero mean 0 degrees here, too.
    """
    if bins is None and outputs.shape[-1] == 2:
        frontal = torch.eye(3, 2, dtype=outputs.dtype, device=outputs.device)
        return rotations_from_columns(outputs + frontal)
    return rotations_from_angles(decode_angles(outputs, bins))


def _expectation(probabilities: Tensor, values: Tensor) -> Tensor:
    """Mean of bin values, shape (bins,) or per head (3, bins), shape (n, 3)."""
    if values.ndim == 1:
        return probabilities @ values
    return (probabilities * values).sum(dim=-1)


def spread_deg(outputs: Tensor, bins: Bins | BinsPerHead) -> Tensor:
    """Standard deviation of the bins' values under the softmax, shape (n, 3), float64."""
    values = torch.as_tensor(bins.values_deg, device=outputs.device)
    probabilities = outputs.double().softmax(dim=-1)
    mean = _expectation(probabilities, values)
    return (probabilities * (values - mean[..., None]) ** 2).sum(dim=-1).sqrt()


def backbone_names() -> list[str]:
    """All backbones: this project's own and torchvision's classification networks."""
    from torchvision import models  # here, for its import takes longer than torch's own

    return [*OWN_BACKBONES, *models.list_models(module=models)]


def parameter_count(backbone: str) -> int:
    """Numbers in torchvision's network of this name, its classifier included; 0 for others."""
    if backbone in OWN_BACKBONES:
        return 0
    from torchvision import models

    if backbone not in models.list_models(module=models):
        return 0
    return int(models.get_model_weights(backbone).DEFAULT.meta["num_params"])


def make_network(backbone: str, outputs: Outputs, input_size: int = 224) -> HopenetNetwork:
    """Build an untrained network; only vision transformers depend on the side of the input.

    Raises
    ------
    UsageError
        If the backbone is unknown, or cannot be built for this input size.
    """
    if backbone in OWN_BACKBONES:
        own, features = OWN_BACKBONES[backbone]()
        return HopenetNetwork(own, features, outputs)
    from torchvision import models

    if backbone not in backbone_names():
        raise UsageError(f"no backbone '{backbone}'; {suggest(backbone, backbone_names())}")
    try:
        classifier = models.get_model(backbone, **_builder_arguments(backbone, input_size))
    except (ValueError, AssertionError) as error:
        raise UsageError(
            f"backbone '{backbone}' cannot take {input_size} pixel inputs: {first_line(error)}"
        ) from error
    features = _remove_classifier(classifier)
    return HopenetNetwork(classifier, features, outputs)


def check_input_size(network: HopenetNetwork, backbone: str, input_size: int, options: str) -> None:
    """Raise UsageError if a network cannot take images of this size, before work is put in.

    `options` are those that change the size.
    """
    was_training = network.training
    device = next(network.parameters()).device
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, 3, input_size, input_size, device=device))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UsageError(
            f"backbone '{backbone}' cannot take {input_size} pixel inputs ({first_line(error)}); "
            f"change {options}"
        ) from error
    finally:
        network.train(was_training)


def _builder_arguments(backbone: str, input_size: int) -> dict[str, Any]:
    """Arguments that a few of torchvision's builders need."""
    arguments: dict[str, Any] = {"weights": None}
    if backbone in ("googlenet", "inception_v3"):  # training would return three outputs
        arguments |= {"aux_logits": False, "init_weights": True}
    if backbone.startswith("vit_"):
        arguments["image_size"] = input_size
    if backbone.startswith("maxvit"):
        arguments["input_size"] = (input_size, input_size)
    return arguments


def _remove_classifier(network: nn.Module) -> int:
    """Replace the layer with the 1000 ImageNet classes by nothing; return what it was fed."""
    for name, layer in reversed(list(network.named_modules())):
        if isinstance(layer, nn.Linear) and layer.out_features == _IMAGENET_CLASSES:
            features = layer.in_features
        elif isinstance(layer, nn.Conv2d) and layer.out_channels == _IMAGENET_CLASSES:
            features = layer.in_channels  # SqueezeNet classifies with a 1x1 convolution
        else:
            continue
        parent, _, attribute = name.rpartition(".")
        setattr(network.get_submodule(parent), attribute, nn.Identity())
        return features
    raise UsageError(f"{type(network).__name__} has no ImageNet classifier to replace")
