"""Pointing'04 head pose image database."""

from hpbench.datasets.pointing04._dataset import Pointing04, Pointing04Options

__all__ = ["Pointing04", "Pointing04Options"]
