"""Everything a report shows, loaded once and then printed in any format."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpbench.protocol import content_named
from hpbench.reports import words
from hpbench.reports.common_faces import compare_on_common_faces
from hpbench.reports.figures.registry import FIGURES
from hpbench.reports.figures.shapes import Shape
from hpbench.reports.figures.style import MethodStyle, method_styles
from hpbench.reports.sentences import (
    busy_sentence,
    overview_sentences,
    protocol_sentences,
    summary_sentences,
)
from hpbench.reports.tables.accuracy import accuracy_tables, overview_table, pairs_table
from hpbench.reports.tables.confidence import calibration_table, confidence_table
from hpbench.reports.tables.explain import Rerun, explain_table, load_rerun
from hpbench.reports.tables.importance import importance_sentences, importance_table
from hpbench.reports.tables.literature import literature_table
from hpbench.reports.tables.robustness import Curve, corruption_curves, level_table, sweep_curves
from hpbench.reports.tables.runtime import cost_table, runtime_table
from hpbench.reports.tables.slices import slice_tables, with_slices_that_matter
from hpbench.reports.tables.table import Table, flagged_labels, is_reference
from hpbench.reports.tables.unscored import unscored_table
from hpbench.reports.tables.worst import worst_table
from hpbench.results.results_file import Comparison, ImageCounts, MethodResult, ResultsFile
from hpbench.results.run_record import DatasetRecord, RunRecord
from hpbench.results.timing_record import MethodTiming, TimingRecord
from hpbench.scoring.scores import DatasetScores, load_run, score_datasets
from hpbench.scoring.slices import require_factors
from hpbench.scoring.statistics import MAX_UNITS
from hpbench.scoring.summary import summarise
from hpbench.storage.checksums import differs

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Report", "Section", "load_report"]


_MOST_SUMMARISED = 3
"""Data sets of which the summary speaks one by one."""


@dataclass(frozen=True)
class Section:
    """One data set of a report."""

    key: str
    """Form of the name that is safe in file names and anchors; unique in the report."""
    title: str
    scores: DatasetScores
    results: list[MethodResult]
    sliced: list[MethodResult]
    """The same, with the slices that are shown only: without --by those of factors that matter."""
    record: DatasetRecord
    sentences: list[str]
    causes: list[str]
    """Which factors explain the errors of each method."""
    protocol: list[str]
    ranked: bool
    """Whether any method has a rank."""
    tables: dict[str, Table]
    curves: list[Curve]
    swept: list[Curve]
    not_corrupted: dict[str, str]
    """Methods that were run on the clean images only, with the reason."""

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Figures that the results are enough for, by name."""
        made = {one.name: one.make(self) for one in FIGURES if one.in_report}
        return {name: shape for name, shape in made.items() if shape is not None}

    @property
    def images(self) -> ImageCounts:
        """Counts of faces, the same for every method but for the predictions."""
        return self.results[0].images

    @property
    def predicted(self) -> bool:
        """Whether any method predicted a face."""
        return any(result.images.scored for result in self.results)

    @property
    def timed(self) -> bool:
        """Whether the run measured times on this data set."""
        return any(result.runtime_ms["total"].p50 is not None for result in self.results)

    @property
    def references(self) -> bool:
        """Whether the frontal baseline is among the methods."""
        return any(is_reference(result.method) for result in self.results)

    @property
    def has_intervals(self) -> bool:
        """Whether there are enough independent predicted faces or groups for statistics."""
        return any(one.images.scored and one.intervals_95 is not None for one in self.results)

    @property
    def pooled(self) -> int:
        """Bootstrap units into which many images are pooled; 0 where each stands alone."""
        images = len(self.scores.image_ids)
        return MAX_UNITS if images > MAX_UNITS and not self.scores.resample_groups else 0

    @property
    def aligned(self) -> bool:
        """Whether any method has errors after alignment."""
        return any(r.aligned.head_side.mae_deg.mean is not None for r in self.results)

    @property
    def complete_labels(self) -> int:
        """Evaluated faces with all three angles labelled."""
        return int(np.isfinite(self.scores.R_gt).all(axis=(1, 2)).sum())

    @property
    def complete(self) -> bool:
        """Whether every method predicted every face."""
        return all(result.images.no_answer == 0 for result in self.results)


