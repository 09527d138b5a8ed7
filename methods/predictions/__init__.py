"""Another program's predictions, read from a file."""

from hpbench.methods.predictions.method import Predictions

__all__ = ["Predictions"]
