"""MediaPipe Face Mesh: 468 landmarks, and the head pose that its canonical face needs for them.

Kartynnik, Ablavatski, Grishchenko and Grundmann, "Real-time Facial Surface Geometry from Monocular
Video on Mobile GPUs", CVPR Workshops 2019 (arXiv:1907.06724). MediaPipe runs in a process of its
own, which may use another Python environment.
"""

from __future__ import annotations

from hpbench.methods.facemesh.landmarks import FacemeshLandmarks
from hpbench.methods.facemesh.method import Facemesh

__all__ = ["Facemesh", "FacemeshLandmarks"]
