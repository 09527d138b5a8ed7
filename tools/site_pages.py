"""mkdocs hook: pages of the site whose source lies beside what they describe."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "model-card.md": "methods/hopenet/weights/README.md",
    "sample.md": "datasets/sample/README.md",
    "ablations.md": "examples/ablations/README.md",
}
"""Page of the site, and its file in the repository."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages; links into ``docs/`` become links between pages."""
    for page, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        text = re.sub(r"\]\((?:\.\./)*docs/", "](", text)
        files.append(File.generated(config, page, content=text))
    return files
