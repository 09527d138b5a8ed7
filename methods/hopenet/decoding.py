"""Angles, and how concentrated they are, from the outputs of the network."""

from __future__ import annotations

import torch
from torch import Tensor

from hpbench.methods.hopenet.bins import Bins, BinsPerHead
from hpbench.methods.hopenet.network import REGRESSION_UNIT_DEG

__all__ = ["decode_angles", "spread_deg"]


def decode_angles(outputs: Tensor, bins: Bins | BinsPerHead | None) -> Tensor:
    """Angles in degrees from the outputs of the network.

    Parameters
    ----------
    outputs : Tensor, shape (n, 3, bins) or (n, 3, 1)
    bins : Bins, BinsPerHead or None
        None: the heads regress the angles themselves.

    Returns
    -------
    Tensor, shape (n, 3)
        Yaw, pitch, roll: the expectation of the bins' values under the softmax.
    """
    if bins is None:
        return outputs.squeeze(-1) * REGRESSION_UNIT_DEG
    values = torch.as_tensor(bins.values_deg, dtype=outputs.dtype, device=outputs.device)
    return _expectation(outputs.softmax(dim=-1), values)


def _expectation(probabilities: Tensor, values: Tensor) -> Tensor:
    """Mean of bin values, shape (bins,) or per head (3, bins), shape (n, 3)."""
    if values.ndim == 1:
        return probabilities @ values
    return (probabilities * values).sum(dim=-1)


def spread_deg(outputs: Tensor, bins: Bins | BinsPerHead) -> Tensor:
    """Standard deviation of the bins' values under the softmax, in degrees.

    Parameters
    ----------
    outputs : Tensor, shape (n, 3, bins.count)
    bins : Bins or BinsPerHead

    Returns
    -------
    Tensor, shape (n, 3), float64
        Yaw, pitch, roll.
    """
    values = torch.as_tensor(bins.values_deg, device=outputs.device)
    probabilities = outputs.double().softmax(dim=-1)
    mean = _expectation(probabilities, values)
    return (probabilities * (values - mean[..., None]) ** 2).sum(dim=-1).sqrt()
