"""3DDFA_V2: head pose as part of the parameters of a 3D morphable face model.

Guo, Zhu, Yang, Yang, Lei and Li, "Towards Fast, Accurate and Stable 3D Dense Face Alignment",
ECCV 2020 (arXiv:2009.09960); code of the authors: cleardusk/3DDFA_V2.
"""

from __future__ import annotations

from hpbench.methods.tddfa.landmarks import TddfaLandmarks
from hpbench.methods.tddfa.method import Tddfa

__all__ = ["Tddfa", "TddfaLandmarks"]
