"""One method in a process of its own: cold start, peak memory, and one core against all.

Run as ``python -m hpbench.timing.cold_start JOB.json`` by :func:`measure_fresh`; it prints
one line of JSON when the first face is predicted and one at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from hpbench.errors import HpbenchError
from hpbench.face import Camera, Face
from hpbench.inference.cores import usable_cores

__all__ = ["FreshRun", "measure_fresh"]

FACES = 16
"""Most faces that a fresh process is timed on."""


@dataclass(frozen=True)
class FreshRun:
    """What one fresh process has shown.

    Attributes
    ----------
    first_answer_s : float
        From the start of the process to its first prediction.
    load_s : float
        The part of it that :meth:`hpbench.method.Method.load` took.
    cores : int
        That the process was allowed to use.
    threads : int or None
        Of torch, where the method uses it.
    total_ms : tuple of float
        Prepare, infer and decode of further faces, one by one.
    peak_memory_mib : float
        Largest resident memory of the whole process.
    peak_device_memory_mib : float or None
        Most that torch has allocated on the GPU.
    """

    first_answer_s: float
    load_s: float
    cores: int
    threads: int | None
    total_ms: tuple[float, ...]
    peak_memory_mib: float
    peak_device_memory_mib: float | None


def measure_fresh(
    spec: str, device: str, plugins: Sequence[Path], faces: Sequence[Face], one_core: bool
) -> FreshRun:
    """Start a process that loads a method and predicts faces one by one.

    Parameters
    ----------
    spec : str
        Canonical spec of the method.
    device : str
    plugins : sequence of Path
    faces : sequence of Face
        The first is the one of the cold start.
    one_core : bool
        The process is pinned to one core, so that every library in it uses one thread.

    Raises
    ------
    HpbenchError
        If the process fails, which it should not where the method runs.
    """
    with tempfile.TemporaryDirectory(prefix="hpbench-fresh-") as folder:
        job = Path(folder) / "job.json"
        _write_job(job, spec, device, plugins, faces[:FACES], one_core)
        environment = dict(os.environ) | ({"OMP_NUM_THREADS": "1"} if one_core else {})
        said = Path(folder) / "stderr.txt"
        start = perf_counter()
        with (
            said.open("w") as stderr,
            subprocess.Popen(
                [sys.executable, "-m", "hpbench.timing.cold_start", str(job)],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=environment,
            ) as process,
        ):
            assert process.stdout is not None
            process.stdout.readline()
            first_answer_s = perf_counter() - start
            rest = process.stdout.read()
        if process.returncode:
            lines = said.read_text(errors="replace").strip().splitlines() or ["no message"]
            raise HpbenchError(f"method '{spec}' fails in a fresh process: {lines[-1]}")
    found = json.loads(rest)
    return FreshRun(first_answer_s=first_answer_s, **found | {"total_ms": tuple(found["total_ms"])})


def _write_job(
    job: Path,
    spec: str,
    device: str,
    plugins: Sequence[Path],
    faces: Sequence[Face],
    one_core: bool,
) -> None:
    described = []
    for number, face in enumerate(faces):
        np.save(job.with_name(f"{number}.npy"), face.image)
        described.append(
            {
                "image_id": face.image_id,
                "box_xyxy": face.box_xyxy.tolist(),
                "camera": None
                if face.camera is None
                else [face.camera.matrix.tolist(), face.camera.distortion.tolist()],
                "landmarks_xy": None if face.landmarks_xy is None else face.landmarks_xy.tolist(),
            }
        )
    content = {
        "spec": spec,
        "device": device,
        "plugins": [str(path) for path in plugins],
        "one_core": one_core,
        "faces": described,
    }
    job.write_text(json.dumps(content), encoding="utf-8")


def _read_face(folder: Path, number: int, described: dict[str, Any]) -> Face:
    camera, landmarks = described["camera"], described["landmarks_xy"]
    return Face(
        described["image_id"],
        np.load(folder / f"{number}.npy"),
        np.array(described["box_xyxy"]),
        None if camera is None else Camera(np.array(camera[0]), np.array(camera[1])),
        None if landmarks is None else np.array(landmarks),
    )


def _main(job: Path) -> None:
    content = json.loads(job.read_text(encoding="utf-8"))
    if content["one_core"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    from hpbench.registry import make_method

    method = make_method(
        content["spec"], content["device"], tuple(Path(p) for p in content["plugins"])
    )
    start = perf_counter()
    method.load()
    load_s = perf_counter() - start
    faces = [_read_face(job.parent, n, one) for n, one in enumerate(content["faces"])]
    method.predict(faces[:1])
    method.synchronize()
    print("predicted", flush=True)
    method.predict(faces[:1])
    total_ms = []
    for face in faces:
        start = perf_counter()
        method.predict([face])
        method.synchronize()
        total_ms.append(1e3 * (perf_counter() - start))
    torch = sys.modules.get("torch")
    on_gpu = torch is not None and content["device"].startswith("cuda")
    found = {
        "load_s": load_s,
        "cores": usable_cores(),
        "threads": torch.get_num_threads() if torch is not None else None,
        "total_ms": total_ms,
        "peak_memory_mib": _peak_memory_mib(),
        "peak_device_memory_mib": torch.cuda.max_memory_allocated() / 2**20
        if torch is not None and on_gpu
        else None,
    }
    print(json.dumps(found), flush=True)


def _peak_memory_mib() -> float:
    """Largest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux: getrusage would count the parent's memory at the fork
        (line,) = [x for x in status.read_text().splitlines() if x.startswith("VmHWM:")]
        return float(line.split()[1]) / 1024
    import psutil

    memory = psutil.Process().memory_info()
    return float(getattr(memory, "peak_wset", memory.rss)) / 2**20


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
