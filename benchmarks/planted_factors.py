r"""Whether planted differences between faces are found, and nothing else: slices and importance.

    python benchmarks/planted_factors.py [--data DIR] [--seeds 100]

DIR is a folder of `hpbench render` with heads that face the camera, so that their poses do not
decide the errors:

    hpbench render DIR --count 300 --seed 3 --per-identity 1 --yaw=-30:30 --pitch=-20:20 \
        --roll=-15:15

Without it the faces of the embedded sample within 45 degrees of yaw are used. Methods predict
every face four times: as it is, darkened by 7 stops, and with a patch over 40 and 80 % of the box.
Each seed then makes a data set of them: 40 % of the faces, drawn at random, are at night (or have a
patch), and columns that have nothing to do with it are drawn, too. Brightness and sharpness are
left out: they measure what was planted, and more finely, since the darkest faces are the worst.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import hpbench
from hpbench.scoring.factors import DERIVED
from hpbench.scoring.importance import explain_errors
from hpbench.scoring.scores import DatasetScores, MethodScores, load_run, score_datasets
from hpbench.scoring.slices import cut_slices, score_slices
from hpbench.scoring.statistics import make_resampling
from hpbench.storage.schemas import APPEARANCE

METHODS = "hopenet,pnp"
PLANTED = {
    "light": ("dark=7", "night", "day"),
    "patch": ("occlude=40", "patch", "none"),
    "cover": ("occlude=80", "covered", "free"),
}
SHARE = 0.4
MAX_YAW_DEG = 45.0


def predict(
    out: Path, data: Path | None, methods: str = METHODS, planted: Sequence[str] = tuple(PLANTED)
) -> dict[str, DatasetScores]:
    """Scores by corruption, "" for none, on faces up to 45 degrees of yaw."""
    name = "sample" if data is None else "synthetic"
    hpbench.run(
        methods=methods, datasets=name, data={} if data is None else {name: data}, timing="off",
        corrupt=[PLANTED[factor][0] for factor in planted], out=out,
    )  # fmt: skip
    scores = {one.name.partition(" + ")[2]: one for one in score_datasets(load_run(out))}
    frontal = np.abs(scores[""].angles_deg[:, 0]) <= MAX_YAW_DEG
    return {level: some_faces(one, frontal) for level, one in scores.items()}


def some_faces(scores: DatasetScores, chosen: np.ndarray) -> DatasetScores:
    return replace(
        scores,
        image_ids=scores.image_ids[chosen], rows=scores.rows[chosen], groups=scores.groups[chosen],
        angles_deg=scores.angles_deg[chosen], R_gt=scores.R_gt[chosen],
        methods=[mixed(one, one, chosen)[0] for one in scores.methods],
        factors={name: values[chosen] for name, values in scores.factors.items()},
    )  # fmt: skip


def mixed(
    plain: MethodScores, other: MethodScores, chosen: np.ndarray
) -> tuple[MethodScores, MethodScores]:
    """Predictions of some faces of one run; and all faces, those of `other` where chosen."""
    arrays = ("R_pred", "R_gt", "angles_deg", "differences_deg", "confidence", "spread_deg")
    both: dict[str, Any] = {}
    for name in arrays:
        values, others = getattr(plain, name), getattr(other, name)
        mask = chosen.reshape(-1, *[1] * (values.ndim - 1))
        both[name] = np.where(mask, others, values)
    some = {name: getattr(plain, name)[chosen] for name in arrays}
    rest = {"spec": plain.spec, "no_answer": {}}
    return MethodScores(**some, **rest), MethodScores(**both, **rest)


def unplanted(generator: np.random.Generator, faces: int) -> dict[str, np.ndarray]:
    """Columns that nothing depends on."""
    return {
        "glasses": generator.choice(["yes", "no"], faces).astype(object),
        "camera": generator.choice(["front", "left", "right"], faces).astype(object),
        "skin": generator.choice(["I", "II", "III", "IV", "V", "VI"], faces).astype(object),
        "age": generator.uniform(18.0, 80.0, faces),
    }


def planted(
    scores: Mapping[str, DatasetScores], factor: str, seed: int
) -> tuple[DatasetScores, set[str]]:
    """A data set with one planted difference, and the names of the columns without one."""
    level, there, elsewhere = PLANTED[factor]
    plain, damaged = scores[""], scores[level]
    generator = np.random.default_rng(seed)
    chosen = generator.random(len(plain.image_ids)) < SHARE
    columns = unplanted(generator, len(chosen))
    derived = {name: plain.factors[name] for name in DERIVED if name not in APPEARANCE}
    values = np.where(chosen, there, elsewhere).astype(object)
    methods = [
        mixed(one, other, chosen)[1]
        for one, other in zip(plain.methods, damaged.methods, strict=True)
    ]
    factors = {factor: values, **columns, **derived}
    return replace(plain, methods=methods, factors=factors), set(columns)


def findings(data: DatasetScores) -> Iterator[tuple[str, list[str], tuple[str, str] | None]]:
    """By method: factors that matter, in their order, and the worst slice."""
    resampling = make_resampling(len(data.image_ids), data.unit_groups, resamples=200)
    slices = cut_slices(data).shown
    for method, found in zip(data.methods, score_slices(data, slices, resampling), strict=True):
        importance = explain_errors(method, slices, resampling)
        worst = found.worst_slice
        yield (
            method.spec,
            [one.factor for one in importance.factors if one.matters],
            None if worst is None else (worst.factor, worst.slice),
        )


def shuffled(scores: DatasetScores, seed: int) -> DatasetScores:
    """The same errors with every factor shuffled among the faces."""
    generator = np.random.default_rng(seed)
    known = {**scores.factors, **unplanted(generator, len(scores.image_ids))}
    known.pop("group", None)
    return replace(
        scores, factors={name: generator.permutation(values) for name, values in known.items()}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scores = predict(Path(folder) / "run", given.data)
    print(f"{len(scores[''].image_ids)} faces, {given.seeds} seeds; number of seeds in which")
    for factor, (level, there, _) in PLANTED.items():
        count: Counter[tuple[str, str]] = Counter()
        for seed in range(given.seeds):
            data, without = planted(scores, factor, seed)
            for spec, matter, worst in findings(data):
                count[spec, "first"] += matter[:1] == [factor]
                count[spec, "others"] += bool(set(matter) & without)
                count[spec, "worst"] += worst == (factor, there)
        for method in scores[""].methods:
            first, others, worst = (count[method.spec, k] for k in ("first", "others", "worst"))
            print(
                f"{level}, {method.spec}: '{factor}' ranks first {first}, its slice is the worst "
                f"{worst}, a column without a difference matters {others}"
            )
    false: Counter[str] = Counter()
    for seed in range(given.seeds):
        for spec, matter, _ in findings(shuffled(scores[""], seed)):
            false[spec] += bool(matter)
    for method in scores[""].methods:
        print(f"all factors shuffled, {method.spec}: any matters {false[method.spec]}")


if __name__ == "__main__":
    main()
