"""6DRepNet: a rotation regressed as two of its columns, on RepVGG.

Hempel, Abdelrahman and Al-Hamadi, "6D Rotation Representation for Unconstrained Head Pose
Estimation", ICIP 2022 (arXiv:2202.12555); code of the authors: thohemp/6DRepNet.
"""

from __future__ import annotations

from hpbench.methods.sixdrepnet.method import SixDRepNet

__all__ = ["SixDRepNet"]
