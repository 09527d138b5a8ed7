"""The file behind a method's ``weights`` option: a path, or weights known by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hpbench.errors import UsageError, WeightsError
from hpbench.method import WeightsInfo
from hpbench.paths import user_path
from hpbench.spec import suggest
from hpbench.weights.store import cached_file, check_file, fetch_weights, sha256_of

__all__ = ["info_of_file", "resolve_weights", "with_paths"]


def with_paths(published: Sequence[WeightsInfo]) -> list[WeightsInfo]:
    """Published weights with path and size of those that are on this machine."""
    found = []
    for info in published:
        path = info.path or cached_file(info.file)
        size = info.size_bytes if path is None else path.stat().st_size
        found.append(info.model_copy(update={"path": path, "size_bytes": size}))
    return found


def resolve_weights(weights: str, published: Sequence[WeightsInfo]) -> Path:
    """File behind a ``weights`` option; published weights are fetched on first use.

    The option is a path, a name, or empty for the first of the published weights.

    Raises
    ------
    UsageError
        If the name is unknown.
    WeightsError
        If a path does not exist, or named weights cannot be fetched or have another content.
    """
    for info in with_paths(published):
        if weights in ("", info.name):
            if info.path is None:
                return fetch_weights(info)
            check_file(info.path, info.sha256, info.git_blob)
            return info.path
    path = user_path(weights)
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise WeightsError(f"{path}: no such weights file; give a path that exists (weights=)")
    names = [info.name for info in published]
    raise UsageError(f"no weights '{weights}', and no such file; {suggest(weights, names)}")


def info_of_file(path: Path, published: Sequence[WeightsInfo]) -> WeightsInfo | None:
    """Published weights that a file is, or None for a file of the user's own.

    Weights without a published hash are known by their place in the cache.
    """
    sha256 = sha256_of(path)
    for info in with_paths(published):
        if info.sha256 == sha256 or (info.sha256 is None and info.path == path):
            return info
    return None
