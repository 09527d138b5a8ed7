"""``explain.json``: what ``hpbench explain`` has added to a run."""

from __future__ import annotations

from typing import ClassVar

from hpbench.results.json_file import FrozenModel, JsonFile
from hpbench.results.results_file import MethodErrors

__all__ = ["ExplainFile", "ExplainRow", "FailedVariant"]


class ExplainRow(MethodErrors):
    """One method of a run under another protocol setting or other boxes."""

    rule: str


class FailedVariant(FrozenModel):
    """A setting that could not be run, and why."""

    dataset: str
    rule: str
    reason: str


class ExplainFile(JsonFile):
    """Content of ``explain.json``."""

    file_name: ClassVar[str] = "explain.json"
    written_by: ClassVar[str] = "hpbench explain"
    replaced_by: ClassVar[str] = "repeat 'hpbench explain'"

    created: str
    run_created: str
    rows: list[ExplainRow]
    failed: list[FailedVariant]
