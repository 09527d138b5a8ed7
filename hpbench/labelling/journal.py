"""Predictions of teachers kept while ``hpbench label`` works, so that a stopped one goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hpbench.errors import DataError

__all__ = ["Journal"]


class Journal:
    """A file of JSON lines: what the predictions depend on, then one prediction per face.

    Parameters
    ----------
    path : Path
    key : str
        Hash of everything that the predictions depend on. A file with another key is written anew.

    Raises
    ------
    DataError
        If the file cannot be written.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._answers, whole = _read(path, key)
        try:
            self._file = path.open("ab")
            self._file.truncate(whole)  # the last line of a killed run may be torn
            if not whole:
                self._write({"key": key})
        except OSError as error:
            raise self._refused(error) from error

    def __len__(self) -> int:
        return len(self._answers)

    def find(self, image_id: str) -> Any:
        """Prediction to a face, as it was given to :meth:`keep`; None if there is none."""
        return self._answers.get(image_id)

    def keep(self, image_id: str, prediction: Any) -> None:
        """Store the prediction to a face, which is all that JSON can hold but None.

        Raises
        ------
        DataError
            If the disk is full.
        """
        try:
            self._write({"image_id": image_id, "prediction": prediction})
        except OSError as error:
            raise self._refused(error) from error

    def remove(self) -> None:
        """Delete the file: the work is done."""
        self.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; what it holds stays for the next run."""
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()

    def _refused(self, error: OSError) -> DataError:
        return DataError(
            f"{self._path}: cannot be written ({error.strerror}); make room, then the same command "
            "goes on from here"
        )


def _read(path: Path, key: str) -> tuple[dict[str, Any], int]:
    """Predictions of an earlier run with the same key, and the bytes up to the first torn line."""
    predictions: dict[str, Any] = {}
    whole = 0
    try:
        lines = path.read_bytes().splitlines(keepends=True)
        if not lines or json.loads(lines[0]) != {"key": key}:
            return {}, 0
        whole = len(lines[0])
        for line in lines[1:]:
            one = json.loads(line)
            if not line.endswith(b"\n"):
                break
            predictions[one["image_id"]] = one["prediction"]
            whole += len(line)
    except (OSError, ValueError, TypeError, KeyError):
        pass  # what comes after is computed again
    return predictions, whole
