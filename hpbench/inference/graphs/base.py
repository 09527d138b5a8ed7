"""What the formats of networks have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hpbench.errors import MissingDependencyError, WeightsError

__all__ = ["Graph", "TensorInfo", "require_runtime", "trained_numbers", "unreadable"]

Array = npt.NDArray[np.float64]

_TRAINED = frozenset({"float16", "bfloat16", "float32", "float64", "int8", "uint8", "int4"})


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output of a network.

    Attributes
    ----------
    name : str
    shape : tuple of int or None, or None
        None where the file leaves a side, or the whole shape, open.
    dtype : str
        NumPy's name of the type.
    """

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str = "float32"

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.name} (shape not in the file)"
        return f"{self.name} [{', '.join('?' if n is None else str(n) for n in self.shape)}]"


class Graph(ABC):
    """An opened network.

    Attributes
    ----------
    inputs, outputs : tuple of TensorInfo
        The outputs of TorchScript are known after :meth:`find_outputs`.
    parameters : int
        Numbers in constant tensors of the types that weights have.
    on_cpu : bool
        It runs on the CPU, whatever device was asked for.
    splits : bool
        Several threads may run it at once, each on one core.
    """

    splits: ClassVar[bool] = False
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    parameters: int
    on_cpu: bool = True

    @abstractmethod
    def run(
        self,
        input_name: str,
        values: npt.NDArray[Any],
        output_names: Sequence[str],
        one_core: bool = False,
    ) -> list[Array]:
        """Outputs for one input of the type that :attr:`inputs` names."""

    def find_outputs(self, input_name: str, values: npt.NDArray[Any]) -> None:
        """Learn the outputs by a run, where the file does not say them."""


def require_runtime(path: Path, title: str, modules: Sequence[str], extra: str) -> None:
    """Raise MissingDependencyError where a format's runtime is not installed."""
    for module in modules:
        if find_spec(module) is None:
            raise MissingDependencyError(
                f"{path}: {title} networks need {module}; pip install 'hpbench[{extra}]'"
            )


def unreadable(path: Path, title: str, reason: str) -> WeightsError:
    """The error for a file that its format's library refuses."""
    return WeightsError(f"{path}: cannot be opened as {title} ({reason})")


def trained_numbers(dtype: str, shape: Sequence[int]) -> int:
    """How many parameters a constant tensor holds; scalars and whole numbers are arithmetic."""
    return math.prod(shape) if shape and dtype in _TRAINED else 0
