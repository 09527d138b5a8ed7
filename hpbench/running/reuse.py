"""What a run takes from the store of finished predictions instead of computing it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpbench.dataset import Record
from hpbench.errors import plugin_errors
from hpbench.inference.solving import is_failure
from hpbench.method import Method, MethodCard
from hpbench.results.run_record import ReusedRecord, RunRecord
from hpbench.running.local_engine import Evaluation
from hpbench.storage.join import ROWS_AT_ONCE
from hpbench.storage.prediction_cache import (
    Kept,
    PredictionCache,
    faces_key,
    predictions_key,
    timing_key,
)
from hpbench.storage.run_folder import (
    RunFolder,
    faces_schema,
    predictions_schema,
    timing_schema,
)
from hpbench.timing.measure import TimingPass, TimingSettings

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Reuse", "keep_run", "plan_reuse", "seen_in"]


@dataclass
class Reuse:
    """Predictions that are there already, by data set and method.

    Attributes
    ----------
    faces_keys, predictions_keys : dict
        Keys of the store, by data set, and by data set and method.
    timing_key : str
    predicted : set
        (data set, method) that are not computed: stored, or in a folder that is taken up.
    faces : dict
        Stored faces of data sets of which nothing is computed.
    predictions : dict
        Stored predictions that the run folder does not hold yet.
    must_time : bool
    timing : Kept or None
    cards : dict
        Cards of methods by spec, as far as they are stored; others have to be loaded for it.
    """

    faces_keys: dict[str, str]
    predictions_keys: dict[tuple[str, str], str]
    timing_key: str
    predicted: set[tuple[str, str]] = field(default_factory=set)
    faces: dict[str, Kept] = field(default_factory=dict)
    predictions: dict[tuple[str, str], Kept] = field(default_factory=dict)
    must_time: bool = True
    timing: Kept | None = None
    cards: dict[str, MethodCard] = field(default_factory=dict)

    def open_methods(self, evaluation: Evaluation) -> dict[str, Any]:
        """Methods whose predictions on a data set have to be computed."""
        return {
            n: m for n, m in evaluation.methods.items() if (evaluation.key, n) not in self.predicted
        }

    def covers(self, evaluations: Sequence[Evaluation]) -> bool:
        """Whether nothing has to be computed or timed."""
        return not (
            self.must_time or any(self.open_methods(evaluation) for evaluation in evaluations)
        )

    def must_load(self, evaluations: Sequence[Evaluation], methods: Sequence[str]) -> list[str]:
        """Methods that have to be loaded: to predict, to be timed, or to describe themselves."""
        if self.must_time:
            return list(methods)
        needed = {name for evaluation in evaluations for name in self.open_methods(evaluation)}
        return [name for name in methods if name in needed or name not in self.cards]

    def card(self, name: str, method: Method) -> MethodCard:
        """Card of a method, from the method itself where it is loaded."""
        if name in self.cards:
            return self.cards[name]
        with plugin_errors(f"method '{name}' cannot say what it is, its card() fails"):
            return method.card()

    def fill(self, folder: RunFolder) -> None:
        """Put what is taken from the store into the run folder."""
        for (dataset, method), kept in self.predictions.items():
            tables = (_with_columns(one, dataset=dataset, method=method) for one in kept.tables())
            folder.add_reused("predictions", f"{dataset}\n{method}", tables)
        for dataset, kept in self.faces.items():
            tables = (_with_columns(one, dataset=dataset) for one in kept.tables())
            folder.add_reused("faces", dataset, tables)

    def describe(self) -> ReusedRecord:
        """Say when reused predictions, by data set and method, and times were computed."""
        predictions: dict[str, dict[str, str]] = {}
        for (dataset, method), kept in self.predictions.items():
            predictions.setdefault(dataset, {})[method] = kept.about["created"]
        timing = None if self.timing is None else self.timing.about["created"]
        return ReusedRecord(predictions=predictions, timing=timing)


def plan_reuse(
    evaluations: Sequence[Evaluation],
    limit: int | None,
    timing: TimingSettings,
    hardware: Mapping[str, Any],
    folder: RunFolder,
    store: PredictionCache | None,
) -> Reuse:
    """Find out what has not to be computed again.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Their methods need not be loaded.
    limit : int or None
        Of the run.
    timing : TimingSettings
    hardware : mapping
        The machine, as far as it decides times.
    folder : RunFolder
        Perhaps of a stopped run: then a data set that was begun goes on as it was begun.
    store : PredictionCache or None
        None: everything is to be computed.
    """
    faces_keys = {c.key: faces_key(c.dataset, c.protocol, limit, c.content) for c in evaluations}
    predictions_keys = {
        (evaluation.key, name): predictions_key(faces_keys[evaluation.key], method)
        for evaluation in evaluations
        for name, method in evaluation.methods.items()
    }
    clean = {evaluation.key for evaluation in evaluations if evaluation.corruption is None}
    timed = timing_key(
        [key for (dataset, _), key in predictions_keys.items() if dataset in clean],
        timing.describe(),
        hardware,
    )
    reuse = Reuse(faces_keys, predictions_keys, timed, must_time=timing.mode != "off")
    reuse.predicted |= folder.reused_predictions()
    if store is None:
        return reuse
    if (folder.path / RunRecord.file_name).is_file():
        stopped = RunRecord.read(folder.path)
        reuse.cards |= {name: method.card for name, method in stopped.methods.items()}
    begun = {dataset for dataset, _ in folder.stored_faces()}
    for (dataset, name), key in predictions_keys.items():
        kept = None if dataset in begun else store.find(key)
        if kept is not None:
            reuse.predicted.add((dataset, name))
            reuse.predictions[dataset, name] = kept
            reuse.cards[name] = MethodCard.model_validate(kept.about["card"])
    for evaluation in evaluations:
        if evaluation.key in begun or reuse.open_methods(evaluation):
            continue
        kept_faces = store.find(faces_keys[evaluation.key])
        if kept_faces is not None:
            reuse.faces[evaluation.key] = kept_faces
        elif evaluation.key not in folder.reused_faces():
            _forget(reuse, evaluation)  # predictions without their faces are of no use
    reuse.timing = store.find(timed) if reuse.must_time else None
    reuse.must_time = reuse.must_time and reuse.timing is None
    return reuse


def _forget(reuse: Reuse, evaluation: Evaluation) -> None:
    for name in evaluation.methods:
        reuse.predicted.discard((evaluation.key, name))
        reuse.predictions.pop((evaluation.key, name), None)


def keep_run(
    store: PredictionCache,
    reuse: Reuse,
    evaluations: Sequence[Evaluation],
    timed: TimingPass,
    folder: RunFolder,
) -> None:
    """Keep what a finished run has computed, but no predictions of a method that has failed."""
    import pyarrow as pa

    if reuse.must_time:
        times = pa.Table.from_pylist(timed.rows, schema=timing_schema())
        store.keep(reuse.timing_key, times.schema, [times], timed.summary.as_json())

    run = RunRecord.read(folder.path)
    failed = _failed_methods(folder)
    for evaluation in evaluations:
        computed = reuse.open_methods(evaluation)
        if not computed:
            continue
        about = {"created": run.created, **seen_in(evaluation.records)}
        rows = folder.rows("faces", dataset=evaluation.key)
        store.keep(
            reuse.faces_keys[evaluation.key], _without(faces_schema(), "dataset"), rows, about
        )
        for name in computed:
            if (evaluation.key, name) not in failed:
                card = run.methods[name].card.model_dump(mode="json")
                about = {"created": run.created, "card": card}
                rows = folder.rows("predictions", dataset=evaluation.key, method=name)
                key = reuse.predictions_keys[evaluation.key, name]
                store.keep(key, _without(predictions_schema(), "dataset", "method"), rows, about)


def _failed_methods(folder: RunFolder) -> set[tuple[str, str]]:
    """(data set, method) where the method has raised on a face."""
    import pyarrow.parquet as pq

    failed: set[tuple[str, str]] = set()
    with pq.ParquetFile(folder.path / "predictions.parquet") as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=["dataset", "method", "reason"]):
            for row in batch.filter(batch["reason"].is_valid()).to_pylist():
                if is_failure(row["reason"]):
                    failed.add((row["dataset"], row["method"]))
    return failed


def seen_in(records: Sequence[Record]) -> dict[str, bool]:
    """What the scored faces of a data set come with, as a method may ask before it takes part."""
    has_camera = has_landmarks = False
    for record in records:
        if record.excluded is None:
            has_camera |= record.camera is not None
            has_landmarks |= record.landmarks_xy is not None
    return {"has_camera": has_camera, "has_landmarks": has_landmarks}


def _without(schema: pa.Schema, *names: str) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([field for field in schema if field.name not in names])


def _with_columns(table: pa.Table, **values: str) -> pa.Table:
    """The table with columns that hold the same text in every row."""
    import pyarrow as pa

    for name, value in values.items():
        table = table.append_column(name, pa.array([value] * len(table), pa.string()))
    return table
