"""Angles from scores of bins: their expectation, and how far the bins spread around it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["expected_angles"]

Array = npt.NDArray[np.float64]


def expected_angles(logits: Array, values_deg: npt.ArrayLike) -> tuple[Array, Array]:
    """Mean and standard deviation, shape (n,), of an angle under the softmax over its bins.

    `logits` has shape (n, bins); `values_deg`, shape (bins,), are the angles of the bins.

    Examples
    --------
    >>> mean, spread = expected_angles(np.zeros((1, 2)), np.array([-3.0, 3.0]))
    >>> float(mean[0]), float(spread[0])
    (0.0, 3.0)
    """
    values = np.asarray(values_deg, dtype=np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    mean = shares @ values
    variance = (shares * (values - mean[:, None]) ** 2).sum(axis=1)
    return mean, np.sqrt(variance)
