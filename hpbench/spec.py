"""The text form of methods, data sets and detectors: ``name[key=value,...]``."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from pathlib import Path

from pydantic import ValidationError

from hpbench.errors import UsageError, invalid_field
from hpbench.paths import user_path
from hpbench.plugin import Options

__all__ = [
    "Spec", "SpecsLike", "as_text", "build_options", "parse_spec", "parse_specs", "quote_hint",
    "suggest",
]  # fmt: skip

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PATH = re.compile(r"[/\\]|\.[A-Za-z]\w*$")
"""A folder or a suffix: such a name is a path, which a plugin may claim."""

_NUMBER = r"([+-]?(?:\d{1,9}\.?\d{0,9}|\.\d{1,9}))"
_SWEEP = re.compile(f"{_NUMBER}:{_NUMBER}:{_NUMBER}")

MAX_SWEEP = 100
"""Specs that one spec with sweeps may stand for."""

_QUOTES = "\"'"
_NEEDS_QUOTES = re.compile(r"""[,\[\]"']|^\s|\s$""")
_QUOTE_HINT = (
    "a path with commas, brackets, quotes or = goes in quotes: "
    """'"a,b.csv"' or 'name[key="a,b.pkl"]'"""
)


@dataclass(frozen=True, slots=True)
class Spec:
    """A name with options, as the user wrote them.

    `path` is what follows ``=`` after a plain name: ``table=labels.csv``.
    """

    name: str
    options: dict[str, str] = field(default_factory=dict)
    path: str | None = None

    def __str__(self) -> str:
        """Canonical text without the path: options sorted by key, none shown where none given."""
        if not self.options:
            return self._quoted_name
        inner = ",".join(f"{key}={_quoted(self.options[key])}" for key in sorted(self.options))
        return f"{self._quoted_name}[{inner}]"

    @property
    def _quoted_name(self) -> str:
        """The name, which may be a path, in quotes where it would be read as another spec."""
        return _quoted(self.name, "=" in self.name)

    @property
    def root(self) -> Path | None:
        """The file or folder that `path` names; a leading ``~`` is the home folder."""
        return user_path(self.path) if self.path else None

    @property
    def text(self) -> str:
        """The whole spec, its path included, as :func:`parse_spec` reads it."""
        path = "" if self.path is None else f"={_quoted(self.path)}"
        return f"{self._quoted_name}{path}{str(self).removeprefix(self._quoted_name)}"


def _quoted(value: str, always: bool = False) -> str:
    if not always and not _NEEDS_QUOTES.search(value):
        return value
    quote = "'" if '"' in value else '"'
    return f"{quote}{value}{quote}"


OptionsByName = Mapping[str, Mapping[str, object] | None]
SpecsLike = str | OptionsByName | Iterable[str | Spec | OptionsByName]
"""What :func:`parse_specs` takes."""


def parse_spec(text: str) -> Spec:
    """Parse ``name``, ``name[key=value,...]``, ``name=path`` or ``name=path[key=value,...]``.

    A path or value in quotes may hold commas, brackets and equals signs.

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
    >>> parse_spec("table=labels.csv[unit=rad]").path
    'labels.csv'
    >>> parse_spec('hopenet[weights="lr=0.1,bs=32/best.pkl"]').options["weights"]
    'lr=0.1,bs=32/best.pkl'
    """
    text = text.strip()
    _split(text)  # refuses brackets and quotes that do not match
    start = min((k for k in (_find(text, "="), _find(text, "[")) if k >= 0), default=len(text))
    name, rest = _bare(text[:start]), text[start:]
    is_path = _PATH.search(name) is not None and not rest.startswith("=")
    if not (_NAME.fullmatch(name) or is_path):
        raise UsageError(f"'{text}': write name or name[key=value,...]{quote_hint(text)}")
    if not rest:
        return Spec(name)
    path = None
    if rest.startswith("="):
        bracket = _find(rest, "[") if rest.endswith("]") else -1
        path, rest = (rest[1:], "") if bracket < 0 else (rest[1:bracket], rest[bracket:])
        path = _bare(path) or None
    elif not rest.endswith("]"):
        raise UsageError(
            f"'{text}': write name[key=value,...] with one closing bracket at the end; "
            f"{_QUOTE_HINT}"
        )
    options: dict[str, str] = {}
    for item in _split(rest[1:-1]):
        key, has_value, value = item.partition("=")
        if not has_value or not key.strip():
            raise UsageError(f"'{text}': '{item}' is not of the form key=value; {_QUOTE_HINT}")
        if key.strip() in options:
            raise UsageError(f"'{text}': '{key.strip()}' is specified twice; remove one")
        options[key.strip()] = _bare(value)
    return Spec(name, options, path)


def parse_specs(given: SpecsLike, separator: str = ",") -> list[Spec]:
    """Parse a list of specs; separators inside brackets or quotes do not separate.

    A mapping holds the options by name: ``{"hopenet": {"weights": path}, "pnp": {}}``. A value
    ``LOW:HIGH:STEP`` is a sweep: the spec with each of the values, both ends included. An empty
    list, a malformed item and a spec that stands twice are UsageErrors.

    Examples
    --------
    >>> [str(spec) for spec in parse_specs("lwhpe[k=1.2:1.8:0.2],pnp")]
    ['lwhpe[k=1.2]', 'lwhpe[k=1.4]', 'lwhpe[k=1.6]', 'lwhpe[k=1.8]', 'pnp']
    """
    items = [given] if isinstance(given, str | Mapping) else list(given)
    specs = [
        swept for item in items for spec in _specs_in(item, separator) for swept in _swept(spec)
    ]
    if not specs:
        raise UsageError("the list of names is empty; name at least one")
    seen: set[str] = set()
    for spec in specs:
        _refuse_unwritable(spec)
        if spec.text in seen:
            raise UsageError(f"'{spec}': listed twice; remove one")
        seen.add(spec.text)
    return specs


