"""What a run folder may make hpbench open: only files that its reader names.

A run folder may be a stranger's, and the specs in its ``run.json`` may name any path.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hpbench.errors import HpbenchError, UsageError
from hpbench.spec import Spec, parse_spec

__all__ = ["require_named"]

_PATH = re.compile(r"[/\\]|^~")
_SEPARATORS = re.compile(r"[;,:|\s]+")


def require_named(
    methods: Iterable[Spec],
    datasets: Mapping[str, Spec],
    stored_data: Mapping[str, Path],
    data: Mapping[str, Path],
    others: Sequence[Path] = (),
) -> None:
    """Raise unless all files that the specs of a run name were named by the user, too.

    Parameters
    ----------
    methods : iterable of Spec
        Methods, and whatever else is not a data set.
    datasets : mapping of str to Spec
    stored_data : mapping of str to Path
        Folders of data sets by ``run.json``.
    data : mapping of str to Path
        Folders of data sets by the user.
    others : sequence of Path
        Files, and folders with all that is in them.

    Raises
    ------
    UsageError
        With the options that name the rest.
    """
    named = [*data.values(), *others]
    options = {
        f"--data {name}={shlex.quote(str(path))}"
        for name, path in stored_data.items()
        if name not in data
    }
    count = Counter(item.name for item in datasets.values())
    options |= {
        # --data takes one place for a name
        f"--data {item.name}={shlex.quote(item.path)}"
        if count[item.name] == 1
        else f"--allow {shlex.quote(item.path)}"
        for item in datasets.values()
        if item.path is not None and not _is_below(item.path, named)
    }
    texts = [text for item in methods for text in _texts(item)]
    texts += [text for item in datasets.values() for text in _option_texts(item)]
    options |= {
        f"--allow {shlex.quote(text)}"
        for text in texts
        if _may_be_a_file(text) and not _is_below(text, named)
    }
    if options:
        raise UsageError(
            "the run names files, which are opened only if you name them; if you trust them, add "
            f"{' '.join(sorted(options))}"
        )


def _texts(item: Spec) -> Iterator[str]:
    """All words of a spec that may be paths, those of specs within it among them."""
    yield item.name
    yield from _option_texts(item)


def _option_texts(item: Spec) -> Iterator[str]:
    for value in item.options.values():
        # a path may have spaces; what is none may be a list of paths
        yield from [value] if _exists(value) else _SEPARATORS.split(value)
        for part in value.split(";"):
            if "[" in part:
                with suppress(HpbenchError):  # just a text with a bracket in it
                    yield from _texts(parse_spec(part))


def _may_be_a_file(text: str) -> bool:
    if _PATH.search(text):
        return "[" not in text or not text.endswith("]")  # its parts are looked at, too
    return _exists(text)


def _exists(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        return False


def _is_below(text: str, named: Iterable[Path]) -> bool:
    try:
        path = Path(text).expanduser().resolve()
        return any(path.is_relative_to(Path(one).expanduser().resolve()) for one in named)
    except (OSError, RuntimeError, ValueError):  # links in a circle, a zero byte
        return False
