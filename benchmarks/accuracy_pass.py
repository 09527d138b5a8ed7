"""Images per second of the accuracy pass against a plain DataLoader script, in one run.

    python benchmarks/accuracy_pass.py AFLW2000_DIR WEIGHTS [--images 2000] [--rounds 3]

Both sides do the same work on the same files: read the label and the JPEG, crop by Hopenet's
test rule, resize, run the same network, decode. They take turns, so that a drifting machine
hits both alike; the table shows the median of the rounds and the ratio. Images of the folder are
repeated through links where more are asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import scipy.io
import torch
from PIL import Image
from repeat import repeat_aflw2000
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from hpbench.inference.progress import NoProgress
from hpbench.methods.hopenet.weights import load_weights
from hpbench.results.run_config import RunConfig
from hpbench.running.runner import run

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PlainAflw2000(Dataset):
    """What a careful student would write: one item, one image, torchvision transforms."""

    def __init__(self, folder: Path) -> None:
        self.images = sorted(folder.glob("*.jpg"))
        self.transform = transforms.Compose(
            [
                transforms.Resize(224),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, np.ndarray]:
        path = self.images[index]
        label = scipy.io.loadmat(path.with_suffix(".mat"))
        x, y = label["pt3d_68"][:2]
        x0, y0, x1, y1 = x.min(), y.min(), x.max(), y.max()
        k, w, h = 0.2, x1 - x0, y1 - y0
        x0, y0 = x0 - 2 * k * w, y0 - 2 * k * h
        x1, y1 = x1 + 2 * k * (x1 - x0), y1 + 0.6 * k * (y1 - y0)
        crop = Image.open(path).convert("RGB").crop((int(x0), int(y0), int(x1), int(y1)))
        pitch, yaw, roll = np.degrees(label["Pose_Para"][0][:3])
        return self.transform(crop), np.array([yaw, pitch, roll])


@torch.inference_mode()
def run_plain(folder: Path, weights: Path) -> float:
    """Mean absolute error by the plain script, over |angle| up to 99 degrees."""
    network = load_weights(weights).network
    loader = DataLoader(PlainAflw2000(folder), batch_size=32, num_workers=os.cpu_count() or 1)
    bins = torch.arange(66, dtype=torch.float32)
    errors = []
    for images, labels in loader:
        logits = network(images)
        angles = 3 * (torch.softmax(logits.view(len(images), 3, 66), -1) * bins).sum(-1) - 99
        keep = labels.abs().amax(1) <= 99
        errors.append((angles - labels)[keep].abs())
    return float(torch.cat(errors).mean())


def run_hpbench(folder: Path, weights: Path, runtime: str = "torch") -> float:
    """Mean absolute error by ``hpbench run`` without its timing pass."""
    with tempfile.TemporaryDirectory() as out:
        spec = RunConfig(
            methods=f"hopenet[weights={weights},runtime={runtime}]",
            datasets="aflw2000",
            data={"aflw2000": folder},
            device="cpu",
            timing="off",
            fresh=True,
        )
        run(spec, Path(out) / "run", NoProgress())
        results = json.loads((Path(out) / "run" / "results.json").read_text())["results"]
    return float(results[0]["mae_deg"]["mean"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary)
        repeat_aflw2000(arguments.folder, data, arguments.images)
        compare(data, arguments.weights, arguments.images, arguments.rounds)


def compare(folder: Path, weights: Path, images: int, rounds: int) -> None:
    """Print the table."""
    works = {
        "plain DataLoader script": run_plain,
        "hpbench run": run_hpbench,
        "hpbench run, runtime=onnx": partial(run_hpbench, runtime="onnx"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    errors: dict[str, float] = {}
    loads = [os.getloadavg()[0]]
    for _ in range(rounds):
        for name, work in works.items():
            start = perf_counter()
            errors[name] = work(folder, weights)
            seconds[name].append(perf_counter() - start)
        loads.append(os.getloadavg()[0])
    print(f"{images} images, median of {rounds} interleaved rounds")
    print("load of the last minute: " + ", ".join(f"{load:.1f}" for load in loads))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    plain = medians["plain DataLoader script"]
    for name, median in medians.items():
        spread = max(seconds[name]) - min(seconds[name])
        print(
            f"{name:<26} {images / median:7.1f} images/s  {plain / median:5.2f} x  "
            f"(spread {spread:.2f} s)  MAE {errors[name]:.2f}"
        )


if __name__ == "__main__":
    main()
