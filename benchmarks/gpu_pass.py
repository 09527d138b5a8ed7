"""Faces per second of the accuracy pass on a GPU, against a plain DataLoader script, in one run.

    python benchmarks/gpu_pass.py [--device cuda] [--faces 4000] [--seconds 150] [--only TEXT]...

Everything is made here: pictures of 450 x 450 pixels from the bundled sample, and a ResNet-50 of
random weights (its normalisation set by pictures, its heads scaled so that predictions differ by
tens of degrees). Each line of the table is a process of its own, which is stopped when the time is
used up, the later ones first; `--only` keeps those whose name contains a text, and the plain
script. The plain script and hpbench do the same work on the same files; the
last columns say how far the predictions are from those of the plain script, in degrees. On a GPU
that is the noise of a random network: rounding convolutions' inputs to TF32's ten bits alone moves
its angles by a degree in the mean.

"pass" is from the first look at the run's faces to the last prediction, the start of the processes
that read included; "steady" leaves out what came before the first batch was done, and
is left out itself where there are few batches.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

SIDE_PX, CROP_K, INPUT_PX = 450, 0.3, 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Found = dict[str, Any]


# ---- what is run on ------------------------------------------------------------------------------


def make_pictures(folder: Path, count: int) -> None:
    """Pictures with a table of labels and boxes; JPEGs of some 30 kB, as AFLW2000's."""
    import hpbench.datasets.sample as sample

    source = Path(str(sample.__file__)).parent
    labels = pd.read_parquet(source / "labels.parquet")
    repeated = labels.iloc[np.arange(count) % len(labels)].reset_index(drop=True)
    paths = [source / image for image in repeated["image"]]
    with ProcessPoolExecutor() as processes:
        list(processes.map(partial(_make_picture, folder), range(count), paths, chunksize=64))
    scale = SIDE_PX / 256
    table = pd.DataFrame({"image": [f"{number:05d}.jpg" for number in range(count)]})
    for name in ("yaw", "pitch", "roll"):
        table[name] = repeated[f"{name}_deg"]
    for name in ("x0", "y0", "x1", "y1"):
        table[name] = (repeated[name] + 0.5) * scale - 0.5
    table.to_csv(folder / "labels.csv", index=False)


def _make_picture(folder: Path, number: int, source: Path) -> None:
    grain = np.random.default_rng(number).normal(0.0, 2.0, (SIDE_PX, SIDE_PX, 1))
    picture = Image.open(source).convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    pixels = np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(folder / f"{number:05d}.jpg", quality=90)


def make_weights(folder: Path, device: str, backbone: str) -> None:
    """A network with three heads in a weights file of this project."""
    import torch

    from hpbench.methods.hopenet.card import WeightsCard
    from hpbench.methods.hopenet.network import HEADS, make_network
    from hpbench.methods.hopenet.weights import save_weights

    torch.manual_seed(0)
    network = make_network(backbone, 66).to(device).train()
    pictures = PlainFaces(folder)
    images = torch.stack([pictures[number] for number in range(64)]).to(device)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean over what it has seen
    with torch.no_grad():
        network(images)
        network.eval()
        spread = network(images).std(dim=0).mean()
        for name in HEADS:
            head = network.get_submodule(name)
            head.weight.mul_(3.0 / spread)
            head.bias.mul_(0.0)
    card = WeightsCard(backbone=backbone, input_size=INPUT_PX, crop_k=CROP_K)
    save_weights(network, card, folder / "weights.safetensors")


# ---- the plain script ----------------------------------------------------------------------------


