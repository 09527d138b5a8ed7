"""Data sets and detectors of users that hold or give something else than they should."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from hpbench.checking.probe import Probe
from hpbench.cli import app
from hpbench.errors import DataError, HpbenchError
from hpbench.inference.progress import NoProgress
from hpbench.labelling.pseudolabels import label_faces
from hpbench.registry import DATASETS, make_method
from hpbench.results.run_config import RunConfig
from hpbench.running.runner import run

SAMPLE = Path(__file__).resolve().parents[2] / "datasets" / "sample" / "images"

PLUGIN = """
import json
from pathlib import Path
import numpy as np
from hpbench.dataset import Dataset, DatasetCard, Label, Record
from hpbench.protocol import Protocol

class Mine(Dataset):
    '''Three images of the sample.'''
    name, summary = "mine", "for a test"
    card = DatasetCard(name="mine", title="Mine")
    protocols = (Protocol(name="default", dataset="mine", version=1),)
    def records(self):
        for k in range(3):
            path, box = Path("FOLDER") / f"sample_00{k}.jpg", np.array([60.0, 60.0, 200.0, 200.0])
            label = Label.from_angles(5.0, 2.0, 1.0 * k)
            fields = dict(image_id=f"face{k}", image_path=path, label=label, box_xyxy=box)
            yield Record(**{**fields, **CHANGED})
    def read_image(self, record):
        image = super().read_image(record)
        return READ
"""


def plugin(tmp_path: Path, changed: str = "{}", read: str = "image") -> Path:
    file = tmp_path / "mine.py"
    text = PLUGIN.replace("FOLDER", str(SAMPLE)).replace("CHANGED", changed).replace("READ", read)
    file.write_text(text)
    return file


def run_mine(tmp_path: Path, changed: str = "{}", read: str = "image") -> None:
    file = plugin(tmp_path, changed, read)
    config = RunConfig(methods="constant", datasets="mine", plugins=(file,), timing="off")
    run(config, tmp_path / "run", NoProgress())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("dict(image_path='a.jpg')", "image_path is a str, not a Path"),
        ("dict(image_id=k)", "image_id is a int, not a str"),
        ("dict(group=7)", "group is a int, not a str"),
        ("dict(excluded=True)", "excluded is a bool, not a str or None"),
        ("dict(box_xyxy=np.ones(5))", r"box_xyxy has shape \(5,\), not \(4,\)"),
        ("dict(label=Label(np.ones(2), None))", r"label.angles_deg has shape \(2,\), not \(3,\)"),
        ("dict(factors={'light': [1]})", "factor 'light' is a list, not a text or number"),
    ],
)
def test_record_that_holds_something_else_is_named(tmp_path, changed, message):
    with pytest.raises(DataError, match=rf"record of image '\w+': {message}"):
        run_mine(tmp_path, changed)


@pytest.mark.parametrize("read", ["image[..., 0]", "image / 255.0", "None", "image[..., :2]"])
def test_image_in_another_form_is_excluded_with_what_it_is(tmp_path, read):
    with pytest.raises(DataError, match=r"read_image gave .*, not RGB of uint8, shape"):
        run_mine(tmp_path, read=read)


def test_records_that_fail_midway_are_the_plugins_own_fault(tmp_path):
    with pytest.raises(HpbenchError, match="data set 'mine' cannot be read: ZeroDivisionError"):
        run_mine(tmp_path, "dict(group=str(1 / (2 - k)))")


@pytest.fixture
def one_fails(tmp_path):
    """A data set whose reader fails on the second of three images."""
    file = plugin(tmp_path, read="1 / 0 if record.image_id == 'face1' else image")
    cls = DATASETS.load("mine", (file,))
    return cls(None, cls.Options())


def test_image_that_a_reader_fails_on_is_not_labelled_and_counted(one_fails, tmp_path):
    teacher = make_method("constant")
    labels, failures = label_faces(
        one_fails, list(one_fails.records()), [teacher], tmp_path / "progress", views=1
    )
    assert [label.record.image_id for label in labels] == ["face0", "face2"]
    assert failures == {"face1": "image cannot be read (ZeroDivisionError: division by zero)"}


def test_method_is_checked_on_the_images_that_a_reader_does_not_fail_on(one_fails):
    probe = Probe.of(lambda: make_method("constant"), one_fails)
    assert [face.image_id for face in probe.faces] == ["face0", "face2"]


def test_run_without_a_face_says_why_and_not_that_files_are_missing(tmp_path):
    """The folder of the parts is made with the first prediction."""
    with pytest.raises(DataError, match="none of the 3 faces of data set 'mine' can be scored"):
        run_mine(tmp_path, read="1 / 0")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("dict(label=None)", "none of the 3 faces of data set 'mine' can be scored"),
        (
            "dict(image_path=Path('FOLDER') / 'lost.jpg')",
            r"none of the images of data set 'mine' is there, of 3 faces; .*/lost\.jpg: no",
        ),
    ],
)
def test_data_set_without_labels_or_images_ends_a_run_before_others_are_predicted(
    tmp_path, changed, message
):
    config = RunConfig(
        methods="constant", datasets="sample,mine", timing="off",
        plugins=(plugin(tmp_path, changed.replace("FOLDER", str(SAMPLE))),),
    )  # fmt: skip
    bars = []

    class Bars(NoProgress):
        def start(self, dataset, *given):
            bars.append(dataset)

    with pytest.raises(DataError, match=message):
        run(config, tmp_path / "run", Bars())
    assert not bars


def test_data_set_whose_images_are_no_files_is_run(tmp_path):
    file = plugin(tmp_path, "dict(image_path=Path('archive.zip/1.jpg'))")
    file.write_text(
        file.read_text().replace(
            "super().read_image(record)", "np.full((300, 300, 3), 90, np.uint8)"
        )
    )
    run(
        RunConfig(methods="constant", datasets="mine", plugins=(file,), timing="off"),
        tmp_path / "run",
        NoProgress(),
    )
    assert pd.read_parquet(tmp_path / "run" / "faces.parquet")["excluded"].isna().all()


DETECTOR = """
import numpy as np
from hpbench.detectors.base import Detector

