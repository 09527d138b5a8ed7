"""Hopenet: its input, bins, loss, and its weights of three origins."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

from hpbench.crops import cut_out, resize_and_centre
from hpbench.errors import UsageError, WeightsError
from hpbench.face import Face
from hpbench.geometry.boxes import box_from_points
from hpbench.images import read_rgb
from hpbench.method import Method, NoPrediction
from hpbench.methods.hopenet import Hopenet, Regression
from hpbench.methods.hopenet.backbones import OWN_BACKBONES
from hpbench.methods.hopenet.bins import PAPER_BINS, Bins
from hpbench.methods.hopenet.card import WeightsCard
from hpbench.methods.hopenet.network import backbone_names, decode_angles, make_network
from hpbench.methods.hopenet.training.loss import multi_loss, regression_loss
from hpbench.methods.hopenet.weights import load_weights, save_weights
from hpbench.registry import make_dataset, make_method
from hpbench.rotation import geodesic_deg, nearest_angles, rotation_from_angles, wrap_deg


@pytest.mark.parametrize("box", [(-40, -40, 156, 116), (20, 10, 90, 170), (3, 5, 227, 229)])
def test_cut_input_equals_pillow_crop_and_torchvision_transforms(box):
    pixels = np.random.default_rng(0).integers(0, 256, (240, 300, 3), dtype=np.uint8)
    transform = torchvision.transforms.Compose(
        [torchvision.transforms.Resize(224), torchvision.transforms.CenterCrop(224)]
    )
    expected = np.asarray(transform(Image.fromarray(pixels).crop(box)))
    np.testing.assert_array_equal(resize_and_centre(cut_out(pixels, box), 224, 224), expected)


def test_one_hot_prediction_decodes_to_the_lower_edge_for_released_weights():
    logits = torch.full((1, 3, 66), -1e4)
    logits[0, 0, 0] = logits[0, 1, 33] = logits[0, 2, 65] = 1e4
    assert decode_angles(logits, PAPER_BINS).tolist() == [[-99.0, 0.0, 96.0]]
    centred = decode_angles(logits, Bins.centred(66, 3.0))
    assert centred.tolist() == [[-97.5, 1.5, 97.5]]


def test_multi_loss_is_cross_entropy_plus_alpha_times_squared_error_per_angle():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 3, 66, generator=generator, dtype=torch.float64)
    angles = torch.rand(5, 3, generator=generator, dtype=torch.float64) * 190.0 - 95.0
    expected = 0.0
    for angle in range(3):
        labels = np.digitize(angles[:, angle], np.arange(-99, 102, 3)) - 1  # the authors' binning
        expected += nn.CrossEntropyLoss()(logits[:, angle], torch.from_numpy(labels))
        expectation = (logits[:, angle].softmax(1) * torch.arange(66)).sum(1) * 3 - 99
        expected += 2.0 * nn.MSELoss()(expectation, angles[:, angle])
    assert float(multi_loss(logits, angles, PAPER_BINS, alpha=2.0)) == pytest.approx(
        float(expected)
    )


def test_an_angle_without_label_adds_nothing_to_the_loss():
    logits = torch.randn(4, 3, 66, generator=torch.Generator().manual_seed(1))
    angles = torch.tensor([[10.0, 5.0, math.nan]] * 4)
    changed = logits.clone()
    changed[:, 2] = 7.0 * changed[:, 2].flip(-1)
    for targets in ("hard", "soft"):
        first = multi_loss(logits, angles, PAPER_BINS, 0.5, targets)
        assert torch.isfinite(first)
        assert float(first) == float(multi_loss(changed, angles, PAPER_BINS, 0.5, targets))
    outputs = torch.zeros(4, 3, 1)
    assert torch.isfinite(regression_loss(outputs, angles))


def test_soft_targets_prefer_the_neighbouring_bin_to_a_far_one():
    def loss_of_certain_answer(bin_index: int) -> float:
        logits = torch.zeros(1, 3, 66)
        logits[:, :, bin_index] = 8.0
        return float(multi_loss(logits, torch.zeros(1, 3), bins, 0.0, "soft"))

    bins = Bins.centred(66, 3.0)
    assert loss_of_certain_answer(33) < loss_of_certain_answer(35) < loss_of_certain_answer(50)


class AuthorsResNet50(nn.Module):
    """The authors' architecture, put together independently of this project's network."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torchvision.models.resnet50(weights=None)
        self.heads = nn.ModuleList(nn.Linear(2048, 66) for _ in range(3))

    def state(self) -> dict[str, torch.Tensor]:
        state = {k: v for k, v in self.net.state_dict().items() if not k.startswith("fc.")}
        state["fc_finetune.weight"] = torch.zeros(3, 2051)
        state["fc_finetune.bias"] = torch.zeros(3)
        return state

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        n = self.net
        x = n.maxpool(n.relu(n.bn1(n.conv1(x))))
        x = n.layer4(n.layer3(n.layer2(n.layer1(x))))
        features = nn.functional.avg_pool2d(x, 7).flatten(1)
        return [head(features) for head in self.heads]


