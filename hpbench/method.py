"""What a head-pose method is.

A method is a class with three steps that are timed apart: ``prepare`` (one face to its network
or solver input), ``infer`` (a batch of those), ``decode`` (to rotations). The module that holds
the class must import fast: heavy libraries belong into :meth:`Method.load` and the steps.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence, Sized
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from hpbench.face import Face
from hpbench.plugin import CONTRACT_VERSION, BaseOptions, Options, Plugin, WeightsInfo

__all__ = [
    "CONTRACT_VERSION",
    "Method",
    "MethodCard",
    "ModelSize",
    "NoPrediction",
    "Options",
    "Prediction",
    "StoredMethod",
    "WeightsInfo",
    "require_one_each",
]


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a method says of one face.

    Every field after `R_cam` is named when it is given, and has a default, so that later versions
    can add some.

    Attributes
    ----------
    R_cam : ndarray, shape (3, 3), float64
        Rotation of the head as :mod:`hpbench.rotation` defines it.
    confidence : float or None
        Larger where the method is surer, on any scale; None where it cannot tell.
    spread_deg : ndarray, shape (3,), or None
        Standard deviations of yaw, pitch and roll that the method expects of its own errors.
    """

    R_cam: npt.NDArray[np.float64]
    _: KW_ONLY
    confidence: float | None = None
    spread_deg: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class NoPrediction:
    """A face that a method cannot solve; it becomes a counted row with this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class ModelSize:
    """How big a network is; None for what is not known.

    Attributes
    ----------
    parameters : int or None
        Trained numbers.
    weights_bytes : int or None
        Size of the weights on disk.
    flops : int or None
        Floating-point operations for one face; a multiply-add counts as two.
    """

    parameters: int | None = None
    weights_bytes: int | None = None
    flops: int | None = None


class MethodCard(BaseModel):
    """What a reader must know about a method to judge its results."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    paper: str = ""
    code: str = ""
    licence: str = ""
    weights: str = ""
    weights_sha256: str | None = None
    weights_licence: str = ""
    trained_on: tuple[str, ...] = ()
    """Names of data sets; a result on one of them is flagged."""
    trained_domains: tuple[str, ...] = ()
    """'photo' and/or 'render'; a result on a data set of a rendered domain is flagged."""
    colour_order: Literal["RGB", "BGR", "none", "not known"] = "RGB"
    crop_rule: str = ""
    notes: tuple[str, ...] = ()


