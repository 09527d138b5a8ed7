"""The multi-loss of Hopenet."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hpbench.methods.hopenet.bins import Bins
from hpbench.methods.hopenet.network import (
    REGRESSION_UNIT_DEG,
    decode_angles,
    decode_rotations,
)
from hpbench.methods.hopenet.rotations import geodesic_deg, rotations_from_angles
from hpbench.methods.hopenet.training.settings import Penalty, Targets

__all__ = ["multi_loss", "regression_loss", "rotation_loss"]

HUBER_DEG = 5.0
"""Error above which the Huber penalty grows linearly."""


def multi_loss(
    logits: Tensor,
    angles_deg: Tensor,
    bins: Bins,
    alpha: float = 1.0,
    targets: Targets = "hard",
    penalty: Penalty = "mse",
) -> Tensor:
    r"""Loss of Hopenet, per angle and summed over the three angles.

    For each angle :math:`y` with bin :math:`b(y)`, bin values :math:`v_i` and probabilities
    :math:`p = \mathrm{softmax}(z)`

    .. math:: L = -\log p_{b(y)} + \alpha \, \bigl(\textstyle\sum_i v_i p_i - y\bigr)^2

    averaged over the batch (Ruiz et al., arXiv:1710.00925, section 3.2; ``code/train_hopenet.py``
    of natanielruiz/deep-head-pose).

    Parameters
    ----------
    logits : Tensor, shape (n, 3, bins.count)
    angles_deg : Tensor, shape (n, 3)
        Yaw, pitch, roll. Angles outside the bins count for the nearest bin. NaN marks an angle
        that is not labelled: it adds nothing.
    bins : Bins
    alpha : float
        Weight of the squared error; the paper tries 0, 0.01, 0.1, 1, 2 and 4.
    targets : {'hard', 'soft'}
        Cross-entropy with the one bin, as in the paper, or with a Gaussian around the angle
        whose standard deviation is one bin: neighbouring bins are not equally wrong.
    penalty : {'mse', 'huber'}
        Squared error as in the paper, or the Huber penalty, linear beyond 5 degrees, which
        noisy labels and large first errors do not blow up.
    """
    labelled = torch.isfinite(angles_deg)
    angles = torch.where(labelled, angles_deg, torch.zeros_like(angles_deg))
    log_probability = logits.log_softmax(dim=-1)
    if targets == "hard":
        index = ((angles - bins.first_edge_deg) / bins.width_deg).floor().long()
        index = index.clamp(0, bins.count - 1)
        entropy = -log_probability.gather(-1, index.unsqueeze(-1)).squeeze(-1)
    else:
        middles = bins.first_edge_deg + bins.width_deg * (
            torch.arange(bins.count, device=logits.device, dtype=logits.dtype) + 0.5
        )
        distance = (angles.unsqueeze(-1) - middles) / bins.width_deg
        soft = torch.softmax(-0.5 * distance**2, dim=-1)
        entropy = -(soft * log_probability).sum(dim=-1)
    error = _penalty(decode_angles(logits, bins), angles, penalty)
    return _mean_of_labelled(entropy + alpha * error, labelled)


def regression_loss(outputs: Tensor, angles_deg: Tensor, penalty: Penalty = "mse") -> Tensor:
    """Squared (or Huber) error of heads that regress the angles, summed over the angles.

    The direct approach before Hopenet (Yang et al. 2015): no bins, no softmax. Outputs have the
    shape (n, 3, 1); NaN marks an angle that is not labelled.
    """
    labelled = torch.isfinite(angles_deg)
    angles = torch.where(labelled, angles_deg, torch.zeros_like(angles_deg))
    error = _penalty(decode_angles(outputs, None), angles, penalty)
    return _mean_of_labelled(error, labelled) / REGRESSION_UNIT_DEG


def rotation_loss(outputs: Tensor, angles_deg: Tensor, bins: Bins | None) -> Tensor:
    """Mean angle in degrees between predicted and labelled rotations (6DRepNet, arXiv:2202.12555).

    Outputs of any heads, shape (n, 3, bins, 1 or 2). A face that lacks one of the three labels adds
    nothing.
    """
    labelled = torch.isfinite(angles_deg).all(dim=-1)
    known_deg = torch.where(labelled[:, None], angles_deg, torch.zeros_like(angles_deg))
    error = geodesic_deg(decode_rotations(outputs, bins), rotations_from_angles(known_deg))
    return (error * labelled).sum() / labelled.sum().clamp(min=1)


def _penalty(predicted: Tensor, angles: Tensor, penalty: Penalty) -> Tensor:
    if penalty == "mse":
        return (predicted - angles) ** 2
    return functional.smooth_l1_loss(predicted, angles, reduction="none", beta=HUBER_DEG)


def _mean_of_labelled(loss: Tensor, labelled: Tensor) -> Tensor:
    """Mean over the faces that have the angle, summed over the three angles."""
    kept = torch.where(labelled, loss, torch.zeros_like(loss))
    return (kept.sum(dim=0) / labelled.sum(dim=0).clamp(min=1)).sum()
