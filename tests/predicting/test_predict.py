"""FrameResult from the image or video file to the written files."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hpbench.cli import app
from hpbench.detectors.base import Detector, make_detector
from hpbench.errors import DataError, HpbenchError, ImageError, UsageError
from hpbench.images import read_rgb
from hpbench.method import Method, MethodCard, NoPrediction, Prediction
from hpbench.predicting.faces import (
    Certainty,
    FoundFace,
    FrameResult,
    _follow,
    predict_faces,
    predict_frames,
)
from hpbench.predicting.outputs import plan_output
from hpbench.predicting.panels import draw_result
from hpbench.predicting.rows import angles_in_words, result_rows
from hpbench.predicting.session import Session
from hpbench.predicting.sources import Frame, ImageFiles, LiveCamera, Video, open_source
from hpbench.predicting.tracking import RotationSmoother, Tracker
from hpbench.registry import make_method
from hpbench.rotation import rotation_from_angles

WHITE_SQUARES = "white squares"


class SquareDetector(Detector):
    """Finds bright squares on black, so that tests know where faces are."""

    name = WHITE_SQUARES

    def load(self):
        pass

    def detect(self, image_rgb):
        grey = (image_rgb[..., 0] > 100).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(grey)
        boxes = [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:] if area > 50]
        return np.array(boxes, dtype=float).reshape(-1, 4), np.ones(len(boxes))


class YawIsLeftSide(Method):
    """Yaw in degrees is the left side of the box in pixels."""

    name = "left"
    summary = "for a test"

    def card(self):
        return MethodCard(name=self.name, title=self.name)

    def prepare(self, face):
        return NoPrediction("too far right") if face.box_xyxy[0] > 80 else face

    def infer(self, batch):
        if any(face.box_xyxy[0] == 13 for face in batch):
            raise ValueError("unlucky")
        return batch

    def decode(self, output):
        return [Prediction(rotation_from_angles([face.box_xyxy[0], 0, 0])) for face in output]


class Skewed(YawIsLeftSide):
    name = "skewed"

    def decode(self, output):
        return [Prediction(np.diag([1.0, 1.0, 2.0])) for _ in output]


def squares(*lefts, size=(120, 160)):
    image = np.zeros((*size, 3), dtype=np.uint8)
    for left in lefts:
        image[40:60, left : left + 20] = 255
    return image


def write_video(path, images, fps=25.0):
    height, width = images[0].shape[:2]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    for image in images:
        video.write(image[..., ::-1].copy())
    video.release()
    return path


def test_every_face_gets_the_prediction_of_every_method():
    faces = predict_faces(
        squares(10, 60), {"a": YawIsLeftSide(), "b": YawIsLeftSide()}, SquareDetector()
    )
    assert [face.box_xyxy.tolist() for face in faces] == [[10, 40, 30, 60], [60, 40, 80, 60]]
    for face, yaw in zip(faces, (10, 60), strict=True):
        assert face.predictions["a"].R_cam == pytest.approx(rotation_from_angles([yaw, 0, 0]))
        assert face.predictions["b"].R_cam == pytest.approx(rotation_from_angles([yaw, 0, 0]))


def test_face_that_a_method_chokes_on_does_not_take_the_others_along():
    faces = predict_faces(squares(13, 60), {"a": YawIsLeftSide()}, SquareDetector())
    assert isinstance(faces[0].predictions["a"], NoPrediction)
    assert faces[0].predictions["a"].reason.endswith("ValueError: unlucky")
    assert faces[1].predictions["a"].R_cam == pytest.approx(rotation_from_angles([60, 0, 0]))


def test_prediction_that_is_no_rotation_is_refused():
    faces = predict_faces(squares(10), {"skewed": Skewed()}, SquareDetector())
    assert isinstance(faces[0].predictions["skewed"], NoPrediction)


def test_prediction_is_that_of_the_benchmarks_own_contract(aflw2000_dir):
    """The prediction equals that of Method.predict on a face with the detector's box."""
    from hpbench.face import Face

    photo = read_rgb(aflw2000_dir / "image00042.jpg")
    method, detector = make_method("pnp"), make_detector("dlib")
    method.load()
    detector.load()
    (face,) = predict_faces(photo, {"pnp": method}, detector)
    (expected,) = method.predict([Face("any", photo, detector.detect(photo)[0][0])])
    assert face.predictions["pnp"].R_cam == pytest.approx(expected.R_cam)
    # Labelled yaw -1.5, pitch -11.0, roll -7.7.
    yaw, pitch, roll = (
        result_rows(FrameResult(Frame("x", photo), [face]), ["pnp"])[0][f"{axis}_deg"]
        for axis in ("yaw", "pitch", "roll")
    )
    assert yaw == pytest.approx(-1.5, abs=8)
    assert pitch == pytest.approx(-11.0, abs=8)
    assert roll == pytest.approx(-7.7, abs=4)


