"""Draw the images of docs/slices.md from a run on AFLW2000 (the page has the command).

python tools/slices_pictures.py RUN
"""

from __future__ import annotations

import sys
from pathlib import Path

from hpbench.reports.content import load_report
from hpbench.reports.figures import data
from hpbench.reports.figures.static import draw

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def main(run: Path) -> None:
    """Write the four images."""
    report = load_report(run, by="face_px,brightness,sharpness,abs_yaw")
    (section,) = report.sections
    shapes = {
        "risk": data.confidence(section.scores),
        "calibration": data.calibration(section.scores),
        "importance": data.importance(section.results),
        "slices": data.forest(section.sliced),
    }
    for name, shape in shapes.items():
        if shape is not None:
            draw(shape, report.styles).savefig(IMAGES / f"aflw2000_{name}.png", dpi=80)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
