"""hpbench check tells mistakes of the labels from mistakes of the method."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from hpbench.checking.checks.conventions import check_labels
from hpbench.checking.conformance import CheckResult, check_method
from hpbench.dataset import Dataset, Label
from hpbench.datasets.sample import Sample
from hpbench.errors import DataError
from hpbench.method import Method, MethodCard, Prediction
from hpbench.registry import make_method
from hpbench.rotation import euler_from_rotation, rotation_from_angles, rotation_from_rotvec


class Relabelled(Sample):
    """The embedded sample under another name, without landmarks and with changed labels."""

    name = "relabelled"
    change = staticmethod(lambda angles: angles)

    def records(self):
        return [
            replace(
                record,
                landmarks_xy=None,
                label=Label.from_angles(*type(self).change(record.label.angles_deg)),
            )
            for record in super().records()
        ]


def relabelled(change) -> Dataset:
    return type("Changed", (Relabelled,), {"change": staticmethod(change)})(Path())


def outcomes(change) -> dict[str, CheckResult]:
    results = check_method(lambda: make_method("hopenet"), relabelled(change), limit=24)
    return {result.name: result for result in results}


def test_sound_labels_pass():
    found = outcomes(lambda angles: angles)
    assert [name for name, one in found.items() if one.status != "passed"] == ["worker"]


@pytest.mark.parametrize("angle", ["pitch", "roll"])
def test_one_angle_in_radians_is_named_though_labels_alone_do_not_show_it(angle):
    column = ["yaw", "pitch", "roll"].index(angle)

    def change(angles):
        changed = angles.copy()
        changed[..., column] = np.radians(changed[..., column])
        return changed

    found = outcomes(change)
    assert found["labels"].status == "failed"
    assert f"{angle} alone is in radians" in found["labels"].reason


def test_radians_are_the_labels_mistake_and_not_the_methods():
    found = outcomes(np.radians)
    assert found["labels"].status == "failed"
    assert "as radians do" in found["labels"].reason
    assert found["angle_unit"].status == found["signs"].status == "skipped"


def test_sign_that_only_these_labels_have_is_told_from_the_methods():
    found = outcomes(lambda angles: angles * [-1, 1, 1])
    assert found["labels"].status == "failed"
    assert "the sign of yaw is swapped" in found["labels"].reason
    assert 'signs="-yaw"' in found["labels"].reason
    assert found["signs"].status == "skipped"


@pytest.mark.parametrize(("order", "option"), [("ZYX", "euler=rq"), ("YXZ", "euler=YXZ")])
def test_labels_in_another_euler_order_are_named_with_their_option(order, option):
    """Undone in the predictions, RQ angles look like a rotation vector."""

    def change(angles):
        return euler_from_rotation(rotation_from_angles(angles), order)

    found = outcomes(change)
    assert found["labels"].status == "failed"
    assert "in the labels it looks like angles of the order" in found["labels"].reason
    assert f"read a table with {option} " in found["labels"].reason
    assert found["euler_order"].status == "skipped"


def test_offset_that_all_labels_have_is_named_with_its_option():
    found = outcomes(lambda angles: angles + np.array([0.0, 12.0, 0.0]))
    assert found["labels"].status == "failed"
    assert "it looks like pitch is off by +1" in found["labels"].reason
    assert re.search(r'read a table with offset="pitch-1\d" ', found["labels"].reason)


def test_labels_around_180_are_named_in_place_of_no_face_at_all():
    with pytest.raises(DataError, match="pitch lies around 180 degrees"):
        outcomes(lambda angles: np.add(angles, [0, 180, 0]))


def test_labels_of_other_faces_are_not_the_methods_mistake():
    """Each face has the label of another one, which no mistake of conventions explains."""
    labels = [record.label.angles_deg for record in Sample().records()]
    others = iter(np.roll(labels, 7, axis=0))
    found = outcomes(lambda angles: next(others))
    assert found["labels"].status == "failed"
    assert "belong to other faces or boxes" in found["labels"].reason
    assert found["signs"].status != "failed"


def test_what_only_looks_odd_is_said_and_fails_nothing():
    found = outcomes(lambda angles: np.append(angles[:2], 0.0))
    assert found["labels"].status == "passed"
    assert "roll is 0 in all" in found["labels"].reason


def test_trusted_labels_are_no_doubt():
    for change in (np.radians, lambda angles: angles * [-1, 1, 1]):
        results = check_method(
            lambda: make_method("hopenet"), relabelled(change), limit=24, trust_labels=True
        )
        found = {result.name: result.status for result in results}
        assert (found["labels"], found["signs"] != "skipped") == ("passed", True)


class NearFrontal(Relabelled):
    """Faces of their own, all within a few degrees of frontal."""

    change = staticmethod(lambda angles: 0.05 * angles)

    def records(self):
        return [replace(one, image_id=f"near {one.image_id}") for one in super().records()]


class OffBySeven(Method):
    """Knows every pose, and is off by 7 degrees about any axis."""

    name, summary = "off_by_seven", "for a test"
    R_cam: ClassVar = {
        record.image_id: record.label.R_cam
        for record in (*Sample().records(), *NearFrontal(Path()).records())
    }

    def card(self):
        return MethodCard(name=self.name, title=self.name)

    def prepare(self, face):
        axis = np.random.default_rng(len(face.image_id) + sum(face.image_id.encode())).normal(
            size=3
        )
        turn = rotation_from_rotvec(np.radians(7.0) * axis / np.linalg.norm(axis))
        return self.R_cam[face.image_id] @ turn

    def infer(self, batch):
        return batch

    def decode(self, output):
        return [Prediction(R_cam) for R_cam in output]


def test_near_frontal_labels_are_right_though_frontal_is_nearer_to_them():
    (found,) = check_method(OffBySeven, NearFrontal(Path()), checks=[check_labels])
    assert found.status == "passed", found.reason


class ToTheLeft(Sample):
    """Faces that look to the left, of their own names."""

    name = "to_the_left"

    def records(self):
        return [
            replace(one, image_id=f"left {one.image_id}", landmarks_xy=None)
            for one in super().records()
            if one.label.angles_deg[0] > 10.0
        ]


class SeesNothingThere(OffBySeven):
    """Knows the sample, and predicts nearly one pose for the faces that look to the left."""

    name, sees_images = "sees_nothing_there", False

    def prepare(self, face):
        if not face.image_id.startswith("left"):
            return self.R_cam[face.image_id]
        noise_deg = np.random.default_rng(sum(face.image_id.encode())).normal(0.0, 1.5, 3)
        return rotation_from_angles(np.array([2.0, -6.0, 0.0]) + noise_deg)


def test_method_that_collapses_on_right_labels_is_not_the_labels_mistake():
    """Any turn of the labels that moves their mean to its one pose would seem to help."""
    results = check_method(SeesNothingThere, ToTheLeft(Path()), limit=60)
    found = {result.name: result for result in results}
    assert "it looks like" not in (found["labels"].reason or "")
    assert found["angle_unit"].status == "failed"
    assert "nearly the same prediction" in found["angle_unit"].reason
