"""A model's fields as the arguments of a function.

What a command or a function of the Python API takes stands once: in the fields of a pydantic
model, with type, default, limits and description. The function is written with one parameter
of that model; :func:`spread` gives it one argument for each field instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from hpbench.errors import UsageError

__all__ = [
    "Config",
    "Corruptions",
    "DataFolders",
    "DataSets",
    "Device",
    "Limit",
    "Metavar",
    "Methods",
    "Plugins",
    "arguments",
    "build",
    "documented",
    "model_parameters",
    "spread",
]

M = TypeVar("M", bound=BaseModel)
R = TypeVar("R")


def _joined(specs: object) -> object:
    return ",".join(specs) if isinstance(specs, (list, tuple)) else specs


def _listed(items: object) -> object:
    return (items,) if isinstance(items, (str, Path)) else items


@dataclass(frozen=True)
class Metavar:
    """How the help names the value of a field; stands in its ``Annotated``.

    Attributes
    ----------
    name : str
    positional : bool
        On the command line an argument, and no option.
    """

    name: str | None = None
    positional: bool = False


# ---- fields that several models have -----------------------------------------------------------

Methods = Annotated[
    str,
    BeforeValidator(_joined),
    Field(
        description="Methods with options, such as hopenet,pnp[model=mallick6]; "
        "'hpbench list' names them."
    ),
    Metavar("A,B[KEY=VALUE]"),
]
DataSets = Annotated[
    str,
    BeforeValidator(_joined),
    Field(description="Data sets with options, such as aflw2000,biwi or table=labels.csv."),
    Metavar("A,B[KEY=VALUE]"),
]
DataFolders = Annotated[
    dict[str, Path],
    Field(description="Folder of a data set; repeatable. Without it: $HPBENCH_DATA/NAME."),
    Metavar("NAME=DIR"),
]
Device = Annotated[
    str,
    Field(description="cpu, cuda, cuda:1, or auto: cuda if available."),
    Metavar("DEVICE"),
]
Limit = Annotated[
    int | None,
    Field(description="Only the first N faces of each data set.", ge=1),
    Metavar("N"),
]
Plugins = Annotated[
    tuple[Path, ...],
    BeforeValidator(_listed),
    Field(
        validation_alias="plugin",  # one file each time it is given
        description="Python file with further methods or data sets; repeatable.",
    ),
    Metavar("FILE.py"),
]
Corruptions = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Config(BaseModel):
    """What a command and the API function of the same name take.

    Attributes
    ----------
    panels : mapping of str to str
        Headings in the command's help, with the names of the options below each.
    """

    panels: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


# ---- functions over a model --------------------------------------------------------------------


def arguments(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Fields of a model by the name of their argument: the alias, if there is one."""
    return {
        field.validation_alias if isinstance(field.validation_alias, str) else name: field
        for name, field in model.model_fields.items()
    }


def model_parameters(function: Callable[..., object]) -> dict[str, type[BaseModel]]:
    """Parameters of a function that are annotated with a model."""
    return {
        name: hint
        for name, hint in get_type_hints(function).items()
        if isinstance(hint, type) and issubclass(hint, BaseModel) and name != "return"
    }


def _call_argument(name: str, value: object) -> str:
    return f"{name}={value!r}"


def build(
    model: type[M],
    values: Mapping[str, Any],
    subject: Callable[[str, object], str] = _call_argument,
) -> M:
    """Make a model, with the first thing that is wrong in one line.

    Parameters
    ----------
    model : type of BaseModel
    values : mapping of str to object
    subject : callable
        How a message names a field with its value.

    Raises
    ------
    UsageError
        If a value is not of its type or breaks a limit.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        raise UsageError(message)
    name, *inner = (str(part) for part in first["loc"])
    value = first["input"]
    if inner and not inner[0].isdigit():
        value = f"{inner[0]}={value}"
        if first["type"] == "extra_forbidden":
            from hpbench.spec import suggest  # imports numpy, which no --help needs

            message = f"no such key; {suggest(inner[0], _fields_of(arguments(model)[name]))}"
    raise UsageError(f"{subject(name, value)}: {message}")


def spread(
    function: Callable[..., R],
    parameter: Callable[[type[BaseModel], str, FieldInfo], inspect.Parameter],
    make: Callable[[type[BaseModel], dict[str, Any]], BaseModel] = build,
) -> Callable[..., R]:
    """Replace every parameter that is a model by one for each of its fields.

    Parameters
    ----------
    function : callable
        Its other parameters stay as they are.
    parameter : callable
        Makes a parameter from model, name and pydantic's ``FieldInfo``.
    make : callable
        Makes the model from its class and what was given for its fields.

    Returns
    -------
    callable
        Makes the models from its arguments, then calls `function`.
    """
    models = model_parameters(function)
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
        given = signature.bind(*args, **kwargs).arguments
        for name, model in models.items():
            values = {key: given.pop(key) for key in arguments(model) if key in given}
            given[name] = make(model, values)
        return function(**given)

    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def documented(positional: int) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a function of the Python API one keyword for each field of its model.

    The ``Parameters`` of its docstring begin with the fields' descriptions. The first
    `positional` fields may be given by position, too.
    """

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        (model,) = model_parameters(function).values()
        by_position = list(arguments(model))[:positional]

        def parameter(_: type[BaseModel], name: str, field: FieldInfo) -> inspect.Parameter:
            accepted = "POSITIONAL_OR_KEYWORD" if name in by_position else "KEYWORD_ONLY"
            default = inspect.Parameter.empty if field.is_required() else field.default
            return inspect.Parameter(
                name,
                getattr(inspect.Parameter, accepted),
                default=default,
                annotation=field.annotation,
            )

        call = spread(function, parameter)
        call.__doc__ = _add_parameters(inspect.getdoc(function) or "", arguments(model))
        return call

    return decorate


def _fields_of(field: FieldInfo) -> Iterable[str]:
    """Keys of a field that is a model itself."""
    return getattr(field.annotation, "model_fields", ())


def _add_parameters(doc: str, fields: Mapping[str, FieldInfo]) -> str:
    """Put the fields before what stands under ``Parameters`` in a NumPy docstring."""
    lines = []
    for name, field in fields.items():
        shown = inspect.formatannotation(field.annotation).replace("pathlib.", "")
        if not field.is_required():
            shown += (
                ", optional"
                if field.default in (None, (), {}, "")
                else f", default {field.default!r}"
            )
        lines.append(f"{name} : {shown}\n    {field.description}\n")
    head = "Parameters\n----------\n"
    if head not in doc:
        doc = doc.replace("Returns\n-------\n", f"{head}\nReturns\n-------\n", 1)
    return doc.replace(head, head + "".join(lines), 1)
