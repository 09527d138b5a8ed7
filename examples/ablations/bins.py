"""Do the bins pay? The same backbone with 66 bins, with 33 wider ones, and without any.

    python examples/ablations/bins.py

Without bins the heads regress the angles (the direct approach before Hopenet); such weights run
as the method ``regression``.
"""

from common import compare

compare(
    "bins",
    {
        "66 bins of 3 deg": [],
        "33 bins of 6 deg": ["--bins=33", "--bin-width=6"],
        "regression": ["--heads=regression"],
    },
)
