"""From aligned scores to the summary of a run, ``results.json``."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from hpbench.dataset import evenly_spaced
from hpbench.errors import DataError
from hpbench.inference.worker_processes import each_result
from hpbench.results.results_file import (
    Aligned,
    AlignedErrors,
    Comparison,
    DatasetWarning,
    ImageCounts,
    Intervals,
    MethodErrors,
    MethodResult,
    NotRun,
    ProtocolRef,
    ResultsFile,
    SubsetErrors,
    YawBinErrors,
)
from hpbench.results.run_record import SEVERAL_FACES, DatasetRecord, MethodRecord, RunRecord
from hpbench.results.slicing import SliceSpec, parse_by
from hpbench.scoring import metrics, statistics
from hpbench.scoring.calibration import calibration, calibration_intervals
from hpbench.scoring.confidence import confidence_errors, confidence_intervals
from hpbench.scoring.importance import explain_errors
from hpbench.scoring.known_mistakes import (
    MIN_FACES,
    RADIANS,
    Diagnosis,
    diagnose,
    has_collapsed,
    spread_deg,
)
from hpbench.scoring.pairs import compare_pairs
from hpbench.scoring.registry import METRICS, all_metrics
from hpbench.scoring.runtime import runtime_ms, summarise_times
from hpbench.scoring.scores import DatasetScores, FaceErrors, MethodScores, RunTables, each_dataset
from hpbench.scoring.slices import Slices, cut_slices, score_slices
from hpbench.spec import parse_specs

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["mean_errors", "store_results", "summarise", "training_flags"]

Array = npt.NDArray[np.float64]

_log = logging.getLogger("hpbench")

MAX_DIAGNOSED = 512
"""Faces that are looked at for a mistaken convention."""

_MIN_TO_SHARE = 8
"""Data sets for which processes pay that need a second to start."""

MIN_VARIED = 0.05
"""An entry of the predicted rotations changes by as much, as with a turn of some 3 degrees."""

MAX_EXPLAINED = 0.6
"""It has to bring the error below this share; what explains less is left to `hpbench check`."""


def summarise(
    tables: RunTables, scores: Iterable[DatasetScores] | None = None, by: str | None = None
) -> ResultsFile:
    """Everything that ``results.json`` holds (docs/results-format.md).

    Parameters
    ----------
    tables : RunTables
    scores : iterable of DatasetScores, optional
        What :func:`hpbench.scoring.scores.score_datasets` returned, where it is at hand.
    by : str, optional
        Factors to slice by, as :func:`hpbench.results.slicing.parse_by` reads them; those that the
        run was asked for if not given.

    Raises
    ------
    DataError
        If the tables do not fit together.
    """
    run = tables.run
    asked = parse_by(run.spec.by if by is None else by)
    results: list[MethodResult] = []
    comparisons: list[Comparison] = []
    warnings = [
        DatasetWarning(dataset=name, **warning.model_dump())
        for name, record in run.datasets.items()
        for warning in record.warnings
    ]
    calls = (
        (dataset, *_rows_of(dataset, tables))
        for dataset in (each_dataset(tables) if scores is None else scores)
    )
    many = len(run.datasets) >= _MIN_TO_SHARE
    for part in each_result("summary", calls, many, _start_summarising, run, asked):
        results += part.results
        comparisons += part.comparisons
        warnings += part.warnings
    not_run = [
        NotRun(dataset=name, method_spec=spec, reason=reason)
        for name, record in run.datasets.items()
        for spec, reason in record.not_run.items()
    ]
    return ResultsFile(
        hpbench=run.hpbench, created=run.created,
        results=results, comparisons=comparisons, not_run=not_run, warnings=warnings,
    )  # fmt: skip


class _Part(NamedTuple):
    """What one data set adds to the summary."""

    results: list[MethodResult]
    comparisons: list[Comparison]
    warnings: list[DatasetWarning]


def _rows_of(
    dataset: DatasetScores, tables: RunTables
) -> tuple[dict[str, pd.DataFrame], pd.Series[str]]:
    """Times of a data set by method, and what became of the boxes of all its faces."""
    timing, faces = (
        table[table["dataset"] == dataset.name] for table in (tables.timing, tables.faces)
    )
    times = dict(list(timing.groupby("method", sort=False, observed=True)))
    return times, faces["box_status"]


def _start_summarising(run: RunRecord, asked: Sequence[SliceSpec]) -> Callable[..., _Part]:
    return partial(_summarise_dataset, run=run, asked=asked)


def _summarise_dataset(
    dataset: DatasetScores,
    times: Mapping[str, pd.DataFrame],
    box_status: pd.Series[str],
    run: RunRecord,
    asked: Sequence[SliceSpec],
) -> _Part:
    """Results, pairs and warnings of one data set."""
    # Matrices are small here: a second thread of BLAS gains nothing, and where cores are busy all
    # threads wait for the one that has none.
    with threadpool_limits(limits=1, user_api="blas"):
        resampling = statistics.make_resampling(len(dataset.image_ids), dataset.unit_groups)
        compared, ranks = compare_pairs(dataset, resampling)
        results = _results(dataset, run, ranks, resampling, asked, times)
        warnings: list[DatasetWarning] = []
        if run.datasets[dataset.name].corruption is None:
            warnings += _method_warnings(dataset, run)
            warnings += _several_faces_warnings(dataset, box_status, run)
        return _Part(results, list(compared), warnings)


def _results(
    dataset: DatasetScores,
    run: RunRecord,
    ranks: Sequence[int | None],
    resampling: statistics.Resampling,
    asked: Sequence[SliceSpec],
    times: Mapping[str, pd.DataFrame],
) -> list[MethodResult]:
    """Everything about each method on one data set."""
    record = run.datasets[dataset.name]
    everything = cut = Slices([], {})
    if record.corruption is None:
        everything = cut_slices(dataset)
        cut = cut_slices(dataset, asked) if asked else everything
    sliced = score_slices(dataset, cut.shown, resampling)
    return [
        MethodResult(
            **_described(dataset, method, run.methods[method.spec], record),
            **_accuracy(dataset, method, resampling),
            rank=rank,
            runtime_ms=runtime_ms(times.get(method.spec)),
            stated_ms=summarise_times(method.stated_ms),
            confidence=confidence_errors(method),
            calibration=calibration(method),
            importance=explain_errors(method, everything.shown, resampling)
            if everything.shown
            else None,
            **vars(found),
            not_sliced=cut.refused,
        )
        for method, rank, found in zip(dataset.methods, ranks, sliced, strict=True)
    ]


def store_results(folder: Path, computed: ResultsFile) -> None:
    """Write ``results.json`` where it is missing or differs, and say so where it was wrong.

    It is never believed: whoever needs results computes them from the tables.
    """
    stored = None
    if (folder / ResultsFile.file_name).exists():
        try:
            stored = ResultsFile.read(folder)
        except DataError:
            _log.warning("%s: results.json corrupted; computed again and replaced", folder)
        else:
            if _values(stored) != _values(computed):
                _log.warning(
                    "%s: results.json does not match the tables; computed again and replaced",
                    folder,
                )
    if stored != computed:
        computed.write(folder)


def _values(results: ResultsFile) -> dict[str, Any]:
    """Content, but for the time and what a report may be asked to cut otherwise."""
    slices = {"slices", "worst_slice", "slice_gap", "not_sliced"}
    return results.model_dump(
        exclude={"created": True, "hpbench": True, "results": {"__all__": slices}}
    )


def _method_warnings(dataset: DatasetScores, run: RunRecord) -> list[DatasetWarning]:
    """What looks wrong with the predictions of methods, or with the labels."""
    found = []
    for method in dataset.methods:
        complete = np.flatnonzero(np.isfinite(method.geodesic_deg))
        some = complete[evenly_spaced(len(complete), MAX_DIAGNOSED)]
        R_pred, R_gt = method.R_pred[some], method.R_gt[some]
        warned = _convention(method.spec, R_pred, R_gt) or _collapse(method.spec, R_pred, R_gt)
        if warned is not None:
            code, text = warned
            command = _check_command(method.spec, dataset.name, run)
            text = f"data set '{dataset.name}': {text}, run: {command}"
            found.append(DatasetWarning(dataset=dataset.name, code=code, text=text))
    return found


def _convention(spec: str, R_pred: Array, R_gt: Array) -> tuple[str, str] | None:
    """Code and text of a mistaken convention that explains the errors: the method's or labels'."""
    result = _explained(R_pred, R_gt)
    if result is None or result.mistake is None:
        return None
    if result.fixed_deg >= MAX_EXPLAINED * result.error_deg:
        return None
    return (
        "convention",
        f"{result.mistake.text}, in its labels or in '{spec}', whose mean geodesic error would "
        f"fall from {result.error_deg:.1f} to {result.fixed_deg:.1f} degrees; to tell which",
    )


def _collapse(spec: str, R_pred: Array, R_gt: Array) -> tuple[str, str] | None:
    """The same of predictions that are all but one pose, but for those of the frontal baseline."""
    if len(R_pred) < MIN_FACES or (R_pred == np.eye(3)).all() or not has_collapsed(R_pred, R_gt):
        return None
    return (
        "collapsed",
        f"'{spec}' predicts nearly the same pose for every face (on average "
        f"{spread_deg(R_pred):.1f} degrees from their mean, the labels {spread_deg(R_gt):.1f}); to "
        "find out why",
    )


def _explained(R_pred: Array, R_gt: Array) -> Diagnosis | None:
    """What a mistaken convention explains of the errors; None where nothing can be concluded.

    Of a method that always says the same, labels of one side would be doubted. Angles in radians
    that are read as degrees only look like such a method: in degrees they vary.
    """
    if len(R_pred) < MIN_FACES:
        return None
    if not _varies(R_pred):
        return diagnose(R_pred, R_gt, [RADIANS]) if _varies(RADIANS.fix(R_pred)) else None
    # a mistake of the labels is undone in them: in predictions it looks like another
    both = diagnose(R_pred, R_gt), diagnose(R_gt, R_pred)
    return min(both, key=lambda found: found.fixed_deg)


def _varies(R: Array) -> bool:
    return bool(np.ptp(R, axis=0).max() >= MIN_VARIED)


def _check_command(method: str, dataset: str, run: RunRecord) -> str:
    """The command that checks a method of a run on one of its data sets.

    Both are called as they were written where a name in tables does not say where a file is.
    """
    methods = parse_specs(run.spec.methods)
    if len(methods) == len(run.methods):
        method = dict(zip(run.methods, methods, strict=True))[method].text
    specs = parse_specs(run.spec.datasets)
    written = [one.text for one in specs if dataset in (one.text, str(one), one.name)]
    text = written[0] if written else specs[0].text if len(specs) == 1 else dataset
    words = ["hpbench", "check", method, "--datasets", text]
    for name, folder in run.spec.data.items():
        if name == run.datasets[dataset].name:
            words += ["--data", f"{name}={folder}"]
    for plugin in run.spec.plugins:
        words += ["--plugin", str(plugin)]
    return shlex.join(words)


def _several_faces_warnings(
    dataset: DatasetScores, box_status: pd.Series[str], run: RunRecord
) -> list[DatasetWarning]:
    """How many images show several faces, and what became of them."""
    chosen = int((box_status == "chosen").sum())
    refused = dataset.excluded.get(SEVERAL_FACES, 0)
    subject, rest = f"data set '{dataset.name}'", "several faces and no annotated box"
    single = int((box_status == "detected").sum())
    hint = f"; in {single} others the one face found may not be the labelled one" if single else ""
    texts = []
    if chosen:
        texts.append(
            f"{subject}: {_images_show(chosen)} {rest}; the {run.spec.several} was taken{hint}"
        )
    if refused:
        texts.append(
            f"{subject}: {_images_show(refused)} {rest}, not scored; add boxes, or choose "
            f"with --several largest{hint}"
        )
    return [DatasetWarning(dataset=dataset.name, code="several", text=text) for text in texts]


def _images_show(count: int) -> str:
    return "1 image shows" if count == 1 else f"{count} images show"


def mean_errors(tables: RunTables) -> list[MethodErrors]:
    """Mean errors of every method, without the bootstraps and tests of :func:`summarise`."""
    run = tables.run
    return [
        MethodErrors(
            **_counted(dataset, method, run.datasets[dataset.name]), **_mean_errors(method)
        )
        for dataset in each_dataset(tables)
        for method in dataset.methods
    ]


def _counted(dataset: DatasetScores, method: MethodScores, record: DatasetRecord) -> dict[str, Any]:
    """What was run under which protocol, and how many faces."""
    excluded = sum(dataset.excluded.values())
    scored = int(np.count_nonzero(method.predicted))
    faces = len(dataset.image_ids)
    protocol = dataset.protocol
    return {
        "dataset": dataset.name,
        "method_spec": method.spec,
        "protocol": ProtocolRef(
            name=protocol.name, version=protocol.version, hash=record.protocol_hash
        ),
        "boxes": record.boxes,
        "images": ImageCounts(
            total=faces + excluded, excluded=excluded, scored=scored, no_answer=faces - scored
        ),
    }


def _described(
    dataset: DatasetScores, method: MethodScores, record: MethodRecord, data: DatasetRecord
) -> dict[str, Any]:
    """What was run on what, and how many faces."""
    return {
        **_counted(dataset, method, data),
        "method": record.name,
        "card": record.card.name,
        "coverage": float(method.predicted.mean()),
        "excluded_reasons": dataset.excluded,
        "no_answer_reasons": method.no_answer,
        "weights_sha256": record.card.weights_sha256,
        "trained_on": list(record.card.trained_on),
        **training_flags(data, record),
    }


def training_flags(data: DatasetRecord, method: MethodRecord) -> dict[str, bool]:
    """Whether a method has an advantage on a data set, by the cards of both.

    Returns
    -------
    dict
        ``trained_on_this``: it was trained on the data set. ``trained_on_renders``: it was
        trained on renders, and these are renders.
    """
    return {
        "trained_on_this": data.name in method.card.trained_on,
        "trained_on_renders": data.card.domain == "render"
        and "render" in method.card.trained_domains,
    }


def _accuracy(
    dataset: DatasetScores, method: MethodScores, resampling: statistics.Resampling
) -> dict[str, Any]:
    """All errors of one method on one data set, with intervals."""
    frontal: FaceErrors = method
    if not method.predicted.all():
        frontal = dataset.errors(metrics.fill_missing_with_frontal(method.R_pred))
    values = nested({metric.name: metric.compute(method) for metric in all_metrics()})
    values["ced"]["error"] = "geodesic" if dataset.has_rotations else "mean_angle"
    return {
        **values,
        "by_abs_yaw": [
            YawBinErrors(
                from_deg=one.from_deg,
                to_deg=one.to_deg,
                images=one.images,
                no_answer=one.faces - one.images,
                mae_mean=one.mae_deg,
            )
            for one in metrics.yaw_bins(method.face_mae_deg, dataset.angles_deg[:, 0])
        ],
        "common_images": _subset(method.of(dataset.common)),
        "missing_as_frontal": _subset(frontal),
        "aligned": _aligned(dataset, method),
        "intervals_95": _intervals(dataset, method, frontal, resampling),
    }


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Values by dotted name as objects in objects: ``ced.auc_15`` becomes a key of ``ced``."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        *outer, last = name.split(".")
        inner = found
        for key in outer:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return found


def _mean_errors(errors: FaceErrors) -> dict[str, Any]:
    """Mean absolute and geodesic errors of any faces."""
    return nested(
        {
            metric.name: metric.compute(errors)
            for metric in METRICS
            if metric.name.startswith(("mae_deg.", "geodesic_deg."))
        }
    )


def _subset(errors: FaceErrors) -> SubsetErrors:
    return SubsetErrors(images=len(errors.R_pred), **_mean_errors(errors))


def _aligned(dataset: DatasetScores, method: MethodScores) -> Aligned:
    """Errors after removing the best-fitting constant rotation of the camera, or of the head."""
    groups = dataset.camera_groups
    learnt_from = np.isfinite(method.R_pred).all((1, 2)) & np.isfinite(dataset.R_gt).all((1, 2))
    camera = head = np.full_like(method.R_pred, np.nan)
    if learnt_from.any():
        camera = metrics.align_camera_side(method.R_pred, dataset.R_gt, groups)
        head = metrics.align_head_side(method.R_pred, dataset.R_gt)
    return Aligned(
        camera_side=AlignedErrors(
            per="all" if groups is None else "group", **_mean_errors(dataset.errors(camera))
        ),
        head_side=AlignedErrors(per="all", **_mean_errors(dataset.errors(head))),
    )


def _intervals(
    dataset: DatasetScores,
    method: MethodScores,
    frontal: FaceErrors,
    resampling: statistics.Resampling,
) -> Intervals | None:
    """Bootstrap intervals of all metrics, or None where there are too few units."""
    if resampling.units < statistics.MIN_UNITS:
        return None
    masks = [mask for _, _, mask in metrics.yaw_bin_masks(dataset.angles_deg[:, 0])]
    names: list[str] = []

    def columns() -> Iterator[Array]:
        for name, column in _columns(dataset, method, frontal, masks):
            names.append(name)
            yield column

    limits: dict[str, Any] = dict(zip(names, resampling.mean_intervals(columns()), strict=True))
    by_abs_yaw = [limits.pop(f"yaw {index}") for index in range(len(masks))]
    for metric in all_metrics():
        if metric.statistic == "median":
            limits[metric.name] = resampling.median_interval(
                metric.face_values(method), min_units=statistics.MIN_UNITS
            )
        elif metric.statistic == "yaw_balanced":
            limits[metric.name] = _balanced_interval(metric.face_values(method), masks, resampling)
    for key, found in (
        ("confidence", confidence_intervals(method, resampling)),
        ("calibration", calibration_intervals(method, resampling)),
    ):
        limits |= {f"{key}.{name}": limit for name, limit in found.items()}
    return Intervals(
        draws="group" if dataset.resample_groups else "image",
        units=resampling.independent,
        by_abs_yaw=by_abs_yaw,
        **nested(limits),
    )


def _balanced_interval(
    values: Array, masks: Sequence[metrics.Mask], resampling: statistics.Resampling
) -> tuple[float, float]:
    """Interval of the mean of the means of some bins, those without faces left out."""
    bins = [np.where(mask, values, np.nan) for mask in masks if mask.any()]
    if not bins:  # no face has a labelled yaw
        return float("nan"), float("nan")
    (interval,) = resampling.mean_draws(bins).averaged().intervals()
    return interval


def _columns(
    dataset: DatasetScores, method: MethodScores, frontal: FaceErrors, masks: list[metrics.Mask]
) -> Iterator[tuple[str, Array]]:
    """Values of every face whose means have intervals, one at a time, by name."""
    for metric in all_metrics():
        if metric.statistic == "mean":
            yield metric.name, metric.face_values(method)
    face = method.face_mae_deg
    yield "common_images.mae_deg.mean", np.where(dataset.common, face, np.nan)
    yield "missing_as_frontal.mae_deg.mean", frontal.face_mae_deg
    for index, mask in enumerate(masks):
        yield f"yaw {index}", np.where(mask, face, np.nan)
