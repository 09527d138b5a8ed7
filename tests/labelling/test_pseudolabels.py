"""Pseudo-labels: views of a face, and what teachers make of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hpbench.cli import app
from hpbench.dataset import Dataset, DatasetCard, Label, Record
from hpbench.errors import DataError, UsageError
from hpbench.face import Camera, Face
from hpbench.geometry.boxes import box_from_points
from hpbench.inference.progress import NoProgress
from hpbench.labelling.config import LabelConfig
from hpbench.labelling.label import label_dataset
from hpbench.labelling.pseudolabels import (
    PseudoLabel,
    blend_dataset_label,
    jittered_views,
    label_faces,
)
from hpbench.methods.pnp.models import face_model
from hpbench.registry import make_dataset, make_method
from hpbench.rotation import angles_from_rotation, geodesic_deg, rotation_from_angles


def test_first_view_is_the_face_itself_and_its_mirror_lies_on_the_mirrored_face():
    image = np.zeros((20, 40, 3), np.uint8)
    image[5:16, 4:13] = 255  # pixel centres from 4 to 12 and from 5 to 15
    face = Face("a", image, np.array([4.0, 5.0, 12.0, 15.0]))
    (plain, is_mirrored), (mirror, mirror_is_mirrored) = jittered_views(
        face, 1, np.random.default_rng(0)
    )
    assert (is_mirrored, mirror_is_mirrored) == (False, True)
    np.testing.assert_array_equal(plain.box_xyxy, face.box_xyxy)
    rows, columns = np.nonzero(mirror.image[..., 0])
    lit = [columns.min(), rows.min(), columns.max(), rows.max()]
    np.testing.assert_array_equal(mirror.box_xyxy, lit)


class OneHead(Dataset):
    """A head seen by an off-centre camera: the 68 points of a face model, and no pixels."""

    name = "one_head"
    card = DatasetCard(name=name, title="one head")
    R_cam = rotation_from_angles([25.0, -10.0, 5.0])

    def records(self):
        model = face_model("ict68")
        matrix = np.array([[900.0, 0.0, 250.0], [0.0, 900.0, 100.0], [0.0, 0.0, 1.0]])
        distance = np.array([0.5, 0.2, 8.0]) * np.ptp(model.points[:, 0])
        seen = (model.points @ self.R_cam.T + distance) @ matrix.T
        points = seen[:, :2] / seen[:, 2:]
        camera = Camera(matrix, np.zeros(5))
        box = box_from_points(points)
        return [Record("a", Path("a"), None, box, camera=camera, landmarks_xy=points)]

    def read_image(self, record):
        return np.zeros((300, 400, 3), np.uint8)


def test_teacher_that_needs_the_camera_labels_plain_and_mirrored_views_alike(tmp_path):
    teacher = make_method("pnp[model=ict68,focal=camera,landmarks=annotated]")
    teacher.load()
    dataset = OneHead()
    (label,), failures = label_faces(dataset, dataset.records(), [teacher], tmp_path / "p", views=2)
    assert not failures
    assert label.spread_deg < 1e-3
    assert float(geodesic_deg(label.R_cam, dataset.R_cam)) < 1e-3


def test_a_teacher_without_a_prediction_leaves_the_label_to_the_others(tmp_path):
    exact = make_method("pnp[model=ict68,focal=camera,landmarks=annotated]")
    blind = make_method("pnp")  # the image is black
    for teacher in (exact, blind):
        teacher.load()
    dataset = OneHead()
    (label,), failures = label_faces(
        dataset, dataset.records(), [exact, blind], tmp_path / "p", views=2
    )
    assert not failures
    assert float(geodesic_deg(label.R_cam, dataset.R_cam)) < 1e-3


def test_own_label_counts_with_its_weight_along_the_shortest_turn():
    def blended(own: Label | None, share: float) -> list[float]:
        record = Record("a", Path("a.jpg"), own)
        label = PseudoLabel(record, rotation_from_angles([60.0, 0.0, 0.0]), 0.0)
        return angles_from_rotation(blend_dataset_label(label, share)).tolist()

    assert blended(Label.from_angles(80.0, 0.0, 0.0), 0.5) == pytest.approx([70.0, 0.0, 0.0])
    assert blended(Label.from_angles(80.0, 0.0, 0.0), 0.0) == pytest.approx([60.0, 0.0, 0.0])
    assert blended(Label.from_angles(80.0, 0.0, float("nan")), 0.5) == pytest.approx(
        [60.0, 0.0, 0.0]
    )
    assert blended(None, 0.5) == pytest.approx([60.0, 0.0, 0.0])


def test_a_teacher_that_always_says_frontal_has_no_spread(pointing04_dir, tmp_path):
    faces = make_dataset("pointing04", pointing04_dir)
    teacher = make_method("constant")
    teacher.load()
    labels, failures = label_faces(faces, faces.records()[:3], [teacher], tmp_path / "p", views=2)
    assert not failures
    for label in labels:
        assert label.spread_deg == pytest.approx(0.0, abs=1e-5)
        np.testing.assert_allclose(label.R_cam, np.eye(3), atol=1e-9)


def test_no_face_to_label_is_an_error(pointing04_dir, tmp_path):
    faces = make_dataset("pointing04", pointing04_dir)
    teacher = make_method("constant")
    teacher.load()
    with pytest.raises(DataError, match="no face could be labelled"):
        label_faces(faces, [], [teacher], tmp_path / "progress")


def test_hopenet_lite_labels_near_frontal_photos_near_their_grid(
    pointing04_dir, hopenet_lite_weights, tmp_path
):
    """Pan and tilt of 0 or +-15 degrees are about where heads went (protocols.md, B.3)."""
    faces = make_dataset("pointing04", pointing04_dir)
    chosen = [
        record for record in faces.records() if np.abs(record.label.angles_deg[:2]).max() <= 15.0
    ][::40]
    teacher = make_method(f"hopenet[weights={hopenet_lite_weights},crop=hopenet-train]")
    teacher.load()
    labels, _ = label_faces(faces, chosen, [teacher], tmp_path / "p", views=1)
    yaw = np.array([angles_from_rotation(label.R_cam)[0] for label in labels])
    asked = np.array([label.record.label.angles_deg[0] for label in labels])
    assert len(labels) >= 6
    assert np.abs(yaw - asked).mean() < 8.0


READS_A_FILE = '''
from pathlib import Path
from hpbench.methods.constant import Constant

class Filed(Constant):
    """For a test."""
    name = "filed"
    def load(self):
        (Path(__file__).parent / "yaw.txt").read_text()
'''


def test_labels_of_a_teacher_that_has_changed_are_not_resumed(tmp_path):
    (tmp_path / "filed.py").write_text(READS_A_FILE)
    (tmp_path / "yaw.txt").write_text("10")
    faces = OneHead()
    teacher = make_method("filed", plugins=(tmp_path / "filed.py",))
    label_faces(faces, faces.records(), [teacher], tmp_path / "progress", views=1)
    (tmp_path / "yaw.txt").write_text("40")
    with pytest.raises(UsageError, match="1 labels that were made with other methods; repeat"):
        label_faces(faces, faces.records(), [teacher], tmp_path / "progress", views=1)


def test_all_that_differs_from_stored_labels_is_named(tmp_path):
    faces, teacher = OneHead(), make_method("constant")
    label_faces(faces, faces.records(), [teacher], tmp_path / "progress", views=1)
    with pytest.raises(UsageError, match="were made with other --views, --seed; repeat"):
        label_faces(faces, faces.records(), [teacher], tmp_path / "progress", views=2, seed=1)


def test_two_processes_do_not_write_the_same_table(tmp_path):
    config = LabelConfig(dataset="sample", methods="constant", out=tmp_path / "l.csv", limit=2)
    said = []

    class LabelsAgain(NoProgress):
        def advance(self, dataset, method, count):
            with pytest.raises(DataError, match=r"l\.csv: the run of process \d+ .* writes to it"):
                label_dataset(config, NoProgress())
            said.append(count)

    found = label_dataset(config, LabelsAgain())
    assert (found.use_as, found.faces) == (f"table={tmp_path / 'l.csv'}", 2)
    assert said == [1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["l.csv"]


def labels_of(tmp_path: Path, rows: str, **options) -> tuple[Path, list[str]]:
    """Labels that the frontal method and a table's own make, and what is said."""
    for name in ("a.jpg", "#b.jpg"):
        Image.new("RGB", (64, 64)).save(tmp_path / name)
    (tmp_path / "own.csv").write_text(f"image,yaw,pitch,roll,x0,y0,x1,y1\n{rows}")
    out, said = tmp_path / "labels.csv", []
    config = LabelConfig(
        dataset=f"table={tmp_path / 'own.csv'}", methods="constant", views=1, out=out,
        dataset_label=1.0, **options,
    )  # fmt: skip
    label_dataset(config, NoProgress(), said.append)
    return out, said


