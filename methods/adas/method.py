"""OpenVINO's network for drivers' heads as a method of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from hpbench.crops import crop_box, whole_pixels
from hpbench.errors import HpbenchError, WeightsError
from hpbench.face import Face
from hpbench.inference.graphs.openvino_ir import OpenvinoGraph
from hpbench.inference.published_method import PublishedMethod
from hpbench.method import MethodCard, ModelSize, NoPrediction, Prediction, WeightsInfo
from hpbench.rotation import rotation_from_euler
from hpbench.weights.named import resolve_weights
from hpbench.weights.store import sha256_of

__all__ = ["Adas"]

Array = npt.NDArray[np.float64]

_NAME = "head-pose-estimation-adas-0001"
_FOLDER = f"inbasperu/VisionGuard/raw/a8d0e846/models/intel/{_NAME}/FP16"
_LICENCE = "Apache-2.0; training data not stated"
_OUTPUTS = ("angle_y_fc", "angle_p_fc", "angle_r_fc")
_NO_RUNTIME = "openvino: pip install 'hpbench[openvino]'"


def _info(suffix: str, size_bytes: int, sha256: str) -> WeightsInfo:
    return WeightsInfo(
        name=f"adas-{suffix}",
        summary=f"{_NAME}, half precision, the {suffix} file of two",
        licence=_LICENCE,
        trained_on=(),
        size_bytes=size_bytes,
        sha256=sha256,
        source=f"https://github.com/{_FOLDER} (Open Model Zoo)",
        file=f"{_NAME}.{suffix}",
        url=f"https://github.com/{_FOLDER}/{_NAME}.{suffix}",
    )


class Adas(PublishedMethod):
    """Three regressed angles; the published graph is run as it is."""

    name: ClassVar[str] = "adas"
    summary: ClassVar[str] = "OpenVINO's head-pose-estimation-adas-0001 (Intel 2018)"
    input_size = 60
    published: ClassVar[tuple[WeightsInfo, ...]] = (
        _info("xml", 78824, "7a00509b02c15371c8156b848daf2825a061488b6f1b257ccbb648596c0a1ef3"),
        _info("bin", 3823816, "035c41b04268c4541fc0d7fc4a131070bc2d424324ad8e1163f83953ee8bb0b1"),
    )
    facts: ClassVar[MethodCard] = MethodCard(
        name="adas",
        title="OpenVINO head-pose-estimation-adas-0001",
        code="https://github.com/openvinotoolkit/open_model_zoo",
        licence="Apache-2.0",
        trained_domains=("photo",),
        colour_order="BGR",
        crop_rule="square of 1.2 times the longer side, cut off at the image, stretched",
        notes=(
            "runs on the CPU",
            "the vendor's angles have yaw outermost (Ry Rx Rz); the rotation is kept",
            "published by the vendor on BIWI: 5.4 / 5.5 / 4.6, mean 5.17",
        ),
    )
    _graph: OpenvinoGraph | None = None

    @classmethod
    def missing(cls) -> str | None:
        """Say that OpenVINO has to be installed or the weights be fetched."""
        return _NO_RUNTIME if find_spec("openvino") is None else super().missing()

    def _files(self) -> tuple[Path, Path]:
        """The graph and its numbers; a file that the user names has the other one beside it."""
        if self.options.weights not in ("", *(info.name for info in self.published)):
            graph = resolve_weights(self.options.weights, self.published).with_suffix(".xml")
            for path in (graph, graph.with_suffix(".bin")):
                if not path.is_file():
                    raise WeightsError(f"{path}: no such file; keep .xml and .bin side by side")
            return graph, graph.with_suffix(".bin")
        graph, numbers = (resolve_weights(info.name, self.published) for info in self.published)
        return graph, numbers

    def weights_path(self) -> Path:
        """The file of the graph."""
        return self._files()[0]

    def fingerprint(self) -> str:
        """SHA-256 of both files."""
        return " ".join(sha256_of(path) for path in self._files())

    def card(self) -> MethodCard:
        """Describe the method with both files: the numbers are in the second one."""
        card, files = super().card(), self._files()
        update = {
            "weights": ", ".join(path.name for path in files),
            "weights_sha256": ", ".join(sha256_of(path) for path in files),
        }
        return card.model_copy(update=update)

    def load(self) -> None:
        """Read the graph and compile it for the CPU, for any number of faces."""
        path, numbers = self._files()
        graph = OpenvinoGraph(path, numbers, (-1, 3, self.input_size, self.input_size))
        if not {output.name for output in graph.outputs}.issuperset(_OUTPUTS):
            raise WeightsError(f"{path}: not {_NAME}: it has no outputs {', '.join(_OUTPUTS)}")
        self._graph = graph

    def cut_input(self, face: Face) -> npt.NDArray[np.uint8] | NoPrediction:
        """Cut out the square of OpenVINO's face detection demo and stretch it to 60 pixels."""
        return self.stretched(face, whole_pixels(crop_box(face.box_xyxy, "square", 1.2)))

    def infer(self, batch: Sequence[npt.NDArray[np.uint8]]) -> Array:
        """Angles as the network gives them, shape (n, 3): yaw, pitch, roll."""
        if self._graph is None:
            raise HpbenchError("method 'adas' was used before load()")
        values = np.stack(batch)[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
        name = self._graph.inputs[0].name
        outputs = self._graph.run(name, np.ascontiguousarray(values), _OUTPUTS)
        return np.concatenate(outputs, axis=1)

    def decode(self, output: Array) -> list[Prediction | NoPrediction]:
        """Rotations of the vendor's angles."""
        return self.predictions(output)

    def rotations(self, outputs: Array) -> tuple[Array, None]:
        """Rotations by the model's documentation, turned into the camera frame.

        The vendor's axes are x from the face to the camera, y to the right, z up, and
        ``R = Rz(yaw) Ry(pitch) Rx(-roll)``. In the camera frame that is
        ``R_cam = Ry(-yaw) Rx(pitch) Rz(roll)``.
        """
        return rotation_from_euler(outputs * (-1.0, -1.0, 1.0), "YXZ"), None

    def size(self) -> ModelSize:
        """Parameters and the size of both files."""
        assert self._graph is not None
        return ModelSize(
            parameters=self._graph.parameters,
            weights_bytes=sum(path.stat().st_size for path in self._files()),
        )
