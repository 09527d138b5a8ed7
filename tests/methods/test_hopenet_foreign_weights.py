"""Weights files as other projects and training frameworks write them."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from hpbench.cli.weights import weights as weights_app
from hpbench.errors import UsageError, WeightsError
from hpbench.face import Face
from hpbench.methods.hopenet.bins import PAPER_BINS, Bins
from hpbench.methods.hopenet.named import named_weights
from hpbench.methods.hopenet.network import decode_angles, make_network, spread_deg
from hpbench.methods.hopenet.weights import load_weights
from hpbench.registry import make_method
from hpbench.rotation import angles_from_rotation


@pytest.fixture(scope="module")
def lite() -> OrderedDict:
    """A ShuffleNetV2 in the names of deep-head-pose-lite, with random weights."""
    torch.manual_seed(3)
    state = make_network("shufflenet_v2_x1_0", 66).state_dict()
    heads = {"fc_yaw": "fc_y", "fc_pitch": "fc_p", "fc_roll": "fc_r"}
    renamed = OrderedDict()
    for name, tensor in state.items():
        owner, _, leaf = name.removeprefix("backbone.").partition(".")
        renamed[f"{heads.get(owner, owner)}.{leaf}"] = tensor.contiguous()
    return renamed


def renamed(state, change):
    return OrderedDict((change(name), tensor) for name, tensor in state.items())


def heads_apart(name: str) -> str:
    return f"heads.{name}" if name.startswith("fc_") else f"backbone.{name}"


WRAPPINGS = {
    "compiled.pth": lambda net: renamed(net, lambda name: f"_orig_mod.{name}"),
    "lightning.ckpt": lambda net: {
        "epoch": 3,
        "state_dict": renamed(net, lambda name: f"model.{name}"),
        "pytorch-lightning_version": "2.0",
    },
    "dataparallel_twice.pkl": lambda net: renamed(net, lambda name: f"module.module.{name}"),
    "compiled_dataparallel.pt": lambda net: renamed(net, lambda name: f"module._orig_mod.{name}"),
    "model_state_dict.tar": lambda net: {"epoch": 3, "model_state_dict": net, "optimizer": {}},
    "model.pth": lambda net: {"model": net, "best": 3.2, "lr": [1e-3]},
    "nested.pth": lambda net: {"checkpoint": {"model": {"state_dict": net}}},
    "ema.pth": lambda net: {"ema": net, "updates": 7},
    "own_prefix.pth": lambda net: renamed(net, lambda name: f"hopenet.{name}"),
    "backbone_prefix.pth": lambda net: renamed(
        net, lambda name: name if name.startswith("fc_") else f"backbone.{name}"
    ),
    "heads_apart.pth": lambda net: renamed(net, heads_apart),
    "with_optimizer.pth": lambda net: {
        "state_dict": net,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3), "exp_avg_sq": torch.zeros(3)}}},
    },
}


@pytest.mark.parametrize("name", WRAPPINGS)
def test_wrapped_and_prefixed_state_dicts_are_the_same_network(name, lite, tmp_path):
    torch.save(WRAPPINGS[name](lite), tmp_path / name)
    loaded = load_weights(tmp_path / name)
    assert (loaded.backbone, loaded.bins) == ("shufflenet_v2_x1_0", PAPER_BINS)
    assert torch.equal(loaded.network.fc_roll.weight, lite["fc_r.weight"])
    assert torch.equal(loaded.network.backbone.conv1[0].weight, lite["conv1.0.weight"])


def test_a_model_goes_before_its_moving_average(lite, tmp_path):
    average = OrderedDict((name, torch.zeros_like(tensor)) for name, tensor in lite.items())
    torch.save({"ema": average, "model": lite}, tmp_path / "both.pth")
    loaded = load_weights(tmp_path / "both.pth")
    assert torch.equal(loaded.network.fc_roll.weight, lite["fc_r.weight"])


def test_foreign_safetensors_are_renamed_like_pickles(lite, tmp_path):
    save_file(dict(lite), tmp_path / "foreign.safetensors")
    loaded = load_weights(tmp_path / "foreign.safetensors")
    assert (loaded.backbone, loaded.bins, loaded.card) == ("shufflenet_v2_x1_0", PAPER_BINS, None)
    assert torch.equal(loaded.network.fc_yaw.bias, lite["fc_y.bias"])


def in_120_bins(net, heads=("fc_y", "fc_p", "fc_r")) -> OrderedDict:
    """The same network in 120 bins of 3 degrees from -180: bin k of 66 is bin k + 27."""
    wide = OrderedDict(net)
    for head in heads:
        weight = torch.zeros(120, net[f"{head}.weight"].shape[1])
        bias = torch.full((120,), -1e4)
        weight[27:93], bias[27:93] = net[f"{head}.weight"], net[f"{head}.bias"]
        wide[f"{head}.weight"], wide[f"{head}.bias"] = weight, bias
    return wide


def angles_of(spec: str) -> np.ndarray:
    method = make_method(spec)
    method.load()
    images = np.random.default_rng(5).integers(0, 255, (3, 90, 90, 3), dtype=np.uint8)
    faces = [Face(f"{k}", image, np.array([10.0, 10, 80, 80])) for k, image in enumerate(images)]
    return np.array([angles_from_rotation(one.R_cam) for one in method.predict(faces)])


@pytest.mark.parametrize(
    ("heads", "offset", "bins"),
    [
        (("fc_y", "fc_p", "fc_r"), "-180", "120, 120, 120"),
        (("fc_y",), '"-180,-99,-99"', "120, 66, 66"),
    ],
    ids=["all heads", "WHENet's 120/66/66"],
)
def test_other_bins_are_refused_until_they_are_told_and_then_give_the_same_angles(
    heads, offset, bins, lite, tmp_path
):
    torch.save(lite, tmp_path / "lite.pkl")
    torch.save(in_120_bins(lite, heads), tmp_path / "wide.pkl")
    with pytest.raises(WeightsError, match=rf"has {bins} bins .*bin_width=3,offset="):
        make_method(f"hopenet[weights={tmp_path}/wide.pkl]").load()
    expected = angles_of(f"hopenet[weights={tmp_path}/lite.pkl]")
    options = f"weights={tmp_path}/wide.pkl,bin_width=3,offset={offset}"
    assert angles_of(f"hopenet[{options}]") == pytest.approx(expected, abs=1e-3)
    if len(heads) == 1:
        card = loaded_card(f"hopenet[{options}]")
        assert "yaw 120 bins of 3 degrees, decoded from -180" in " ".join(card.notes)


def loaded_card(spec: str):
    method = make_method(spec)
    method.load()
    return method.card()


def test_spread_of_unequal_heads_ignores_the_padding():
    from hpbench.methods.hopenet.bins import BinsPerHead

    bins = BinsPerHead(Bins(4, 10.0, 0.0, 0.0), Bins(2, 10.0, 0.0, 0.0), Bins(2, 10.0, 0.0, 0.0))
    logits = torch.zeros(1, 3, 4)
    logits[:, 1:, 2:] = -1e4
    assert decode_angles(logits, bins)[0].tolist() == pytest.approx([15.0, 5.0, 5.0])
    assert spread_deg(logits, bins)[0].tolist() == pytest.approx([125.0**0.5, 5.0, 5.0])


@pytest.mark.parametrize("value", ["3,3", "wide", ""])
def test_bin_width_takes_one_number_or_three(value):
    with pytest.raises(UsageError, match="bin_width"):
        make_method(f'hopenet[weights=a.pkl,bin_width="{value}"]')


def test_own_weights_do_not_take_bins_from_outside():
    with pytest.raises(WeightsError, match="says itself what its bins are"):
        make_method("hopenet[bin_width=3,offset=-99]").load()


PAGE = "<!DOCTYPE html><html><head><title>Drive - Virus scan warning</title></head></html>"


def test_web_page_and_onnx_network_are_refused_by_what_they_are(tmp_path):
    (tmp_path / "page.pkl").write_text(PAGE)
    with pytest.raises(WeightsError, match=r"page\.pkl: is a web page"):
        load_weights(tmp_path / "page.pkl")
    (tmp_path / "net.onnx").write_bytes(b"\x08\x07")
    with pytest.raises(WeightsError, match=r"'hpbench new card net\.onnx'"):
        load_weights(tmp_path / "net.onnx")
    with pytest.raises(UsageError, match=r"needs a card .*'hpbench new card .*net\.onnx'"):
        make_method(str(tmp_path / "net.onnx"))


def test_torchscript_is_refused_by_what_it_is(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "net.pt"))
    with pytest.raises(WeightsError, match=r"net\.pt: is a TorchScript program"):
        load_weights(tmp_path / "net.pt")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def add(name: str, file: Path):
    return CliRunner().invoke(weights_app, ["add", name, str(file)])


def test_weights_add_refuses_a_page_and_another_network(cache, lite, tmp_path):
    (tmp_path / "page.html.pkl").write_text(PAGE)
    torch.save(lite, tmp_path / "lite.pkl")
    assert "is a web page" in str(add("alpha1", tmp_path / "page.html.pkl").exception)
    refusal = str(add("alpha1", tmp_path / "lite.pkl").exception)
    assert "holds a shufflenet_v2_x1_0; weights 'alpha1' are a resnet50" in refusal
    assert not any(cache.rglob("*.pkl"))


def test_weights_add_says_where_nothing_could_be_verified(cache, lite, tmp_path):
    torch.save(lite, tmp_path / "lite.pkl")
    result = add("lite", tmp_path / "lite.pkl")
    assert result.exit_code == 0, result.exception
    assert "not verified" in result.output
    assert list(cache.rglob("*.pkl"))


def test_the_robust_weights_are_pinned():
    (info,) = [info for info in named_weights() if info.name == "robust"]
    assert info.size_bytes == 95_924_799
    assert info.sha256 == "1e0c6ddfda0e19a679607480c10875020de29b3984f187ec311c5e0802b6b6d5"


def test_weights_path_with_commas_and_equals_signs_is_quoted(lite, tmp_path):
    folder = tmp_path / "lr=0.1,bs=32"
    folder.mkdir()
    torch.save(lite, folder / "best.pkl")
    assert loaded_card(f'hopenet[weights="{folder}/best.pkl"]').weights == "best.pkl"
    with pytest.raises(UsageError, match="goes in quotes"):
        make_method(f"hopenet[weights={folder}/best.pkl]")
