"""A model's fields as the arguments of a function.

What a command or a function of the Python API takes is in one place: the fields of a pydantic
model, with type, default, limits and description. The function is written with one parameter of
that model; :func:`spread` gives it one argument for each field instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
)
from pydantic.fields import FieldInfo

from hpbench.errors import UsageError, invalid_value
from hpbench.paths import user_path
from hpbench.spec import parse_specs, suggest

__all__ = [
    "Config", "Corruptions", "DataFolders", "DataSets", "Device", "Files", "Limit", "MaxPixels",
    "Metavar",
    "Methods", "Plugins", "Specs", "Workers", "arguments", "build", "documented", "joined",
    "spread",
]  # fmt: skip

M = TypeVar("M", bound=BaseModel)
R = TypeVar("R")


@dataclass(frozen=True)
class Metavar:
    """How the help names a field's value; a `positional` one is an argument, not an option."""

    name: str | None = None
    positional: bool = False


# ---- fields that several models have -----------------------------------------------------------


def joined(specs: object) -> object:
    """One text of what may be an iterable, or mappings that hold the options by name."""
    if isinstance(specs, Mapping):
        return ",".join(spec.text for spec in parse_specs(specs))
    if isinstance(specs, Path):
        return str(specs)
    if isinstance(specs, Iterable) and not isinstance(specs, str):
        return ",".join(map(str, map(joined, specs)))
    return specs


def user_paths(value: object) -> object:
    """A value with the home folder in place of ``~`` in all paths that it holds."""
    if isinstance(value, Path):
        return user_path(value)
    if isinstance(value, tuple):
        return tuple(map(user_paths, value))
    if isinstance(value, dict):
        return {key: user_paths(one) for key, one in value.items()}
    return value


def _listed(items: object) -> object:
    return (items,) if isinstance(items, (str, Path)) else items


Specs = Annotated[str, BeforeValidator(joined), Metavar("A,B[KEY=VALUE]")]
Methods = Annotated[
    Specs,
    Field(
        description="Methods with options, such as hopenet,pnp[model=mallick6]; "
        "'hpbench list' names them."
    ),
]
DataSets = Annotated[
    Specs, Field(description="Data sets with options, such as aflw2000,biwi or table=labels.csv.")
]
DataFolders = Annotated[
    dict[str, Path],
    Metavar("NAME=DIR"),
    Field(description="Folder of a data set; repeatable. Without it: $HPBENCH_DATA/NAME."),
]
Device = Annotated[
    str, Metavar("DEVICE"), Field(description="cpu, cuda, cuda:1, or auto: cuda if available.")
]
Limit = Annotated[int | None, Field(ge=1, description="Only the first N faces of each data set.")]
Seed = Annotated[int, Field(ge=0, lt=2**32, description="Random seed.")]
MaxPixels = Annotated[
    PositiveInt, Field(description="Images with more pixels are not read; they are counted.")
]
Workers = Annotated[
    int | None,
    Field(
        ge=1,
        description="Threads, or in long runs processes, that read and prepare faces; one per core "
        "if not given.",
    ),
]
Plugins = Annotated[
    tuple[Path, ...],
    BeforeValidator(_listed),
    Metavar("FILE.py"),
    Field(
        validation_alias="plugin",  # one file each time it is given
        description="Python file with further methods or data sets; repeatable.",
    ),
]
Files = Annotated[tuple[Path, ...], BeforeValidator(_listed), Metavar("PATH")]
Corruptions = Annotated[tuple[str, ...], BeforeValidator(_listed), Metavar("NAME=LEVEL,...")]


class Config(BaseModel):
    """What a command takes, and the function of the same name in the API.

    `panels` holds headings in the command's help, with the names of the options below each.
    """

    panels: ClassVar[Mapping[str, str]] = {}
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @field_validator("*")
    @classmethod
    def _of_user(cls, value: object) -> object:
        return user_paths(value)


# ---- functions over a model --------------------------------------------------------------------


