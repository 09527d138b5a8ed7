"""Ways to run a torch network: as it is, compiled, or exported to ONNX.

A runtime is an option of a method, ``hopenet[runtime=onnx]``. Each one is proved, when it is
loaded, to give the same angles as the network itself; only then it is used and timed.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hpbench.errors import HpbenchError, MissingDependencyError, UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["LARGEST_DIFFERENCE_DEG", "Runtime", "RuntimeName", "count_flops", "make_runtime"]

RuntimeName = Literal["torch", "compile", "onnx"]

LARGEST_DIFFERENCE_DEG = 0.05
"""How far an angle may be from that of the network itself."""

_OPSET = 17
_PROOF_BATCHES = (1, 5)
"""Batch sizes of the proof: an export that froze the batch size fails with one of them."""


@dataclass(frozen=True)
class Runtime:
    """A network that is ready to run.

    Attributes
    ----------
    name : str
    run : callable
        Images, shape (n, 3, height, width), to the network's outputs.
    difference_deg : float
        Largest difference of an angle from the network itself that the proof has seen.
    """

    name: str
    run: Callable[[Tensor], Tensor]
    difference_deg: float = 0.0


def make_runtime(
    name: RuntimeName,
    network: nn.Module,
    image_size: int,
    device: str,
    angles_deg: Callable[[Tensor], Tensor],
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

    Returns
    -------
    Runtime

    Raises
    ------
    HpbenchError
        If the angles differ by more than :data:`LARGEST_DIFFERENCE_DEG`.
    MissingDependencyError
        If onnxruntime is not installed.
    UsageError
        If the network cannot be compiled or exported here.
    """
    if name == "torch":
        return Runtime(name, network)
    proofs = [_pictures(count, image_size, device) for count in _PROOF_BATCHES]
    run = (
        _compiled(network, proofs) if name == "compile" else _exported(network, proofs[-1], device)
    )
    difference_deg = max(_difference_deg(network, run, p, angles_deg) for p in proofs)
    if not difference_deg <= LARGEST_DIFFERENCE_DEG:
        raise HpbenchError(
            f"runtime={name}: angles differ by {difference_deg:.3f} degrees from runtime=torch, "
            f"more than {LARGEST_DIFFERENCE_DEG}; use runtime=torch"
        )
    return Runtime(name, run, difference_deg)


def count_flops(network: nn.Module, image_size: int, device: str) -> int:
    """Floating-point operations for one picture; a multiply-add counts as two.

    Convolutions and matrix products are counted, as ``torch.utils.flop_counter`` does.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(_pictures(1, image_size, device))
    return int(counter.get_total_flops())


def _pictures(count: int, size: int, device: str) -> Tensor:
    """Smooth random pictures, pixel values 0 .. 255: closer to a face than white noise is."""
    import torch

    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((count, 3, 7, 7), generator=generator) * 255.0
    smooth = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")
    return smooth.to(device).contiguous(memory_format=torch.channels_last)


def _difference_deg(
    network: nn.Module,
    run: Callable[[Tensor], Tensor],
    images: Tensor,
    angles_deg: Callable[[Tensor], Tensor],
) -> float:
    import torch

    with torch.inference_mode():
        difference = angles_deg(run(images)).double() - angles_deg(network(images)).double()
    return float(difference.abs().max())


def _compiled(network: nn.Module, proofs: list[Tensor]) -> Callable[[Tensor], Tensor]:
    import torch

    compiled: Callable[[Tensor], Tensor] = torch.compile(network, dynamic=True)
    try:
        with torch.inference_mode():
            for images in proofs:  # compiles, and finds out whether it can
                compiled(images)
    except Exception as error:  # inductor's errors have many classes
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(
            f"runtime=compile: cannot be compiled here ({line}); it needs a C++ compiler. "
            "Use runtime=torch"
        ) from error
    return compiled


def _exported(network: nn.Module, example: Tensor, device: str) -> Callable[[Tensor], Tensor]:
    import torch

    session = _open_session(_to_onnx(network, example), device)

    def run(images: Tensor) -> Tensor:
        values = np.ascontiguousarray(images.cpu().numpy())
        return torch.from_numpy(session.run(None, {"images": values})[0]).to(images.device)

    return run


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
                input_names=["images"],
                output_names=["outputs"],
                dynamic_axes={"images": {0: "n"}, "outputs": {0: "n"}},
                opset_version=_OPSET,
                dynamo=False,
            )
        except Exception as error:  # the exporter's errors have many classes
            line = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UsageError(
                f"runtime=onnx: this network cannot be exported ({line}); use runtime=torch"
            ) from error
    graph: bytes = file.getvalue()
    return graph


def _open_session(graph: bytes, device: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "runtime=onnx needs onnxruntime: pip install 'hpbench[onnx]'"
        ) from error
    import torch

    providers: list[Any] = ["CPUExecutionProvider"]
    if device != "cpu":
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise UsageError(
                f"runtime=onnx: this onnxruntime runs on the CPU only, not on {device}; use "
                "--device cpu, or install onnxruntime-gpu"
            )
        number = int(device.partition(":")[2] or 0)
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": number}))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # idle threads that spin would take the cores from the threads that read pictures
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=providers)
