"""hpbench: benchmark and comparison toolkit for head-pose methods."""

from __future__ import annotations

from pathlib import Path as _Path

__version__ = "0.1.0"

# In an uninstalled clone the rooms `methods`, `datasets` and `reports` lie beside this package.
# Appending the checkout's root lets `python -m hpbench` and `python -m pytest` find them there.
_checkout = _Path(__file__).resolve().parent.parent
if (_checkout / "pyproject.toml").is_file() and (_checkout / "methods").is_dir():
    __path__.append(str(_checkout))
