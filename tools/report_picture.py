"""Image of the first screens of a report, for the README.

    hpbench run --methods hopenet,pnp --out runs/readme
    python tools/report_picture.py runs/readme/report.html docs/images/report.png

Needs Debian's ``chromium``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

WIDTH, HEIGHT = 1100, 1110


def main() -> None:
    """Draw the beginning of a report: its summary and first table."""
    report, image = Path(sys.argv[1]), Path(sys.argv[2])
    image.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--disable-background-networking", "--no-first-run",
                "--virtual-time-budget=60000",  # plotly draws after the page has loaded
                f"--user-data-dir={profile}", f"--window-size={WIDTH},{HEIGHT}",
                f"--screenshot={image.resolve()}", report.resolve().as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip


if __name__ == "__main__":
    main()
