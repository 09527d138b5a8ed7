"""Reading weights files: nothing in them is ever executed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hpbench.errors import HpbenchError, UsageError, WeightsError
from hpbench.methods.hopenet.bins import PAPER_BINS, Bins, BinsPerHead
from hpbench.methods.hopenet.card import CARD_KEY, WeightsCard, read_card
from hpbench.methods.hopenet.network import (
    HEADS,
    HopenetNetwork,
    Outputs,
    backbone_names,
    make_network,
    parameter_count,
)
from hpbench.storage.atomic import write_bytes
from hpbench.weights.state_dicts import (
    common_prefix,
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

_LEAST_SHARE = 1 / 8
"""Of a network's numbers that a file of it has; ImageNet's classifier may be most of them."""

_HEAD = re.compile(
    r"(?:\w+\.)*(?:fc_|linear_|head_|cls_|pred_)?(yaw|pitch|roll)(?:_new|_head|_fc|_cls)?"
    r"(?:\.\d+|\.fc)?\.(weight|bias)|(?:\w+\.)*fc_([ypr])\.(weight|bias)"
)
"""A head's tensor: ``fc_yaw.weight``, deep-head-pose-lite's ``fc_y``, and other projects'."""

_ANGLE_OF_LETTER = {"y": "yaw", "p": "pitch", "r": "roll"}
_UNUSED = "fc_finetune"
"""A head of the authors' network that their own test script ignores."""

_BACKBONE_PREFIXES = frozenset(
    {"backbone", "base", "base_model", "cnn", "encoder", "feature_extractor", "resnet", "trunk"}
)
"""What other projects put before the tensors of their backbone."""

_PREFIX = "backbone."
"""Before every tensor that is not a head's, in this project's names."""

StateDict = dict[str, Tensor]
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class LoadedWeights:
    """A network in evaluation mode on the CPU, and how to use it.

    Without ``bins`` the heads regress the angles; files of other projects have no ``card``.
    """

    network: HopenetNetwork
    backbone: str
    bins: Bins | BinsPerHead | None
    card: WeightsCard | None
    sha256: str


def load_weights(
    path: Path, bin_width_deg: Triple | None = None, offset_deg: Triple | None = None
) -> LoadedWeights:
    """Read a weights file and build the network it belongs to.

    Accepted are networks of torchvision with a head per angle, in the names of
    natanielruiz/deep-head-pose, deep-head-pose-lite or this project, in whatever
    :func:`hpbench.weights.state_dicts.read_state_dict` reads. Backbone and number of bins follow
    from the tensors; which angles the bins stand for follows from the card of this project's
    files, and of other files only where they are the paper's 66.

    Parameters
    ----------
    path
    bin_width_deg, offset_deg
        For yaw, pitch and roll of files without a card: width of a bin, and angle of the first.

    Raises
    ------
    WeightsError
        If the file is missing, corrupted, holds code, or fits no network (the first tensor that
        does not fit is named), or if its bins are unknown.
    """
    tensors = read_state_dict(path)
    sha256 = sha256_of(path)
    card = read_card(path) if path.suffix == ".safetensors" else None
    if card is not None:
        if bin_width_deg or offset_deg:
            raise WeightsError(
                f"{path}: says itself what its bins are; leave bin_width, offset out"
            )
        network = _filled(tensors, path, card.backbone, card.outputs, card.input_size)
        own_bins = card.angle_bins if card.heads == "bins" else None
        return LoadedWeights(network, card.backbone, own_bins, card, sha256)
    tensors = _uniform_names(tensors)
    outputs = _outputs_per_head(tensors, path)
    backbone = _infer_backbone(tensors, outputs, path)
    network = _filled(tensors, path, backbone, outputs)
    bins = _foreign_bins(path, outputs, bin_width_deg, offset_deg)
    return LoadedWeights(network, backbone, bins, None, sha256)


def _filled(
    tensors: StateDict, path: Path, backbone: str, outputs: Outputs, input_size: int = 224
) -> HopenetNetwork:
    """A network of these tensors.

    One that has far more numbers than the file is refused before it takes memory.
    """
    title = f"a Hopenet with {backbone}"
    given = sum(tensor.numel() for tensor in tensors.values())
    try:
        needed = parameter_count(backbone)
        if given < _LEAST_SHARE * needed:
            raise WeightsError(
                f"{path}: does not fit {title}: it holds {given} numbers, and the network {needed}"
            )
        network = make_network(backbone, outputs, input_size)
    except UsageError as error:
        raise WeightsError(f"{path}: {error}") from error
    fill_network(network, tensors, path, title, _PREFIX)
    return network