def test_own_labels_in_radians_are_refused_as_by_a_run(tmp_path):
    rows = "".join(f"a.jpg,{n / 10},0.2,0.1,{n},1,{n + 30},30\n" for n in range(-6, 7))
    with pytest.raises(DataError, match="as radians do"):
        labels_of(tmp_path, rows)


def test_labels_that_lack_an_angle_are_counted_and_refused_if_all_do(tmp_path):
    some = "a.jpg,10,5,2,1,1,30,30\na.jpg,20,5,,2,2,31,31\n"
    _, said = labels_of(tmp_path, some)
    assert "1 keep the teachers' rotation: their own label lacks an angle" in said
    with pytest.raises(UsageError, match="no face has a label of all three angles"):
        labels_of(tmp_path, "a.jpg,20,5,,2,2,31,31\n")


def test_table_of_labels_is_read_whatever_images_are_called(tmp_path):
    out, _ = labels_of(tmp_path, '"#b.jpg",10,5,2,1,1,30,30\n')
    (record,) = make_dataset(f"table={out}").records()
    assert record.image_path.name == "#b.jpg"
    assert record.label.angles_deg == pytest.approx([10, 5, 2], abs=1e-3)


def test_teacher_under_two_spellings_does_not_count_twice(tmp_path):
    config = LabelConfig(
        dataset="sample", methods="hopenet,pnp,pnp[check=on]", out=tmp_path / "l.csv"
    )
    with pytest.raises(UsageError, match=r"'pnp' and 'pnp\[check=on\]' are the same method"):
        label_dataset(config, NoProgress())


