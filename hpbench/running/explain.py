"""A finished run predicted again under other settings: what boxes and exclusions do to results.

How stored predictions are read (Euler order, wrap rule, faces left out) needs no method and is
worked out by the report. What changes the image of a face that a method sees, or which faces
it sees at all, needs the method again; that is done here, and the report shows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import numpy as np

from hpbench.dataset import Dataset
from hpbench.errors import DataError, HpbenchError, UsageError
from hpbench.inference.progress import Progress
from hpbench.protocol import Protocol
from hpbench.registry import make_methods
from hpbench.results.explain_file import ExplainFile, ExplainRow, FailedVariant
from hpbench.results.results_file import MethodErrors
from hpbench.results.run_config import ANNOTATED, RunConfig
from hpbench.results.run_record import RunRecord
from hpbench.running.data_folders import data_folders
from hpbench.running.explain_config import ExplainConfig
from hpbench.running.named_files import require_named
from hpbench.running.plan import STORED, dataset_items, open_dataset
from hpbench.running.reuse import EqualFaces
from hpbench.running.runner import ImagesVanishedError, predict_run
from hpbench.scoring.scores import RunTables, load_run
from hpbench.scoring.summary import mean_errors
from hpbench.spec import Spec, as_text, parse_spec, parse_specs
from hpbench.storage.folder_lock import folder_lock
from hpbench.storage.loaded_files import method_digests
from hpbench.storage.schemas import ANGLES_DEG, ROTATION_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Variant", "explain", "plan_variants"]

FRONTAL_DETECTOR = "dlib"
"""Finds frontal faces only, so that profile faces are left out as in many landmark baselines."""

MAX_DRIFT_DEG = 0.05
"""So much a mean error may differ from that of the run with the same settings."""

_REPEAT = "repeat the run in a new --out and explain that"

_AGAIN = {"timing": "off", "corrupt": (), "fresh": False}
"""What is left out where a run is predicted again."""


@dataclass(frozen=True)
class Variant:
    """One data set of a run with one thing changed.

    Attributes
    ----------
    dataset : str
        Its name in the tables of the run.
    rule : str
        What is changed, in words.
    spec : RunConfig
        The run of this data set alone that shows it.
    """

    dataset: str
    rule: str
    spec: RunConfig


def plan_variants(spec: RunConfig) -> list[Variant]:
    """Everything that a run can be predicted again under, one change at a time.

    These are the other choices of each data set's options, the settings of its other named
    protocols, and the detector in place of annotated boxes or the other way round.

    Parameters
    ----------
    spec : RunConfig

    Returns
    -------
    list of Variant
    """
    variants: list[Variant] = []
    for key, item in dataset_items(spec).items():
        dataset, protocol = open_dataset(item, spec)
        changes: list[tuple[str, Spec, str]] = [
            (
                f"{name} = {as_text(value)} (in this run {as_text(protocol.settings[name])})",
                Spec(item.name, {**item.options, name: as_text(value)}),
                spec.boxes,
            )
            for name, value in _other_settings(type(dataset), protocol)
        ]
        if spec.boxes == ANNOTATED:
            rule = f"boxes found by {FRONTAL_DETECTOR}; a face that it misses has no prediction"
            changes.append((rule, Spec(item.name, item.options), FRONTAL_DETECTOR))
        else:
            rule = f"annotated boxes, no face lost to a detector (in this run {spec.boxes})"
            changes.append((rule, Spec(item.name, item.options), ANNOTATED))
        for rule, changed, boxes in changes:
            update = {
                "datasets": str(changed),
                "data": {} if dataset.root is None else {item.name: dataset.root},
                "boxes": boxes,
                **_AGAIN,
            }
            variants.append(Variant(key, rule, spec.model_copy(update=update)))
    return variants


def _other_settings(cls: type[Dataset], protocol: Protocol) -> Iterator[tuple[str, Any]]:
    """Settings that differ from a protocol's in one option each."""
    tried = set()
    for name, field in cls.Options.model_fields.items():
        if name not in protocol.settings:
            continue
        values = [known.settings.get(name, field.default) for known in cls.protocols]
        for value in (*_choices(field.annotation), *values):
            if value != protocol.settings[name] and (name, value) not in tried:
                tried.add((name, value))
                yield name, value


def _choices(annotation: Any) -> tuple[Any, ...]:
    """What an option may be, where that is a short list."""
    if annotation is bool:
        return (False, True)
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def explain(config: ExplainConfig, progress: Progress) -> Path:
    """Predict a finished run again under other settings and write ``explain.json`` into it.

    Methods run again only on faces that a setting changes, and where no stored predictions of an
    earlier run fit.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    DataError
        If the folder is no finished run, a method or the data has changed since, or nothing of it
        can be run again.
    UsageError
        If `data` names a data set that is not in the run, the run was made with files that are
        not given, or all its methods have stored predictions.
    """
    folder = config.rundir
    tables = load_run(folder)
    recorded = mean_errors(tables)  # refuses a half-written run
    spec = _run_here(config, tables.run)
    _refuse_changed_methods(folder, tables.run, spec)
    rows: list[ExplainRow] = []
    failed: list[FailedVariant] = []
    with folder_lock(folder):
        shared = EqualFaces()
        again = _predict(spec.model_copy(update=_AGAIN), progress, shared)  # mostly stored
        _refuse_changed_faces(folder, tables, again)
        _refuse_changed_errors(folder, recorded, mean_errors(again))
        for variant in plan_variants(spec):
            change = {"dataset": variant.dataset, "rule": variant.rule}
            try:
                found = mean_errors(_predict(variant.spec, progress, shared))
                rows += [ExplainRow(**{**dict(one), **change}) for one in found]
            except ImagesVanishedError:  # further settings would lack them, too
                raise
            except HpbenchError as error:
                failed.append(FailedVariant(**change, reason=str(error)))
        if not rows and failed:
            raise DataError(f"nothing could be rerun; {failed[0].rule}: {failed[0].reason}")
        not_applicable = [
            FailedVariant(dataset=dataset, rule=f"'{name}'", reason=f"not applicable: {STORED}")
            for dataset in dataset_items(spec)
            for name, method in tables.run.methods.items()
            if method.stored
        ]
        return ExplainFile(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            run_created=tables.run.created,
            rows=rows,
            failed=[*not_applicable, *failed],
        ).write(folder)


