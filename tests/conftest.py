"""Where tests find real data; they skip, with the reason, where it is absent."""

from __future__ import annotations

import base64
import errno
import gzip
import importlib.util
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a machine may be busy
settings.load_profile("untimed")


def _shared_folder() -> Path:
    named = os.environ.get("HPBENCH_SHARED")
    return Path(named) if named else Path(__file__).resolve().parents[1].parent / "shared"


def _require(relative: str) -> Path:
    path = _shared_folder() / relative
    if not path.exists():
        pytest.skip(f"real material is not at hand: {path} (set $HPBENCH_SHARED)")
    return path


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep the user's cache out of the tests, and the tests out of the cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def full_disk(monkeypatch):
    """Call it, and no file reaches the disk any more, as where the disk is full."""

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda: monkeypatch.setattr(os, "fsync", fail)


@pytest.fixture(scope="session")
def shared_path():
    """Return ``shared_path("data/aflw2000")``, or skip the test with the reason."""
    return _require


@pytest.fixture(scope="session")
def aflw2000_dir() -> Path:
    return _require("data/aflw2000")


@pytest.fixture(scope="session")
def biwi_dir() -> Path:
    return _require("data/biwi/hpdb")


@pytest.fixture(scope="session")
def pointing04_dir() -> Path:
    return _require("data/pointing04")


@pytest.fixture(scope="session")
def w300lp_dir() -> Path:
    return _require("data/300w_lp")


@pytest.fixture(scope="session")
def hopenet_lite_weights() -> Path:
    return _require("weights/hopenet_lite_shufflenet_v2_x1_0.pkl")


@pytest.fixture(scope="session")
def reliability_cases() -> Path:
    """Inputs that once ended, hung or took over a run."""
    return _require("cases/reliability")


@pytest.fixture(scope="session")
def load_script() -> Callable[[str], Any]:
    """Return ``load_script("benchmarks/memory.py")``: a script of the repository as a module."""

    def load(relative: str) -> Any:
        path = Path(__file__).parents[1] / relative
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def page_data() -> Callable[[str], Any]:
    """Return ``page_data(text)``: what the script of ``report.html`` is given."""

    def unpack(page: str) -> Any:
        (packed,) = re.findall(r'<script type="text/plain" id="data">(.*?)</script>', page)
        return json.loads(gzip.decompress(base64.b64decode(packed)))

    return unpack