@dataclass(frozen=True)
class Report:
    """A whole report."""

    folder: Path
    run: RunRecord
    summary: ResultsFile
    labels: dict[str, str]
    styles: dict[str, MethodStyle]
    sections: list[Section]
    flagged: bool
    """Whether a method was trained on a data set that it is scored on, or on renders like it."""
    faces: pd.DataFrame
    by: str
    """Factors that slices were asked of; empty: those that matter."""
    embed_images: bool
    """Whether images of every data set may go into the report, whatever their terms."""
    data: Mapping[str, Path]
    """Folders of data sets that images may be read from."""
    busy: str = ""
    """Sentence on other work on the machine while times were taken; empty without such."""

    def faces_of(self, section: Section) -> pd.DataFrame:
        """Rows of ``faces.parquet`` of one data set."""
        return self.faces[self.faces["dataset"] == section.scores.name]

    @property
    def in_short(self) -> bool:
        """Whether there are too many data sets to speak of one by one, or to draw all of each."""
        return len(self.sections) > _MOST_SUMMARISED

    @property
    def overview(self) -> Table | None:
        """Mean errors on all data sets, where they are many; sentences stand in sections then."""
        if not self.in_short:
            return None
        results = {section.title: section.results for section in self.sections}
        ranked = sorted(self.styles, key=lambda spec: self.styles[spec].rank)
        return overview_table(results, ranked, self.labels)

    @property
    def overview_sentences(self) -> list[str]:
        """What holds over all data sets."""
        return overview_sentences([section.results for section in self.sections], self.labels)

    @property
    def title(self) -> str:
        """What was compared on what."""
        names = [method.card.name for method in self.run.methods.values()]
        data = [section.record.card.title for section in self.sections]
        if not self.in_short:
            data = [section.title for section in self.sections]
        return f"{_listed(names, 'methods')} on {_listed(data, 'data sets')}"

    @property
    def command(self) -> str:
        """The command as it can be pasted into a shell, or the call of the Python API.

        With a second line where the slices are not those that the run was asked for.
        """
        one, *further = self.run.command
        lines = [shlex.join(self.run.command) if further else one]
        if self.by != self.run.spec.by:
            lines.append(shlex.join(["hpbench", "report", str(self.folder), "--by", self.by]))
        return "\n".join(lines)


def load_report(
    folder: Path,
    embed_images: bool = False,
    by: str | None = None,
    data: Mapping[str, Path] | None = None,
) -> Report:
    """Read a finished run folder and work out everything a report shows.

    Parameters
    ----------
    folder : Path
    embed_images : bool
        Whether images of every data set may go into the report.
    by : str, optional
        Factors to slice by; those that the run was asked for if not given.
    data : mapping of str to Path, optional
        Folders of data sets whose images may be opened.

    Raises
    ------
    UsageError
        If `by` has another form, or names a factor that no data set of the run has.
    DataError
        If the folder is missing, half-written, or of another schema.
    """
    tables = load_run(folder)
    run = tables.run
    scores = score_datasets(tables)
    require_factors(by or "", scores)
    summary = summarise(tables, scores, by)
    labels = words.short_labels(list(run.methods))
    labels |= {
        spec: f"{labels[spec]} (frontal baseline)"
        for spec, method in run.methods.items()
        if is_reference(method.name)
    }
    labels |= _stored_labels(run)
    timing = _timing(folder)
    report = Report(
        folder=folder,
        run=run,
        summary=summary,
        labels=labels,
        styles=method_styles(labels, list(run.methods), _ranked(summary, run)),
        sections=[],
        flagged=any(one.trained_on_this or one.trained_on_renders for one in summary.results),
        faces=tables.faces,
        by=run.spec.by if by is None else by,
        embed_images=embed_images,
        data=data or {},
        busy=busy_sentence(timing.conditions) if timing else "",
    )
    rerun = load_rerun(folder)
    predicted = {one.dataset for one in summary.results}
    clean = [
        one for one in scores if one.name in predicted and run.datasets[one.name].corruption is None
    ]
    for one in clean:
        siblings = _siblings(one, clean, run)
        times = timing.datasets.get(one.name, {}) if timing else {}
        report.sections.append(_section(one, report, siblings, times, rerun.get(one.name)))
    return report


def _timing(folder: Path) -> TimingRecord | None:
    """``timing.json``, or None of a run that took no times."""
    name = TimingRecord.file_name
    is_there = (folder / name).is_file() or differs(folder, name)  # the latter is one that is gone
    return TimingRecord.read(folder) if is_there else None


def _listed(names: Sequence[str], what: str) -> str:
    """Names, each once, or how many there are."""
    different = list(dict.fromkeys(names))
    return words.join(different) if len(different) <= 8 else f"{len(names)} {what}"


