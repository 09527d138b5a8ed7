"""LwHPE: a network of 0.2 million parameters, and rectification of off-centre faces.

Li, Zhang, Li and Lee, "Accurate Head Pose Estimation Using Image Rectification and a Lightweight
Convolutional Neural Network", IEEE Transactions on Multimedia 25, 2023; code of the authors:
Shaw-git/Lightweight-Head-Pose-Estimation.
"""

from __future__ import annotations

from hpbench.methods.lwhpe.method import Lwhpe

__all__ = ["Lwhpe"]
