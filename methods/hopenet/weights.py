"""Reading weights files: nothing in them is ever executed."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hpbench.errors import HpbenchError, WeightsError
from hpbench.methods.hopenet.bins import Bins
from hpbench.methods.hopenet.card import CARD_KEY, WeightsCard, read_card
from hpbench.methods.hopenet.network import HEADS, HopenetNetwork, backbone_names, make_network
from hpbench.weights.store import sha256_of

__all__ = ["LoadedWeights", "load_backbone", "load_weights", "save_weights"]

_FIRST_GUESSES = ("resnet50", "shufflenet_v2_x1_0", "alexnet", "mobilenet_v2", "resnet18")
"""Backbones that are tried first on a file that does not name its own."""

_NEARLY_ALL = 0.95
"""Share of fitting tensors at which a file is this backbone, with something wrong in it."""

_LITE_HEADS = {"fc_y": "fc_yaw", "fc_p": "fc_pitch", "fc_r": "fc_roll"}
_UNUSED = "fc_finetune"
"""A head of the authors' network that their own test script ignores."""

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
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    sha256 = sha256_of(path)
    if path.suffix == ".safetensors":
        card = read_card(path)
        tensors = _read_safetensors(path)
    else:
        card = None
        tensors = _uniform_names(_read_torch(path), path)
    if card is not None:
        network = make_network(card.backbone, card.outputs, card.input_size)
        _fill(network, tensors, path, card.backbone)
        bins = card.angle_bins if card.heads == "bins" else None
        return LoadedWeights(network, card.backbone, bins, card.input_size, card, sha256)
    outputs = _outputs_per_head(tensors, path)
    backbone = _infer_backbone(tensors, outputs, path)
    network = make_network(backbone, outputs)
    _fill(network, tensors, path, backbone)
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
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file (--init)")
    if path.suffix == ".safetensors":
        tensors = _read_safetensors(path)
        if not any(name.startswith("backbone.") for name in tensors):
            tensors = _uniform_names(tensors, path)
    else:
        tensors = _uniform_names(_read_torch(path), path)
    expected = _shapes(network)
    for head in HEADS:
        weight = tensors.get(f"{head}.weight")
        if weight is None or weight.shape != expected[f"{head}.weight"]:
            # another number of bins: this head starts anew
            for leaf in ("weight", "bias"):
                name = f"{head}.{leaf}"
                tensors[name] = network.get_parameter(name).detach().clone()
    _drop_classifier(tensors, expected)
    _fill(network, tensors, path, backbone)


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


def _read_safetensors(path: Path) -> StateDict:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {name: tensor.float() for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: corrupted safetensors file ({error}); fetch it again"
        ) from error


def _read_torch(path: Path) -> Mapping[str, object]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols of old files
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error):
            raise WeightsError(
                f"{path}: refused, it holds Python objects and not only tensors, which could run "
                "code when read; save the network's state_dict() alone"
            ) from None
        raise WeightsError(f"{path}: not a weights file, or corrupted; fetch it again") from None
    except Exception as error:  # torch raises almost anything on bytes that are no pickle
        raise WeightsError(
            f"{path}: not a weights file, or corrupted ({type(error).__name__}); fetch it again"
        ) from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content:
        raise WeightsError(f"{path}: holds a {type(content).__name__}, not a state dict of tensors")
    return content


def _uniform_names(content: Mapping[str, object], path: Path) -> StateDict:
    """Tensors under this project's names, without what inference does not use."""
    tensors: StateDict = {}
    for name, value in content.items():
        if not isinstance(value, Tensor):
            raise WeightsError(
                f"{path}: '{name}' is a {type(value).__name__}, not a tensor; "
                "save the network's state_dict() alone"
            )
        owner, dot, leaf = str(name).removeprefix("module.").partition(".")
        if owner == _UNUSED or leaf.endswith("num_batches_tracked"):
            continue
        owner = _LITE_HEADS.get(owner, owner)
        own_name = f"{owner}{dot}{leaf}"
        tensors[own_name if owner in HEADS else f"backbone.{own_name}"] = value.float()
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
        misfit = _first_misfit(expected, tensors)
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
                yield backbone, _shapes(make_network(backbone, outputs))
        except (NotImplementedError, HpbenchError):
            continue  # a few of torchvision's builders compute on their tensors


def _shapes(network: HopenetNetwork) -> dict[str, torch.Size]:
    return {
        name: tensor.shape
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def _first_misfit(expected: Mapping[str, torch.Size], tensors: StateDict) -> str | None:
    """The first tensor that is missing, of another shape, or too many; None if all fit."""
    for name, shape in expected.items():
        shown = name.removeprefix("backbone.")
        if name not in tensors:
            return f"tensor '{shown}' of shape {tuple(shape)} is missing"
        if tensors[name].shape != shape:
            return f"tensor '{shown}' has shape {tuple(tensors[name].shape)}, not {tuple(shape)}"
    for name in tensors:
        if name not in expected:
            return f"tensor '{name.removeprefix('backbone.')}' has no place in it"
    return None


def _fill(network: HopenetNetwork, tensors: StateDict, path: Path, backbone: str) -> None:
    misfit = _first_misfit(_shapes(network), tensors)
    if misfit is not None:
        raise WeightsError(f"{path}: does not fit a Hopenet with {backbone}: {misfit}")
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"{path}: tensor '{name}' holds numbers that are not finite")
    state = network.state_dict()  # has num_batches_tracked, and the version that MNASNet asks for
    state.update(tensors)
    network.load_state_dict(state)
    network.eval()
