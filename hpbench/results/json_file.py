"""What all JSON files of a run folder have in common: frozen models, one reader, one writer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from hpbench.errors import DataError, invalid_value
from hpbench.storage.atomic import json_text
from hpbench.storage.checksums import CHECKSUMS, differs, replace_text

__all__ = ["FrozenModel", "Interval", "JsonFile", "Rounded", "round_value"]


def round_value(value: Any) -> Any:
    """To a millionth; None for a value that does not exist."""
    if not isinstance(value, float):
        return value
    return round(float(value), 6) if math.isfinite(value) else None


def _round_interval(limits: Any) -> Any:
    if not isinstance(limits, tuple | list):
        return limits
    rounded = tuple(round_value(limit) for limit in limits)
    return None if None in rounded else rounded


Rounded = Annotated[float | None, BeforeValidator(round_value)]
"""A value to a millionth; NaN becomes None, because JSON has no NaN."""

Interval = Annotated[tuple[float, float] | None, BeforeValidator(_round_interval)]
"""Lower and upper limit, rounded likewise; None where either does not exist."""


class FrozenModel(BaseModel):
    """Part of a file. Keys that a later hpbench has added are ignored."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, allow_inf_nan=False)


class JsonFile(FrozenModel):
    """A whole file of a run folder.

    Attributes
    ----------
    schema_version : int
        In the file under the key ``schema``. Under one number keys are only ever added.
    """

    file_name: ClassVar[str]
    written_by: ClassVar[str] = "hpbench run"
    replaced_by: ClassVar[str] = "repeat 'hpbench run'"

    schema_version: Literal[2] = Field(2, alias="schema")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read and validate the file of a run folder.

        Raises
        ------
        DataError
            In one line, with the field, if the file is missing, corrupted, or of another schema.
        """
        path = Path(folder) / cls.file_name
        if not path.is_file():  # reading a pipe may never end
            raise DataError(f"{path}: missing; '{cls.written_by}' writes it")
        try:
            stored = path.read_bytes()
            if differs(path.parent, path.name, stored):
                raise DataError(
                    f"{path}: corrupted or edited (not the file of {CHECKSUMS}); {cls.replaced_by}"
                )
            content = cls.model_validate_json(stored)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            if field == "schema":
                raise cls._other_schema(path, first["input"]) from error
            at = f"'{field}': " if field else ""
            raise DataError(
                f"{path}: corrupted ({at}{invalid_value(first)}); {cls.replaced_by}"
            ) from error
        if "schema_version" not in content.model_fields_set:
            raise cls._other_schema(path, None)
        return content

    @classmethod
    def _other_schema(cls, path: Path, found: object) -> DataError:
        return DataError(
            f"{path}: schema {found}, this hpbench reads 2; use the hpbench that wrote it, or "
            f"{cls.replaced_by}"
        )

    def write(self, folder: Path) -> Path:
        """Write the file into a run folder: a reader sees the old one or the new one, whole."""
        path = Path(folder) / self.file_name
        replace_text(path, json_text(self.as_json()))
        return path

    def as_json(self) -> dict[str, Any]:
        """Content of the file."""
        return self.model_dump(mode="json", by_alias=True)
