"""MakeHuman's heads, unpacked once."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest
import torchvision  # noqa: F401 - triton, which it imports, crashes if llvmpipe loaded its LLVM before


@pytest.fixture(scope="session")
def assets(shared_path, tmp_path_factory) -> Path:
    if named := os.environ.get("HPBENCH_ASSETS"):
        return Path(named)
    folder = tmp_path_factory.mktemp("makehuman")
    # Python before 3.11.4 has no filters
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(shared_path("assets/makehuman_heads.tar.xz")) as file:
        file.extractall(folder, **safely)
    return next(folder.rglob("3dobjs")).parent
