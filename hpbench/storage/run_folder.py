"""The folder of a run: written in parts and atomically, so that a killed run resumes.

While a run is under way its rows lie in ``parts/``; finishing joins them, some rows at a time, into
``faces.parquet``, ``predictions.parquet`` and ``timing.parquet`` and removes the parts.
Everything is Parquet or JSON; there is no pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpbench.storage.join import join_parts, matching_rows, write_batches

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ROTATION_COLUMNS", "RunFolder", "rotation_cells", "write_json", "write_table"]

ROTATION_COLUMNS = tuple(f"r{row}{column}" for row in range(3) for column in range(3))

Row = dict[str, Any]


def rotation_cells(R_cam: npt.NDArray[np.float64] | None) -> dict[str, float]:
    """The nine entries of a rotation as columns ``r00`` .. ``r22``; NaN for None."""
    values = np.full(9, np.nan) if R_cam is None else np.asarray(R_cam, dtype=np.float64).ravel()
    return dict(zip(ROTATION_COLUMNS, values.tolist(), strict=True))


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of it."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(partial, path)  # noqa: PTH105 - atomic on one file system


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file as atomically as :func:`write_json` writes JSON."""
    import pyarrow.parquet as pq

    partial = path.with_name(path.name + ".partial")
    pq.write_table(table, partial, compression="zstd")
    os.replace(partial, path)  # noqa: PTH105


class RunFolder:
    """One run on disk.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts = path / "parts"

    def append(self, faces: Sequence[Row], predictions: Sequence[Row]) -> None:
        """Store finished faces together with the predictions of every method to them."""
        import pyarrow as pa

        number = len(list(self.parts.glob("faces-*.parquet")))
        # Predictions first: a part counts as stored when its faces file exists.
        write_table(
            self.parts / f"predictions-{number:06d}.parquet",
            pa.Table.from_pylist(list(predictions), schema=predictions_schema()),
        )
        write_table(
            self.parts / f"faces-{number:06d}.parquet",
            pa.Table.from_pylist(list(faces), schema=faces_schema()),
        )

    def stored_faces(self) -> set[tuple[str, str]]:
        """(dataset, image_id) of all faces that a stopped run has finished."""
        import pyarrow.parquet as pq

        stored: set[tuple[str, str]] = set()
        for part in sorted(self.parts.glob("faces-*.parquet")):
            table = pq.read_table(part, columns=["dataset", "image_id"])
            stored.update(
                zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
            )
        return stored

    def add_reused(self, name: str, key: str, tables: Iterable[pa.Table]) -> None:
        """Put in faces or predictions that were computed by an earlier run.

        Parameters
        ----------
        name : str
            ``faces`` or ``predictions``.
        key : str
            What the rows belong to; the same key replaces what it put in before.
        tables : iterable of pyarrow.Table
            The rows, piece by piece.
        """
        digest = hashlib.sha256(key.encode()).hexdigest()[:16]
        schema = faces_schema() if name == "faces" else predictions_schema()
        write_batches(
            self.parts / f"reused-{name}-{digest}.parquet",
            schema,
            (table.select(schema.names).cast(schema) for table in tables),
        )

    def reused_predictions(self) -> set[tuple[str, str]]:
        """(dataset, method) whose predictions were put in by :meth:`add_reused`."""
        import pyarrow.parquet as pq

        found: set[tuple[str, str]] = set()
        for part in self._reused("predictions"):
            for batch in pq.ParquetFile(part).iter_batches(1, columns=["dataset", "method"]):
                found.update((row["dataset"], row["method"]) for row in batch.to_pylist())
                break
        return found

    def reused_faces(self) -> dict[str, list[str]]:
        """Image ids, in order, of data sets whose faces were put in by :meth:`add_reused`."""
        import pyarrow.parquet as pq

        tables = (pq.read_table(p, columns=["dataset", "image_id"]) for p in self._reused("faces"))
        return {
            table["dataset"][0].as_py(): table["image_id"].to_pylist()
            for table in tables
            if len(table)
        }

    def _reused(self, name: str) -> list[Path]:
        return sorted(self.parts.glob(f"reused-{name}-*.parquet"))

    def finish(self, timing: Sequence[Row], order: Mapping[str, Iterable[str]]) -> None:
        """Join the parts, in the data sets' own order, and store the timing pass.

        Parameters
        ----------
        timing : sequence of dict
        order : mapping of str to iterable of str
            Image ids of every data set.
        """
        import pyarrow as pa

        ids_of = {dataset: pa.array(ids, pa.string()) for dataset, ids in order.items()}
        for name, schema in (("faces", faces_schema()), ("predictions", predictions_schema())):
            parts = [*self._complete(name), *self._reused(name)]
            join_parts(parts, ids_of, self.path / f"{name}.parquet", schema)
        write_table(
            self.path / "timing.parquet",
            pa.Table.from_pylist(list(timing), schema=timing_schema()),
        )
        shutil.rmtree(self.parts)

    def rows(self, name: str, **values: str) -> Iterator[pa.Table]:
        """Rows of a joined table that hold some values, without those columns, in pieces.

        Parameters
        ----------
        name : str
            ``faces`` or ``predictions``.
        **values : str
            By column.
        """
        return matching_rows(self.path / f"{name}.parquet", values)

    def is_finished(self) -> bool:
        """Whether the joined tables exist."""
        return (self.path / "timing.parquet").exists()

    def _complete(self, name: str) -> list[Path]:
        """Parts whose rows are all there: those with a file of faces."""
        count = len(list(self.parts.glob("faces-*.parquet")))
        return [self.parts / f"{name}-{number:06d}.parquet" for number in range(count)]


def faces_schema() -> pa.Schema:
    """Columns of ``faces.parquet``."""
    import pyarrow as pa

    text = ["dataset", "image_id", "image_path", "group", "excluded"]
    numbers = ["yaw_deg", "pitch_deg", "roll_deg", *ROTATION_COLUMNS, "x0", "y0", "x1", "y1"]
    return pa.schema(
        [(name, pa.string()) for name in text]
        + [(name, pa.float64()) for name in numbers]
        + [("box_status", pa.string()), ("factors", pa.string())]
    )


def predictions_schema() -> pa.Schema:
    """Columns of ``predictions.parquet``."""
    import pyarrow as pa

    text = ["dataset", "method", "image_id", "status", "reason"]
    numbers = [*ROTATION_COLUMNS, "confidence", "prepare_ms", "infer_ms", "decode_ms"]
    return pa.schema(
        [(name, pa.string()) for name in text] + [(name, pa.float64()) for name in numbers]
    )


def timing_schema() -> pa.Schema:
    """Columns of ``timing.parquet``."""
    import pyarrow as pa

    numbers = ["detect_ms", "prepare_ms", "infer_ms", "infer_device_ms", "decode_ms", "total_ms"]
    return pa.schema(
        [("dataset", pa.string()), ("method", pa.string()), ("image_id", pa.string())]
        + [("round", pa.int64())]
        + [(name, pa.float64()) for name in numbers]
    )
