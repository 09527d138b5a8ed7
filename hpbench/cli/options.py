"""Commands whose options are the fields of a model (:mod:`hpbench.arguments`).

The help is plain text: rich would swallow the brackets of ``name[key=value]``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.core import TyperArgument, TyperCommand

from hpbench.arguments import Metavar, arguments, build, spread
from hpbench.errors import UsageError

__all__ = ["add_command", "pairs"]

_METAVARS: dict[object, str] = {int: "N", float: "X", Path: "PATH", str: "TEXT"}


def add_command(app: typer.Typer, name: str, function: Callable[..., None]) -> None:
    """Register a command; a parameter that is a model becomes one option for each of its fields.

    The examples of the docstring end the help.
    """
    text, _, examples = (inspect.getdoc(function) or "").partition("\nExamples\n--------\n")
    epilog = "\n".join(["\b", "Examples:", *(f"  {line}" for line in examples.splitlines())])
    call = spread(function, _parameter, _build)
    app.command(name, cls=_Command, help=text, epilog=epilog)(call)


class _Command(TyperCommand):
    """Shows its options under the headings that they name, and no types."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, TyperArgument):
                panels["Arguments"].append((parameter.metavar or "", parameter.help or ""))
            elif record := parameter.get_help_record(ctx):
                panel = getattr(parameter, "rich_help_panel", None) or "Options"
                panels.setdefault(panel, []).append(record)
        for panel, records in panels.items():
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records)


def _parameter(model: type[BaseModel], name: str, field: FieldInfo) -> inspect.Parameter:
    """An argument or option that only tells flags, lists and single words apart.

    The model converts and checks the words.
    """
    cls = _value_class(field)
    shown = _metavar(field)
    annotation: object = str | None
    default = field.default
    if cls is bool:
        annotation = bool
    elif _is_list(cls):
        annotation, default = list[str] | None, None
    elif default is not None:
        default = str(default)
    metavar = shown.name or _METAVARS.get(cls)
    if get_origin(cls) is Literal:
        metavar = "|".join(get_args(cls))
    if shown.positional:
        info: Any = typer.Argument(help=field.description, metavar=metavar)
    else:
        info = typer.Option(
            _flag(name),
            help=field.description,
            metavar=metavar,
            rich_help_panel=_panel(model, name),
        )
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=inspect.Parameter.empty if field.is_required() else default,
        annotation=Annotated[annotation, info],
    )


def _metavar(field: FieldInfo) -> Metavar:
    return next((one for one in field.metadata if isinstance(one, Metavar)), Metavar())


def _panel(model: type[BaseModel], name: str) -> str | None:
    panels: Mapping[str, str] = getattr(model, "panels", {})
    return next((panel for panel, names in panels.items() if name in names.split()), None)


def _value_class(field: FieldInfo) -> Any:
    """The annotation without ``| None``."""
    choices = [one for one in get_args(field.annotation) if one is not NoneType]
    optional = NoneType in get_args(field.annotation)
    return choices[0] if optional and len(choices) == 1 else field.annotation


def _is_mapping(cls: Any) -> bool:
    return get_origin(cls) is dict or (isinstance(cls, type) and issubclass(cls, BaseModel))


def _is_list(cls: Any) -> bool:
    return get_origin(cls) in (tuple, list) or _is_mapping(cls)


def _build(model: type[BaseModel], words: dict[str, Any]) -> BaseModel:
    given = {name: value for name, value in words.items() if value is not None}
    fields = arguments(model)
    for name, value in given.items():
        field = fields[name]
        if _is_mapping(_value_class(field)):
            given[name] = pairs(_flag(name), value, _metavar(field).name or "KEY=VALUE")

    def subject(name: str, value: object) -> str:
        return f"'{value}'" if _metavar(fields[name]).positional else f"{_flag(name)} {value}"

    return build(model, given, subject)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def pairs(flag: str, texts: list[str], form: str) -> dict[str, str]:
    """Read a repeatable ``NAME=DIR``."""
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise UsageError(f"{flag} {text}: write {flag} {form}")
        if key in pairs:
            raise UsageError(f"{flag} {key}=...: specified twice")
        pairs[key] = value
    return pairs
