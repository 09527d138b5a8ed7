"""Tensors of weights files, and networks that are filled with them; nothing is ever executed."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hpbench.errors import WeightsError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["fill_network", "first_misfit", "read_state_dict", "shapes_of"]

StateDict = dict[str, "Tensor"]

_COUNTER = "num_batches_tracked"
"""A tensor of batch norms that inference does not use."""


def read_state_dict(path: Path) -> StateDict:
    """Read the tensors of a ``.safetensors`` file, or of one that ``torch.save`` wrote.

    Returns
    -------
    dict of str to Tensor
        Single precision, without the prefix ``module.`` of ``DataParallel`` and without counters
        of batch norms.

    Raises
    ------
    WeightsError
        If the file is missing, corrupted, or holds anything but tensors.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    tensors: StateDict = {}
    for name, value in content.items():
        if not hasattr(value, "float"):
            raise WeightsError(
                f"{path}: '{name}' is a {type(value).__name__}, not a tensor; "
                "save the network's state_dict() alone"
            )
        if not name.endswith(_COUNTER):
            tensors[name.removeprefix("module.")] = value.float()
    return tensors


def _read_safetensors(path: Path) -> StateDict:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: corrupted safetensors file ({error}); fetch it again"
        ) from error


def _read_torch(path: Path) -> StateDict:
    import torch

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
    for key in ("state_dict", "model_state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content:
        raise WeightsError(f"{path}: holds a {type(content).__name__}, not a state dict of tensors")
    return content


def shapes_of(network: nn.Module) -> dict[str, torch.Size]:
    """Shapes of all tensors that a weights file of this network has to hold."""
    state = network.state_dict()
    return {name: tensor.shape for name, tensor in state.items() if not name.endswith(_COUNTER)}


def first_misfit(
    expected: Mapping[str, torch.Size], tensors: StateDict, prefix: str = ""
) -> str | None:
    """The first tensor that is missing, of another shape, or unexpected; None if all fit.

    Parameters
    ----------
    expected : mapping of str to Size
    tensors : dict of str to Tensor
    prefix : str
        Start of names that is left out of the message.
    """
    for name, shape in expected.items():
        shown = name.removeprefix(prefix)
        if name not in tensors:
            return f"tensor '{shown}' of shape {tuple(shape)} is missing"
        if tensors[name].shape != shape:
            return f"tensor '{shown}' has shape {tuple(tensors[name].shape)}, not {tuple(shape)}"
    for name in tensors:
        if name not in expected:
            return f"tensor '{name.removeprefix(prefix)}' has no place in it"
    return None


def fill_network(
    network: nn.Module, tensors: StateDict, path: Path, title: str, prefix: str = ""
) -> None:
    """Fill a network with tensors and set it to evaluation mode.

    Parameters
    ----------
    network : Module
    tensors : dict of str to Tensor
    path : Path
        Where they come from, for messages.
    title : str
        What the network is, for messages: ``a Hopenet with resnet50``.
    prefix : str
        As for :func:`first_misfit`.

    Raises
    ------
    WeightsError
        If a tensor is missing, unexpected, of another shape or not finite; it is named.
    """
    misfit = first_misfit(shapes_of(network), tensors, prefix)
    if misfit is not None:
        raise WeightsError(f"{path}: does not fit {title}: {misfit}")
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise WeightsError(f"{path}: tensor '{name}' holds numbers that are not finite")
    state = network.state_dict()  # has the counters, and the version that MNASNet asks for
    state.update(tensors)
    network.load_state_dict(state)
    network.eval()
