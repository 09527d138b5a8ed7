"""6DRepNet: published names and shapes, training and deploy forms, decode, crop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.nn import functional

from hpbench.errors import WeightsError
from hpbench.face import Face
from hpbench.methods.sixdrepnet import SixDRepNet
from hpbench.methods.sixdrepnet.network import SixDRepNetwork, folded, load_network
from hpbench.rotation import angles_from_rotation

A0_BLOCKS, A0_WIDTHS = (1, 2, 4, 14, 1), (48, 48, 96, 192, 1280)
B1G2_BLOCKS, B1G2_WIDTHS = (1, 4, 6, 16, 1), (64, 128, 256, 512, 2048)


def blocks_of(counts, widths, grouped):
    """Name, channels in and out, stride and groups of every block, as the authors number them."""
    channels, index = 3, 0
    for stage, (count, width) in enumerate(zip(counts, widths, strict=True)):
        for number in range(count):
            name = f"layer{stage}.{number}" if stage else "layer0"
            groups = 2 if grouped and index in range(2, 27, 2) else 1
            yield name, channels, width, 1 if number else 2, groups
            channels, index = width, index + 1


def training_form(blocks, features, seed=0):
    """Random tensors under the names of a training checkpoint."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.rand(shape, generator=generator) - 0.5

    def norm(name, channels):
        return {
            f"{name}.weight": 1.0 + random(channels),
            f"{name}.bias": random(channels),
            f"{name}.running_mean": random(channels),
            f"{name}.running_var": 1.0 + random(channels),
            f"{name}.num_batches_tracked": torch.tensor(5),
        }

    tensors = {}
    for name, channels, width, stride, groups in blocks:
        for branch, side in (("rbr_dense", 3), ("rbr_1x1", 1)):
            kernel = random(width, channels // groups, side, side) / side / channels**0.5
            tensors[f"{name}.{branch}.conv.weight"] = kernel
            tensors |= norm(f"{name}.{branch}.bn", width)
        if channels == width and stride == 1:
            tensors |= norm(f"{name}.rbr_identity", width)
    return tensors | {"linear_reg.weight": random(6, features), "linear_reg.bias": random(6)}


def run_training_form(tensors, blocks, images):
    """The three branches of every block one by one, with torch's own batch norm."""

    def norm(name, features):
        leaves = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(features, *(tensors[f"{name}.{leaf}"] for leaf in leaves))

    features = images
    for name, channels, width, stride, groups in blocks:
        dense, point = (tensors[f"{name}.{b}.conv.weight"] for b in ("rbr_dense", "rbr_1x1"))
        out = norm(
            f"{name}.rbr_dense.bn", functional.conv2d(features, dense, None, stride, 1, 1, groups)
        ) + norm(
            f"{name}.rbr_1x1.bn", functional.conv2d(features, point, None, stride, 0, 1, groups)
        )
        if channels == width and stride == 1:
            out = out + norm(f"{name}.rbr_identity", features)
        features = functional.relu(out)
    pooled = features.mean(dim=(2, 3))
    return functional.linear(pooled, tensors["linear_reg.weight"], tensors["linear_reg.bias"])


@pytest.mark.parametrize(
    ("counts", "widths", "grouped"),
    [(A0_BLOCKS, A0_WIDTHS, False), (B1G2_BLOCKS, B1G2_WIDTHS, True)],
)
def test_training_and_deploy_form_give_the_same_predictions(tmp_path, counts, widths, grouped):
    blocks = list(blocks_of(counts, widths, grouped))
    tensors = training_form(blocks, widths[-1])
    images = torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = run_training_form(tensors, blocks, images)
        torch.save({"epoch": 3, "model_state_dict": tensors}, tmp_path / "epoch_3.tar")
        from_training = load_network(tmp_path / "epoch_3.tar")
        torch.save(from_training.state_dict(), tmp_path / "deploy.pth")
        from_deploy = load_network(tmp_path / "deploy.pth")
        scale = expected.abs().max()
        assert (from_training(images) - expected).abs().max() < 1e-3 * scale
        assert torch.equal(from_deploy(images), from_training(images))


def test_deploy_tensors_have_the_published_names_and_shapes():
    state = SixDRepNetwork("RepVGG-B1g2").state_dict()
    expected = {"linear_reg.weight": (6, 2048), "linear_reg.bias": (6,)}
    for name, channels, width, _, groups in blocks_of(B1G2_BLOCKS, B1G2_WIDTHS, True):
        expected[f"{name}.rbr_reparam.weight"] = (width, channels // groups, 3, 3)
        expected[f"{name}.rbr_reparam.bias"] = (width,)
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == expected
    # the published file has 157 MB
    assert round(sum(tensor.numel() for tensor in state.values()) / 1e6, 1) == 39.3


def test_a_block_without_one_branch_is_refused(tmp_path):
    tensors = training_form(list(blocks_of(A0_BLOCKS, A0_WIDTHS, False)), 1280)
    del tensors["layer1.0.rbr_1x1.bn.bias"]
    with pytest.raises(KeyError):
        folded(tensors)
    torch.save(tensors, tmp_path / "broken.pth")
    with pytest.raises(WeightsError, match=r"broken\.pth: branches of a RepVGG block do not fit"):
        load_network(tmp_path / "broken.pth")


def test_weights_of_another_network_are_refused(tmp_path):
    tensors = {"conv1.weight": torch.zeros(3, 3), "fc.bias": torch.zeros(3)}
    torch.save(tensors, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="does not fit 6DRepNet with RepVGG-B1g2 or RepVGG-A0"):
        load_network(tmp_path / "other.pth")


def test_decode_reads_angles_as_the_authors_do():
    """Their matrix is ``Rz(roll) Ry(yaw) Rx(pitch)``; the network gives its first two columns."""
    angles = np.array([[35.0, -20.0, 10.0], [-70.0, 15.0, -40.0], [120.0, 5.0, 3.0]])
    R_authors = Rotation.from_euler("ZYX", angles[:, [2, 0, 1]], degrees=True).as_matrix()
    columns = np.concatenate([2.0 * R_authors[:, :, 0], 0.5 * R_authors[:, :, 1]], axis=1)
    columns[:, 3:] += 0.3 * columns[:, :3]  # Gram and Schmidt take this out
    R_cam, confidence = SixDRepNet().rotations(columns)
    np.testing.assert_allclose(angles_from_rotation(R_cam[:2]), angles[:2], atol=1e-9)
    assert R_cam[2, 2, 2] < 0  # a head that is turned away
    assert confidence is None


def test_parallel_columns_are_no_prediction():
    (found,) = SixDRepNet().predictions(np.array([[1.0, 0, 0, 2.0, 0, 0]]))
    assert "gives no rotation" in found.reason


def test_the_input_is_that_of_torchvisions_transforms():
    from PIL import Image
    from torchvision import transforms

    image = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    face = Face("a", image, np.array([150.0, 120.0, 250.0, 220.0]))
    # Hopenet's test rule, k = .2, each side in turn
    crop = Image.fromarray(image).crop((110, 80, 306, 236))
    expected = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])(crop)
    np.testing.assert_array_equal(SixDRepNet().prepare(face), np.asarray(expected))


def test_weights_that_are_not_here_are_named_with_their_source():
    with pytest.raises(WeightsError, match=r"cloud\.ovgu\.de.*hpbench weights add sixdrepnet-afl"):
        SixDRepNet().fingerprint()
    assert "hpbench weights add sixdrepnet-aflw2000 FILE" in SixDRepNet.missing()


def test_a_checkpoint_runs_as_a_method(tmp_path, loaded):
    blocks = list(blocks_of(A0_BLOCKS, A0_WIDTHS, False))
    torch.save(training_form(blocks, 1280), tmp_path / "a0.pth")
    method = loaded(f"sixdrepnet[weights={tmp_path / 'a0.pth'}]")
    face = Face("a", np.full((200, 200, 3), 90, np.uint8), np.array([50.0, 50.0, 150.0, 150.0]))
    (found,) = method.predict([face])
    np.testing.assert_allclose(found.R_cam @ found.R_cam.T, np.eye(3), atol=1e-9)
    assert round(method.size().parameters / 1e6, 1) == 7.0  # RepVGG-A0 without its classifier
    assert "what these weights were trained on is not known" in method.card().notes
