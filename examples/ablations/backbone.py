"""How much network does it take? Backbones of different size, trained alike.

    python examples/ablations/backbone.py

Any classification network of torchvision can be named.
"""

from common import compare

compare(
    "backbone",
    {
        name: [f"--backbone={name}"]
        for name in ("thin_resnet_s", "thin_resnet_m", "shufflenet_v2_x1_0", "resnet18")
    },
)