def table_of_files(folder: Path, write) -> LabelConfig:
    """Forty images of a table, each written by a function of its path."""
    images = folder / "images"
    images.mkdir()
    lines = ["image,yaw,pitch,x0,y0,x1,y1"]
    for number in range(40):
        write(images / f"{number}.png")
        lines.append(f"images/{number}.png,0,0,1,1,30,30")
    (folder / "own.csv").write_text("\n".join(lines) + "\n")
    return LabelConfig(
        dataset=f"table={folder / 'own.csv'}", methods="constant", views=1,
        out=folder / "labels.csv", trust_labels=True,
    )  # fmt: skip


def test_images_that_vanish_meanwhile_stop_it_and_are_read_again_later(tmp_path):
    config = table_of_files(tmp_path, Image.new("RGB", (64, 64)).save)

    class FolderGoes(NoProgress):
        done = 0

        def advance(self, dataset, method, count):
            self.done += count
            if self.done == 4:
                (tmp_path / "images").rename(tmp_path / "gone")

    with pytest.raises(DataError, match="36 of 40 images vanished while they were labelled"):
        label_dataset(config, FolderGoes())
    assert not config.out.exists()
    (tmp_path / "gone").rename(tmp_path / "images")
    said: list[str] = []
    assert label_dataset(config, NoProgress(), said.append).faces == 40
    assert "resuming: 4 faces are labelled" in said


def test_images_that_were_never_there_are_counted_and_like_reasons_summed_up(tmp_path):
    config = table_of_files(
        tmp_path, lambda path: path.stem in "01" and Image.new("RGB", (64, 64)).save(path)
    )
    done = CliRunner().invoke(
        app,
        ["label", config.dataset, "--methods", "constant", "--views", "1", "--trust-labels",
         "--out", str(config.out)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "38 without a label",
        f"  38: {tmp_path}/images/2.png: no such image, and others like it",
        f"{config.out}  2 faces; use it as: table={config.out}",
    ]
