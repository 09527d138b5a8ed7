"""Another program's predictions as a method of the benchmark."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from hpbench.errors import DataError, UsageError
from hpbench.face import Face
from hpbench.method import MethodCard, NoPrediction, Options, Prediction, StoredMethod
from hpbench.methods.predictions.table import (
    PredictionsOptions,
    PredictionTable,
    read_predictions,
)
from hpbench.paths import user_path
from hpbench.spec import Spec
from hpbench.weights.store import sha256_of

__all__ = ["Predictions"]

BOX_TOLERANCE_PX = 1.0
"""Programs write boxes as whole pixels."""

NO_ROW = "the file has no row of this face"
OTHER_BOX = (
    "the prediction is for another box than this run's; run 'hpbench faces' with the options of "
    "this run, or leave x0, y0, x1, y1 out of the file"
)

Outcome = Prediction | NoPrediction


class Predictions(StoredMethod):
    """Predictions in a file; ``other.csv`` is short for ``predictions[file=other.csv]``."""

    name: ClassVar[str] = "predictions"
    summary: ClassVar[str] = "another program's predictions: predictions[file=FILE.csv,...]"
    Options: ClassVar[type[Options]] = PredictionsOptions

    @classmethod
    def claims(cls, text: str) -> Spec | None:
        """``other.csv`` and ``other.parquet`` stand for ``predictions[file=other.csv]``, ..."""
        is_table = Path(text).suffix.lower() in (".csv", ".parquet")
        return Spec(cls.name, {"file": text}) if is_table else None

    def fingerprint(self) -> str:
        """Options, and the name and SHA-256 of the file."""
        options = self.options.model_dump_json(exclude={"file"})
        return f"{options} {self._path.name} {sha256_of(self._path)}"

    def card(self) -> MethodCard:
        """What is known of the program, and how its file is read."""
        table = self._table
        options = self.options
        notes = [
            f"read from {self._path.name} (SHA-256 {sha256_of(self._path)[:12]}): {table.read_as}",
            "hpbench did not run the program: no time is measured, and there are no results on "
            "changed images or boxes",
        ]
        if table.has_times:
            notes.append("its file states times, which were measured by the program itself")
        if table.unused:
            notes.append(f"columns that are not used: {', '.join(table.unused)}")
        if not options.trained_on:
            notes.append("what the program was trained on is not known")
        title = options.title or self._path.stem
        return MethodCard(
            name=title,
            title=f"{title}, stored predictions",
            licence="not known",
            trained_on=tuple(options.trained_on.replace(",", " ").split()),
            colour_order="not known",
            crop_rule="not known: the program made it",
            notes=tuple(notes),
        )

    def load(self) -> None:
        """Read the file."""
        self._table  # noqa: B018 - kept by cached_property

    def unsupported_faces(
        self, dataset_name: str, image_ids: Collection[str], whole: bool
    ) -> str | None:
        """The data set has to be the file's; ids that it does not have are an error."""
        path, table = self._path, self._table
        if table.dataset and table.dataset != dataset_name:
            return f"{path.name} holds predictions for faces of '{table.dataset}'"
        unknown = list(table.faces.keys() - set(image_ids))
        if len(unknown) == len(table.faces):
            return (
                f"{path.name} names no face of '{dataset_name}' by the ids of 'hpbench faces' "
                f"(it names '{next(iter(table.faces))}')"
            )
        if unknown and whole:
            first = next(name for name in table.faces if name in set(unknown))
            raise DataError(
                f"{path}: {len(unknown)} of its {len(table.faces)} ids are no faces of "
                f"'{dataset_name}', the first '{first}'; write the ids of 'hpbench faces'"
            )
        return None

    def stated_ms(self, image_id: str) -> float | None:
        """What the column ``ms`` says."""
        face = self._table.faces.get(image_id)
        return None if face is None else face.ms

    def prepare(self, face: Face) -> Outcome:
        """Look up the face."""
        stored = self._table.faces.get(face.image_id)
        if stored is None:
            return NoPrediction(NO_ROW)
        if stored.box_xyxy is not None:
            distance = np.abs(stored.box_xyxy - face.box_xyxy)
            if not (distance <= BOX_TOLERANCE_PX).all():
                return NoPrediction(OTHER_BOX)
        return stored.outcome

    def infer(self, batch: Sequence[Prediction]) -> Sequence[Prediction]:
        """Nothing is left to do."""
        return batch

    def decode(self, output: Sequence[Prediction]) -> Sequence[Prediction]:
        """Nothing is left to do."""
        return output

    @property
    def _path(self) -> Path:
        if not self.options.file:
            raise UsageError(
                "method 'predictions' needs its file: write its name, other.csv, or "
                "predictions[file=other.csv]"
            )
        return user_path(self.options.file)

    @cached_property
    def _table(self) -> PredictionTable:
        return read_predictions(self._path, self.options)
