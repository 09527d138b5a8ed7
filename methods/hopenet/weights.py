"""Reading weights files: nothing in them is ever executed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hpbench.errors import HpbenchError, WeightsError
from hpbench.methods.hopenet.bins import Bins
from hpbench.methods.hopenet.card import CARD_KEY, WeightsCard, read_card
from hpbench.methods.hopenet.network import HEADS, HopenetNetwork, backbone_names, make_network
from hpbench.weights.state_dicts import (
    fill_network,
    first_misfit,
    read_state_dict,
    shapes_of,
)
from hpbench.weights.store import sha256_of

__all__ = ["LoadedWeights", "load_backbone", "load_weights", "save_weights"]

_FIRST_GUESSES = ("resnet50", "shufflenet_v2_x1_0", "alexnet", "mobilenet_v2", "resnet18")
"""Backbones that are tried first on a file that does not name its own."""

_NEARLY_ALL = 0.95
"""Share of fitting tensors at which a file is this backbone, with something wrong in it."""

_LITE_HEADS = {"fc_y": "fc_yaw", "fc_p": "fc_pitch", "fc_r": "fc_roll"}
_UNUSED = "fc_finetune"
"""A head of the authors' network that their own test script ignores."""

_PREFIX = "backbone."
"""Before every tensor that is not a head's, in this project's names."""

StateDict = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class LoadedWeights:
    """A network ready for inference and how to use it.

    Attributes
    ----------
    network : HopenetNetwork
        In evaluation mode, on the CPU.
    backbone : str
    bins : Bins or None
        None: the heads regress the angles.
    input_size : int
    card : WeightsCard or None
        None for files of other projects.
    sha256 : str
        Of the file.
    """

    network: HopenetNetwork
    backbone: str
    bins: Bins | None
    input_size: int
    card: WeightsCard | None
    sha256: str


def load_weights(path: Path) -> LoadedWeights:
    """Read a weights file and build the network it belongs to.

    Accepted are state dicts of natanielruiz/deep-head-pose (any ResNet, AlexNet) and of
    deep-head-pose-lite, written with ``torch.save``, and safetensors of this project.
    Backbone and number of bins follow from the tensors.

    Parameters
    ----------
    path : Path

    Raises
    ------
    WeightsError
        If the file is missing, corrupted, holds code, or fits no network; the first tensor that
        does not fit is named.
    """
    tensors = read_state_dict(path)
    sha256 = sha256_of(path)
    is_ours = path.suffix == ".safetensors"
    card = read_card(path) if is_ours else None
    if not is_ours:
        tensors = _uniform_names(tensors)
    if card is not None:
        network = make_network(card.backbone, card.outputs, card.input_size)
        fill_network(network, tensors, path, f"a Hopenet with {card.backbone}", _PREFIX)
        bins = card.angle_bins if card.heads == "bins" else None
        return LoadedWeights(network, card.backbone, bins, card.input_size, card, sha256)
    outputs = _outputs_per_head(tensors, path)
    backbone = _infer_backbone(tensors, outputs, path)
    network = make_network(backbone, outputs)
    fill_network(network, tensors, path, f"a Hopenet with {backbone}", _PREFIX)
    # the authors' range is -99..99 whatever the number of bins
    foreign_bins = Bins(outputs, 198.0 / outputs) if outputs > 1 else None
    return LoadedWeights(network, backbone, foreign_bins, 224, None, sha256)


