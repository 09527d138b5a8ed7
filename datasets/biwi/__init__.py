"""BIWI Kinect Head Pose Database."""

from hpbench.datasets.biwi._dataset import Biwi, BiwiOptions

__all__ = ["Biwi", "BiwiOptions"]
