"""The text form of methods, data sets and detectors: ``name[key=value,...]``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from hpbench.errors import UsageError
from hpbench.method import Options

__all__ = ["Spec", "build_options", "parse_spec", "parse_specs", "suggest"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Spec:
    """A name with options, as the user wrote them.

    Attributes
    ----------
    name : str
    options : dict of str to str
    path : str or None
        What follows ``=`` after a plain name: ``table=labels.csv``.
    """

    name: str
    options: dict[str, str] = field(default_factory=dict)
    path: str | None = None

    def __str__(self) -> str:
        """Canonical text: options sorted by key, none shown where none was given."""
        if not self.options:
            return self.name
        inner = ",".join(f"{key}={self.options[key]}" for key in sorted(self.options))
        return f"{self.name}[{inner}]"


def parse_spec(text: str) -> Spec:
    """Parse ``name``, ``name[key=value,...]`` or ``name=path``.

    Raises
    ------
    UsageError
        If the text has another form, or a key occurs twice.

    Examples
    --------
    >>> str(parse_spec("pnp[model=mallick6,focal=1.0]"))
    'pnp[focal=1.0,model=mallick6]'
    >>> parse_spec("nets/my_net.toml[weights=/w]").name
    'nets/my_net.toml'
    """
    text = text.strip()
    if text.endswith((".toml", ".TOML")) and "[" not in text:
        return Spec(text)
    name, bracket, inner = text.partition("[")
    name, equals, path = name.partition("=")
    name = name.strip()
    is_card = name.lower().endswith(".toml") and not equals  # it may lie in a folder
    if not (_NAME.fullmatch(name) or is_card):
        raise UsageError(f"'{text}' is not of the form name or name[key=value,...]")
    if not bracket:
        return Spec(name, {}, path.strip() or None)
    if equals or not inner.endswith("]"):
        raise UsageError(f"'{text}': write name[key=value,...] with one closing bracket at the end")
    options: dict[str, str] = {}
    for item in _split(inner[:-1]):
        key, has_value, value = item.partition("=")
        if not has_value or not key.strip():
            raise UsageError(f"'{text}': '{item}' is not of the form key=value")
        if key.strip() in options:
            raise UsageError(f"'{text}': '{key.strip()}' is given twice")
        options[key.strip()] = value.strip()
    return Spec(name, options)


def parse_specs(text: str | Iterable[str]) -> list[Spec]:
    """Parse a comma-separated list of specs; commas inside brackets do not separate.

    Raises
    ------
    UsageError
        If the list is empty, an item is malformed, or the same spec stands twice.
    """
    texts = [text] if isinstance(text, str) else list(text)
    specs = [parse_spec(item) for chunk in texts for item in _split(chunk)]
    if not specs:
        raise UsageError("an empty list of names; name at least one")
    seen: set[str] = set()
    for spec in specs:
        key = f"{spec}={spec.path}"
        if key in seen:
            raise UsageError(f"'{spec}' is listed twice")
        seen.add(key)
    return specs


def _split(text: str) -> list[str]:
    """Split at commas outside of brackets; empty parts are dropped."""
    parts: list[str] = []
    depth = start = 0
    for place, character in enumerate(text):
        if character == "[":
            depth += 1
        elif character == "]":
            depth -= 1
            if depth < 0:
                raise UsageError(f"'{text}': a closing bracket without an opening one")
        elif character == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    if depth:
        raise UsageError(f"'{text}': an opening bracket is not closed")
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def suggest(word: str, known: Iterable[str]) -> str:
    """Sentence that lists what is known and the nearest match to `word`.

    Examples
    --------
    >>> suggest("hoppenet", ["hopenet", "pnp"])
    "did you mean 'hopenet'? (known: hopenet, pnp)"
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    listing = f"known: {', '.join(names) or 'none'}"
    return f"did you mean '{near[0]}'? ({listing})" if near else listing


def build_options(kind: type[Options], given: Mapping[str, object], owner: str) -> Options:
    """Validate the options of a spec.

    Parameters
    ----------
    kind : type of Options
        The plugin's own ``Options`` class.
    given : mapping of str to object
        Values as text or already of their type.
    owner : str
        For the message: ``"method 'pnp'"``.

    Raises
    ------
    UsageError
        For an unknown key (with the nearest match) or a value that does not fit.
    """
    for key in given:
        if key not in kind.model_fields:
            raise UsageError(f"{owner} has no option '{key}'; {suggest(key, kind.model_fields)}")
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "options"
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{owner}: {key}={given.get(key, '')}: {message}") from error
