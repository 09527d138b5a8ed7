"""Hopenet: head pose by classification into bins, refined by their expectation.

Ruiz, Chong and Rehg, "Fine-Grained Head Pose Estimation Without Keypoints", CVPR Workshops
2018 (arXiv:1710.00925); code of the authors: natanielruiz/deep-head-pose.
"""

from __future__ import annotations

from hpbench.methods.hopenet.method import Hopenet, Regression

__all__ = ["Hopenet", "Regression"]