def _foreign_bins(
    path: Path, outputs: tuple[int, int, int], width_deg: Triple | None, offset_deg: Triple | None
) -> Bins | BinsPerHead:
    """Bins of a file that does not say what they are."""
    if set(outputs) == {1}:
        raise WeightsError(
            f"{path}: has one number per angle, and nothing says in which unit; describe the "
            "network with a card: hpbench new card FILE.onnx"
        )
    if width_deg is None or offset_deg is None:
        if width_deg is None and offset_deg is None and set(outputs) == {PAPER_BINS.count}:
            return PAPER_BINS
        likely = ",".join("-180" if count == 120 else "-99" for count in outputs)
        raise WeightsError(
            f"{path}: has {', '.join(map(str, outputs))} bins for yaw, pitch, roll, whose angles "
            "cannot be known unless they are 66 of 3 degrees from -99; write their width and the "
            f'first one\'s angle: hopenet[weights={path},bin_width=3,offset="{likely}"]'
        )
    heads = [
        Bins(count, width, first, first)
        for count, width, first in zip(outputs, width_deg, offset_deg, strict=True)
    ]
    return heads[0] if heads[0] == heads[1] == heads[2] else BinsPerHead(*heads)


def load_backbone(network: HopenetNetwork, path: Path, backbone: str) -> None:
    """Start a network from a file: all tensors, or the backbone's where the heads differ.

    The file holds weights of a Hopenet, or the state dict of torchvision's classification network
    (ImageNet weights), whose classifier is left out.

    Raises
    ------
    WeightsError
        If the file is corrupted or of another architecture; the first wrong tensor is named.
    """
    tensors = _uniform_names(read_state_dict(path))
    expected = shapes_of(network)
    for head in HEADS:
        weight = tensors.get(f"{head}.weight")
        if weight is None or weight.shape != expected[f"{head}.weight"]:
            # another number of bins: this head starts anew
            for leaf in ("weight", "bias"):
                name = f"{head}.{leaf}"
                tensors[name] = network.get_parameter(name).detach().clone()
    fitting = {  # without the layer of ImageNet's 1000 classes, which a Hopenet does not have
        name: tensor
        for name, tensor in tensors.items()
        if name in expected or tensor.shape[:1] != (1000,)
    }
    fill_network(network, fitting, path, f"a Hopenet with {backbone}", _PREFIX)


def save_weights(network: HopenetNetwork, card: WeightsCard, path: Path) -> None:
    """Write half-precision safetensors with the card inside."""
    from safetensors.torch import save

    tensors = {
        name: tensor.detach().cpu().half().contiguous()
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    write_bytes(path, save(tensors, metadata={CARD_KEY: card.model_dump_json()}))


def _uniform_names(content: StateDict) -> StateDict:
    """Tensors under this project's names, without what inference does not use."""
    heads = {
        name: f"fc_{match[1] or _ANGLE_OF_LETTER[match[3]]}.{match[2] or match[4]}"
        for name in content
        if (match := _HEAD.fullmatch(name))
    }
    if len(set(heads.values())) < len(heads):  # several layers per angle are no linear head
        heads = {}
    rest = [name for name in content if name not in heads and _UNUSED not in name.split(".")]
    start = ""
    while (first := common_prefix(name.removeprefix(start) for name in rest)) and (
        first in _BACKBONE_PREFIXES or any(name.startswith(f"{start}{first}.") for name in heads)
    ):
        start += f"{first}."
    tensors = {f"{_PREFIX}{name.removeprefix(start)}": content[name] for name in rest}
    return tensors | {ours: content[theirs] for theirs, ours in heads.items()}


def _outputs_per_head(tensors: StateDict, path: Path) -> tuple[int, int, int]:
    counts = []
    for head in HEADS:
        weight = tensors.get(f"{head}.weight")
        if weight is None or weight.ndim != 2:
            raise WeightsError(
                f"{path}: tensor '{head}.weight' is missing; these are not weights of a Hopenet "
                "(heads fc_yaw, fc_pitch, fc_roll, or fc_y, fc_p, fc_r)"
            )
        counts.append(weight.shape[0])
    yaw, pitch, roll = counts
    return yaw, pitch, roll


def _infer_backbone(tensors: StateDict, outputs: tuple[int, int, int], path: Path) -> str:
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


def _candidates(outputs: tuple[int, int, int]) -> Iterator[tuple[str, dict[str, torch.Size]]]:
    others = [name for name in backbone_names() if name not in _FIRST_GUESSES]
    for backbone in (*_FIRST_GUESSES, *others):
        try:
            with torch.device("meta"):
                yield backbone, shapes_of(make_network(backbone, outputs))
        except (NotImplementedError, HpbenchError):
            continue  # a few of torchvision's builders compute on their tensors
