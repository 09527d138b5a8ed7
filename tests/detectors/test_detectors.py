from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.io import loadmat

from hpbench.detectors.base import Detector, face_finder, make_detector
from hpbench.detectors.yunet import YunetDetector
from hpbench.errors import DataError, UsageError
from hpbench.geometry.boxes import box_from_points, iou, match_box
from hpbench.images import read_rgb

FRONTAL = "image00002"


@pytest.fixture(scope="module")
def frontal_face(aflw2000_dir):
    """One image with one frontal face, and the box of its annotated landmarks."""
    points = loadmat(next(aflw2000_dir.rglob(f"{FRONTAL}.mat")))["pt3d_68"][:2].T
    return read_rgb(next(aflw2000_dir.rglob(f"{FRONTAL}.jpg"))), box_from_points(points)


@pytest.fixture(params=["dlib", "yunet"])
def detector(request, shared_path):
    if request.param == "dlib":
        return make_detector("dlib")
    return make_detector(f"yunet[model={shared_path('weights/yunet_n_640_640.onnx')}]")


def test_an_annotated_face_is_found(detector, frontal_face):
    image, annotated = frontal_face
    boxes, scores = detector.detect(image)
    assert boxes.dtype == scores.dtype == np.float64
    assert boxes.shape == (len(scores), 4)
    assert iou(boxes[match_box(boxes, annotated)], annotated) > 0.5


def test_an_image_without_a_face_gives_empty_arrays(detector):
    boxes, scores = detector.detect(np.full((120, 200, 3), 128, np.uint8))
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)
    assert match_box(boxes, [0, 0, 10, 10]) is None


def test_boxes_move_with_the_face_and_the_surest_comes_first(detector, frontal_face):
    image, _ = frontal_face
    (alone,), _ = detector.detect(image)
    two = np.zeros((450, 1000, 3), np.uint8)
    two[:, :450] = image
    two[:, 550:] = np.clip(image * 0.5 + 90, 0, 255)  # washed out

    boxes, scores = detector.detect(two)

    assert len(boxes) == 2
    assert scores[0] >= scores[1]
    by_place = boxes[np.argsort(boxes[:, 0])]
    assert iou(by_place[0], alone) > 0.6
    assert iou(by_place[1], alone + np.array([550, 0, 550, 0])) > 0.6


def test_a_pickled_detector_finds_the_same(detector, frontal_face):
    image, _ = frontal_face
    first = detector.detect(image)
    second = pickle.loads(pickle.dumps(detector)).detect(image)
    assert np.array_equal(first[0], second[0])


def test_one_detector_may_serve_many_threads(detector, frontal_face):
    image, _ = frontal_face
    images = [image[:, : 450 - 25 * step] for step in range(4)]
    one_by_one = [detector.detect(one)[0] for one in images]
    with ThreadPoolExecutor(2) as pool:
        at_once = [boxes for boxes, _ in pool.map(detector.detect, images)]
    for alone, together in zip(one_by_one, at_once, strict=True):
        assert np.array_equal(alone, together)


def test_upsampling_finds_smaller_faces(frontal_face):
    image, annotated = frontal_face
    small = np.ascontiguousarray(image[::4, ::4])
    assert match_box(make_detector("dlib").detect(small)[0], annotated / 4) is None
    assert match_box(make_detector("dlib[upsample=2]").detect(small)[0], annotated / 4) == 0


def test_yunet_reduces_large_images_and_gives_boxes_in_their_pixels(frontal_face, shared_path):
    image, annotated = frontal_face
    large = image.repeat(5, axis=0).repeat(4, axis=1)
    yunet = make_detector(f"yunet[model={shared_path('weights/yunet_n_640_640.onnx')}]")
    boxes, _ = yunet.detect(large)
    assert iou(boxes[match_box(boxes, annotated * [4, 5, 4, 5])], annotated * [4, 5, 4, 5]) > 0.5


def test_yunet_without_a_file_says_where_to_get_one():
    with pytest.raises(UsageError, match=r"weights fetch yunet.*yunet\[model=FILE\].*opencv_zoo"):
        make_detector("yunet")