def _ranked(summary: ResultsFile, run: RunRecord) -> list[str]:
    """All methods, the lowest error first: mean over the data sets of the place on each."""
    places: dict[str, list[int]] = {spec: [] for spec in run.methods}
    for name, results in _by_dataset(summary).items():
        if run.datasets[name].corruption is not None:
            continue
        errors = [result.common_images.mae_deg.mean for result in results]
        if all(one is None for one in errors):  # no face was predicted by every method
            errors = [result.missing_as_frontal.mae_deg.mean for result in results]
        order = np.argsort([np.inf if one is None else one for one in errors], kind="stable")
        for place, index in enumerate(order):
            places[results[index].method_spec].append(place)
    return sorted(places, key=lambda spec: np.mean(places[spec]) if places[spec] else np.inf)


def _by_dataset(summary: ResultsFile) -> dict[str, list[MethodResult]]:
    found: dict[str, list[MethodResult]] = {}
    for result in summary.results:
        found.setdefault(result.dataset, []).append(result)
    return found


def _stored_labels(run: RunRecord) -> dict[str, str]:
    """What stored predictions are called: by their source, where that tells them apart."""
    names = {spec: method.card.name for spec, method in run.methods.items() if method.stored}
    counts = Counter(names.values())
    return {spec: f"{name} (stored)" for spec, name in names.items() if counts[name] == 1}


def _section(
    scores: DatasetScores,
    report: Report,
    siblings: list[tuple[str, DatasetScores]],
    timing: dict[str, MethodTiming],
    rerun: Rerun | None,
) -> Section:
    run, summary, labels = report.run, report.summary, report.labels
    record = run.datasets[scores.name]
    title = record.card.title
    if scores.name != record.name:  # in the run more than once: with its options
        title += f" ({scores.name})"
    results = [one for one in summary.results if one.dataset == scores.name]
    results.sort(key=lambda result: is_reference(result.method))  # the frontal baseline last
    sliced = results if report.by else with_slices_that_matter(results)
    comparisons = [one for one in summary.comparisons if one.dataset == scores.name]
    flagged = flagged_labels(results, labels)
    curves = corruption_curves(scores.name, summary.results, run.datasets)
    swept = sweep_curves(scores)
    on_common: Sequence[Comparison] = comparisons
    common_ranks = {one.method_spec: one.rank for one in results}
    if not all(method.predicted.all() for method in scores.methods):
        on_common, common_ranks = compare_on_common_faces(scores)
    tables = accuracy_tables(results, common_ranks, labels)
    found = (
        pairs_table(comparisons, flagged),
        confidence_table(results, labels),
        calibration_table(results, labels),
        runtime_table(results, labels),
        cost_table(timing, results, labels),
        unscored_table(results, labels),
        worst_table(scores, flagged, tables["accuracy"].references),
        explain_table(scores, flagged, siblings, rerun),
        literature_table(record.name, scores.protocol, len(scores.image_ids), results, flagged),
        level_table("robustness", "Mean error by severity", curves, flagged),
        level_table("sweep", "Mean error by value of the factor", swept, flagged),
        importance_table(results, labels),
        *slice_tables(results, sliced, labels),
    )
    return Section(
        key=_unique(words.slug(scores.name), {section.key for section in report.sections}),
        title=title,
        scores=scores,
        results=results,
        sliced=sliced,
        record=record,
        sentences=summary_sentences(title, results, on_common, labels),
        causes=importance_sentences(results, labels),
        protocol=protocol_sentences(scores.protocol),
        ranked=any(rank is not None for rank in common_ranks.values()),
        tables=tables | {table.key: table for table in found if table is not None},
        curves=curves,
        swept=swept,
        not_corrupted={
            labels[spec]: reason
            for other in run.datasets.values()
            if other.corruption is not None and other.corruption.of == scores.name
            for spec, reason in other.not_run.items()
            if spec not in record.not_run
        },
    )


def _siblings(
    scores: DatasetScores, clean: list[DatasetScores], run: RunRecord
) -> list[tuple[str, DatasetScores]]:
    """Other cells of the same data set in this run, with what is different in words."""
    base = run.datasets[scores.name].name
    found = []
    for other in clean:
        if other is scores or run.datasets[other.name].name != base:
            continue
        changed = {
            key: value
            for key, value in sorted(other.protocol.settings.items())
            if scores.protocol.settings.get(key) != value
        }
        if changed and not any(map(content_named, changed)):  # other faces
            shown = words.join(f"{key} = {value}" for key, value in changed.items())
            found.append((f"data set with {shown}", other))
    return found


def _unique(key: str, taken: set[str]) -> str:
    number, candidate = 1, key
    while candidate in taken:
        number += 1
        candidate = f"{key}-{number}"
    return candidate