def test_hopenet_predicts_on_a_real_photo(aflw2000_dir, hopenet_lite_weights):
    photo = read_rgb(aflw2000_dir / "image00042.jpg")
    method, detector = (
        make_method(f"hopenet[weights={hopenet_lite_weights}]"),
        make_detector("dlib"),
    )
    method.load()
    detector.load()
    (face,) = predict_faces(photo, {"hopenet": method}, detector)
    row = result_rows(FrameResult(Frame("x", photo), [face]), ["hopenet"])[0]
    assert row["yaw_deg"] == pytest.approx(-1.5, abs=12)
    assert row["roll_deg"] == pytest.approx(-7.7, abs=8)


def frames_of(*images, fps=25.0):
    return [Frame("clip.mp4", image, None, k, k / fps) for k, image in enumerate(images)]


def test_faces_of_a_video_keep_their_numbers_and_images_have_none():
    moving = frames_of(squares(10, 60), squares(14, 64), squares(64, 18))
    tracks = [
        {face.track: float(face.box_xyxy[0]) for face in result.faces}
        for result in predict_frames(moving, {"a": YawIsLeftSide()}, SquareDetector())
    ]
    assert tracks == [{1: 10, 2: 60}, {1: 14, 2: 64}, {1: 18, 2: 64}]
    still = [Frame("a.png", squares(10))]
    (result,) = predict_frames(still, {"a": YawIsLeftSide()}, SquareDetector())
    assert result.faces[0].track is None


def test_smoothing_leaves_the_predictions_as_they_are():
    moving = frames_of(squares(10), squares(20))
    *_, last = predict_frames(moving, {"a": YawIsLeftSide()}, SquareDetector(), smoothing_s=0.2)
    row = result_rows(last, ["a"])[0]
    assert row["yaw_deg"] == pytest.approx(20)
    # the frames are 0.2 time constants apart, in which the head turns from 10 to 20 degrees
    smoothed_deg = 10 + 10 * (1 - (1 - np.exp(-0.2)) / 0.2)
    assert row["smoothed_yaw_deg"] == pytest.approx(smoothed_deg, abs=1e-3)


def test_faces_that_have_left_for_good_take_no_memory():
    found = predict_faces(squares(10), {"a": YawIsLeftSide()}, SquareDetector())
    tracker, smoother = Tracker(keep_s=0.5), RotationSmoother(0.2)
    for second in range(100):
        (face,) = _follow(found, float(second), tracker, smoother)
    assert face.track == 100
    assert list(smoother._last) == [(100, "a")]


