"""Compare two runs face by face, and say whether the second one got worse."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from hpbench.errors import DataError
from hpbench.protocol import content_named
from hpbench.results.run_config import RunConfig
from hpbench.results.run_record import RunRecord
from hpbench.results.slicing import parse_by
from hpbench.scoring import statistics
from hpbench.scoring.metrics import mean_of_finite
from hpbench.scoring.registry import COMPARED_BESIDE_METRICS, all_metrics
from hpbench.scoring.scores import DatasetScores, MethodScores, RunTables, load_run, score_datasets
from hpbench.scoring.slices import Slice, cut_slices, require_factors, worst_slice_mae_deg
from hpbench.scoring.summary import training_flags

__all__ = [
    "Change", "Quantity", "RunComparison", "SliceChange", "Tested", "Unmatched", "compare_runs",
    "quantities",
]  # fmt: skip

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

_DECIDES_TIMES = ("device", "device_name", "processor", "cores")
"""Keys of ``hardware`` in ``run.json``; times on machines that differ in one do not compare."""


@dataclass(frozen=True)
class Quantity:
    """What a comparison shows and a condition may name: a metric, a count, a time."""

    title: str
    digits: int
    headline: bool
    signed: bool = False


@cache
def quantities() -> dict[str, Quantity]:
    """All quantities by the name that a condition has for them."""
    units = {"degrees": ", deg", "share": "", "faces": ", faces"}
    found = {
        metric.short: Quantity(
            metric.short + units[metric.unit],
            metric.digits,
            headline=metric.table == "accuracy",
            signed=metric.better is None,  # closer to 0 is
        )
        for metric in all_metrics()
    }
    others = (
        Quantity("no_answer", 0, True),
        Quantity("time, ms", 2, True),
        Quantity("worst slice", 2, False),
    )
    return found | dict(zip(COMPARED_BESIDE_METRICS, others, strict=True))


@dataclass(frozen=True, kw_only=True)
class Tested:
    """Whether a change of the mean error is more than chance.

    Attributes
    ----------
    interval_95_deg : tuple of float
        Of the change; NaN with too few independent faces.
    p_value : float
        Of the same, corrected by Holm's method for the number of methods and data sets, or of all
        slices, where the error of some face has changed; NaN likewise, and where there are too
        few independent faces for tests of so many.
    own_p_value, smallest_p_value : float
        What it was before it was corrected, and the smallest that it could have been.
    unchanged : bool
        Whether the error of no face has changed, so that nothing was tested.
    """

    interval_95_deg: tuple[float, float] = (math.nan, math.nan)
    p_value: float = math.nan
    own_p_value: float = math.nan
    smallest_p_value: float = math.nan
    unchanged: bool = True


@dataclass(frozen=True)
class SliceChange(Tested):
    """What became of one method in one slice of a data set, over the faces that both predicted.

    Attributes
    ----------
    factor, slice : str
    faces : int
    mae_a_deg, mae_b_deg : float
        NaN without a face.
    """

    factor: str
    slice: str
    faces: int
    mae_a_deg: float
    mae_b_deg: float

    @property
    def change_deg(self) -> float:
        """Second run minus first."""
        return self.mae_b_deg - self.mae_a_deg


@dataclass(frozen=True)
class Change(Tested):
    """What became of one method on one data set between two runs, and of its ``mae`` by a test.

    Attributes
    ----------
    method_a, method_b : str
        Its canonical specs; the same where nothing was reconfigured.
    faces : int
        Faces that both runs hold and both predicted: the paired differences are over these.
    only_a, only_b : int
        Faces that count in one run and are not in the other.
    values_a, values_b : dict of str to float
        By name of :func:`quantities`; NaN where there is none. Metrics are over `faces`;
        those that count missing predictions (:attr:`Metric.faces`) over all that both runs hold.
    own_b : dict of str to float
        The same of the second run alone, as in its ``results.json``, but for ``worst_slice_mae``,
        whose slices are of `faces`.
    notes : tuple of str
        In words, which of the two was trained on the data set, or on renders where these are;
        that one spec stands for two methods, where its card or weights have changed; and
        `other_hardware`.
    other_hardware : str
        In words, how the machines differ on which the times of both were measured; empty where
        they do not, or a time is missing.
    slices : tuple of SliceChange
        Empty where no factor was asked for.
    """

    dataset: str
    method_a: str
    method_b: str
    faces: int
    only_a: int
    only_b: int
    values_a: dict[str, float]
    values_b: dict[str, float]
    own_b: dict[str, float]
    notes: tuple[str, ...] = ()
    other_hardware: str = ""
    slices: tuple[SliceChange, ...] = ()

    def change(self, metric: str) -> float:
        """Second run minus first."""
        return self.values_b[metric] - self.values_a[metric]


@dataclass(frozen=True)
class Unmatched:
    """What only one of two runs has: a data set, or a method on one (None: all of it)."""

    dataset: str
    method: str | None
    only_in: Literal["baseline", "candidate"]

    def __str__(self) -> str:
        what = f"data set '{self.dataset}'"
        if self.method is not None:
            what = f"on {self.dataset}, method '{self.method}'"
        return f"{what} is only in the {self.only_in}"


@dataclass(frozen=True)
class RunComparison:
    """All changes between two runs, and what only one of them has.

    Attributes
    ----------
    changes : list of Change
    unmatched : list of Unmatched
    not_sliced : dict of str to dict of str to str
        By data set, factors that were asked for and give no slices, with the reason.
    """

    changes: list[Change]
    unmatched: list[Unmatched]
    not_sliced: dict[str, dict[str, str]] = field(default_factory=dict)


def compare_runs(run_a: Path, run_b: Path, by: str | None = None) -> RunComparison:
    """Compare two finished runs on the faces that both hold.

    Parameters
    ----------
    run_a, run_b : Path
        Run folders; changes are second minus first. Methods are matched by their whole spec,
        what is left by identity (a card that lies elsewhere, other options that mean the same),
        then by name and card, where a run holds only one of them.
    by : str, optional
        Factors of the candidate to slice by; those that it was run for if not given.

    Returns
    -------
    RunComparison

    Raises
    ------
    UsageError
        If `by` has another form, or names a factor that the candidate lacks.
    DataError
        If a folder cannot be read, the runs have no data set or no method in common, or a data
        set was run under different protocols; the message says what differs.
    """
    tables = load_run(run_a), load_run(run_b)
    scores_a, scores_b = ({scores.name: scores for scores in score_datasets(one)} for one in tables)
    unmatched = [Unmatched(name, None, "baseline") for name in scores_a if name not in scores_b]
    unmatched += [Unmatched(name, None, "candidate") for name in scores_b if name not in scores_a]
    changes: list[Change] = []
    require_factors(by or "", list(scores_b.values()))
    asked = parse_by(tables[1].run.spec.by if by is None else by)
    not_sliced: dict[str, dict[str, str]] = {}
    for name in scores_a:
        if name in scores_b:
            both = scores_a[name], scores_b[name]
            _refuse_other_protocol(*both, tables[0].run.spec, tables[1].run.spec)
            pairs, lonely = _match_methods(*both, tables[0].run, tables[1].run)
            unmatched += lonely
            # the candidate's slices for both, so that the same faces are compared
            cut = cut_slices(scores_b[name], asked)
            if asked and cut.refused:
                not_sliced[name] = cut.refused
            for pair in pairs:
                a, b = map(_Side, both, pair, tables)
                changes.append(_compare(a, b, cut.shown, bool(asked)))
    if not changes:
        raise DataError(
            f"{run_a}, {run_b}: no method on a data set in common: "
            f"{'; '.join(map(str, unmatched)) or 'both are empty'}"
        )
    return RunComparison(_corrected(changes), unmatched, not_sliced)


def _corrected(changes: Sequence[Change]) -> list[Change]:
    """The same changes with p-values corrected for their number, those of slices for theirs."""
    slices = [one for change in changes for one in change.slices]
    p_values, of_slices = _holm(changes), _holm(slices)
    return [
        replace(
            change,
            p_value=next(p_values),
            slices=tuple(replace(one, p_value=next(of_slices)) for one in change.slices),
        )
        for change in changes
    ]


def _holm(tested: Sequence[Tested]) -> Iterator[float]:
    """Corrected p-values; where nothing has changed on any face, there was nothing to test."""
    unchanged = np.array([one.unchanged for one in tested], dtype=bool)
    own = np.array([one.own_p_value for one in tested])
    corrected = statistics.holm(
        np.where(unchanged, np.nan, own), [one.smallest_p_value for one in tested]
    )
    return iter(np.where(unchanged, own, corrected).tolist())


def _refuse_other_protocol(
    a: DatasetScores, b: DatasetScores, spec_a: RunConfig, spec_b: RunConfig
) -> None:
    if a.protocol.hash == b.protocol.hash:
        return
    differ, contents = [], []
    for key, value_a, value_b in a.protocol.differences(b.protocol):
        if content := content_named(key):
            contents.append(content)
        else:
            differ.append(f"{key} is {value_a} and {value_b}")
    fix = "under the other's protocol"
    if contents:
        given = spec_a.datasets, spec_b.datasets
        named = f" (--datasets {given[0]} and {given[1]})" if given[0] != given[1] else ""
        what = " and ".join(contents)
        differ.append(f"the content of its {what} has changed{named}: {_other_faces(a, b)}")
        fix = fix if len(differ) > 1 else f"on the other's {what}"
    raise DataError(
        f"data set '{a.name}' was run under different protocols ({a.protocol.hash} and "
        f"{b.protocol.hash}): {'; '.join(differ)}. Rerun one of them {fix}"
    )


def _other_faces(a: DatasetScores, b: DatasetScores) -> str:
    """What two versions of a data set have not in common, in words."""
    ids, _, _, same = _faces_of_both(a, b)
    return (
        f"{np.count_nonzero(~same)} of the {len(ids)} faces of both have other labels, "
        f"{len(a.image_ids) - len(ids)} faces are only in the baseline and "
        f"{len(b.image_ids) - len(ids)} only in the candidate"
    )


def _faces_of_both(
    a: DatasetScores, b: DatasetScores
) -> tuple[npt.NDArray[np.str_], Rows, Rows, npt.NDArray[np.bool_]]:
    """Ids of the faces that both hold, their rows in either, and whether they have one label."""
    ids_a, ids_b = (one.image_ids.astype(str) for one in (a, b))
    ids, rows_a, rows_b = np.intersect1d(ids_a, ids_b, return_indices=True)
    angles_a, angles_b = a.angles_deg[rows_a], b.angles_deg[rows_b]
    same = np.isclose(angles_a, angles_b, atol=1e-6, equal_nan=True)
    return ids, rows_a, rows_b, np.asarray(same.all(axis=1), dtype=np.bool_)


def _differences(a: Mapping[str, Any], b: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    """Which of some values differ, in words."""
    return [f"{key} is {a.get(key)} and {b.get(key)}" for key in keys if a.get(key) != b.get(key)]


def _match_methods(
    a: DatasetScores, b: DatasetScores, run_a: RunRecord, run_b: RunRecord
) -> tuple[list[tuple[MethodScores, MethodScores]], list[Unmatched]]:
    """Pairs of the same method, and what is left over."""
    pairs: list[tuple[MethodScores, MethodScores]] = []
    left_a, left_b = list(a.methods), list(b.methods)
    for key in (_spec, _identity, _name_and_card):
        keys_a = [key(method.spec, run_a) for method in left_a]
        by_key = {key(method.spec, run_b): method for method in left_b}
        keys_b = [key(method.spec, run_b) for method in left_b]
        for method, found in list(zip(left_a, keys_a, strict=True)):
            if keys_a.count(found) == 1 and keys_b.count(found) == 1:
                pairs.append((method, by_key[found]))
                left_a.remove(method)
                left_b.remove(by_key[found])
    only_a = [Unmatched(a.name, method.spec, "baseline") for method in left_a]
    only_b = [Unmatched(a.name, method.spec, "candidate") for method in left_b]
    return pairs, only_a + only_b


def _spec(spec: str, run: RunRecord) -> str:
    return spec


def _identity(spec: str, run: RunRecord) -> str:
    return f"{run.methods[spec].name} {run.methods[spec].fingerprint}"


def _name_and_card(spec: str, run: RunRecord) -> str:
    return f"{run.methods[spec].name} {run.methods[spec].card.name}"


class _Side(NamedTuple):
    """A method on a data set of one of the two runs."""

    dataset: DatasetScores
    method: MethodScores
    tables: RunTables

    def values(self, predicted: Rows, evaluated: Rows) -> dict[str, float]:
        """Metrics by their short names, each over those of the faces that it is over."""
        faces, timing = {"predicted": predicted, "evaluated": evaluated}, self.tables.timing
        errors = {name: self.method.of(rows) for name, rows in faces.items()}
        of_method = timing["method"] == self.method.spec
        timed = of_method & (timing["dataset"] == self.dataset.name)
        return {
            **{metric.short: metric.compute(errors[metric.faces]) for metric in all_metrics()},
            "no_answer": float(np.count_nonzero(~self.method.predicted[evaluated])),
            "time": float(timing.loc[timed, "total_ms"].median()),
        }


def _compare(a: _Side, b: _Side, slices: Sequence[Slice], test_slices: bool) -> Change:
    """What changed for one method; the slices also say which is the worst, tested or not."""
    ids, index_a, index_b, same = _faces_of_both(a.dataset, b.dataset)
    if not same.all():
        raise DataError(
            f"data set '{a.dataset.name}', image '{ids[~same][0]}': the two runs have "
            "different labels, so they did not see the same data"
        )
    both = a.method.predicted[index_a] & b.method.predicted[index_b]
    rows_a, rows_b = index_a[both], index_b[both]
    errors_a, errors_b = a.method.face_mae_deg[rows_a], b.method.face_mae_deg[rows_b]
    groups = None if a.dataset.unit_groups is None else a.dataset.unit_groups[rows_a]
    paired = [replace(one, faces=one.faces[rows_b]) for one in slices]
    worst_a, worst_b = (
        {"worst_slice_mae": worst_slice_mae_deg(errors, paired)} for errors in (errors_a, errors_b)
    )
    values_a = a.values(rows_a, index_a) | worst_a
    values_b = b.values(rows_b, index_b) | worst_b
    all_b = np.arange(len(b.dataset.image_ids))
    timed = np.isfinite([values_a["time"], values_b["time"]]).all()
    other_hardware = _other_hardware(a.tables.run, b.tables.run) if timed else ""
    notes = _notes(a, b)
    return Change(
        dataset=a.dataset.name,
        method_a=a.method.spec,
        method_b=b.method.spec,
        faces=len(rows_a),
        only_a=len(a.dataset.image_ids) - len(ids),
        only_b=len(b.dataset.image_ids) - len(ids),
        values_a=values_a,
        values_b=values_b,
        own_b=b.values(all_b, all_b) | worst_b,
        **vars(_test(errors_b - errors_a, groups)),
        notes=(*notes, other_hardware) if other_hardware else notes,
        other_hardware=other_hardware,
        slices=tuple(
            _slice_change(one, errors_a, errors_b, groups) for one in paired if test_slices
        ),
    )


def _slice_change(
    one: Slice, errors_a: Array, errors_b: Array, groups: npt.NDArray[np.object_] | None
) -> SliceChange:
    a, b = errors_a[one.faces], errors_b[one.faces]
    tested = _test(b - a, None if groups is None else groups[one.faces])
    maes_deg = mean_of_finite(a), mean_of_finite(b)
    return SliceChange(one.factor, one.name, len(a), *maes_deg, **vars(tested))


def _notes(a: _Side, b: _Side) -> tuple[str, ...]:
    found: dict[str, list[str]] = {}
    records = [one.tables.run.methods[one.method.spec] for one in (a, b)]
    for which, one, record in zip(("baseline", "candidate"), (a, b), records, strict=True):
        flags = training_flags(one.tables.run.datasets[one.dataset.name], record)
        if flags["trained_on_this"]:
            found.setdefault("trained on this data set", []).append(which)
        if flags["trained_on_renders"]:
            found.setdefault(
                "trained on rendered heads and scored on rendered heads, an advantage", []
            ).append(which)
    notes = [f"{' and '.join(names)}: {said}" for said, names in found.items()]
    same_spec = a.method.spec == b.method.spec
    if same_spec and records[0].fingerprint != records[1].fingerprint:
        notes.append("not the same method: its card or weights have changed between the runs")
    return tuple(notes)


def _other_hardware(run_a: RunRecord, run_b: RunRecord) -> str:
    """How the machines of two runs differ in what decides a time; empty where they do not."""
    differ = _differences(run_a.hardware, run_b.hardware, _DECIDES_TIMES)
    return f"times were measured on different machines: {'; '.join(differ)}" if differ else ""


def _test(difference_deg: Array, groups: npt.NDArray[np.object_] | None) -> Tested:
    """Interval and test of a mean difference, not corrected yet."""
    if not len(difference_deg):
        return Tested()
    resampling = statistics.make_resampling(len(difference_deg), groups)
    (interval,) = resampling.mean_intervals([difference_deg])
    tests = resampling.paired_tests([difference_deg])
    p_value = float(tests.p_values[0])
    return Tested(
        interval_95_deg=interval,
        p_value=p_value,
        own_p_value=p_value,
        smallest_p_value=float(tests.smallest[0]),
        unchanged=not difference_deg.any(),
    )
