"""Images that are not read are counted, and a face that is listed twice is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from hpbench import api
from hpbench.dataset import Dataset, DatasetCard, Label, Record
from hpbench.datasets.sample import Sample
from hpbench.images import IMAGE_SUFFIXES
from hpbench.labels.files import _UNREAD_SUFFIXES, faces_of, review_files

BOX = np.array([10.0, 10.0, 90.0, 90.0])


class Folder(Dataset):
    """Faces as they are given."""

    name = "folder"
    card = DatasetCard(name="folder", title="Folder")

    def __init__(self, root: Path, faces) -> None:
        super().__init__(root)
        self.faces = faces

    def records(self):
        return [
            Record(name, self.root / path, Label.from_angles(1.5, 2.5, 3.5), box_xyxy=box)
            for name, path, box in self.faces
        ]


def found_in(folder: Path, *faces):
    dataset = Folder(folder, faces)
    return review_files(dataset, faces_of(dataset.records()))


def test_images_of_a_kind_that_is_not_read_are_counted(tmp_path):
    (tmp_path / "inner").mkdir()
    for name in ("a.heic", "inner/b.HEIC", "inner/c.jxl", "d.jpg", "d.mat", "notes.txt"):
        (tmp_path / name).touch()
    (suspicion,) = found_in(tmp_path, ("d", "d.jpg", BOX))
    assert suspicion.seen == f"3 images in {tmp_path} are not read: 2 .heic, 1 .jxl"
    assert not suspicion.stops


def test_no_format_is_read_and_called_unread():
    assert not IMAGE_SUFFIXES & _UNREAD_SUFFIXES


def test_file_under_several_ids_is_a_warning(tmp_path):
    (suspicion,) = found_in(
        tmp_path, ("1", "a.jpg", BOX), ("2", "x/../a.jpg", BOX), ("3", "b.jpg", BOX)
    )
    assert "1 face is listed more than once, the first as '1' and '2'" in suspicion.seen
    assert not suspicion.stops


def test_two_faces_of_an_image_and_frames_of_a_video_are_not(tmp_path):
    assert found_in(
        tmp_path,
        ("1", "a.jpg", BOX), ("2", "a.jpg", BOX + 5),
        ("3", "v.mp4", BOX), ("4", "v.mp4", BOX),
    ) == []  # fmt: skip


def test_run_warns_of_a_table_that_lists_a_box_by_other_corners(tmp_path):
    Image.open(Sample().records()[0].image_path).save(tmp_path / "a.png")
    rows = [f"a.png,1.5,2.5,3.5,{box}" for box in ("20,20,300,300", "300,300,20,20")]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(["image,yaw,pitch,roll,x0,y0,x1,y1", *rows]) + "\n")
    spec = f"table={path}[box=corners]"
    results = api.run("constant", spec, out=tmp_path / "run", timing="off", boxes="annotated")
    assert any("is listed more than once" in warning.text for warning in results.warnings)
