"""Ways to run a torch network: as it is, compiled, or exported to ONNX.

A runtime is an option of a method, ``hopenet[runtime=onnx]``. Each one is proved, when it is
loaded, to give the same angles as the network itself; only then it is used and timed.

On the CPU a single face is spread over the cores layer by layer, which is the shortest way to its
prediction; the faces of a batch are shared out over them
(:mod:`hpbench.inference.batching`), which is the
shortest way to all of theirs. A compiled network is told the number of its threads once and for
all, so it takes its batches whole.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hpbench.errors import HpbenchError, MissingDependencyError, UsageError, first_line
from hpbench.inference.batching import map_batch_on_threads

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "MAX_DIFFERENCE_DEG",
    "MAX_HALF_DIFFERENCE_DEG",
    "Precision",
    "Runtime",
    "RuntimeName",
    "count_flops",
    "make_runtime",
    "one_thread",
    "onnx_session",
]

RuntimeName = Literal["torch", "compile", "onnx"]
Precision = Literal["full", "half"]
Run = Callable[["Tensor"], "Tensor"]

MAX_DIFFERENCE_DEG = 0.05
"""How far an angle may be from that of the network itself."""

MAX_HALF_DIFFERENCE_DEG = 2.0
"""The same in half precision, whose rounding is 8,192 times as coarse, on images that are no faces.

On faces the bundled network moves by a fifth of what it does on those at most.
"""

_OPSET = 17
_PROOF_BATCHES = (1, 5)
"""Batch sizes of the proof: an export that froze the batch size fails with one of them."""


@dataclass(frozen=True)
class Runtime:
    """A network that is ready to run.

    Attributes
    ----------
    run : callable
        Pixels, shape (n, height, width, 3), uint8, RGB, to the network's outputs, one row each.
    difference_deg : float
        Largest difference of an angle from the network itself that the proof has seen.
    """

    name: str
    run: Run
    difference_deg: float = 0.0


def make_runtime(
    name: RuntimeName,
    network: nn.Module,
    image_size: int,
    device: str,
    angles_deg: Callable[[Tensor], Tensor],
    exact: nn.Module | None = None,
) -> Runtime:
    """Make a network ready to run, and prove that it still gives the same angles.

    Parameters
    ----------
    name : {'torch', 'compile', 'onnx'}
    network : Module
        Takes pixel values 0 .. 255, shape (n, 3, size, size), and is on its device.
    image_size : int
        Side of the input in pixels.
    device : str
    angles_deg : callable
        From the network's outputs to angles in degrees, shape (n, 3).
    exact : Module, optional
        The same network in full precision, where `network` is in half.

    Raises
    ------
    HpbenchError
        If the angles differ by more than :data:`MAX_DIFFERENCE_DEG`, or in half precision
        :data:`MAX_HALF_DIFFERENCE_DEG`, or are no numbers, onnxruntime is missing, or the
        network cannot be compiled or exported here.
    """
    network = _from_pixels(network)
    proofs = [_random_images(count, image_size, device) for count in _PROOF_BATCHES]
    if name == "torch":
        run: Run = network if device != "cpu" else _shared(network, network)
        if exact is None:
            if device != "cpu":
                _start_device(network, proofs[-1])
            return Runtime(name, run)
    elif name == "compile":
        run = _compiled(network, proofs)
    else:
        run = _exported(network, proofs[-1], device)
    reference = network if exact is None else _from_pixels(exact)
    limit_deg = MAX_DIFFERENCE_DEG if exact is None else MAX_HALF_DIFFERENCE_DEG
    differences = [_difference_deg(reference, run, pixels, angles_deg) for pixels in proofs]
    difference_deg = float(np.max(differences))  # NaN where one is, which max() lets through
    if not difference_deg <= limit_deg:
        made, safe = f"runtime={name}", "runtime=torch"
        if exact is not None:
            made, safe = f"precision=half, {made}", "precision=full"
        raise HpbenchError(
            f"{made}: angles differ by {difference_deg:.3f} degrees from {safe}, "
            f"more than {limit_deg}; use {safe}"
        )
    return Runtime(name, run, difference_deg)


def _start_device(network: nn.Module, pixels: Tensor) -> None:
    """Run a network once: cuDNN starts with its first layer, and that is not a face's time."""
    import torch

    with torch.inference_mode():
        network(pixels)


