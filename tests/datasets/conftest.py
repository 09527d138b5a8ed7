"""Made folders in the layouts of the data sets, for tests that must not need real data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def write_face() -> Callable[..., Path]:
    """Write one image with its .mat file, as in AFLW2000 and 300W-LP; return the .mat file."""

    def write(
        folder: Path,
        stem: str,
        yaw_deg: float = 10.0,
        pitch_deg: float = -5.0,
        roll_deg: float = 2.0,
        **more: object,
    ) -> Path:
        from scipy.io import savemat

        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48)).save(folder / f"{stem}.jpg")
        pose = [*np.radians([pitch_deg, yaw_deg, roll_deg]), 30.0, 20.0, 0.0, 1e-3]
        points = np.vstack([np.linspace(20, 50, 68), np.linspace(12, 40, 68), np.zeros(68)])
        content = {"Pose_Para": np.array([pose]), "pt3d_68": points, "pt2d": points[:2, :21]}
        content.update(more)
        path = folder / f"{stem}.mat"
        savemat(path, {name: value for name, value in content.items() if value is not None})
        return path

    return write


@pytest.fixture
def write_sequence() -> Callable[..., Path]:
    """Write one BIWI sequence with frames 3, 4, ... of a frontal head; return its folder."""

    def write(hpdb: Path, name: str = "01", frames: int = 2) -> Path:
        folder = hpdb / name
        folder.mkdir(parents=True)
        (folder / "rgb.cal").write_text(
            "500 0 320\n0 500 240\n0 0 1\n\n0 0 0 0\n\n1 0 0\n0 1 0\n0 0 1\n\n20 0 0\n\n640 480\n"
        )
        for number in range(3, 3 + frames):
            Image.new("RGB", (640, 480)).save(folder / f"frame_{number:05d}_rgb.png")
            (folder / f"frame_{number:05d}_pose.txt").write_text(
                "1 0 0\n0 1 0\n0 0 1\n\n80 40 1000\n"
            )
        return folder

    return write
