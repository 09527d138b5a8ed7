"""Arrays that several readers share."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["protect", "read_only"]

Scalar = TypeVar("Scalar", bound=np.generic)


def read_only(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """A view of an array that NumPy and OpenCV refuse to write to."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def protect(owner: Any, *names: str) -> None:
    """Put :func:`read_only` views in the place of arrays of a frozen dataclass; None stays."""
    for name in names:
        array = getattr(owner, name)
        if array is not None:
            object.__setattr__(owner, name, read_only(array))
