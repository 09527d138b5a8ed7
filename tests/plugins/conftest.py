"""A separate environment that plugins are installed into, on top of the one under test."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest


class Environment:
    """A virtual environment that sees the packages of this one and has its own on top."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        packages = next(folder.glob("lib/python*/site-packages"))
        lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
        (packages / "outer.pth").write_text("\n".join(lines) + "\n")
        for command, module in (("hpbench", "hpbench"), ("pip", "pip"), ("pytest", "pytest")):
            script = folder / "bin" / command
            script.write_text(f'#!/bin/sh\nexec "{self.python}" -m {module} "$@"\n')
            script.chmod(0o755)
        self.variables = {
            **os.environ,
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this one as "isolation: no"
            "PIP_NO_DEPS": "1",
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(word) for word in words],
            cwd=cwd,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def install(self, *folders: Path, editable: bool = False) -> None:
        words = [word for folder in folders for word in (["-e"] * editable + [str(folder)])]
        done = self.run(self.python, "-m", "pip", "install", "-q", *words)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def new_environment(tmp_path_factory):
    """Function that makes another environment."""
    if sys.platform == "win32":
        pytest.skip("the environments of these tests are those of Unix")
    return lambda name: Environment(tmp_path_factory.mktemp(name) / "venv")
