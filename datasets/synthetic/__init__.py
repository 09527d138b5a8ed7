"""Rendered heads: the renderer, and the data sets that ``hpbench render`` writes."""

from hpbench.datasets.synthetic._dataset import Synthetic

__all__ = ["Synthetic"]
