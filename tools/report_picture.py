"""Image of the beginning of a report, for the README.

    hpbench run --methods hopenet,pnp --out runs/readme
    python tools/report_picture.py runs/readme/report.md docs/images/report.png

Needs Debian's ``chromium``; Python-Markdown comes with mkdocs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import markdown

WIDTH, HEIGHT = 1100, 1500
STYLE = """
body { font: 16px/1.45 sans-serif; margin: 28px 44px; color: #1c2730; }
table { border-collapse: collapse; margin: 12px 0; }
th, td { padding: 4px 12px; border-bottom: 1px solid #cfd8dc; text-align: left; }
img { max-width: 100%; }
li { margin: 2px 0; }
"""


def main() -> None:
    """Draw the first screens of a report: its summary, tables and first figures."""
    report, image = Path(sys.argv[1]), Path(sys.argv[2])
    text = report.read_text(encoding="utf-8")
    summary = text[: text.index("## How to read it")]
    results = text[text.index("### Accuracy") : text.index("### Where each method fails")]
    body = markdown.markdown(summary + results, extensions=["tables"])
    page = f"<meta charset='utf-8'><style>{STYLE}</style>{body}"
    image.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        source = report.with_name("readme-image.html")
        source.write_text(page, encoding="utf-8")
        subprocess.run(
            [
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--disable-background-networking", "--no-first-run",
                f"--user-data-dir={profile}", f"--window-size={WIDTH},{HEIGHT}",
                f"--screenshot={image.resolve()}", source.resolve().as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        source.unlink()


if __name__ == "__main__":
    main()