def test_rows_say_why_there_is_no_angle():
    methods = {"a": YawIsLeftSide()}
    frames = [
        Frame("both.png", squares(10, 100)), Frame("none.png", squares()),
        Frame("bad.png", None, "bad.png: cannot be read"),
    ]  # fmt: skip
    rows = [
        row
        for result in predict_frames(frames, methods, SquareDetector())
        for row in result_rows(result, ["a"])
    ]
    assert [(row["image"], row["status"], row["reason"]) for row in rows] == [
        ("both.png", "ok", None),
        ("both.png", "no_answer", "too far right"),
        ("none.png", "no_face", "no face found by the detector"),
        ("bad.png", "unreadable", "bad.png: cannot be read"),
    ]
    assert rows[0]["yaw_deg"] == 10
    assert rows[1]["yaw_deg"] is None
    assert (rows[0]["x0"], rows[0]["y1"]) == (10, 60)


def test_angles_are_explained_as_the_image_shows_them():
    assert angles_in_words(rotation_from_angles([-20, 15, 5])) == (
        "yaw -20.0 (nose to the right), pitch +15.0 (looks up), roll +5.0 (tilted clockwise)"
    )


def prediction_of(image, *faces):
    return FrameResult(
        Frame("x.png", image), [FoundFace(np.array(box), 1.0, a) for box, a in faces]
    )


def test_one_panel_per_method_stands_side_by_side():
    predictions = {"a": Prediction(np.eye(3)), "b": NoPrediction("turned away")}
    drawn = draw_result(
        prediction_of(np.zeros((300, 400, 3), np.uint8), ([100, 80, 200, 180], predictions)),
        ["a", "b"],
    )
    assert drawn.shape == (300, 800, 3)
    red = (drawn == (235, 50, 45)).all(axis=-1)
    assert red[:, :400].any()
    assert not red[:, 400:].any()


def strongest_red(drawn) -> int:
    """How much more red than green and blue the reddest pixel is."""
    pixels = drawn.astype(int)
    return int((pixels[..., 0] - pixels[..., 1:].max(axis=-1)).max())


def test_unsure_poses_are_drawn_pale_and_named():
    image, box = np.zeros((300, 400, 3), np.uint8), np.array([100.0, 80.0, 200.0, 180.0])
    found = {"a": Prediction(np.eye(3))}
    sure, unsure = (
        draw_result(
            FrameResult(Frame("x.png", image), [FoundFace(box, 1.0, found, unsure=names)]), ["a"]
        )
        for names in (frozenset(), frozenset({"a"}))
    )
    assert strongest_red(sure) == 185  # (235, 50, 45)
    assert strongest_red(unsure) == pytest.approx(0.35 * 185, abs=2)
    white = [int((drawn == 255).all(axis=-1).sum()) for drawn in (sure, unsure)]
    assert white[1] > white[0]  # the caption has a word more


class SureOnTheLeft(YawIsLeftSide):
    """Confidence falls with the left side of the box; none is given from 50 pixels on."""

    def decode(self, output):
        lefts = [float(face.box_xyxy[0]) for face in output]
        return [
            Prediction(np.eye(3), confidence=-x if x < 50 else None, spread_deg=np.full(3, x))
            for x in lefts
        ]


def outcomes(certainty):
    frames = [Frame("x.png", squares(5, 30, 60))]
    (result,) = predict_frames(
        frames, {"a": SureOnTheLeft()}, SquareDetector(), certainty=certainty
    )
    faces = sorted(result.faces, key=lambda face: face.box_xyxy[0])
    return [face.predictions["a"] for face in faces], ["a" in face.unsure for face in faces]


def test_poses_below_the_least_confidence_are_left_out_with_the_reason():
    (first, *others), _ = outcomes(Certainty(min_confidence=-10.0))
    assert isinstance(first, Prediction)
    assert [one.reason for one in others] == [
        "confidence below -10",
        "without a confidence, which --min-confidence needs",
    ]


def test_unsure_is_a_low_confidence_or_else_a_wide_claimed_spread():
    assert outcomes(None)[1] == [False, True, True]  # 5, 30 and 60 degrees
    assert outcomes(Certainty(unsure_below=-40.0))[1] == [False, False, True]


