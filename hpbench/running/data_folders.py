"""Where data sets are on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hpbench.spec import parse_specs

__all__ = ["data_folders"]


def data_folders(given: Mapping[str, Path], datasets: str) -> dict[str, Path]:
    """Folders of data sets by name.

    Parameters
    ----------
    given : mapping of str to Path
        They win over ``$HPBENCH_DATA/NAME``.
    datasets : str
        Specs of the data sets whose folders are looked for below ``$HPBENCH_DATA``.
    """
    folders = {name: Path(folder).expanduser() for name, folder in given.items()}
    base = os.environ.get("HPBENCH_DATA")
    for spec in parse_specs(datasets) if base else ():
        below = Path(base or "").expanduser() / spec.name
        if below.exists():
            folders.setdefault(spec.name, below)
    return folders
