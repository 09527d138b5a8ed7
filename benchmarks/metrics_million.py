"""All metrics with intervals, and the whole summary, on a million predictions.

Run `python benchmarks/metrics_million.py [--methods M] [--groups G]`; it prints seconds and the
peak memory that each step adds. Every prediction is a label turned by known noise, so nothing here
needs images or weights.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from hpbench.protocol import Protocol
from hpbench.results.run_record import RunRecord
from hpbench.rotation import geodesic_deg, maev_deg, rotation_from_angles
from hpbench.scoring import metrics, statistics
from hpbench.scoring.scores import RunTables
from hpbench.scoring.summary import summarise
from hpbench.storage.schemas import ROTATION_COLUMNS

PREDICTIONS = 1_000_000


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def labels(count: int, generator: np.random.Generator) -> np.ndarray:
    return generator.uniform([-90, -40, -40], [90, 40, 40], (count, 3))


def simulated_predictions(R_gt: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    noise = Rotation.from_rotvec(generator.normal(0.0, 0.08, (len(R_gt), 3))).as_matrix()
    return noise @ R_gt


def metrics_with_intervals(R_pred: np.ndarray, R_gt: np.ndarray, angles: np.ndarray) -> None:
    """Every metric of one method as arrays, each mean with its interval."""
    differences = metrics.angle_differences_deg(R_pred, angles)
    face = metrics.face_mae_deg(differences)
    geodesic = geodesic_deg(R_pred, R_gt)
    metrics.balanced_mae_deg(metrics.yaw_bins(face, angles[:, 0]))
    for limit in (15.0, 30.0):
        metrics.auc_gains(geodesic, limit).mean()
    for limit in (5.0, 10.0, 15.0):
        metrics.ced(geodesic, [limit])
    np.nansum(metrics.failures(geodesic))
    geodesic_deg(metrics.align_camera_side(R_pred, R_gt), R_gt)
    geodesic_deg(metrics.align_head_side(R_pred, R_gt), R_gt)
    columns = [*np.abs(differences).T, face, geodesic, maev_deg(R_pred, R_gt)]
    columns += [np.clip(1.0 - geodesic / limit, 0.0, None) for limit in (15.0, 30.0)]
    columns += [(geodesic <= limit).astype(float) for limit in (5.0, 10.0, 15.0)]
    resampling = statistics.make_resampling(len(face))
    resampling.mean_intervals(columns)
    resampling.median_interval(geodesic)


def run_tables(methods: int, groups: int) -> RunTables:
    """Tables of a run with a million predictions in all."""
    generator = np.random.default_rng(0)
    count = PREDICTIONS // methods
    angles = labels(count, generator)
    R_gt = rotation_from_angles(angles)
    ids = np.char.add("frame", np.arange(count).astype(str)).astype(object)
    faces = pd.DataFrame(R_gt.reshape(-1, 9), columns=list(ROTATION_COLUMNS))
    faces = faces.assign(
        dataset="d", image_id=ids, excluded=None, box_status="annotated",
        group=[f"g{number}" for number in np.arange(count) % max(groups, 1)],
        yaw_deg=angles[:, 0], pitch_deg=angles[:, 1], roll_deg=angles[:, 2],
    )  # fmt: skip
    tables = []
    for number in range(methods):
        cells = simulated_predictions(R_gt, generator).reshape(-1, 9)
        table = pd.DataFrame(cells, columns=list(ROTATION_COLUMNS))
        tables.append(
            table.assign(dataset="d", method=f"m{number}", image_id=ids, status="ok", reason=None)
        )
    protocol = Protocol(dataset="d")
    run = {
        "hpbench": "0", "created": "", "command": [], "fingerprint": "", "spec": {"methods": "m"},
        "seed": 0, "versions": {}, "hardware": {},
        "methods": {
            f"m{number}": {"name": "m", "identity": "", "card": {"name": "m", "title": "m"}}
            for number in range(methods)
        },
        "datasets": {
            "d": {
                "name": "d", "protocol": protocol, "protocol_hash": protocol.hash,
                "card": {"name": "d", "title": "d"}, "resample": "group" if groups else "image",
            }
        },
    }  # fmt: skip
    no_times = pd.DataFrame(columns=["dataset", "method"])
    predictions = pd.concat(tables, ignore_index=True)
    return RunTables(faces, predictions, no_times, RunRecord.model_validate(run))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", type=int, default=2)
    parser.add_argument("--groups", type=int, default=0, help="draw groups instead of images")
    parser.add_argument("--part", choices=["arrays", "summary"], default="arrays")
    chosen = parser.parse_args()
    if chosen.part == "arrays":
        generator = np.random.default_rng(0)
        angles = labels(PREDICTIONS, generator)
        R_gt = rotation_from_angles(angles)
        R_pred = simulated_predictions(R_gt, generator)
        before, start, cpu = peak_gib(), time.perf_counter(), time.process_time()
        metrics_with_intervals(R_pred, R_gt, angles)
    else:
        tables = run_tables(chosen.methods, chosen.groups)
        before, start, cpu = peak_gib(), time.perf_counter(), time.process_time()
        json.dumps(summarise(tables).as_json(), allow_nan=False)
    print(
        f"{chosen.part}: {PREDICTIONS:,} predictions in {time.perf_counter() - start:.1f} s "
        f"({time.process_time() - cpu:.1f} s of all cores); "
        f"peak {peak_gib():.2f} GiB, of which {before:.2f} GiB was there with the input"
    )


if __name__ == "__main__":
    main()
