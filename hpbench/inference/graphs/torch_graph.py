"""What the two formats of torch have in common: devices, threads, archives."""

from __future__ import annotations

import zipfile
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from hpbench.errors import UsageError, WeightsError, first_line
from hpbench.inference.graphs.base import Array, Graph

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TorchGraph", "read_entries", "to_device"]

MAX_UNPACKED_BYTES = 64 * 2**20
"""Of the compressed entries of an archive; torch compresses the program alone."""


class TorchGraph(Graph):
    """A network that torch runs; single faces use all cores, a share of a batch one."""

    splits = True
    device: Any

    @abstractmethod
    def call(self, input_name: str, values: Tensor) -> dict[str, Tensor]:
        """All outputs by name."""

    def run(
        self,
        input_name: str,
        values: npt.NDArray[Any],
        output_names: Sequence[str],
        one_core: bool = False,
    ) -> list[Array]:
        """See :meth:`Graph.run`."""
        import torch

        if one_core and torch.get_num_threads() != 1:
            torch.set_num_threads(1)  # of this thread only
        with torch.inference_mode():
            found = self.call(input_name, torch.from_numpy(values).to(self.device))
        return [found[name].double().cpu().numpy() for name in output_names]


def to_device(device: str) -> Any:
    """The torch device of a name; UsageError where it cannot be used."""
    import torch

    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"--device {device}: cannot be used ({first_line(error)})") from error


def read_entries(path: Path, wanted: str = "") -> dict[str, bytes]:
    """Entries of an archive that torch wrote, by their names below its folder.

    Only those whose name begins with `wanted` are read; the others are empty.

    Raises
    ------
    WeightsError
        If it is no such archive, names an entry twice, or has one that unpacks to more than the
        file itself holds and :data:`MAX_UNPACKED_BYTES`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found: dict[str, bytes] = {}
            unpacked = 0
            for info in archive.infolist():
                name = info.filename.partition("/")[2] or info.filename
                if name in found:
                    raise WeightsError(f"{path}: refused: has the entry '{name}' twice")
                unpacked += info.file_size * (info.compress_type != zipfile.ZIP_STORED)
                if unpacked > MAX_UNPACKED_BYTES:
                    raise WeightsError(f"{path}: refused: its program is larger than any network's")
                found[name] = archive.read(info) if name.startswith(wanted) else b""
            return found
    except WeightsError:
        raise
    except Exception as error:  # of a damaged archive zipfile and the decoders raise anything
        raise WeightsError(f"{path}: no archive that torch wrote ({first_line(error)})") from error