class AuthorsAlexNet(AuthorsResNet50):
    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.net = torchvision.models.alexnet(weights=None)
        self.heads = nn.ModuleList(nn.Linear(4096, 66) for _ in range(3))

    def state(self) -> dict[str, torch.Tensor]:
        state = self.net.state_dict()
        return {k: v for k, v in state.items() if not k.startswith("classifier.6")}

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        features = self.net.features(x).flatten(1)
        for layer in list(self.net.classifier)[:-1]:
            features = layer(features)
        return [head(features) for head in self.heads]


@pytest.mark.parametrize("kind", [AuthorsResNet50, AuthorsAlexNet])
def test_official_state_dicts_load_and_compute_what_the_authors_network_does(kind, tmp_path):
    torch.manual_seed(0)
    theirs = kind().eval()
    state = theirs.state()
    for name, head in zip(("fc_yaw", "fc_pitch", "fc_roll"), theirs.heads, strict=True):
        state[f"{name}.weight"], state[f"{name}.bias"] = head.weight.data, head.bias.data
    # snapshots of 2017 have no such buffers
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    path = tmp_path / "snapshot.pkl"
    torch.save(state, path)
    loaded = load_weights(path)
    assert loaded.backbone == ("resnet50" if kind is AuthorsResNet50 else "alexnet")
    assert loaded.bins == PAPER_BINS
    images = torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        expected = torch.stack(theirs(images), dim=1)
        torch.testing.assert_close(loaded.network(images), expected)


def mean_error(method: Method, folder: Path) -> float:
    """Mean absolute error on every fourth of the 491 photos, read without hpbench's loader."""
    from scipy.io import loadmat

    faces, labels = [], []
    for mat in sorted(folder.glob("*.mat"))[::4]:
        content = loadmat(mat)
        pitch, yaw, roll = np.degrees(content["Pose_Para"][0][:3])
        if max(abs(pitch), abs(yaw), abs(roll)) <= 99.0:
            box = box_from_points(content["pt3d_68"][:2].T)
            faces.append(Face(mat.stem, read_rgb(mat.with_suffix(".jpg")), box))
            labels.append((yaw, pitch, roll))
    nearest = nearest_angles(np.stack([one.R_cam for one in method.predict(faces)]), labels)
    return float(np.abs(wrap_deg(nearest - np.array(labels))).mean())


@pytest.mark.parametrize(
    ("options", "reference"),
    [("", 5.29), (",crop=hopenet-train", 4.99)],
)
def test_hopenet_lite_reaches_its_known_error_on_real_photos(
    options, reference, aflw2000_dir, hopenet_lite_weights
):
    """Every fourth of the 491 photos of protocols.md G, so wider bounds than on all."""
    method = make_method(f"hopenet[weights={hopenet_lite_weights}{options}]")
    method.load()
    assert mean_error(method, aflw2000_dir) == pytest.approx(reference, abs=0.6)