def arguments(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Fields of a model by the name of their argument: the alias, if there is one."""
    return {
        str(field.validation_alias or name): field for name, field in model.model_fields.items()
    }


def _models(function: Callable[..., object]) -> dict[str, type[BaseModel]]:
    """Parameters of a function that are annotated with a model."""
    hints = {name: hint for name, hint in get_type_hints(function).items() if name != "return"}
    return {
        name: hint
        for name, hint in hints.items()
        if isinstance(hint, type) and issubclass(hint, BaseModel)
    }


def build(
    model: type[M],
    values: Mapping[str, Any],
    subject: Callable[[str, object], str] = "{}={!r}".format,
) -> M:
    """Make a model; `subject` names a field with its value in a message.

    The UsageError has one line, on the first value that is not of its type or breaks a limit.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
    message = invalid_value(first)
    if not first["loc"]:
        raise UsageError(message)
    name, *inner = (str(part) for part in first["loc"])
    value = first["input"]
    if inner and not inner[0].isdigit():
        value = f"{inner[0]}={value}"
        if first["type"] == "extra_forbidden":
            known = getattr(arguments(model)[name].annotation, "model_fields", ())
            message = f"no such key; {suggest(inner[0], known)}"
    raise UsageError(f"{subject(name, value)}: {message}")


def spread(
    function: Callable[..., R],
    parameter: Callable[[type[BaseModel], str, FieldInfo], inspect.Parameter],
    make: Callable[[type[BaseModel], dict[str, Any]], BaseModel] = build,
) -> Callable[..., R]:
    """Replace every parameter that is a model by one for each of its fields.

    `parameter` makes one from model, name and pydantic's ``FieldInfo``; `make` makes the model from
    its class and what was given for its fields. Other parameters stay as they are.
    """
    models = _models(function)
    hints = get_type_hints(function, include_extras=True)
    parameters: list[inspect.Parameter] = []
    for name, given in inspect.signature(function).parameters.items():
        if name in models:
            model = models[name]
            parameters += [parameter(model, *item) for item in arguments(model).items()]
        else:
            parameters.append(given.replace(annotation=hints[name]))
    parameters.sort(key=lambda one: (one.kind, one.default is not inspect.Parameter.empty))
    signature = inspect.Signature(parameters, return_annotation=hints.get("return"))

    @wraps(function)
    def call(*args: object, **kwargs: object) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{function.__name__}() {error}") from None
        for name, model in models.items():
            values = {key: given.pop(key) for key in arguments(model) if key in given}
            given[name] = make(model, values)
        return function(**given)

    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def documented(function: Callable[..., R]) -> Callable[..., R]:
    """Give a function of the Python API one argument for each field of its model.

    The ``Parameters`` of its docstring begin with the fields' descriptions. The first two fields
    may be given by position, too.
    """
    (model,) = _models(function).values()
    fields = arguments(model)

    def parameter(_: type[BaseModel], name: str, field: FieldInfo) -> inspect.Parameter:
        by_position = name in list(fields)[:2]
        return inspect.Parameter(
            name,
            getattr(inspect.Parameter, "POSITIONAL_OR_KEYWORD" if by_position else "KEYWORD_ONLY"),
            default=inspect.Parameter.empty if field.is_required() else field.default,
            annotation=field.annotation,
        )

    call = spread(function, parameter)
    call.__doc__ = _add_parameters(inspect.getdoc(function) or "", fields)
    return call


def _add_parameters(doc: str, fields: Mapping[str, FieldInfo]) -> str:
    """Put the fields before what stands under ``Parameters`` in a NumPy docstring."""
    lines = []
    for name, field in fields.items():
        shown = inspect.formatannotation(field.annotation).replace("pathlib.", "")
        if BeforeValidator(joined) in field.metadata:
            shown = "str, list or mapping"
        if not field.is_required():
            shown += (
                ", optional"
                if field.default in (None, (), {}, "")
                else f", default {field.default!r}"
            )
        description = (field.description or "").replace("; repeatable", "")
        lines.append(f"{name} : {shown}\n    {description}\n")
    head = "Parameters\n----------\n"
    if head not in doc:
        doc = doc.replace("Returns\n-------\n", f"{head}\nReturns\n-------\n", 1)
    return doc.replace(head, head + "".join(lines), 1)
