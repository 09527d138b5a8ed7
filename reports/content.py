"""Everything a report shows, gathered once and then printed in any format."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpbench.errors import DataError
from hpbench.reports import words
from hpbench.reports.figures.style import MethodStyle, method_styles
from hpbench.reports.summary import summary_sentences
from hpbench.reports.tables.accuracy import (
    Table,
    accuracy_tables,
    cost_table,
    flagged_labels,
    pairs_table,
    runtime_table,
    unscored_table,
)
from hpbench.reports.tables.explain import Again, explain_table, load_rerun
from hpbench.reports.tables.literature import literature_table
from hpbench.reports.tables.robustness import Curve, corruption_curves, level_table, sweep_curves
from hpbench.reports.tables.worst import worst_table
from hpbench.scoring.results import DatasetScores, load_run, score_datasets, summary_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Content", "Section", "gather"]

Json = dict[str, Any]


@dataclass(frozen=True)
class Section:
    """One data set of a report.

    Attributes
    ----------
    key : str
        Form of the name that is safe in file names and anchors; unique in the report.
    scores : DatasetScores
    results : list of dict
        Its entries of ``results.json``.
    about : dict
        Its entry of ``run.json``.
    tables : dict of str to Table
    """

    key: str
    title: str
    scores: DatasetScores
    results: list[Json]
    about: Json
    sentences: list[str]
    protocol: list[str]
    tables: dict[str, Table]
    curves: list[Curve]
    swept: list[Curve]

    @property
    def facts(self) -> list[str]:
        """What its card says about the data set, one sentence each."""
        card = self.about.get("card", {})
        named = {"Labels": "label_source", "Paper": "paper", "Licence": "licence"}
        facts = [f"{name}: {card[key]}" for name, key in named.items() if card.get(key)]
        return [*facts, *card.get("notes", ())]

    @property
    def images(self) -> Json:
        """Counts of faces, the same for every method but for the predictions."""
        return self.results[0]["images"]

    @property
    def has_intervals(self) -> bool:
        """Whether there are enough independent faces or groups for statistics."""
        return any(result["intervals_95"] is not None for result in self.results)

    @property
    def complete(self) -> bool:
        """Whether every method predicted every face."""
        return all(result["images"]["no_answer"] == 0 for result in self.results)


@dataclass(frozen=True)
class Content:
    """A whole report."""

    folder: Path
    run: Json
    summary: Json
    labels: dict[str, str]
    styles: dict[str, MethodStyle]
    sections: list[Section]
    flagged: bool
    """Whether a method was trained on a data set it is scored on, or on renders like it."""
    faces: pd.DataFrame
    embed_images: bool
    """Whether images of every data set may go into the report, whatever their terms."""

    def faces_of(self, section: Section) -> pd.DataFrame:
        """Rows of ``faces.parquet`` of one data set."""
        return self.faces[self.faces["dataset"] == section.scores.name]

    @property
    def title(self) -> str:
        """What was compared on what."""
        names = dict.fromkeys(
            about.get("card", {}).get("name") or about["name"]
            for about in self.run["methods"].values()
        )
        return f"{words.join(names)} on {words.join(section.title for section in self.sections)}"

    @property
    def circumstances(self) -> dict[str, str]:
        """Versions, hardware, revision, protocols: what a figure may depend on."""
        run = self.run
        hardware = ", ".join(f"{name} {value}" for name, value in run["hardware"].items())
        versions = ", ".join(f"{name} {value}" for name, value in run["versions"].items())
        found = {
            "Date": str(run["created"]),
            "Revision": str(run.get("git") or "not from a checkout"),
            "Hardware": hardware,
            "Versions": versions,
            "Seed": str(run.get("seed", 0)),
        }
        for section in self.sections:
            protocol = section.results[0]["protocol"]
            found[f"Protocol on {section.title}"] = (
                f"{protocol['name']}, version {protocol['version']}, hash {protocol['hash']}"
            )
        return found

    @property
    def method_facts(self) -> list[Json]:
        """What the card of every method says, as label and named facts."""
        return [
            {"label": self.labels[spec], "facts": _card_facts(spec, about.get("card", {}))}
            for spec, about in self.run["methods"].items()
        ]

    @property
    def command(self) -> str:
        """The command as it can be pasted into a shell."""
        return shlex.join(self.run.get("command", []))


def gather(folder: Path, embed_images: bool = False) -> Content:
    """Read a finished run folder and work out everything a report shows.

    Parameters
    ----------
    folder : Path
    embed_images : bool
        Whether images of every data set may go into the report.

    Raises
    ------
    DataError
        If the folder is missing, half-written, or of another schema.
    """
    tables = load_run(folder)
    run = tables.run
    summary = summary_of(tables)
    labels = words.short_labels(list(run["methods"]))
    source = _Source(run, summary, labels, _timing(folder), tables.faces, load_rerun(folder))
    scores = score_datasets(tables.faces, tables.predictions, run)
    predicted = {one["dataset"] for one in summary["results"]}
    clean = [
        one
        for one in scores
        if one.name in predicted and not run["datasets"][one.name].get("corruption")
    ]
    sections: list[Section] = []
    for one in clean:
        taken = {section.key for section in sections}
        sections.append(_section(one, _siblings(one, clean, run), source, taken))
    return Content(
        folder=folder,
        run=run,
        summary=summary,
        labels=labels,
        styles=method_styles(labels, list(run["methods"])),
        sections=sections,
        flagged=any(
            one["trained_on_this"] or one["trained_on_renders"] for one in summary["results"]
        ),
        faces=tables.faces,
        embed_images=embed_images,
    )


@dataclass(frozen=True)
class _Source:
    """What all sections are made from."""

    run: Json
    summary: Json
    labels: dict[str, str]
    timing: Json
    faces: pd.DataFrame
    again: dict[str, Again]


def _section(
    scores: DatasetScores,
    siblings: list[tuple[str, DatasetScores]],
    source: _Source,
    taken: set[str],
) -> Section:
    run, summary, labels = source.run, source.summary, source.labels
    about = run["datasets"][scores.name]
    title = _title(scores.name, about)
    results = [one for one in summary["results"] if one["dataset"] == scores.name]
    comparisons = [one for one in summary["comparisons"] if one["dataset"] == scores.name]
    curves = corruption_curves(scores.name, summary["results"], run["datasets"])
    flagged = flagged_labels(results, labels)
    tables = accuracy_tables(results, labels)
    tables["pairs"] = pairs_table(comparisons, flagged)
    tables["runtime"] = runtime_table(results, labels)
    cost = cost_table(source.timing.get(scores.name, {}), results, labels)
    if len(cost.columns) > 1:
        tables["cost"] = cost
    tables["unscored"] = unscored_table(results, labels)
    tables["worst"] = worst_table(scores, flagged)
    tables["explain"] = explain_table(scores, flagged, siblings, source.again.get(scores.name))
    published = literature_table(
        about.get("name", scores.name), scores.protocol, len(scores.image_ids), results, flagged
    )
    if published is not None:
        tables["literature"] = published
    if curves:
        tables["robustness"] = level_table("robustness", "Corrupted images", curves, flagged)
    swept = sweep_curves(scores, source.faces[source.faces["dataset"] == scores.name])
    if swept:
        tables["sweep"] = level_table("sweep", "One factor moved", swept, flagged)
    return Section(
        key=_unique(words.slug(scores.name), taken),
        title=title,
        scores=scores,
        results=results,
        about=about,
        sentences=summary_sentences(title, results, comparisons, labels),
        protocol=words.protocol_sentences(scores.protocol),
        tables=tables,
        curves=curves,
        swept=swept,
    )


def _timing(folder: Path) -> Json:
    """What ``timing.json`` holds, by data set and method; nothing where there is none."""
    path = folder / "timing.json"
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["datasets"])
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}: corrupted ({error}); repeat the run") from error


def _siblings(
    scores: DatasetScores, clean: list[DatasetScores], run: Json
) -> list[tuple[str, DatasetScores]]:
    """Other cells of the same data set in this run, with what is different in words."""
    base = run["datasets"][scores.name].get("name", scores.name)
    found = []
    for other in clean:
        if other is scores or run["datasets"][other.name].get("name", other.name) != base:
            continue
        changed = [
            f"{key} = {value}"
            for key, value in sorted(other.protocol.settings.items())
            if scores.protocol.settings.get(key) != value
        ]
        if changed:
            found.append((f"data set with {words.join(changed)}", other))
    return found


def _card_facts(spec: str, card: Json) -> dict[str, str]:
    named = {
        "Method": card.get("title"),
        "Paper": card.get("paper"),
        "Code": card.get("code"),
        "Licence": card.get("licence"),
        "Weights": card.get("weights"),
        "SHA-256 of the weights": card.get("weights_sha256"),
        "Licence of the weights": card.get("weights_licence"),
        "Trained on": ", ".join(card.get("trained_on", ())),
        "Crop": card.get("crop_rule"),
        "Colours": card.get("colour_order"),
        "Notes": "; ".join(note.rstrip(".") for note in card.get("notes", ())),
    }
    return {"Written as": spec} | {name: str(value) for name, value in named.items() if value}


def _title(key: str, about: Json) -> str:
    """Title of a data set; with its options where it is in the run more than once."""
    title = about.get("card", {}).get("title") or key
    return title if key == about.get("name", key) else f"{title} ({key})"


def _unique(key: str, taken: set[str]) -> str:
    number, candidate = 1, key
    while candidate in taken:
        number += 1
        candidate = f"{key}-{number}"
    return candidate
