"""One data set of a run with its protocol and the methods on it, here and in another process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Dataset, Record
from hpbench.detectors.base import Detector, find_faces, make_detector
from hpbench.errors import DataError, ImageError
from hpbench.face import Face
from hpbench.geometry.boxes import MIN_IOU, check_box, match_box
from hpbench.images import max_pixels, set_max_pixels
from hpbench.inference.faces import read_image
from hpbench.method import Method
from hpbench.protocol import Protocol as EvaluationProtocol
from hpbench.registry import DATASETS, MethodSpec, load_method
from hpbench.results.run_config import ANNOTATED, Several
from hpbench.results.run_record import SEVERAL_FACES, LabelWarning
from hpbench.running.corruptions import Corruption, corrupt_box, corrupt_image
from hpbench.storage.face_index import FaceIndex
from hpbench.storage.run_folder import IndexedDataset
from hpbench.storage.schemas import index_schema

__all__ = ["WITHOUT_BOX", "Evaluation", "EvaluationSpec", "ReadFace", "read_face"]


@dataclass(frozen=True)
class Evaluation:
    """One data set of a run with its protocol and the methods that take part.

    Attributes
    ----------
    indexed : IndexedDataset
        Its faces, their place in the run's index, and its name in the tables: the canonical spec
        where one data set occurs with several options.
    dataset : Dataset
    protocol : hpbench.protocol.Protocol
    methods : mapping of str to Method
        By canonical spec.
    detector : Detector or None
        None: annotated boxes.
    boxes : str
        ``annotated``, or the spec that the detector was made from.
    several : str
        Which of several detected faces is taken where there is no annotated box.
    unsupported : mapping of str to str
        Methods that cannot be run here, with the reason.
    plugins : sequence of Path
        Files that worker processes have to import to know the methods.
    corruption : Corruption or None
        Done to every face; it is part of the protocol, too.
    clean_key : str or None
        Key of the same evaluation without corruption.
    index_key : str
        Hash over the faces and the protocol, for the cache.
    warnings : sequence of LabelWarning
        What looks wrong with labels and boxes.
    """

    indexed: IndexedDataset
    dataset: Dataset
    protocol: EvaluationProtocol
    methods: Mapping[str, Method]
    detector: Detector | None = None
    boxes: str = ANNOTATED
    several: Several = "refuse"
    unsupported: Mapping[str, str] = field(default_factory=dict)
    plugins: Sequence[Path] = ()
    corruption: Corruption | None = None
    clean_key: str | None = None
    index_key: str = ""
    warnings: Sequence[LabelWarning] = ()

    @property
    def key(self) -> str:
        """Name in the tables."""
        return self.indexed.key

    def methods_in(self, workers: str) -> dict[str, Method]:
        """Methods whose faces are prepared in ``threads``, or solved in ``processes``."""
        return {name: m for name, m in self.methods.items() if m.prepare_in == workers}


@dataclass(frozen=True)
class EvaluationSpec:
    """All that another process needs to read and solve the faces of an evaluation.

    Nothing in it is an instance of a class of a plugin: the process has to import that first.

    Attributes
    ----------
    dataset : tuple
        Name, root and options (as a dict) of the data set.
    protocol : hpbench.protocol.Protocol
    methods : dict
        By their specs in the tables.
    device : str
    plugins : tuple of Path
    boxes : str
    several : str
    corruption : Corruption or None
    max_pixels : int
        Of an image.
    """

    dataset: tuple[str, Path | None, Mapping[str, Any]]
    protocol: EvaluationProtocol
    methods: Mapping[str, MethodSpec]
    device: str
    plugins: tuple[Path, ...]
    boxes: str
    several: Several
    corruption: Corruption | None
    max_pixels: int

    @classmethod
    def of(cls, evaluation: Evaluation) -> EvaluationSpec:
        """The spec of an evaluation; its paths are absolute."""
        root = evaluation.dataset.root
        return cls(
            dataset=(
                evaluation.dataset.name,
                None if root is None else root.absolute(),
                evaluation.dataset.options.model_dump(mode="json"),
            ),
            protocol=evaluation.protocol,
            methods={name: MethodSpec.of(one) for name, one in evaluation.methods.items()},
            device=next(iter(evaluation.methods.values())).device,
            plugins=tuple(path.resolve() for path in evaluation.plugins),
            boxes=evaluation.boxes,
            several=evaluation.several,
            corruption=evaluation.corruption,
            max_pixels=max_pixels(),
        )

    def make(self, only_prepare: bool = False) -> Evaluation:
        """The evaluation with loaded methods, and without its index.

        With `only_prepare` the methods can prepare faces, on the CPU, and nothing else.

        Raises
        ------
        HpbenchError
            If a plugin, a weights file or the detector's model is missing here.
        """
        set_max_pixels(self.max_pixels)
        name, root, options = self.dataset
        cls = DATASETS.load(name, self.plugins)
        built = cls.Options.model_validate(options)
        device = "cpu" if only_prepare else self.device
        methods = {name: spec.make(device, self.plugins) for name, spec in self.methods.items()}
        for method in methods.values():
            load_method(method, only_prepare)
        detector = None if self.boxes == ANNOTATED else make_detector(self.boxes, self.plugins)
        if detector is not None:
            detector.load()
        return Evaluation(
            indexed=IndexedDataset(name, FaceIndex(index_schema().empty_table(), root), 0),
            dataset=DATASETS.instance(cls, root, built, plugins=self.plugins),
            protocol=self.protocol,
            methods=methods,
            detector=detector,
            several=self.several,
            plugins=self.plugins,
            corruption=self.corruption,
        )


@dataclass
class ReadFace:
    """A face that was read, or why it was not.

    Attributes
    ----------
    image_id : str
    face : Face or None
        None where it is excluded, or the detector missed it.
    excluded : str or None
        Reason why it is not scored.
    box_status : str
        ``annotated``, ``detected``, ``chosen`` (of several detected faces) or ``missed``.
    unreadable : bool
        Whether it is excluded because its image could not be read, this time.
    """

    image_id: str
    face: Face | None = None
    excluded: str | None = None
    box_status: str = "annotated"
    unreadable: bool = False


WITHOUT_BOX = {
    "missed": "no face found by the detector",
    "elsewhere": f"no detected box overlaps the annotated face (IoU above {MIN_IOU:g})",
}
"""Why no method has a prediction for a face without a box, by its ``box_status``."""


def read_face(evaluation: Evaluation, record: Record) -> ReadFace:
    """Read one image and settle which box the methods are given."""
    try:
        image = read_image(evaluation.dataset, record)
        box = record.box_xyxy
        if box is None and evaluation.detector is None:
            raise DataError("no annotated box; use --boxes dlib or yunet")
        if box is not None:
            check_box(box, (image.shape[1], image.shape[0]))
        if evaluation.corruption is not None:
            image = corrupt_image(image, box, record.image_id, evaluation.corruption)
        status = "annotated"
        if evaluation.detector is not None:
            box, status = _detected_box(evaluation.detector, image, box, evaluation.several)
    except DataError as error:
        # with the image's name only, so that equal reasons are counted together
        reason = str(error).replace(str(record.image_path), record.image_path.name)
        return ReadFace(record.image_id, excluded=reason, unreadable=isinstance(error, ImageError))
    if box is None:
        return ReadFace(record.image_id, box_status=status)
    if evaluation.corruption is not None:
        box = corrupt_box(box, record.image_id, evaluation.corruption, record.box_xyxy)
    face = Face(record.image_id, image, box, record.camera, record.landmarks_xy)
    return ReadFace(record.image_id, face, box_status=status)


def _detected_box(
    detector: Detector,
    image: npt.NDArray[np.uint8],
    annotated: npt.NDArray[np.float64] | None,
    several: Several,
) -> tuple[npt.NDArray[np.float64] | None, str]:
    """Box of the detection that is the labelled face, if any, and what to call it.

    Raises
    ------
    DataError
        If there are several faces and nothing tells which one the label is of.
    """
    boxes, scores = find_faces(detector, image)
    if not len(boxes):
        return None, "missed"
    if annotated is not None and detector.finds_faces:
        index = match_box(boxes, annotated)
        return (None, "elsewhere") if index is None else (boxes[index], "detected")
    if len(boxes) == 1:
        return boxes[0], "detected"
    if several == "refuse":
        raise DataError(SEVERAL_FACES)
    sides = boxes[:, 2:] - boxes[:, :2]
    middle = np.array([image.shape[1], image.shape[0]]) / 2.0
    off_centre = np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2.0 - middle, axis=1)
    rank = {"surest": scores, "largest": sides.prod(axis=1), "central": -off_centre}[several]
    return boxes[int(np.argmax(rank))], "chosen"