@pytest.mark.parametrize("option", ["--min-confidence", "--unsure-below"])
def test_one_limit_for_scales_of_several_methods_is_refused(tmp_path, option):
    path = tmp_path / "face.png"
    Image.fromarray(squares(10)).save(path)
    done = CliRunner().invoke(app, ["predict", str(path), "--methods", "hopenet,pnp", option, "-5"])
    assert isinstance(done.exception, UsageError)
    assert f"{option} -5: every method has a scale of its own" in str(done.exception)


@pytest.mark.parametrize("option", ["--min-confidence", "--unsure-below"])
def test_limit_that_is_no_number_is_refused(tmp_path, option):
    path = tmp_path / "face.png"
    Image.fromarray(squares(10)).save(path)
    words = ["predict", str(path), "--methods", "constant", option, "nan", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, UsageError)
    assert f"{option} nan: must be a finite number" in str(done.exception)


def test_small_image_is_drawn_large_enough_to_be_read():
    drawn = draw_result(
        prediction_of(
            np.zeros((60, 80, 3), np.uint8), ([10, 10, 50, 50], {"a": Prediction(np.eye(3))})
        ),
        ["a"],
    )
    assert drawn.shape == (240, 320, 3)
    # The axes start in the middle of the enlarged box: (30 + .5) * 4 - .5.
    blue_y, blue_x = np.nonzero((drawn == (60, 120, 255)).all(axis=-1))
    assert blue_x.mean() == pytest.approx(121.5, abs=1)
    assert blue_y.mean() == pytest.approx(121.5, abs=1)


@pytest.mark.parametrize(
    ("width", "height", "methods", "factor"),
    [(3000, 1, 1, 5), (3000, 1, 4, 1), (30, 3000, 10, 4), (40_000, 30, 1, 1), (40_000, 600, 1, 1)],
)
def test_thin_image_is_enlarged_as_far_as_formats_and_memory_allow(width, height, methods, factor):
    """The panels to 16,000 pixels a side, and to 16 million in all."""
    image = np.zeros((height, width, 3), np.uint8)
    drawn = draw_result(prediction_of(image), ["constant"] * methods)
    assert drawn.shape[:2] == (height * factor, width * factor * methods)


def test_wide_panels_are_reduced_to_fit():
    drawn = draw_result(prediction_of(squares(10, size=(300, 400))), ["a", "b"], "axes", 600)
    assert drawn.shape == (225, 600, 3)


# Sources


def test_video_gives_its_frames_with_their_times(tmp_path):
    path = write_video(tmp_path / "clip.mp4", [squares(10 * k) for k in range(5)], fps=10.0)
    source = open_source(str(path))
    frames = list(source.frames())
    assert (source.fps, source.total) == (10.0, 5)
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[3].time_s == pytest.approx(0.3)
    assert not source.notes
    for k, frame in enumerate(frames):  # MPEG-4 is lossy
        assert np.abs(frame.image.astype(int) - squares(10 * k)).mean() < 3


def test_colours_of_a_video_are_rgb(tmp_path):
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 220
    source = open_source(str(write_video(tmp_path / "red.mp4", [red, red])))
    assert next(source.frames()).image.mean(axis=(0, 1)) == pytest.approx([220, 0, 0], abs=12)


def test_broken_video_is_refused_with_its_name(tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(bytes(5000))
    with pytest.raises(DataError, match=r"broken\.mp4: cannot be read as a video"):
        open_source(str(path))


def test_video_that_ends_early_is_reported(tmp_path):
    """An AVI keeps its frame count in the header, so that a cut-off one can be told."""
    path = tmp_path / "cut.avi"
    noise = np.random.default_rng(0).integers(0, 255, (60, 64, 64, 3)).astype(np.uint8)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 64))
    for image in noise:
        video.write(image)
    video.release()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    source = open_source(str(path))
    count = sum(1 for _ in source.frames())
    assert 0 < count < 60
    assert f"ends after {count} of 60 frames" in source.notes[0]