class Method(Plugin):
    """Base class of all methods, built-in or plugged in.

    Parameters
    ----------
    options : Options
        An instance of the class attribute ``Options``.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ... Solvers ignore it.

    Notes
    -----
    An ``__init__`` with a third argument `plugins` is given the files of ``--plugin``, for a method
    that is made of other methods.
    Instances are cheap to make and pickle; :meth:`load` does the heavy part once per process.
    ``prepare`` may be called from several threads at once, ``infer`` and ``decode`` may not.
    """

    prepare_in: ClassVar[Literal["threads", "processes"]] = "threads"
    """How ``prepare`` is spread over cores: processes when it holds Python's lock for long.

    Long runs on many cores prepare in processes anyway; what ``prepare`` returns is pickled then.
    """

    def __init__(self, options: BaseOptions | None = None, device: str = "cpu") -> None:
        super().__init__(options)
        self.device = device

    def fingerprint(self) -> str:
        """Text that changes whenever the predictions may change; the key of stored ones.

        The default is the options. A method that reads a file adds the file's hash.
        """
        return str(self.options.model_dump_json())

    @abstractmethod
    def card(self) -> MethodCard:
        """Describe the method as configured. Called after :meth:`load`."""

    def load(self) -> None:
        """Read weights and models. Called once before the first face.

        Raises
        ------
        hpbench.errors.HpbenchError
            With one line that names the file and the fix.
        """

    def load_to_prepare(self) -> None:
        """Read what :meth:`prepare` needs; called in place of :meth:`load` where others infer.

        In a long run worker processes prepare faces. The default is :meth:`load`.
        """
        self.load()

    def size(self) -> ModelSize | None:
        """How big the network is, or None for a solver. Called after :meth:`load`."""
        return None

    def unsupported_reason(
        self, dataset_name: str, has_camera: bool, has_landmarks: bool
    ) -> str | None:
        """Reason why the method cannot be run on a data set, or None; asked before :meth:`load`."""
        return None

    @abstractmethod
    def prepare(self, face: Face) -> Any | NoPrediction:
        """Turn one face into the input of :meth:`infer`."""

    @abstractmethod
    def infer(self, batch: Sequence[Any]) -> Any:
        """Run the network or solver on a non-empty batch of prepared inputs."""

    @abstractmethod
    def decode(self, output: Any) -> Sequence[Prediction | NoPrediction]:
        """Turn what :meth:`infer` returned into one prediction (or none) per input, in order."""

    def infer_ahead(
        self, batch: Sequence[Any]
    ) -> Callable[[], Sequence[Prediction | NoPrediction]] | None:
        """Start :meth:`infer` on a device of its own; what is returned decodes when called.

        Another batch may be started in between. None, the default: the method has no device that
        works while Python goes on, and nothing was started.
        """
        return None

    @property
    def stored_members(self) -> Sequence[StoredMethod]:
        """The method itself where its predictions are stored, or such members of it; else none.

        Where there are some, it takes no part where images or boxes are changed, is not timed, and
        does not predict new images; wherever it is left out, that is said.
        """
        return ()

    def unsupported_faces(
        self, dataset_name: str, image_ids: Collection[str], whole: bool
    ) -> str | None:
        """First reason of its stored members, or None; see :class:`StoredMethod`."""
        reasons = (
            one.unsupported_faces(dataset_name, image_ids, whole) for one in self.stored_members
        )
        return next((reason for reason in reasons if reason is not None), None)

    def stated_ms(self, image_id: str) -> float | None:
        """Milliseconds that a stored prediction took as its source states it, or None."""
        return None

    def incidents(self) -> Sequence[str]:
        """What went wrong on the way and was put right, a line each; asked after a run.

        The report shows them.
        """
        return ()

    def synchronize(self) -> None:
        """Wait until the device has finished; called around each timed step."""

    def predict(self, faces: Sequence[Face]) -> list[Prediction | NoPrediction]:
        """All three steps on any number of faces.

        Parameters
        ----------
        faces : sequence of Face

        Returns
        -------
        list of Prediction or NoPrediction
            One per face, in order.
        """
        prepared = [self.prepare(face) for face in faces]
        inputs = [value for value in prepared if not isinstance(value, NoPrediction)]
        decoded = self.decode(self.infer(inputs)) if inputs else []
        require_one_each(decoded, len(inputs))
        following = iter(decoded)
        return [value if isinstance(value, NoPrediction) else next(following) for value in prepared]


def require_one_each(decoded: object, count: int) -> None:
    """Raise a ValueError unless :meth:`Method.decode` gave a list with `count` entries."""
    if not isinstance(decoded, Sized):
        raise ValueError(
            f"decode gave a {type(decoded).__name__}, not a list of Prediction and NoPrediction"
        )
    if len(decoded) != count:
        raise ValueError(f"decode gave {len(decoded)} predictions to {count} faces")


class StoredMethod(Method):
    """Base of methods whose predictions were made before and are looked up by the id of the face.

    A stored prediction does not change with the image or the box that hpbench has, and its time
    cannot be measured; see :attr:`Method.stored_members`.
    """

    @property
    def stored_members(self) -> Sequence[StoredMethod]:
        """The method itself."""
        return (self,)

    @abstractmethod
    def unsupported_faces(
        self, dataset_name: str, image_ids: Collection[str], whole: bool
    ) -> str | None:
        """Reason why nothing is stored for a data set, or None; asked before :meth:`load`.

        Parameters
        ----------
        dataset_name : str
        image_ids : collection of str
            Ids of its faces, excluded ones included.
        whole : bool
            Whether these are all of its faces, and not the first few.

        Raises
        ------
        hpbench.errors.HpbenchError
            If the stored predictions cannot be read, or are partly of faces that the data set
            does not have.
        """