def _refuse_unwritable(spec: Spec) -> None:
    """Raise where the text that is stored of a spec would be read as another one."""
    try:
        readable = parse_spec(spec.text) == spec
    except UsageError:
        readable = False
    if not readable:
        raise UsageError(
            f"'{spec.text}': a name, path or value with both kinds of quotes, or with quotes in "
            "its middle, cannot be written; rename it"
        )


def _specs_in(item: str | Spec | OptionsByName, separator: str) -> list[Spec]:
    if isinstance(item, Spec):
        return [item]
    if isinstance(item, str):
        return [parse_spec(part) for part in _split(item, separator)]
    if not isinstance(item, Mapping):
        raise UsageError(f"{str(item)[:80]!r}: write name, name[key=value,...], or a mapping")
    specs = []
    for text, options in item.items():
        spec = parse_spec(text)
        if not isinstance(options or {}, Mapping):
            raise UsageError(f"'{text}': its options are no mapping but {str(options)[:80]!r}")
        given = {key: as_text(value) for key, value in (options or {}).items()}
        specs.append(Spec(spec.name, spec.options | given, spec.path))
    return specs


def _swept(spec: Spec) -> Iterator[Spec]:
    """The specs that one with sweeps stands for; with several sweeps all their combinations."""
    choices = {key: _values(key, value) for key, value in spec.options.items()}
    if math.prod(map(len, choices.values())) > MAX_SWEEP:
        raise UsageError(f"'{spec}': a sweep over more than {MAX_SWEEP} methods")
    for values in product(*choices.values()):
        yield Spec(spec.name, dict(zip(choices, values, strict=True)), spec.path)


def _values(key: str, value: str) -> list[str]:
    """Values of a sweep, or the one value; decimal, so that .1 steps end where they should."""
    found = _SWEEP.fullmatch(value)
    if not found:
        return [value]
    low, high, step = (Decimal(part) for part in found.groups())
    if step <= 0 or high < low:
        raise UsageError(f"{key}={value}: write LOW:HIGH:STEP, LOW below HIGH and STEP above 0")
    count = int((high - low) / step) + 1
    if count > MAX_SWEEP:
        raise UsageError(f"{key}={value}: a sweep over {count} values; at most {MAX_SWEEP}")
    return [f"{(low + index * step).normalize():f}" for index in range(count)]


def quote_hint(text: str) -> str:
    """What ends an error about a text that may be a path, or a part of one, read as a spec."""
    return f"; {_QUOTE_HINT}" if "/" in text or "\\" in text else ""


def as_text(value: object) -> str:
    """An option's value as the command line would have it."""
    if isinstance(value, list | tuple):
        return ",".join(map(as_text, value))
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _bare(text: str) -> str:
    """Text without blanks and one pair of quotes around it."""
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in _QUOTES and text[0] not in text[1:-1]:
        return text[1:-1]
    return text


def _outside_quotes(text: str) -> Iterator[tuple[int, str, int]]:
    """Index, character and depth of brackets for all that no quotes enclose.

    A quote opens where a value begins, so that the apostrophe of ``it's.csv`` is none.
    """
    quote, depth = "", 0
    for index, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
            continue
        if character in _QUOTES and text[:index].rstrip()[-1:] in ("", "=", "[", ","):
            quote = character
            continue
        depth += (character == "[") - (character == "]")
        if depth < 0:
            raise UsageError(f"'{text}': a closing bracket without an opening one; {_QUOTE_HINT}")
        yield index, character, depth
    if quote:
        raise UsageError(f"'{text}': a quote ({quote}) is not closed; close it")
    if depth:
        raise UsageError(f"'{text}': an opening bracket is not closed; {_QUOTE_HINT}")


def _find(text: str, wanted: str) -> int:
    """Index of the first such character outside of quotes, or -1."""
    return next((k for k, character, _ in _outside_quotes(text) if character == wanted), -1)


def _split(text: str, separator: str = ",") -> list[str]:
    """Split at separators outside of brackets and quotes; empty parts are dropped."""
    found = [k for k, one, depth in _outside_quotes(text) if one == separator and not depth]
    starts, ends = [0, *(k + 1 for k in found)], [*found, len(text)]
    parts = [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]
    return [part for part in parts if part]


def suggest(word: str, known: Iterable[str]) -> str:
    """Sentence that lists what is known and the nearest match to `word`.

    Examples
    --------
    >>> suggest("hoppenet", ["hopenet", "pnp"])
    "did you mean 'hopenet'? (known: hopenet, pnp)"
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(word, names, n=1)
    listing = f"known: {', '.join(names) or 'none'}"
    return f"did you mean '{near[0]}'? ({listing})" if near else listing


def build_options(cls: type[Options], given: Mapping[str, object], owner: str) -> Options:
    """Validate the options of a spec, whose values are text or already of their type.

    `owner` begins the message of a UsageError: ``"method 'pnp'"``. An unknown key gets the nearest
    match.
    """
    for key in given:
        if key not in cls.model_fields:
            hint = quote_hint(" ".join(map(str, given.values())))
            known = suggest(key, cls.model_fields)
            raise UsageError(f"{owner} has no option '{key}'; {known}{hint}")
    try:
        return cls.model_validate(given)
    except ValidationError as error:
        key, wrong = invalid_field(error)
        shown = f"{key}={given[key]}" if key in given else key or "options"
        raise UsageError(f"{owner}: {shown}: {wrong}") from error