def test_yunet_finds_the_file_that_the_weights_store_keeps(
    frontal_face, shared_path, tmp_path, monkeypatch
):
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path))
    network = shared_path("weights/yunet_n_640_640.onnx")
    (info,) = YunetDetector.named_weights()
    assert info.path is None
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / info.file).write_bytes(network.read_bytes())
    stored, named = make_detector("yunet"), make_detector(f"yunet[model={network}]")
    image, _ = frontal_face
    np.testing.assert_array_equal(stored.detect(image)[0], named.detect(image)[0])
    assert stored.fingerprint() == named.fingerprint()


def test_a_missing_network_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.onnx: no such file"):
        make_detector(f"yunet[model={tmp_path / 'absent.onnx'}]").load()


def test_a_corrupted_network_is_named(tmp_path, shared_path):
    whole = shared_path("weights/yunet_n_640_640.onnx").read_bytes()
    for name, content in {"cut": whole[:5000], "noise": b"\0\1\2" * 500, "empty": b""}.items():
        file = tmp_path / f"{name}.onnx"
        file.write_bytes(content)
        with pytest.raises(DataError, match=rf"{name}\.onnx: not a YuNet network, or corrupted"):
            make_detector(f"yunet[model={file}]").load()


def test_a_network_that_has_changed_is_read_anew(tmp_path, shared_path):
    file = tmp_path / "net.onnx"
    file.write_bytes(shared_path("weights/yunet_n_640_640.onnx").read_bytes())
    detector = make_detector(f"yunet[model={file}]")
    detector.load()
    file.write_bytes(b"none")
    with pytest.raises(DataError, match="not a YuNet network"):
        detector.load()


def test_another_network_is_refused(shared_path):
    other = shared_path("weights/fsanet-1x1-iter-688590.onnx")
    with pytest.raises(DataError, match=r"fsanet.*: not a YuNet network"):
        make_detector(f"yunet[model={other}]").load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("yunnet", "did you mean 'yunet'"),
        ("annotated", "known: dlib, picture, yunet"),
        ("dlib=0", r"dlib\[key=value\]"),
        ("dlib[up=1]", "no option 'up'"),
        ("dlib[upsample=-1]", "greater than or equal to 0"),
        ("dlib[upsample=many]", "valid integer"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        make_detector(text)


def test_fingerprint_names_a_network_by_its_content(tmp_path):
    for folder, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.onnx").write_bytes(content)
    a, b, c = (
        make_detector(f"yunet[model={tmp_path / folder / 'net.onnx'}]").fingerprint()
        for folder in "abc"
    )
    assert a == b != c
    assert str(tmp_path) not in a


def test_the_box_that_overlaps_most_is_the_face():
    annotated = [10, 10, 20, 20]
    boxes = [[10, 10, 20, 16], [11, 10, 20, 20], [50, 50, 60, 60]]  # IoU 0.6, 0.9, 0
    assert match_box(boxes, annotated) == 1


def test_a_face_that_no_box_overlaps_enough_is_missed():
    annotated = [0, 0, 10, 10]
    assert match_box([[0, 0, 10, 3]], annotated) is None  # IoU exactly 0.3
    assert match_box([[0, 0, 10, 3.1]], annotated) == 0


class Bright(Detector):
    """Takes a bright image for a face, fails on a black one, and needs its model."""

    name, summary = "bright", "for a test"
    model = None

    def load(self):
        self.model = 128

    def detect(self, image_rgb):
        if not image_rgb.any():
            raise ZeroDivisionError("no contrast")
        found = int(image_rgb.max() > self.model)
        return [[0, 0, 9, 9]][:found], [1.0][:found]


@pytest.mark.parametrize(("grey", "faces"), [(255, 1), (50, 0), (0, 0)])
def test_faces_are_looked_for_with_the_model_loaded_and_not_where_the_detector_fails(grey, faces):
    find = face_finder(Bright(Bright.Options()))
    assert find(np.full((10, 10, 3), grey, np.uint8)).shape == (faces, 4)
