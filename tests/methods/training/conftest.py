"""A small table of faces to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image


@pytest.fixture
def table(tmp_path) -> Path:
    """24 images in which a bright bar's place shows the yaw."""
    folder = tmp_path / "images"
    folder.mkdir()
    rows = []
    for number, yaw in enumerate(np.linspace(-60.0, 60.0, 24)):
        pixels = np.full((64, 64, 3), 40, np.uint8)
        column = 32 - round(yaw / 4)
        pixels[16:48, column - 3 : column + 3] = 220
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
        rows.append([f"{number:02d}.png", yaw, 0.0, 0.0, 16, 16, 48, 48])
    path = folder / "labels.csv"
    columns = ["image", "yaw", "pitch", "roll", "x0", "y0", "x1", "y1"]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path
