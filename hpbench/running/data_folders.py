"""Where data sets are on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpbench.dataset import Dataset
from hpbench.errors import UsageError
from hpbench.paths import user_path
from hpbench.registry import DATASETS, make_dataset
from hpbench.spec import SpecsLike, parse_spec, suggest

__all__ = ["data_folders", "open_named"]


def open_named(text: str, given: Mapping[str, Path], plugins: Sequence[Path] = ()) -> Dataset:
    """The one data set of a command, ``NAME``, ``NAME[OPTIONS]`` or ``NAME=DIR``.

    See :func:`data_folders`; further errors are those of :func:`hpbench.registry.make_dataset`.
    """
    spec = parse_spec(text)
    return make_dataset(spec, data_folders(given, [spec], plugins).get(spec.name), plugins)


def data_folders(
    given: Mapping[str, Path], datasets: SpecsLike, plugins: Sequence[Path] = ()
) -> dict[str, Path]:
    """Folders of data sets by name.

    Parameters
    ----------
    given : mapping of str to Path
        They win over ``$HPBENCH_DATA/NAME``.
    datasets : str, or iterable of str and Spec
        The data sets in use; their folders are looked for below ``$HPBENCH_DATA``, too.
    plugins : sequence of Path
        Files that data sets may come from.

    Raises
    ------
    UsageError
        If `given` names a data set that is not in use, or one that brings its own files.
    """
    names = {spec.name for spec in DATASETS.parse(datasets, plugins)}
    for name in given:
        if name not in names:
            raise UsageError(
                f"--data {name}=...: no data set '{name}' in this command; {suggest(name, names)}"
            )
        if _brings_its_files(name):
            raise UsageError(f"--data {name}=...: data set '{name}' brings its own files; drop it")
    folders = {name: user_path(folder) for name, folder in given.items()}
    if base := os.environ.get("HPBENCH_DATA"):
        for name in names - folders.keys():
            below = user_path(base) / name
            if below.exists() and not _brings_its_files(name):
                folders[name] = below
    return folders


def _brings_its_files(name: str) -> bool:
    return name in DATASETS.plugins() and not DATASETS.load(name).needs_root