class Choosy(Detector):
    '''Fails on the second image.'''
    name, summary = "choosy", "for a test"
    seen = []
    def load(self): pass
    def detect(self, image_rgb):
        self.seen.append(1)
        if len(self.seen) == 2:
            WRONG
        return [[60, 60, 200, 200]], [1.0]
"""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("raise RuntimeError('too small')", "face detector fails (RuntimeError: too small)"),
        ("return [[1, 2, 3]], [1]", "boxes of shape (1, 3)"),
        ("return np.ones((2, 4)), [1.0]", "scores of shape (1,)"),
        (
            "return [[60, 60, float('nan'), 200]], [1]",
            "a box without area or not finite: [[60.0, 60.0, nan",
        ),
        (
            "return [[60, 60, 60, 200]], [1]",
            "a box without area or not finite: [[60.0, 60.0, 60.0, 200.0]]",
        ),
    ],
)
def test_image_that_a_detector_fails_on_is_a_row_and_the_others_are_predicted(
    tmp_path, wrong, said
):
    (tmp_path / "images").mkdir()
    for k in range(3):
        name = f"sample_00{k}.jpg"
        (tmp_path / "images" / name).write_bytes((SAMPLE / name).read_bytes())
    (tmp_path / "choosy.py").write_text(DETECTOR.replace("WRONG", wrong))
    words = ["predict", str(tmp_path / "images"), "--methods", "constant", "--boxes", "choosy"]
    words += ["--plugin", str(tmp_path / "choosy.py"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    rows = pd.read_csv(tmp_path / "out" / "poses.csv")
    assert list(rows["status"]) == ["ok", "unreadable", "ok"]
    assert said in rows["reason"][1]
    np.testing.assert_array_equal(rows["x0"].dropna(), [60, 60])


def test_run_in_which_no_label_has_an_angle_says_why(tmp_path):
    nothing = "dict(label=Label.from_angles(np.nan, np.nan, np.nan))"
    with pytest.raises(DataError, match=r"none of the 3 faces .* no labelled angle"):
        run_mine(tmp_path, nothing)


@pytest.mark.parametrize(
    ("faces", "limit", "said"), [(4, None, True), (3, None, False), (4, 2, False)]
)
def test_faces_that_are_lacking_of_a_data_set_are_counted(tmp_path, faces, limit, said):
    file = plugin(tmp_path)
    card = 'DatasetCard(name="mine", title="Mine"'
    file.write_text(file.read_text().replace(card, f"{card}, faces={faces}"))
    config = RunConfig(
        methods="constant", datasets="mine", plugins=(file,), timing="off", limit=limit
    )
    out = run(config, tmp_path / "run", NoProgress())
    warnings = json.loads((out / "results.json").read_text())["warnings"]
    texts = [one["text"] for one in warnings if one["code"] == "incomplete"]
    seen = "data set 'mine': 3 of the 4 faces of Mine are there"
    assert texts == [f"{seen}; its results are not those of the whole"] * said


ELSEWHERE = """
import numpy as np
from hpbench.detectors.base import Detector

class Corner(Detector):
    name, summary = "corner", "finds a face in a corner of every image"
    def load(self): pass
    def detect(self, image): return np.array([[0.0, 0.0, 20.0, 20.0]]), np.ones(1)
"""


def test_face_that_is_only_detected_elsewhere_is_not_called_missed(tmp_path):
    file = tmp_path / "corner.py"
    file.write_text(ELSEWHERE)
    config = RunConfig(methods="constant", limit=2, boxes="corner", plugins=(file,), timing="off")
    out = run(config, tmp_path / "run", NoProgress())
    assert set(pd.read_parquet(out / "faces.parquet")["box_status"][:2]) == {"elsewhere"}
    assert set(pd.read_parquet(out / "predictions.parquet")["reason"]) == {
        "no detected box overlaps the annotated face (IoU above 0.3)"
    }
