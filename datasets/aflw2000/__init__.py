"""AFLW2000-3D."""

from hpbench.datasets.aflw2000._dataset import Aflw2000, Aflw2000Options

__all__ = ["Aflw2000", "Aflw2000Options"]
