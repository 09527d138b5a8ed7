"""Run folders whose errors are known, because the predictions are rotated labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpbench.dataset import DatasetCard
from hpbench.method import MethodCard
from hpbench.protocol import Protocol
from hpbench.rotation import rotation_from_angles
from hpbench.storage.schemas import SPREAD_DEG, rotation_cells


@dataclass
class RunMaker:
    """Make a finished run folder of `faces` faces; methods err by fixed angles.

    `errors` gives each method (yaw, pitch, roll) degrees that are added to the true angles.
    `without_prediction` gives the methods without a prediction of every n-th face.
    `corrupted` gives data sets
    that are a corrupted form of another one: name, level, of what, and how much larger errors are.
    `sweep` gives factors and the values that the faces take in turn, `factors` what all share.
    `factors_of` gives each face more factors, from its number; `worse` is how many times larger
    the errors are on it. `group_of` gives each face a sequence, and whole sequences are resampled.
    `confidence` gives methods a confidence, from the number of the face; `spread` likewise one
    standard deviation for all three angles.
    """

    folder: Path
    faces: int = 60
    errors: dict[str, tuple[float, float, float]] = field(
        default_factory=lambda: {"near": (1.0, 2.0, 3.0), "far[k=2]": (-8.0, 4.0, 0.0)}
    )
    without_prediction: dict[str, int] = field(default_factory=dict)
    image_name: str = "img{:03d}"
    datasets: tuple[str, ...] = ("heads",)
    labelled: tuple[bool, bool, bool] = (True, True, True)
    protocol: dict[str, Any] = field(default_factory=dict)
    timed: bool = True
    corrupted: dict[str, tuple[str, float, str, float]] = field(default_factory=dict)
    sweep: dict[str, list[Any]] = field(default_factory=dict)
    factors: dict[str, Any] | None = field(default_factory=dict)
    factors_of: Callable[[int], dict[str, Any]] | None = None
    worse: Callable[[int], float] = lambda number: 1.0
    group_of: Callable[[int], str] | None = None
    confidence: dict[str, Callable[[int], float]] = field(default_factory=dict)
    spread: dict[str, Callable[[int], float]] = field(default_factory=dict)

    def write(self) -> Path:
        """Write the folder and return it."""
        labels, clock = np.random.default_rng(0), np.random.default_rng(1)
        faces, predictions, times, about = [], [], [], {}
        for dataset in self.datasets:
            worse = self.corrupted[dataset][3] if dataset in self.corrupted else 1.0
            for number in range(self.faces):
                angles = labels.uniform([-90, -30, -30], [90, 30, 30])
                name = self.image_name.format(number)
                faces.append(self._face(dataset, name, number, angles))
                if number == 0:
                    continue
                for method, error in self.errors.items():
                    predictions.append(
                        self._predict(
                            dataset,
                            method,
                            name,
                            number,
                            angles + worse * self.worse(number) * np.array(error),
                        )
                    )
                    times.append(_times(dataset, method, name, clock))
            about[dataset] = self._about(dataset)
        run = {
            "schema": 2, "hpbench": "0.1.0", "fingerprint": "",
            "spec": {"methods": ",".join(self.errors)}, "seed": 0,
            "created": "2020-01-02T03:04:05+00:00",
            "command": ["hpbench", "run", "--methods", ",".join(self.errors)], "git": "abc",
            "versions": {"python": "3.11"}, "hardware": {"processor": "a CPU", "device": "cpu"},
            "methods": {
                spec: _method(spec) for spec in self.errors
            },
            "datasets": about,
        }  # fmt: skip
        self.folder.mkdir(parents=True)
        (self.folder / "run.json").write_text(json.dumps(run))
        pd.DataFrame(faces).to_parquet(self.folder / "faces.parquet")
        pd.DataFrame(predictions).to_parquet(self.folder / "predictions.parquet")
        if self.timed:
            pd.DataFrame(times).to_parquet(self.folder / "timing.parquet")
        return self.folder

    def _face(self, dataset: str, name: str, number: int, angles: np.ndarray) -> dict[str, Any]:
        complete = all(self.labelled)
        shown = np.where(self.labelled, angles, np.nan)
        return {
            "dataset": dataset, "image_id": name, "image_path": f"/images/{name}.jpg",
            "group": self.group_of(number) if self.group_of else "",
            "excluded": "first one is left out" if number == 0 else None,
            "yaw_deg": shown[0], "pitch_deg": shown[1], "roll_deg": shown[2],
            **rotation_cells(rotation_from_angles(angles) if complete else None),
            "x0": 10.0, "y0": 10.0, "x1": 90.0, "y1": 90.0,
            "box_status": "annotated", "factors": self._factors(number),
        }  # fmt: skip

    def _factors(self, number: int) -> str | None:
        if self.factors_of is not None:
            return json.dumps(self.factors_of(number))
        if not self.sweep:
            return None if self.factors is None else json.dumps(self.factors)
        names = list(self.sweep)
        name = names[number % len(names)]
        values = self.sweep[name]
        value = values[number // len(names) % len(values)]
        return json.dumps({"sweep": name, "sweep_value": value})

    def _predict(
        self, dataset: str, method: str, name: str, number: int, angles: np.ndarray
    ) -> dict[str, Any]:
        predicted = (
            method not in self.without_prediction or number % self.without_prediction[method]
        )
        return {
            "dataset": dataset, "method": method, "image_id": name,
            "status": "ok" if predicted else "no_answer",
            "reason": None if predicted else "nothing seen",
            **rotation_cells(rotation_from_angles(angles) if predicted else None),
            "confidence": self.confidence[method](number) if method in self.confidence else None,
            **dict.fromkeys(
                SPREAD_DEG, self.spread[method](number) if method in self.spread else None
            ),
            "prepare_ms": 1.0, "infer_ms": 1.0, "decode_ms": 1.0,
        }  # fmt: skip

    def _about(self, dataset: str) -> dict[str, Any]:
        protocol = Protocol(dataset=dataset, **self.protocol)
        corruption = None
        if dataset in self.corrupted:
            corruption = dict(zip(("name", "level", "of"), self.corrupted[dataset], strict=False))
        card = DatasetCard(name=dataset, title=dataset.title())
        return {
            "name": dataset, "card": card.model_dump(mode="json"),
            "protocol": protocol.model_dump(mode="json"), "protocol_hash": protocol.hash,
            "boxes": "annotated", "resample": "group" if self.group_of else "image",
            "not_run": {}, "corruption": corruption,
        }  # fmt: skip


def _method(spec: str) -> dict[str, Any]:
    name = spec.partition("[")[0]
    card = MethodCard(name=name, title=f"Method {spec}").model_dump()
    return {"name": name, "identity": "", "card": card}


def _times(dataset: str, method: str, name: str, generator: np.random.Generator) -> dict[str, Any]:
    stages = dict(
        zip(("prepare_ms", "infer_ms", "decode_ms"), generator.uniform(1, 2, 3), strict=True)
    )
    return {
        "dataset": dataset, "method": method, "image_id": name, "round": 0, **stages,
        "total_ms": sum(stages.values()),
    }  # fmt: skip


@pytest.fixture(scope="session")
def run_maker() -> type[RunMaker]:
    """Return RunMaker, for fixtures that outlive a test."""
    return RunMaker


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory) -> Path:
    """Run folder of RunMaker's defaults, shared: do not change what it holds."""
    return RunMaker(tmp_path_factory.mktemp("plain") / "run").write()


@pytest.fixture
def make_run(tmp_path):
    """Return ``make_run(**settings)``, which writes a run folder; see RunMaker."""

    def make(name: str = "run", **settings: Any) -> Path:
        return RunMaker(tmp_path / name, **settings).write()

    return make
