"""300W-LP."""

from hpbench.datasets.w300lp._dataset import W300lp, W300lpOptions

__all__ = ["W300lp", "W300lpOptions"]
