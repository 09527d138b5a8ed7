"""hpbench: benchmark and comparison toolkit for head-pose methods.

`run`, `load`, `predict`, `faces`, `compare` and `check` are the commands of the same names. They
return :class:`Results`, :class:`Predictions`, :class:`Faces`, :class:`Comparison` and
:class:`Checks`, each with a ``table()``::

    import hpbench

    results = hpbench.run(methods="hopenet,pnp")
    results.table()
    results.plot.by_yaw()
"""

from __future__ import annotations

from pathlib import Path as _Path
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

if _TYPE_CHECKING:
    from hpbench.api import (
        Checks,
        Comparison,
        Faces,
        Predictions,
        Results,
        check,
        compare,
        faces,
        load,
        predict,
        run,
    )

__all__ = [
    "Checks",
    "Comparison",
    "Faces",
    "Predictions",
    "Results",
    "__version__",
    "check",
    "compare",
    "faces",
    "load",
    "predict",
    "run",
]

__version__ = "0.1.0"

# In an uninstalled clone the folders `methods`, `datasets` and `reports` lie beside this package.
# Appending the checkout's root lets `python -m hpbench` and `python -m pytest` find them there.
_checkout = _Path(__file__).resolve().parent.parent
if (_checkout / "pyproject.toml").is_file() and (_checkout / "methods").is_dir():
    __path__.append(str(_checkout))


def __getattr__(name: str) -> _Any:
    """Load the API on first use: `import hpbench` itself imports nothing heavy."""
    if name in __all__:
        from hpbench import api

        return getattr(api, name)
    raise AttributeError(f"module 'hpbench' has no attribute '{name}'")


def __dir__() -> list[str]:
    """Names of the API too, so that help and completion show them."""
    return sorted({*globals(), *__all__})