def _run_here(config: ExplainConfig, run: RunRecord) -> RunConfig:
    """The methods of a run that can be run again, and its data sets, where they are here.

    Nothing that a run folder names is opened or imported by itself: it may be a stranger's.
    """
    folder, spec = config.rundir, run.spec
    if spec.plugins and not config.plugins:
        named = " ".join(f"--plugin {path}" for path in spec.plugins)
        raise UsageError(
            f"{folder}: was made with plugin files, whose code is run only if you name them; if "
            f"you trust them, add {named}"
        )
    # whatever the run was made on, it is this machine that explains it
    device = "auto" if spec.device.startswith("cuda") else spec.device  # there may be none here
    here = {"engine": "local", "address": None, "device": device, "workers": config.workers}
    spec = spec.model_copy(update={"plugins": config.plugins, **here})
    items = _where_they_are_now(dataset_items(spec), config.data)
    folders = data_folders(config.data, items.values())
    written = parse_specs(config.methods or spec.methods)
    live = [m for m in written if str(m) not in run.methods or not run.methods[str(m)].stored]
    if not live:
        raise UsageError(f"{folder}: nothing to rerun: {STORED}")
    others = [parse_spec(spec.boxes), *([] if config.methods else live)]
    require_named(others, items, spec.data, folders, config.allow)
    return spec.model_copy(
        update={
            "datasets": ",".join(item.text for item in items.values()),
            "methods": ",".join(method.text for method in live),
            "data": folders,
        }
    )


def _where_they_are_now(items: Mapping[str, Spec], data: Mapping[str, Path]) -> dict[str, Spec]:
    """Data sets without the path in their spec, where it is the only one that `data` can mean."""
    count = Counter(item.name for item in items.values())
    return {
        key: replace(item, path=None) if item.name in data and count[item.name] == 1 else item
        for key, item in items.items()
    }


def _refuse_changed_methods(folder: Path, run: RunRecord, spec: RunConfig) -> None:
    """Raise where a difference would be that of a method, not of the settings."""
    try:
        methods = make_methods(spec.methods, "cpu", spec.plugins)
    except DataError as error:
        raise DataError(
            f"{error}; if it has moved since the run, name it with --methods"
        ) from error
    if methods.keys() != {name for name, record in run.methods.items() if not record.stored}:
        raise UsageError(
            f"--methods {spec.methods}: {folder} holds {', '.join(run.methods)}; name the same "
            "methods, where they are now"
        )
    digests, _ = method_digests(methods)
    for name in methods:
        record = run.methods[name]
        if record.digest != digests[name]:
            now = methods[name].fingerprint()
            same = record.fingerprint == now
            what = "code, or a file that it reads" if same else "options, card or weights"
            raise DataError(
                f"{folder}: method '{name}' has changed since the run (its {what}); {_REPEAT}"
            )


def _refuse_changed_faces(folder: Path, before: RunTables, now: RunTables) -> None:
    """Raise where a difference would be that of labels or exclusions, not of the settings."""
    for name, faces in now.faces.groupby("dataset", sort=False):
        recorded = before.faces[before.faces["dataset"] == name]
        if not _same_faces(recorded, faces):
            raise DataError(
                f"{folder}: faces or labels of data set '{name}' have changed since the run; "
                f"{_REPEAT}"
            )


def _refuse_changed_errors(
    folder: Path, recorded: Sequence[MethodErrors], now: Sequence[MethodErrors]
) -> None:
    """Raise where methods see something else than in the run.

    It is told by their mean errors: another device moves predictions a little.
    """
    recorded_deg = {_pair(one): one.mae_deg.mean for one in recorded}
    for one in now:
        was, is_now = recorded_deg[_pair(one)], one.mae_deg.mean
        if (was is None) != (is_now is None) or abs((was or 0.0) - (is_now or 0.0)) > MAX_DRIFT_DEG:
            raise DataError(
                f"{folder}: with the same settings '{one.method_spec}' has another mean error on "
                f"'{one.dataset}' than in the run ({_degrees(is_now)} for {_degrees(was)}): "
                f"images, boxes or libraries have changed since; {_REPEAT}"
            )


def _same_faces(recorded: pd.DataFrame, faces: pd.DataFrame) -> bool:
    labels = [*ANGLES_DEG, *ROTATION_COLUMNS]
    return (
        recorded["image_id"].tolist() == faces["image_id"].tolist()
        and recorded["excluded"].isna().tolist() == faces["excluded"].isna().tolist()
        and np.allclose(recorded[labels], faces[labels], rtol=0.0, atol=1e-9, equal_nan=True)
    )


def _pair(one: MethodErrors) -> tuple[str, str]:
    return one.dataset, one.method_spec


def _degrees(error: float | None) -> str:
    return "none" if error is None else f"{error:.2f}"


def _predict(spec: RunConfig, progress: Progress, shared: EqualFaces) -> RunTables:
    """Tables of a run whose folder is not kept."""
    with TemporaryDirectory(prefix="hpbench-explain-") as scratch:
        out = predict_run(spec, Path(scratch) / "run", progress, shared=shared)
        return load_run(out, all_columns=False)
