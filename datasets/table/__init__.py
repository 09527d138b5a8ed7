"""A user's own table of labelled images."""

from hpbench.datasets.table._dataset import Table

__all__ = ["Table"]