@pytest.mark.parametrize(
    "backbone", ["thin_resnet_s", "efficientnet_lite0", "mobilenet_v2", "squeezenet1_1", "resnet18"]
)
def test_backbones_give_logits_for_three_angles(backbone):
    network = make_network(backbone, outputs=20).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 3, 96, 96)).shape == (2, 3, 20)


def test_efficientnet_lite0_has_the_published_size_and_cost():
    """tensorflow/tpu, models/official/efficientnet/lite: 4.7 million parameters with the 1000
    classes of ImageNet, and 407 million multiply-adds at 224 px."""
    from torch.utils.flop_counter import FlopCounterMode

    backbone, features = OWN_BACKBONES["efficientnet_lite0"]()
    classifier = 1000 * (features + 1)
    parameters = sum(tensor.numel() for tensor in backbone.parameters())
    assert parameters + classifier == pytest.approx(4.7e6, abs=0.05e6)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        backbone.eval()(torch.zeros(1, 3, 224, 224))
    multiply_adds = counter.get_total_flops() / 2 + classifier
    assert multiply_adds == pytest.approx(407e6, rel=0.06)


def test_every_torchvision_classification_network_can_be_a_backbone():
    assert {"resnet50", "alexnet", "vit_b_16", "swin_t", "efficientnet_b0"} <= set(backbone_names())


def test_unknown_backbone_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean 'resnet50'"):
        make_network("resnet_50", 66)


def own_weights(path: Path, **changes: object) -> Path:
    card = WeightsCard(backbone="thin_resnet_s", input_size=64, crop="hopenet-train", crop_k=0.3)
    card = card.model_copy(update=changes)
    torch.manual_seed(0)
    save_weights(make_network("thin_resnet_s", card.outputs), card, path)
    return path


def test_own_weights_bring_their_card_and_decode_to_bin_centres(tmp_path):
    loaded = load_weights(own_weights(tmp_path / "own.safetensors"))
    assert loaded.card is not None
    assert (loaded.backbone, loaded.card.input_size) == ("thin_resnet_s", 64)
    assert loaded.bins == Bins.centred(66, 3.0)


def test_crop_rule_and_input_size_come_from_the_card(tmp_path):
    path = own_weights(tmp_path / "own.safetensors")
    method = make_method(f"hopenet[weights={path}]")
    method.load()
    face = Face("a", np.zeros((80, 80, 3), np.uint8), np.array([20.0, 20.0, 60.0, 60.0]))
    assert method.prepare(face).shape == (64, 64, 3)
    assert method.card().crop_rule == "hopenet-train k=0.3"


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".safetensors", ""), (".safetensors", ",crop=hopenet-test,input_size=96"), (".pt", ",k=0.1")],
)
def test_reader_that_makes_no_network_prepares_as_the_method_does(suffix, options, tmp_path):
    path = own_weights(tmp_path / "own.safetensors", input_size=224)
    if suffix == ".pt":  # without a card
        path = tmp_path / "own.pt"
        torch.save(make_network("alexnet", 66).state_dict(), path)
    method, reader = (make_method(f"hopenet[weights={path}{options}]") for _ in range(2))
    method.load()
    reader.load_to_prepare()
    pixels = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    face = Face("a", pixels, np.array([20.0, 20.0, 60.0, 60.0]))
    np.testing.assert_array_equal(reader.prepare(face), method.prepare(face))


