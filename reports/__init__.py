"""Room `hpbench.reports`: from a finished run folder to tables, figures and documents."""

from __future__ import annotations

if __name__ != "hpbench.reports":
    raise ImportError(
        "import this package as 'hpbench.reports'; the folder is not a top-level package"
    )

from hpbench.reports.report import FORMATS, write_report

__all__ = ["FORMATS", "write_report"]
