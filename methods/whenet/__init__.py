"""WHENet: EfficientNet-B0 with bins of yaw all around the head.

Zhou and Gregson, "WHENet: Real-time Fine-Grained Estimation for Wide Range Head Pose", BMVC 2020
(arXiv:2005.10353); code of the authors: Ascend-Research/HeadPoseEstimation-WHENet.
"""

from __future__ import annotations

from hpbench.methods.whenet.method import Whenet

__all__ = ["Whenet"]
