"""What the tests of published networks share."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from hpbench.datasets.aflw2000 import Aflw2000
from hpbench.face import Face
from hpbench.method import NoPrediction
from hpbench.registry import make_method
from hpbench.rotation import geodesic_deg, nearest_angles, rotation_from_angles


@pytest.fixture(scope="session")
def aflw2000_faces(aflw2000_dir):
    """The evaluated faces of AFLW2000 that are here, and their yaw, pitch, roll."""
    dataset = Aflw2000(aflw2000_dir)
    records = [record for record in dataset.records() if record.excluded is None]
    assert len(records) == 491
    faces = [
        Face(record.image_id, dataset.read_image(record), record.box_xyxy) for record in records
    ]
    return faces, np.array([record.label.angles_deg for record in records])


@pytest.fixture(scope="session")
def aflw2000_errors(aflw2000_faces):
    """Return a function: yaw, pitch, roll MAE of a loaded method and their mean; its coverage.

    With `step` only every so many faces are read, for networks that are slow on a CPU.
    """
    all_faces, all_angles = aflw2000_faces

    def errors_of(method, step=1):
        faces, angles = all_faces[::step], all_angles[::step]
        predictions = []
        for start in range(0, len(faces), 64):
            predictions += method.predict(faces[start : start + 64])
        predicted = np.array([not isinstance(found, NoPrediction) for found in predictions])
        R_cam = np.stack([found.R_cam for found in predictions if hasattr(found, "R_cam")])
        read = nearest_angles(R_cam, angles[predicted])
        errors = np.abs(read - angles[predicted])
        mae = np.minimum(errors, 360.0 - errors).mean(axis=0)
        return [*mae, mae.mean()], predicted.mean()

    return errors_of


@pytest.fixture(scope="session")
def confidence_orders_errors(aflw2000_faces):
    """Return a function: rank correlation of a method's confidences with its geodesic errors."""

    def correlation_of(method, step):
        faces, angles = aflw2000_faces
        predictions = method.predict(faces[::step])
        R_label = rotation_from_angles(angles[::step])
        errors = geodesic_deg(np.stack([found.R_cam for found in predictions]), R_label)
        return spearmanr([found.confidence for found in predictions], errors).statistic

    return correlation_of


@pytest.fixture
def loaded():
    """Return ``loaded("tddfa[weights=FILE]")``."""

    def load(spec):
        method = make_method(spec)
        method.load()
        return method

    return load