def test_reader_needs_no_torch(tmp_path):
    path = own_weights(tmp_path / "own.safetensors")
    script = (
        "import sys; from hpbench.registry import make_method; "
        f"make_method('hopenet[weights={path}]').load_to_prepare(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_own_weights_of_a_network_with_versioned_tensors_can_be_read_again(tmp_path):
    """MNASNet refuses a state dict that does not say its version."""
    network = make_network("mnasnet0_5", 66)
    save_weights(network, WeightsCard(backbone="mnasnet0_5"), tmp_path / "w.safetensors")
    loaded = load_weights(tmp_path / "w.safetensors").network.state_dict()
    torch.testing.assert_close(loaded["fc_yaw.bias"], network.fc_yaw.bias.detach().half().float())


def test_folding_batch_norms_does_not_change_the_predictions(tmp_path):
    path = own_weights(tmp_path / "own.safetensors")
    loaded = load_weights(path)
    method = make_method(f"hopenet[weights={path}]")
    method.load()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255.0
        expected = loaded.network((images - mean) / std)
    torch.testing.assert_close(method.infer(list(pixels)), expected, rtol=1e-3, atol=1e-4)


def test_regression_weights_decode_to_the_regressed_angles(tmp_path):
    path = own_weights(tmp_path / "r.safetensors", heads="regression")
    method = Regression(Regression.Options(weights=str(path)))
    method.load()
    prediction = method.decode(torch.tensor([[[1.0], [-0.5], [0.1]]]))[0]
    np.testing.assert_allclose(
        prediction.R_cam, rotation_from_angles([30.0, -15.0, 3.0]), atol=1e-6
    )
    assert prediction.confidence is None


def test_regression_lists_no_options_of_bins_and_no_bundled_weights():
    fields = Regression.Options.model_fields
    assert set(Hopenet.Options.model_fields) - set(fields) == {"bin_width", "offset"}
    assert "bundled" not in fields["weights"].description
    assert "bundled" in Hopenet.Options.model_fields["weights"].description
    with pytest.raises(UsageError, match="bin_width"):
        make_method("regression[weights=r.safetensors,bin_width=3]")


def test_confidence_orders_the_errors_on_the_sample():
    """Chosen on these very renders, never on photos; the other sharpness measures do as well."""
    from scipy.stats import spearmanr

    sample, method = make_dataset("sample"), make_method("hopenet")
    method.load()
    records = sample.records()
    faces = [Face(r.image_id, sample.read_image(r), r.box_xyxy) for r in records]
    predictions = [one for k in range(0, 144, 48) for one in method.predict(faces[k : k + 48])]
    error = geodesic_deg(
        np.stack([one.R_cam for one in predictions]), np.stack([r.label.R_cam for r in records])
    )
    confidence = np.array([one.confidence for one in predictions])
    order = spearmanr(confidence, error)
    assert order.statistic < -0.2
    assert order.pvalue < 0.001
    surer = confidence > np.median(confidence)
    assert error[surer].mean() < 0.75 * error[~surer].mean()


def test_confidence_is_the_negative_spread_of_the_bins_in_degrees(tmp_path):
    """Half of the mass in each of two bins 6 degrees apart: 3 degrees from their mean."""
    path = own_weights(tmp_path / "h.safetensors")
    method = make_method(f"hopenet[weights={path}]")
    method.load()
    logits = torch.full((1, 3, method._loaded.bins.count), -1e4)
    logits[:, :, [10, 12]] = 0.0
    width_deg = method._loaded.bins.width_deg
    assert method.decode(logits)[0].confidence == pytest.approx(-width_deg)


def test_heads_of_the_other_kind_are_refused_with_the_right_command(tmp_path):
    path = own_weights(tmp_path / "r.safetensors", heads="regression")
    with pytest.raises(UsageError, match=r"regression\[weights="):
        make_method(f"hopenet[weights={path}]").load()


def test_fingerprint_changes_with_the_file_and_not_with_its_name(tmp_path):
    first = own_weights(tmp_path / "a.safetensors")
    same = tmp_path / "b.safetensors"
    same.write_bytes(first.read_bytes())
    other = own_weights(tmp_path / "c.safetensors", input_size=96)

    def fingerprint(path: Path) -> str:
        return make_method(f"hopenet[weights={path}]").fingerprint()

    assert fingerprint(first) == fingerprint(same) != fingerprint(other)


def test_weights_of_another_network_are_refused_by_their_first_wrong_tensor(tmp_path):
    state = make_network("resnet18", 66).state_dict()
    state = {name.removeprefix("backbone."): tensor for name, tensor in state.items()}
    state["layer1.0.conv2.weight"] = torch.zeros(64, 64, 5, 5)
    path = tmp_path / "odd.pkl"
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"resnet18: tensor 'layer1.0.conv2.weight' has shape"):
        load_weights(path)


