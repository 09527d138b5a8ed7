"""How much should the regression term weigh? The paper's table 5 tries alpha from 0 to 4.

    python examples/ablations/alpha.py

Alpha 0 is plain classification. The paper uses the squared error of the expectation, so this
example does too; its numbers are large, which is why a high alpha needs a low learning rate.
"""

from common import compare

compare(
    "alpha",
    {
        f"alpha {alpha}": [f"--alpha={alpha}", "--targets=hard", "--penalty=mse", "--lr=5e-4"]
        for alpha in (0, 0.1, 1, 2)
    },
)
