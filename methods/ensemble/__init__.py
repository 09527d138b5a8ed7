"""Several methods as one: the mean of their rotations, and how far they spread around it."""

from hpbench.methods.ensemble.method import Ensemble

__all__ = ["Ensemble"]
