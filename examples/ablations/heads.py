"""Does the multi-loss help? Bins against regression, 6D, and both together, on the same budget.

    hpbench render renders --count 3720 --per-identity 3 --size 160 --seed 11
    python examples/ablations/heads.py synthetic=renders --validate sample --epochs 12 \
        --epoch-faces 2560 --seeds 3

All settings share data, network, schedule, augmentation and seeds; only heads and loss differ.
"""

from common import compare

compare(
    "heads",
    {
        "bins, cross-entropy only": ["--alpha=0", "--targets=hard"],
        "bins, multi-loss": ["--alpha=0.1", "--targets=hard"],
        "bins, multi-loss, soft targets": ["--alpha=0.1"],
        "bins, multi-loss and geodesic": ["--alpha=0.1", "--geodesic=0.1"],
        "regression": ["--heads=regression"],
        "regression and geodesic": ["--heads=regression", "--geodesic=0.1"],
        "6D, geodesic": ["--heads=rotation6d"],
    },
)