def count_flops(network: nn.Module, image_size: int, device: str) -> int:
    """Floating-point operations for one image; a multiply-add counts as two.

    Convolutions and matrix products are counted, as ``torch.utils.flop_counter`` does.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        _from_pixels(network)(_random_images(1, image_size, device))
    return int(counter.get_total_flops())


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch use the calling thread alone.

    What takes microseconds takes milliseconds where threads wait for each other, and for cores that
    worker processes keep busy.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # 0.2 microseconds
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _from_pixels(network: nn.Module) -> nn.Module:
    """The network with the change from stored pixels to its input put before it.

    Within the network, so that a runtime does it where and how it does the rest, and a quarter of
    the bytes is handed over.
    """
    from torch import nn

    class FromPixels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pixels: Tensor) -> Tensor:
            # stays channels-last in memory
            outputs: Tensor = self.network(pixels.permute(0, 3, 1, 2).float())
            return outputs

    return FromPixels().eval()


def _shared(alone: Run, share: Run) -> Run:
    """Run single faces on all cores with `alone`, and each core's share of more with `share`."""
    import torch

    cores = torch.get_num_threads()

    def run_share(pixels: Tensor) -> Tensor:
        if torch.get_num_threads() != 1:
            torch.set_num_threads(1)  # of this thread only
        with torch.inference_mode():
            return share(pixels)

    def run(pixels: Tensor) -> Tensor:
        if cores == 1 or len(pixels) == 1:
            return alone(pixels)
        return torch.cat(map_batch_on_threads(run_share, pixels, cores))

    return run


def _random_images(count: int, size: int, device: str) -> Tensor:
    """Smooth random images, shape (n, size, size, 3), uint8: closer to a face than noise is."""
    import torch

    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((count, 3, 7, 7), generator=generator) * 255.0
    smooth = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")
    return smooth.permute(0, 2, 3, 1).to(torch.uint8).contiguous().to(device)


def _difference_deg(
    network: nn.Module, run: Run, pixels: Tensor, angles_deg: Callable[[Tensor], Tensor]
) -> float:
    import torch

    with torch.inference_mode():
        difference = angles_deg(run(pixels)).double() - angles_deg(network(pixels)).double()
    return float(difference.abs().max())


def _compiled(network: nn.Module, proofs: list[Tensor]) -> Run:
    import torch

    # The second proof has another batch size than the first, so only that becomes dynamic. CUDA
    # graphs (mode="reduce-overhead") would write each batch's outputs over those of the last.
    compiled: Run = torch.compile(network)
    try:
        with torch.inference_mode():
            for pixels in proofs:  # compiles, and finds out whether it can
                compiled(pixels)
    except Exception as error:  # inductor's errors have many classes
        raise UsageError(
            f"runtime=compile: cannot be compiled here ({first_line(error)}); "
            "install a C++ compiler, or use runtime=torch"
        ) from error
    return compiled


def _exported(network: nn.Module, example: Tensor, device: str) -> Run:
    import torch

    graph = _to_onnx(network, example)

    def on_threads(threads: int) -> Run:
        session = _open_session(graph, device, threads)

        def run(pixels: Tensor) -> Tensor:
            outputs = session.run(None, {"pixels": pixels.cpu().numpy()})
            return torch.from_numpy(outputs[0]).to(pixels.device)

        return run

    alone = on_threads(torch.get_num_threads())
    return alone if device != "cpu" else _shared(alone, on_threads(1))


def _to_onnx(network: nn.Module, example: Tensor) -> bytes:
    """The network as an ONNX file, for any batch size."""
    import torch

    file: Any = io.BytesIO()  # the exporter's own annotation leaves files out
    with warnings.catch_warnings():
        # The tracing exporter is deprecated, but the new one needs a further package.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                network,
                (example,),
                file,
                input_names=["pixels"],
                output_names=["outputs"],
                dynamic_axes={"pixels": {0: "n"}, "outputs": {0: "n"}},
                opset_version=_OPSET,
                dynamo=False,
            )
        except Exception as error:  # the exporter's errors have many classes
            raise UsageError(
                f"runtime=onnx: this network cannot be exported ({first_line(error)}); "
                "use runtime=torch"
            ) from error
    graph: bytes = file.getvalue()
    return graph


def _open_session(graph: bytes, device: str, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "runtime=onnx: needs onnxruntime; pip install 'hpbench[onnx]'"
        ) from error
    if device != "cpu" and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise UsageError(
            f"runtime=onnx: this onnxruntime runs on the CPU only, not on {device}; use "
            "--device cpu, or install onnxruntime-gpu"
        )
    return onnx_session(graph, device, threads)


def onnx_session(model: bytes | str, device: str, threads: int) -> Any:
    """Open an ONNX network, by its content or its path, as an ``onnxruntime.InferenceSession``.

    `threads` are those of the CPU for the layers of one run; `device` may be ``cuda:1`` where this
    onnxruntime has CUDA.
    """
    import onnxruntime

    providers: list[Any] = ["CPUExecutionProvider"]
    if device != "cpu":
        number = int(device.partition(":")[2] or 0)
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": number}))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # idle threads that spin would take the cores from those that read images, and from the
    # method that is timed next
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=providers)
