"""Tensors of weights files, and networks that are filled with them; nothing is ever executed."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpbench.errors import WeightsError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["common_prefix", "fill_network", "first_misfit", "read_state_dict", "shapes_of"]

StateDict = dict[str, "Tensor"]

_COUNTER = "num_batches_tracked"
"""A tensor of batch norms that inference does not use."""

_WRAPPERS = frozenset(
    {"_forward_module", "_model", "_orig_mod", "ema", "model", "module", "net", "network"}
)
"""What ``DataParallel``, ``torch.compile`` and training frameworks put before all names."""

_NO_WEIGHTS = re.compile(r"optim|sched|scaler|loss", re.IGNORECASE)

_OF_TRAINING = frozenset({"settings", "network", "averaged", "optimizer", "history"})
"""Keys of the checkpoint of ``hpbench train``, which does not say crop, input size and bins."""

_STARTS = {
    b"<": "a web page, such as a download service shows; fetch the file itself",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself ('git lfs pull')",
    b"{": "JSON or a text, not weights",
}


def read_state_dict(path: Path) -> StateDict:
    """Read the tensors of a ``.safetensors`` file, or of one that ``torch.save`` wrote.

    A checkpoint's dictionary around the tensors (``state_dict``, ``model_state_dict``,
    ``model``, ``ema``, ...) is taken off; where it holds both, a model goes before its moving
    average.

    Returns
    -------
    dict of str to Tensor
        Single precision, without counters of batch norms and without what training frameworks
        put before all names (``module.``, ``_orig_mod.``, ``model.``), however often.

    Raises
    ------
    WeightsError
        If the file is missing, corrupted, or holds anything but tensors.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    if path.suffix.lower() == ".onnx":
        raise WeightsError(
            f"{path}: an ONNX network, not a weights file; write the card that "
            f"makes a method of it: 'hpbench new card {path.name}'"
        )
    _refuse_other_files(path)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    tensors = {name: tensor.float() for name, tensor in content.items() if _COUNTER not in name}
    while tensors and (first := common_prefix(tensors)) in _WRAPPERS:
        tensors = {name.removeprefix(f"{first}."): tensor for name, tensor in tensors.items()}
    return tensors


def common_prefix(names: Iterable[str]) -> str | None:
    """First part that all dotted names share, or None."""
    firsts = {name.partition(".")[0] if "." in name else "" for name in names}
    return next(iter(firsts)) or None if len(firsts) == 1 else None


def _refuse_other_files(path: Path) -> None:
    try:
        names = []
        is_archive = zipfile.is_zipfile(path)  # raises BadZipFile for some that are broken
        if is_archive:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise WeightsError(f"{path}: corrupted ({error}); fetch it again") from error
    if is_archive:
        if any(name.endswith("/constants.pkl") for name in names):
            raise WeightsError(
                f"{path}: is a TorchScript program; save the network's state_dict() instead, or "
                f"write the card that makes a method of it: 'hpbench new card {path.name}'"
            )
        return
    with path.open("rb") as file:
        start = file.read(64)
    # the length of the header, whose bytes may be any letters; a page would have an absurd one
    if path.suffix == ".safetensors" and int.from_bytes(start[:8], "little") < path.stat().st_size:
        return
    for first, what in _STARTS.items():
        if start.lstrip().startswith(first):
            raise WeightsError(f"{path}: is {what}")


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
                f"{path}: rejected: it contains Python objects and not only tensors, which could "
                "run code when read; save the network's state_dict() alone"
            ) from None
        raise WeightsError(f"{path}: not a weights file, or corrupted; fetch it again") from None
    except Exception as error:  # torch raises almost anything on bytes that are no pickle
        raise WeightsError(
            f"{path}: not a weights file, or corrupted ({type(error).__name__}); fetch it again"
        ) from None
    if isinstance(content, Mapping) and content.keys() >= _OF_TRAINING:
        raise WeightsError(
            f"{path}: is what 'hpbench train --resume' continues from; use the .safetensors file "
            "that a finished training writes beside it, whose card says crop, input size and bins"
        )
    found = sorted(
        _tensor_dicts(content, ""), key=lambda item: ("ema" in item[0], item[0].count("/"))
    )
    if not found:
        raise WeightsError(f"{path}: holds a {type(content).__name__}, not a state dict of tensors")
    place, tensors = found[0]
    for name, value in tensors.items():
        if not hasattr(value, "float") and not isinstance(value, int | float | str | None):
            raise WeightsError(
                f"{path}: '{place}{name}' is a {type(value).__name__}, not a tensor; "
                "save the network's state_dict() alone"
            )
    return {name: value for name, value in tensors.items() if hasattr(value, "ndim")}


def _tensor_dicts(content: object, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Dictionaries that hold tensors by name, each with its place in a checkpoint."""
    if not isinstance(content, Mapping) or _NO_WEIGHTS.search(place):
        return
    named = all(isinstance(key, str) for key in content)
    if named and sum(getattr(value, "ndim", 0) > 0 for value in content.values()) > 1:
        yield place, content
        return
    for key, value in content.items():
        yield from _tensor_dicts(value, f"{place}{key}/")


def shapes_of(network: nn.Module) -> dict[str, torch.Size]:
    """Shapes of all tensors that a weights file of this network has to hold."""
    state = network.state_dict()
    return {name: tensor.shape for name, tensor in state.items() if not name.endswith(_COUNTER)}


def first_misfit(
    expected: Mapping[str, torch.Size], tensors: StateDict, prefix: str = ""
) -> str | None:
    """The first tensor that is missing, of another shape, or unexpected; None if all fit.

    `prefix` is the start of names that is left out of the message.
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

    Messages name the file (`path`) and the network (`title`: ``a Hopenet with resnet50``), and
    tensors without `prefix`.

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