def load_backbone(network: HopenetNetwork, path: Path, backbone: str) -> None:
    """Start a network from a file: all tensors, or the backbone's where the heads differ.

    Parameters
    ----------
    network : HopenetNetwork
        Filled in place.
    path : Path
        Weights of a Hopenet, or the state dict of torchvision's classification network
        (ImageNet weights), whose classifier is left out.
    backbone : str
        What `network` was built with; for messages.

    Raises
    ------
    WeightsError
        If the file is corrupted or of another architecture; the first wrong tensor is named.
    """
    tensors = read_state_dict(path)
    if not any(name.startswith(_PREFIX) for name in tensors):
        tensors = _uniform_names(tensors)
    expected = shapes_of(network)
    for head in HEADS:
        weight = tensors.get(f"{head}.weight")
        if weight is None or weight.shape != expected[f"{head}.weight"]:
            # another number of bins: this head starts anew
            for leaf in ("weight", "bias"):
                name = f"{head}.{leaf}"
                tensors[name] = network.get_parameter(name).detach().clone()
    _drop_classifier(tensors, expected)
    fill_network(network, tensors, path, f"a Hopenet with {backbone}", _PREFIX)


def _drop_classifier(tensors: StateDict, expected: Mapping[str, torch.Size]) -> None:
    """Leave out the layer with ImageNet's 1000 classes, which a Hopenet does not have."""
    for name in [name for name in tensors if name not in expected]:
        if tensors[name].shape[:1] == (1000,):
            del tensors[name]


def save_weights(network: HopenetNetwork, card: WeightsCard, path: Path) -> None:
    """Write half-precision safetensors with the card inside.

    Parameters
    ----------
    network : HopenetNetwork
    card : WeightsCard
    path : Path
        Replaced only when the whole file has been written.
    """
    from safetensors.torch import save

    tensors = {
        name: tensor.detach().cpu().half().contiguous()
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(save(tensors, metadata={CARD_KEY: card.model_dump_json()}))
    temporary.replace(path)


def _uniform_names(content: StateDict) -> StateDict:
    """Tensors under this project's names, without what inference does not use."""
    tensors: StateDict = {}
    for name, value in content.items():
        owner, dot, leaf = name.partition(".")
        if owner != _UNUSED:
            owner = _LITE_HEADS.get(owner, owner)
            own_name = f"{owner}{dot}{leaf}"
            tensors[own_name if owner in HEADS else f"{_PREFIX}{own_name}"] = value
    return tensors


def _outputs_per_head(tensors: StateDict, path: Path) -> int:
    shapes: list[int] = []
    for head in HEADS:
        weight = tensors.get(f"{head}.weight")
        if weight is None or weight.ndim != 2:
            raise WeightsError(
                f"{path}: tensor '{head}.weight' is missing; these are not weights of a Hopenet "
                "(heads fc_yaw, fc_pitch, fc_roll, or fc_y, fc_p, fc_r)"
            )
        shapes.append(weight.shape[0])
        if shapes[-1] != shapes[0]:
            raise WeightsError(
                f"{path}: '{head}.weight' has {shapes[-1]} bins where "
                f"'{HEADS[0]}.weight' has {shapes[0]}"
            )
    return shapes[0]


def _infer_backbone(tensors: StateDict, outputs: int, path: Path) -> str:
    """Backbone whose tensors these are.

    Networks are built without memory (torch's meta device) and compared by name and shape.
    """
    best, best_share = "", 0.0
    for backbone, expected in _candidates(outputs):
        misfit = first_misfit(expected, tensors, _PREFIX)
        if misfit is None:
            return backbone
        fitting = sum(
            name in tensors and tensors[name].shape == shape for name, shape in expected.items()
        )
        share = fitting / max(len(expected), len(tensors))
        if share > best_share:
            best, best_share = backbone, share
        if share >= _NEARLY_ALL:
            break
    if best_share < 0.1:
        name = next(iter(tensors))
        raise WeightsError(
            f"{path}: no torchvision network has tensor '{name.removeprefix('backbone.')}' of "
            f"shape {tuple(tensors[name].shape)}"
        )
    return best


def _candidates(outputs: int) -> Iterator[tuple[str, dict[str, torch.Size]]]:
    others = [name for name in backbone_names() if name not in _FIRST_GUESSES]
    for backbone in (*_FIRST_GUESSES, *others):
        try:
            with torch.device("meta"):
                yield backbone, shapes_of(make_network(backbone, outputs))
        except (NotImplementedError, HpbenchError):
            continue  # a few of torchvision's builders compute on their tensors