class PlainFaces:
    """What a careful student would write: one item, one image, torchvision transforms."""

    def __init__(self, folder: Path) -> None:
        from torchvision import transforms

        self.folder = folder
        self.table = pd.read_csv(folder / "labels.csv")
        self.boxes = self.table[["x0", "y0", "x1", "y1"]].to_numpy()
        self.transform = transforms.Compose(
            [
                transforms.Resize(INPUT_PX),
                transforms.CenterCrop(INPUT_PX),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, number: int) -> Any:
        x0, y0, x1, y1 = self.boxes[number]
        x0, y0 = x0 - 0.6 * CROP_K * (x1 - x0), y0 - 2 * CROP_K * (y1 - y0)
        x1, y1 = x1 + 0.6 * CROP_K * (x1 - x0), y1 + 0.6 * CROP_K * (y1 - y0)
        image = Image.open(self.folder / self.table["image"][number]).convert("RGB")
        return self.transform(image.crop((int(x0), int(y0), int(x1), int(y1))))


def run_plain(given: argparse.Namespace) -> Found:
    """The loop of a plain script, with the start of its workers."""
    import torch
    from torch.utils.data import DataLoader

    from hpbench.methods.hopenet.weights import load_weights
    from hpbench.rotation import rotation_from_angles

    network = load_weights(given.folder / "weights.safetensors").network.to(given.device)
    bins = torch.arange(66, dtype=torch.float32, device=given.device) * 3.0 - 97.5
    network(torch.zeros(1, 3, INPUT_PX, INPUT_PX, device=given.device)).cpu()  # cuDNN's start
    angles, ends = [], []
    start = perf_counter()
    loader = DataLoader(
        PlainFaces(given.folder), batch_size=given.batch, num_workers=given.workers,
        pin_memory=given.device != "cpu",
    )  # fmt: skip
    with torch.inference_mode():
        for images in loader:
            logits = network(images.to(given.device, non_blocking=True))
            angles.append((logits.softmax(-1) @ bins).cpu().numpy())
            ends.append(perf_counter())
    np.save(given.folder / "plain.npy", rotation_from_angles(np.concatenate(angles)))
    found = _rates(start, ends, [len(one) for one in angles])
    spread_deg = np.concatenate(angles).std(axis=0).mean()
    return {**found, "notes": f"predictions differ by {spread_deg:.0f} degrees"}


# ---- hpbench -------------------------------------------------------------------------------------


class Stopwatch:
    """Notes when faces are done (:class:`hpbench.inference.progress.Progress`)."""

    def __init__(self) -> None:
        self.begin, self.ends, self.counts = 0.0, [], []  # type: ignore[var-annotated]

    def start(self, dataset: str, method: str, total: int, done: int) -> None:
        self.begin = perf_counter()

    def advance(self, dataset: str, method: str, count: int) -> None:
        self.ends.append(perf_counter())
        self.counts.append(count)


def run_hpbench(
    given: argparse.Namespace, options: str = "", batch: Any = None, report: bool = False
) -> Found:
    """``hpbench run --timing off``."""
    from hpbench.reports import write_report
    from hpbench.results.run_config import RunConfig
    from hpbench.rotation import geodesic_deg
    from hpbench.running.runner import predict_run

    spec = f"hopenet[weights={given.folder}/weights.safetensors{options}]"
    config = RunConfig(
        methods=spec, datasets=str(given.folder / "labels.csv"), device=given.device, timing="off",
        fresh=True, trust_labels=True, workers=given.workers, batch_size=batch or given.batch,
    )  # fmt: skip
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as out:
        predict_run(config, Path(out) / "run", watch)
        if report:
            write_report(Path(out) / "run")
        predictions = pd.read_parquet(Path(out) / "run" / "predictions.parquet")
        record = json.loads((Path(out) / "run" / "run.json").read_text())
    found = _rates(watch.begin, watch.ends, watch.counts)
    (method,) = record["methods"].values()
    said = [note for note in method["card"]["notes"] if "runtime" in note or "precision" in note]
    found["notes"] = "; ".join([*said, *_batch_sizes(record)])
    if (given.folder / "plain.npy").exists():
        R = predictions[[f"r{i}{k}" for i in range(3) for k in range(3)]].to_numpy()
        apart = geodesic_deg(R.reshape(-1, 3, 3), np.load(given.folder / "plain.npy"))
        found |= {"mean_deg": float(np.mean(apart)), "most_deg": float(np.max(apart))}
    return found


def _batch_sizes(record: Found) -> list[str]:
    size = record.get("batch_size")
    return [] if size is None else [f"batch of {size}"]


def run_network(given: argparse.Namespace, options: str = "") -> Found:
    """The network alone, on pixels that are on the device, in the best of some batch sizes."""
    import torch

    from hpbench.registry import load_method, make_methods

    spec = f"hopenet[weights={given.folder}/weights.safetensors{options}]"
    (method,) = make_methods(spec, given.device).values()
    load_method(method)
    run = method._runtime.run  # type: ignore[attr-defined]
    best = (0.0, 0)
    for size in (32, 128, 512) if given.device != "cpu" else (4,):
        pixels = torch.zeros((size, INPUT_PX, INPUT_PX, 3), dtype=torch.uint8, device=given.device)
        with torch.inference_mode():
            for _ in range(3):
                run(pixels)
            method.synchronize()
            start, faces = perf_counter(), 0
            while perf_counter() - start < 1.0:
                run(pixels)
                method.synchronize()
                faces += size
        best = max(best, (faces / (perf_counter() - start), size))
    return {"steady": best[0], "notes": f"batch of {best[1]}"}


def _rates(start: float, ends: list[float], counts: list[int]) -> Found:
    """Seconds of the pass, and faces per second after the first batch."""
    steady = sum(counts[1:]) / (ends[-1] - ends[0]) if len(ends) > 4 else None
    return {"pass_s": ends[-1] - start, "faces": sum(counts), "steady": steady}


# ---- all of it -----------------------------------------------------------------------------------

PLAIN = "plain DataLoader script"
PARTS: dict[str, Callable[[argparse.Namespace], Found]] = {
    PLAIN: run_plain,
    "hpbench run, with its report": partial(run_hpbench, report=True),
    "network alone": run_network,
    "hpbench run, batch of 128": partial(run_hpbench, batch=128),
    "hpbench run, precision=half": partial(run_hpbench, options=",precision=half"),
    "hpbench run, --batch-size auto": partial(run_hpbench, batch="auto"),
    "network alone, precision=half": partial(run_network, options=",precision=half"),
    "hpbench run, runtime=compile": partial(run_hpbench, options=",runtime=compile"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--faces", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=150.0, help="for all of it")
    parser.add_argument("--only", action="append", default=[], help="lines whose name contains it")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part == "weights":
        make_weights(given.folder, given.device, given.backbone)
    elif given.part is not None:
        print(json.dumps(PARTS[given.part](given)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            _run_all(given, Path(folder))


def _run_all(given: argparse.Namespace, folder: Path) -> None:
    begin = perf_counter()
    make_pictures(folder, given.faces)
    print(f"pictures made after {perf_counter() - begin:.1f} s", flush=True)

    def part(name: str) -> Found:
        left = given.seconds - (perf_counter() - begin)
        command = [
            sys.executable, __file__, "--part", name, "--folder", str(folder),
            "--device", given.device, "--batch", str(given.batch), "--workers", str(given.workers),
            "--backbone", given.backbone,
        ]  # fmt: skip
        environment = {**os.environ, "HPBENCH_CACHE": str(folder / "cache")}
        start = perf_counter()
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=max(left, 1.0), env=environment
            )
        except subprocess.TimeoutExpired:
            return {"notes": "stopped, no time left"}
        if done.returncode:
            return {"notes": "failed: " + (done.stderr.strip().splitlines() or ["?"])[-1]}
        found: Found = json.loads(done.stdout.splitlines()[-1]) if name != "weights" else {}
        return {**found, "wall_s": perf_counter() - start}

    problem = part("weights").get("notes")
    print(problem or f"weights made after {perf_counter() - begin:.1f} s", flush=True)
    print(_machine(given), flush=True)
    print(
        "| | pass, s | faces/s of the pass | steady faces/s | whole process, s "
        "| from the plain script, mean / most | |\n|---|---|---|---|---|---|---|"
    )
    for name in PARTS:
        if given.only and name != PLAIN and not any(text in name for text in given.only):
            continue
        print(_line(name, part(name)), flush=True)
    print(f"{perf_counter() - begin:.0f} s for all of it")


def _line(name: str, found: Found) -> str:
    rate = found["faces"] / found["pass_s"] if "pass_s" in found else None
    apart = "-"
    if "mean_deg" in found:
        apart = f"{found['mean_deg']:.3f} / {found['most_deg']:.3f} degrees"
    cells = [
        name, _number(found.get("pass_s"), 2), _number(rate, 0), _number(found.get("steady"), 0),
        _number(found.get("wall_s"), 1), apart, found.get("notes", ""),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _machine(given: argparse.Namespace) -> str:
    import torch

    device = "CPU" if given.device == "cpu" else torch.cuda.get_device_name(given.device)
    return (
        f"{device}, torch {torch.__version__}, {os.cpu_count()} cores, {given.workers} workers, "
        f"{given.backbone}, {given.faces} faces, batch of {given.batch}, "
        f"load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
