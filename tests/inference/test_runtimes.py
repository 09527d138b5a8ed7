"""Runtimes of network methods: the same angles, or no run."""

from __future__ import annotations

import os

import numpy as np
import pytest

from hpbench.errors import HpbenchError, UsageError
from hpbench.face import Face
from hpbench.registry import make_dataset, make_method
from hpbench.rotation import geodesic_deg

torch = pytest.importorskip("torch")
from hpbench.inference.runtimes import (  # noqa: E402
    MAX_HALF_DIFFERENCE_DEG,
    count_flops,
    make_runtime,
)
from hpbench.inference.torch_method import _half  # noqa: E402


def _angles(outputs):
    return outputs[:, :3]


def small_network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, stride=2), torch.nn.ReLU(), torch.nn.Flatten(1),
        torch.nn.Linear(4 * 7 * 7, 3),
    ).eval()  # fmt: skip


class Rounded(torch.nn.Module):
    """Beyond 65,504 there is no number of 16 bits."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, pixels):
        return self.network((pixels * 1000.0).half().float())


def random_pixels(count):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 16, 16, 3), dtype=torch.uint8, generator=generator)


def outputs_of_whole_batch(network, pixels):
    with torch.inference_mode():
        return network(pixels.permute(0, 3, 1, 2).float())


def test_exported_network_gives_the_same_poses_on_real_faces(aflw2000_dir, hopenet_lite_weights):
    pytest.importorskip("onnxruntime")
    dataset = make_dataset("aflw2000", aflw2000_dir)
    records = [r for r in dataset.records()[:12] if r.excluded is None]
    faces = [Face(r.image_id, dataset.read_image(r), r.box_xyxy) for r in records]
    predictions = []
    for runtime in ("torch", "onnx"):
        method = make_method(f"hopenet[weights={hopenet_lite_weights},runtime={runtime}]")
        method.load()
        predictions.append(np.stack([one.R_cam for one in method.predict(faces)]))
    assert geodesic_deg(*predictions).max() < 0.05


@pytest.mark.skipif(
    not os.environ.get("HPBENCH_SLOW_TESTS"),
    reason="compiles C++ for a minute; set $HPBENCH_SLOW_TESTS to run it",
)
def test_compiled_network_gives_the_same_outputs():
    network = small_network()
    pixels = random_pixels(3)
    expected = outputs_of_whole_batch(network, pixels)
    runtime = make_runtime("compile", network, 16, "cpu", _angles)
    with torch.inference_mode():
        torch.testing.assert_close(runtime.run(pixels), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["torch", "onnx"])
@pytest.mark.parametrize("count", [1, 2, 19])
def test_shares_of_a_batch_come_back_in_the_order_of_its_faces(name, count):
    if name == "onnx":
        pytest.importorskip("onnxruntime")
    network = small_network()
    pixels = random_pixels(count)
    expected = outputs_of_whole_batch(network, pixels)
    runtime = make_runtime(name, network, 16, "cpu", _angles)
    with torch.inference_mode():
        torch.testing.assert_close(runtime.run(pixels), expected, rtol=1e-4, atol=1e-3)


def test_shares_leave_the_threads_of_the_caller_as_they_were():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        runtime = make_runtime("torch", small_network(), 16, "cpu", _angles)
        runtime.run(random_pixels(19))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_runtime_that_changes_the_angles_is_refused():
    """The exporter keeps the state of the moment; the network itself goes on changing."""
    pytest.importorskip("onnxruntime")

    class Drifting(torch.nn.Module):
        calls = 0

        def forward(self, images):
            self.calls += 1
            return images.mean((2, 3)) + float(self.calls)

    with pytest.raises(HpbenchError, match=r"angles differ by .* use runtime=torch"):
        make_runtime("onnx", Drifting().eval(), 16, "cpu", _angles)


def test_half_precision_moves_the_angles_a_little_and_is_measured():
    method = make_method("hopenet")
    method.load()
    half = _half(method._network)
    runtime = make_runtime(
        "torch", half, method.input_size, "cpu", method.readings, method._network
    )
    assert 1e-4 < runtime.difference_deg < MAX_HALF_DIFFERENCE_DEG
    assert next(method._network.parameters()).dtype == torch.float32


def test_network_that_overflows_in_half_precision_is_refused():
    exact = small_network()
    half = Rounded(exact)
    with pytest.raises(HpbenchError, match=r"precision=half, .* use precision=full"):
        make_runtime("torch", half, 16, "cpu", _angles, exact)


def test_network_that_overflows_on_a_batch_alone_is_refused():
    class Overflowing(torch.nn.Module):
        def forward(self, pixels):
            angles = pixels.mean((2, 3))
            return angles if len(pixels) == 1 else angles + float("nan")

    class Exact(torch.nn.Module):
        def forward(self, pixels):
            return pixels.mean((2, 3))

    with pytest.raises(HpbenchError, match=r"differ by nan degrees .* use precision=full"):
        make_runtime("torch", Overflowing(), 16, "cpu", _angles, Exact())


def test_half_precision_is_refused_on_a_cpu():
    with pytest.raises(UsageError, match="precision=half: is for a GPU, not --device cpu"):
        make_method("hopenet[precision=half]").load()


def test_flops_are_two_per_multiply_add():
    network = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
    # 8 output channels of 16 x 16, each from 3 x 3 x 3 products and as many sums
    assert count_flops(network, 16, "cpu") == 2 * 8 * 16 * 16 * 27