def test_folder_is_read_with_its_subfolders_in_order(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/2.png", "a.png", "note.txt"):
        Image.fromarray(squares()).save(tmp_path / name, format="PNG")
    source = open_source(str(tmp_path))
    assert isinstance(source, ImageFiles)
    assert [frame.name for frame in source.frames()] == ["a.png", "b/2.png"]


def test_videos_in_a_folder_of_images_are_not_left_out_silently(tmp_path):
    Image.fromarray(squares()).save(tmp_path / "a.png")
    write_video(tmp_path / "clip.mp4", [squares()])
    assert "1 videos left out" in open_source(str(tmp_path)).notes[0]


@pytest.mark.parametrize(
    ("name", "message", "kind"),
    [
        ("missing.jpg", "no such image, folder or video", DataError),
        ("empty", "contains no image", DataError),
        ("notes.txt", "unknown type of file '.txt'; images end in", UsageError),
    ],
)
def test_what_is_no_source_is_refused(tmp_path, name, message, kind):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(kind, match=message):
        open_source(str(tmp_path / name))


@pytest.mark.skipif(any(Path("/dev").glob("video*")), reason="this machine has a camera")
@pytest.mark.parametrize(
    ("text", "place"), [("0", "0"), ("camera:0", "0"), ("/dev/video7", "/dev/video7")]
)
def test_camera_that_is_not_there_is_refused(text, place):
    with pytest.raises(DataError, match=f"camera {place}: cannot be opened.*shows none below /dev"):
        open_source(text)


def test_device_that_is_no_camera_is_refused():
    with pytest.raises(DataError, match="camera /dev/null: cannot be opened"):
        open_source("/dev/null")


def test_frames_of_a_camera_carry_the_time_they_came_at(tmp_path):
    """OpenCV opens a file by its path as it opens a device by its path."""
    camera = LiveCamera(str(write_video(tmp_path / "clip.mp4", [squares(10)] * 6)))
    frames = list(camera.frames())
    assert (camera.live, camera.total) == (True, None)
    assert [frame.number for frame in frames] == list(range(6))
    times = [frame.time_s for frame in frames]
    assert times == sorted(times)
    _, written = run_source(camera, tmp_path / "out")
    assert [path.name for path in written] == ["poses.csv", "camera_pose.mp4"]
    assert len(list(Video(written[1]).frames())) >= 6  # repeated where predictions took longer


@pytest.mark.skipif(any(Path("/dev").glob("video*")), reason="this machine has a camera")
def test_no_camera_is_said_in_one_line(capfd):
    with pytest.raises(DataError):
        LiveCamera(0)
    assert capfd.readouterr().err == ""


def test_broken_video_is_said_in_one_line(tmp_path):
    """FFmpeg writes to stderr on its own unless it is told not to, before its first use."""
    path = tmp_path / "broken.mp4"
    path.write_bytes(bytes(5000))
    code = (
        "import sys; from hpbench.predicting.sources import open_source; open_source(sys.argv[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stderr.splitlines() if not line.startswith((" ", "Traceback"))]
    assert len(lines) == 1


# Where the output goes


@pytest.mark.parametrize(
    ("out", "kind", "options", "message"),
    [
        ("x.gif", "image", {}, "unknown type of file '.gif'"),
        ("x.mp4", "image", {}, "is not a video"),
        ("x.png", "video", {}, "is not a single image"),
        ("x.csv", "image", {"table_format": "json"}, "is not a json file"),
        ("x.png", "image", {"style": None}, "--draw none draws nothing"),
        ("x.png", "image", {"table_format": "csv"}, "holds no table"),
    ],
)
def test_output_that_does_not_go_with_the_source_is_refused(tmp_path, out, kind, options, message):
    Image.fromarray(squares()).save(tmp_path / "in.png")
    write_video(tmp_path / "in.mp4", [squares()])
    source = open_source(str(tmp_path / ("in.png" if kind == "image" else "in.mp4")))
    arguments = {"style": "axes", "table_format": None, "methods": ["a"], "metadata": {}, **options}
    with pytest.raises(UsageError, match=message):
        plan_output(tmp_path / out, source, **arguments)


def run_source(source, out, draws=True, kind=None, smoothing=None, methods=None):
    methods = methods or {"a": YawIsLeftSide()}
    writers = plan_output(out, source, "axes" if draws else None, kind, list(methods), {"x": 1})
    session = Session(source, methods, SquareDetector(), writers, smoothing)
    return session.run(source.frames()), session.written


def test_video_comes_back_drawn_with_its_length_and_rate(tmp_path):
    images = [squares(10 + 2 * k, size=(240, 320)) for k in range(8)]
    source = open_source(str(write_video(tmp_path / "clip.mp4", images, fps=12.5)))
    _, written = run_source(source, tmp_path / "out")
    assert [path.name for path in written] == ["poses.csv", "clip_pose.mp4"]
    drawn = Video(tmp_path / "out" / "clip_pose.mp4")
    frames = list(drawn.frames())
    assert (len(frames), drawn.fps) == (8, 12.5)
    assert frames[0].image.shape == (240, 320, 3)
    red, green, _ = frames[4].image.astype(int).transpose(2, 0, 1)
    assert (red - green > 80).any()  # the x axis
    assert not list((tmp_path / "out").glob("*partial*"))


def test_csv_and_json_tell_the_same(tmp_path):
    source = open_source(str(write_video(tmp_path / "clip.mp4", [squares(10), squares(12, 60)])))
    run_source(source, tmp_path / "a.csv", smoothing=0.2)
    run_source(source, tmp_path / "a.json", smoothing=0.2)
    with (tmp_path / "a.csv").open() as stream:
        table = list(csv.DictReader(stream))
    stored = json.loads((tmp_path / "a.json").read_text())
    assert (stored["schema"], stored["methods"], stored["x"]) == (2, ["a"], 1)
    assert len(table) == len(stored["rows"]) == 3
    for from_csv, from_json in zip(table, stored["rows"], strict=True):
        assert from_csv == {k: "" if v is None else str(v) for k, v in from_json.items()}


def test_error_on_the_way_leaves_no_half_files(tmp_path):
    class Fails(YawIsLeftSide):
        def prepare(self, face):
            raise HpbenchError("out of weights")

    source = open_source(str(write_video(tmp_path / "clip.mp4", [squares(), squares(12)])))
    with pytest.raises(HpbenchError, match="out of weights"):
        run_source(source, tmp_path / "out", methods={"a": Fails()})
    assert not list((tmp_path / "out").iterdir())


def test_stop_by_the_user_leaves_complete_files(tmp_path):
    class Stops(YawIsLeftSide):
        def prepare(self, face):
            if face.box_xyxy[0] > 15:
                raise KeyboardInterrupt
            return face

    images = [squares(12), squares(14), squares(20), squares(22)]
    source = open_source(str(write_video(tmp_path / "clip.mp4", images)))
    summary, written = run_source(source, tmp_path / "out", kind="json", methods={"a": Stops()})
    assert (summary.stopped, summary.frames) == (True, 2)
    assert len(json.loads(written[0].read_text())["rows"]) == 2
    assert Video(written[1]).total == 2


def test_drawn_images_keep_their_place_below_the_folder(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    Image.fromarray(squares(10)).save(tmp_path / "in" / "deep" / "a.png")
    (tmp_path / "in" / "bad.jpg").write_bytes(b"no jpeg")
    summary, written = run_source(open_source(str(tmp_path / "in")), tmp_path / "out")
    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        "out/poses.csv", "out/deep/a_pose.png",
    ]  # fmt: skip
    assert summary.lines(["a"], "image") == [
        "2 images, 1 face; 1 unreadable, the first: " + summary.first_problem,
        "a predicted 1 of 1 face",
    ]
    assert str(tmp_path) not in summary.first_problem


def test_folder_that_cannot_be_made_is_refused(tmp_path):
    Image.fromarray(squares(10)).save(tmp_path / "a.png")
    (tmp_path / "file").write_text("in the way")
    source = open_source(str(tmp_path / "a.png"))
    with pytest.raises(DataError, match="cannot be written"):
        run_source(source, tmp_path / "file" / "out")


# The command


def command(*arguments):
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def test_command_shows_the_angles_of_a_real_photo(aflw2000_dir, tmp_path):
    done = command(
        aflw2000_dir / "image00042.jpg", "--methods", "pnp,constant", "--out", tmp_path / "out"
    )
    assert done.exit_code == 0, done.output
    assert "face 1, pnp: yaw" in done.output
    assert "face 1, constant: yaw +0.0 (straight)" in done.output
    drawn = read_rgb(tmp_path / "out" / "image00042_pose.jpg")
    assert drawn.shape == (450, 900, 3)
    with (tmp_path / "out" / "poses.csv").open() as stream:
        assert [row["method"] for row in csv.DictReader(stream)] == ["pnp", "constant"]


def test_command_on_a_folder_of_real_photos_counts_faces_that_were_missed(aflw2000_dir, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    # image00010 is a profile that dlib's frontal detector does not find.
    for name in ("image00042", "image00010"):
        (folder / f"{name}.jpg").write_bytes((aflw2000_dir / f"{name}.jpg").read_bytes())
    done = command(folder, "--methods", "pnp", "--draw", "none", "--out", tmp_path / "poses.json")
    assert done.exit_code == 0, done.output
    assert "2 images, 1 face; 1 image without a face" in done.output
    rows = json.loads((tmp_path / "poses.json").read_text())["rows"]
    assert [row["status"] for row in rows] == ["no_face", "ok"]


def test_image_without_a_face_is_a_row_and_the_command_says_so(tmp_path):
    Image.fromarray(squares()).save(tmp_path / "black.png")
    done = command(tmp_path / "black.png", "--methods", "constant", "--out", tmp_path / "out")
    assert isinstance(done.exception, DataError)
    assert "no face found by dlib; try --boxes dlib[upsample=1]" in str(done.exception)
    with (tmp_path / "out" / "poses.csv").open() as stream:
        assert [row["status"] for row in csv.DictReader(stream)] == ["no_face"]


def test_single_images_cannot_be_smoothed(tmp_path):
    Image.fromarray(squares()).save(tmp_path / "black.png")
    done = command(tmp_path / "black.png", "--methods", "constant", "--smooth")
    assert isinstance(done.exception, UsageError)
    assert "only videos and cameras are smoothed" in str(done.exception)


def test_unreadable_image_is_an_error_of_its_own(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no png")
    done = command(tmp_path / "bad.png", "--methods", "constant", "--out", tmp_path / "out")
    assert isinstance(done.exception, ImageError)


def test_video_of_a_real_face_is_followed(aflw2000_dir, tmp_path):
    """A photo that moves to the right is one face with one number in every frame."""
    photo = read_rgb(aflw2000_dir / "image00042.jpg")
    images = [np.roll(photo, 6 * k, axis=1) for k in range(4)]
    clip = write_video(tmp_path / "clip.mp4", images)
    done = command(
        clip, "--methods", "constant", "--smooth", "--draw", "cube", "--out", tmp_path / "out"
    )
    assert done.exit_code == 0, done.output
    assert "4 frames, 4 faces" in done.output
    with (tmp_path / "out" / "poses.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["track"] for row in rows] == ["1"] * 4
    assert {row["smoothed_yaw_deg"] for row in rows} == {"0.0"}
    shifts = np.diff([float(row["x0"]) for row in rows])
    assert shifts.sum() == pytest.approx(18, abs=12)
    assert Video(tmp_path / "out" / "clip_pose.mp4").total == 4
