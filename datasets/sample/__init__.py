"""The rendered faces that hpbench brings along."""

from hpbench.datasets.sample._dataset import Sample

__all__ = ["Sample"]