class Wicked:
    def __reduce__(self):
        return (Path.touch, (Path("owned"),))


@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_pickle_with_code_is_refused_and_not_run(how, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "wicked.pkl"
    if how == "pickle":
        path.write_bytes(pickle.dumps({"conv1.weight": Wicked()}, protocol=2))
    else:
        torch.save({"conv1.weight": Wicked()}, path)
    with pytest.raises(WeightsError, match="rejected"):
        load_weights(path)
    assert not Path("owned").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.pkl", b"not a pickle"), ("b.pkl", b""), ("c.safetensors", b"\x09junk")],
)
def test_corrupted_files_are_named_in_one_line(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=name) as caught:
        load_weights(path)
    assert "\n" not in str(caught.value)


def test_state_dict_without_heads_is_refused_by_the_missing_head(tmp_path):
    path = tmp_path / "imagenet.pth"
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), path)
    with pytest.raises(WeightsError, match=r"'fc_yaw.weight' is missing"):
        load_weights(path)


def test_weights_that_are_not_numbers_are_refused(tmp_path):
    network = make_network("thin_resnet_s", 66)
    network.fc_roll.bias.data[3] = math.nan
    path = tmp_path / "nan.safetensors"
    save_weights(network, WeightsCard(backbone="thin_resnet_s"), path)
    with pytest.raises(WeightsError, match=r"'fc_roll.bias' holds numbers that are not finite"):
        load_weights(path)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(UsageError, match="did you mean 'robust'"):
        make_method("hopenet[weights=robusto]").load()


def test_named_weights_that_were_not_fetched_say_where_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=r"alpha1.*drive.google.com.*weights add alpha1"):
        make_method("hopenet[weights=alpha1]").load()


def test_face_box_without_area_is_no_prediction(tmp_path):
    method = make_method(f"hopenet[weights={own_weights(tmp_path / 'own.safetensors')}]")
    method.load()
    face = Face("a", np.zeros((80, 80, 3), np.uint8), np.array([20.0, 20.0, 20.0, 60.0]))
    assert isinstance(method.prepare(face), NoPrediction)


def test_unusable_device_is_a_usage_error(tmp_path):
    path = own_weights(tmp_path / "own.safetensors")
    with pytest.raises(UsageError, match="--device cuda:99"):
        make_method(f"hopenet[weights={path}]", device="cuda:99").load()


def test_every_named_weight_states_licence_source_and_training_data():
    for info in Hopenet.named_weights():
        assert info.licence and info.source and info.trained_on


def test_bundled_weights_are_the_small_documented_default():
    info = Hopenet.named_weights()[0]
    assert info.name == "bundled"
    assert info.size_bytes is not None and info.size_bytes <= 8_000_000
    assert info.trained_on == ("synthetic", "pointing04", "congress")
    method = make_method("hopenet")
    method.load()
    assert method.card().weights_sha256 == info.sha256
    assert method.card().trained_domains == ("photo", "render")


def test_bundled_weights_reach_their_documented_error_on_real_photos(aflw2000_dir):
    """Model card: 3.95 on the 491 photos of which these are every fourth."""
    method = make_method("hopenet")
    method.load()
    assert mean_error(method, aflw2000_dir) == pytest.approx(3.95, abs=0.7)


def test_bundled_weights_load_without_the_import_of_torchvision():
    """It takes longer than torch's own import, and none of its networks is needed."""
    script = (
        "import sys; from hpbench.registry import make_method; make_method('hopenet').load(); "
        "sys.exit('torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_size_that_the_network_cannot_take_is_refused_when_it_is_loaded(tmp_path):
    card = WeightsCard(backbone="alexnet", input_size=224)
    save_weights(make_network("alexnet", card.outputs), card, tmp_path / "a.safetensors")
    method = make_method(f"hopenet[weights={tmp_path / 'a.safetensors'},input_size=32]")
    with pytest.raises(UsageError, match=r"'alexnet' cannot take 32 pixel .*; change input_size="):
        method.load()
