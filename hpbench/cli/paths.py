"""Where data sets lie on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hpbench.errors import UsageError

__all__ = ["data_roots"]


def data_roots(given: Sequence[str], datasets: str) -> dict[str, Path]:
    """Folders of data sets from ``--data NAME=DIR`` and ``$HPBENCH_DATA/NAME``.

    Parameters
    ----------
    given : sequence of str
        Values of ``--data``; they win over the environment variable.
    datasets : str
        The data sets of the run.

    Returns
    -------
    dict of str to Path

    Raises
    ------
    UsageError
        If a value is not of the form ``NAME=DIR`` or a name is given twice.
    """
    from hpbench.spec import parse_specs

    roots: dict[str, Path] = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise UsageError(
                f"--data {text}: write --data NAME=DIR, such as aflw2000=/data/AFLW2000"
            )
        if name in roots:
            raise UsageError(f"--data {name}=... is given twice")
        roots[name] = Path(folder).expanduser()
    base = os.environ.get("HPBENCH_DATA")
    if base:
        for spec in parse_specs(datasets):
            folder_path = Path(base).expanduser() / spec.name
            if spec.name not in roots and folder_path.exists():
                roots[spec.name] = folder_path
    return roots
