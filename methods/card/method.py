"""Networks that a card describes, as methods of the benchmark."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from hpbench.crops import Outside, centre_of, cut_out, short_side_wh
from hpbench.errors import HpbenchError, UsageError, WeightsError, invalid_value
from hpbench.face import Face
from hpbench.geometry.boxes import box_problem
from hpbench.inference.graphs import FORMATS, graph_files
from hpbench.method import (
    Method,
    MethodCard,
    ModelSize,
    NoPrediction,
    Options,
    Prediction,
    WeightsInfo,
)
from hpbench.methods.card.card import InputCard, NetworkCard, WeightsFile, read_card
from hpbench.methods.card.crop import CropCard
from hpbench.methods.card.decode import confidence_of, decode_networks
from hpbench.methods.card.network import Network, open_network
from hpbench.methods.card.outputs import LandmarksOutput
from hpbench.paths import user_path
from hpbench.plugin import BaseOptions
from hpbench.rotation import is_rotation
from hpbench.spec import Spec
from hpbench.weights.downloads import DownloadLimits
from hpbench.weights.store import cached_file, check_file, fetch_file, sha256_of

__all__ = ["CardMethod", "CardOptions", "DeclaredMethod", "DeclaredOptions", "FsaNet"]

Pixels = npt.NDArray[np.uint8]
T = TypeVar("T", CropCard, InputCard)

_NO_RUNTIME = "onnxruntime: pip install 'hpbench[onnx]'"


class DeclaredOptions(Options):
    """Options of a method that brings its own card."""

    weights: str = Field(
        default="",
        description="folder with the files of the card; default: beside the card, "
        "else what 'hpbench weights fetch' has stored",
    )
    k: float | None = Field(default=None, description="crop.k, in place of the card's")
    outside: Outside | None = Field(
        default=None, description="crop.outside, in place of the card's: black, clip, edge"
    )
    filter: str | None = Field(
        default=None, description="input.filter, in place of the card's: opencv-linear, ..."
    )


class DeclaredMethod(Method):
    """Base of methods that are nothing but a card; a plugin sets :attr:`card_file`.

    Examples
    --------
    ::

        class MyNet(DeclaredMethod):
            name = "mynet"
            summary = "my network"
            card_file = Path(__file__).with_name("mynet.toml")
    """

    Options: ClassVar[type[Options]] = DeclaredOptions
    card_file: ClassVar[Path]

    def __init__(self, options: BaseOptions | None = None, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._network_card: NetworkCard | None = None
        self._networks: list[Network] = []

    @classmethod
    def missing(cls) -> str | None:
        """Say that onnxruntime has to be installed or the weights be fetched."""
        if find_spec("onnxruntime") is None:
            return _NO_RUNTIME
        if any(info.path is None for info in cls.named_weights()):
            return f"weights: 'hpbench weights fetch {cls.name}', or {cls.name}[weights=DIR]"
        return None

    @classmethod
    def named_weights(cls) -> Sequence[WeightsInfo]:
        """Files of the card, with the path of those that are on this machine."""
        card = read_card(cls.card_file)
        return [_weights_info(card, entry, cls.card_file.parent) for entry in card.weights]

    def fingerprint(self) -> str:
        """Hashes of the card's content and of all files of all networks, wherever they lie."""
        card = self.network_card().model_dump_json()
        hashes = map(sha256_of, self._files())
        return " ".join([hashlib.sha256(card.encode()).hexdigest(), *hashes])

    def _files(self) -> list[Path]:
        """All files of all networks, with those beside a graph that hold its numbers."""
        return [file for path in self._paths() for file in graph_files(path)]

    def fingerprint_is_complete(self) -> bool:
        """The card and its networks are all that is read."""
        return True

    def card_path(self) -> Path:
        """TOML file of the card."""
        return self.card_file

    def network_card(self) -> NetworkCard:
        """The card, read once, with the options in place of what it says."""
        if self._network_card is None:
            card = read_card(self.card_path())
            crop = self._changed(card.crop, k=self.options.k, outside=self.options.outside)
            rule = self._changed(card.input, filter=self.options.filter)
            self._network_card = card.model_copy(update={"crop": crop, "input": rule})
        return self._network_card

    def _changed(self, table: T, **options: object) -> T:
        """A table of the card with options in place of its entries, where any are given."""
        given = {key: value for key, value in options.items() if value is not None}
        if not given:
            return table
        try:
            return type(table).model_validate({**table.model_dump(), **given})
        except ValidationError as error:
            names = ", ".join(f"{key}={value}" for key, value in given.items())
            raise UsageError(
                f"{self.card_path()}: {names}: {invalid_value(error.errors()[0])}"
            ) from error

    def card(self) -> MethodCard:
        """Describe the method."""
        card = self.network_card()
        networks, files = len(self._paths()), self._files()
        size = f"input {card.input.width}x{card.input.height} px, {card.input.fit}"
        notes = [size, f"resized by {card.input.filter}", *card.notes]
        if networks > 1:
            notes.append(f"mean of {networks} networks")
        if self.device != "cpu" and any(network.graph.on_cpu for network in self._networks):
            notes.append(f"runs on the CPU and not on {self.device}: its runtime has no GPU here")
        if any(network.one_by_one for network in self._networks):
            notes.append("run on one face at a time: the network takes no batches")
        if card.confidence is not None:
            notes.append(
                f"confidence: output '{card.confidence.name}', {card.confidence.surer} is surer"
            )
        if not card.trained_on:
            notes.append("what these weights were trained on is not known")
        return MethodCard(
            name=card.name,
            title=card.title,
            paper=card.paper,
            code=card.code,
            licence=card.licence,
            weights=", ".join(path.name for path in files),
            weights_sha256=", ".join(sha256_of(path) for path in files),
            weights_licence=card.weights_licence or card.licence,
            trained_on=card.trained_on,
            trained_domains=card.trained_domains,
            colour_order=card.input.colour_order,
            crop_rule=str(card.crop),
            notes=tuple(notes),
        )

    def load_to_prepare(self) -> None:
        """Read the card alone, and no network."""
        self.network_card()

    def load(self) -> None:
        """Open the networks, check them against the card, and decode what they give."""
        card = self.network_card()
        self._networks = [open_network(path, card, self.device) for path in self._paths()]
        grey = np.full((card.input.height, card.input.width, 3), 128, np.uint8)
        self.check_outputs(self.infer([grey]))

    def check_outputs(self, output: list[list[npt.NDArray[np.float64]]]) -> None:
        """Raise WeightsError where outputs do not fit the card: before the first face."""
        self.decode(output)

    def size(self) -> ModelSize:
        """Parameters and bytes of all networks."""
        return ModelSize(
            parameters=sum(network.graph.parameters for network in self._networks),
            weights_bytes=sum(file.stat().st_size for file in self._files()),
        )

    def _paths(self) -> list[Path]:
        entries = self.network_card().weights
        paths = [self._named(one) if self.options.weights else self._found(one) for one in entries]
        for path, entry in zip(paths, entries, strict=True):
            check_file(path, entry.sha256)
        return paths

    def _named(self, entry: WeightsFile) -> Path:
        """File of a weights entry in the user's folder: at its path in the card, or by its name."""
        folder = user_path(self.options.weights)
        inside = PurePosixPath(entry.file)
        leads_out = inside.is_absolute() or ".." in inside.parts
        if entry.file and not leads_out and (folder / inside).is_file():
            return folder / inside
        name = entry.file_name
        if [one.file_name for one in self.network_card().weights].count(name) > 1:
            raise WeightsError(
                f"{self.card_path()}: several weights files are called '{name}'; put each into "
                f"{folder} at the path that its file= names"
            )
        if not (folder / name).is_file():
            raise WeightsError(f"{folder / name}: no such weights file; pass weights=FOLDER")
        return folder / name

    def _found(self, entry: WeightsFile) -> Path:
        """File of a weights entry beside the card, in the cache, or fetched."""
        folder = self.card_path().parent
        if local := _local_file(entry, folder):
            return local
        if not entry.url:
            raise WeightsError(f"{folder / entry.file}: no such weights file, which the card names")
        limits = DownloadLimits()
        if entry.size_bytes is not None:
            limits = replace(limits, max_bytes=entry.size_bytes)
        return fetch_file(
            entry.cached_name, entry.url, entry.sha256, by_hand=self._by_hand(), limits=limits
        )

    def _by_hand(self) -> str:
        """What to do with a weights file that was fetched elsewhere."""
        return ""

    def prepare(self, face: Face) -> npt.NDArray[np.uint8] | NoPrediction:
        """Cut out the face and scale it; colour order and scaling are left to :meth:`infer`."""
        if problem := box_problem(face.box_xyxy, face.size_wh):
            return NoPrediction(problem)
        card = self.network_card()
        bounds = card.crop.bounds(face)
        if bounds is None:
            return NoPrediction("the margins of the crop cross in this box")
        crop = cut_out(face.image, bounds, card.crop.outside)
        if crop.size == 0:
            return NoPrediction("the crop does not touch the image")
        size_wh = (card.input.width, card.input.height)
        return fit_to(crop, size_wh, card.input.fit, card.input.short_side, card.input.filter)

    def infer(self, batch: Sequence[npt.NDArray[np.uint8]]) -> list[list[npt.NDArray[np.float64]]]:
        """Outputs of every network for a batch of RGB inputs, shape (height, width, 3)."""
        if not self._networks:
            raise HpbenchError(f"method '{self.name}' was used before load()")
        values = self._scaled(np.stack(batch))
        return [network.run(values) for network in self._networks]

    def _scaled(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Network input of RGB images, shape (n, height, width, 3)."""
        rule = self.network_card().input
        ordered = pixels[..., ::-1] if rule.colour_order == "BGR" else pixels
        scale = rule.white / 255.0 / np.asarray(rule.std)
        shift = np.asarray(rule.mean) / np.asarray(rule.std)
        values = ordered * scale.astype(np.float32) - shift.astype(np.float32)
        if rule.layout == "NCHW":
            values = values.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(values)

    def decode(
        self, output: list[list[npt.NDArray[np.float64]]]
    ) -> list[Prediction | NoPrediction]:
        """Rotations by the card's output rule."""
        card = self.network_card()
        rule = card.output
        assert not isinstance(rule, LandmarksOutput)  # load() has refused it
        try:
            confidences = None
            if card.confidence is not None:
                confidences = confidence_of([outputs[-1] for outputs in output], card.confidence)
                output = [outputs[:-1] for outputs in output]
            rotations = decode_networks(output, rule)
        except WeightsError as error:
            raise WeightsError(f"{self.card_path()}: {error}") from error
        return [
            _prediction(R_cam, None if confidences is None else float(confidences[i]))
            for i, R_cam in enumerate(rotations)
        ]


def _prediction(
    R_cam: npt.NDArray[np.float64], confidence: float | None
) -> Prediction | NoPrediction:
    finite = np.isfinite(R_cam).all() and (confidence is None or np.isfinite(confidence))
    if finite and is_rotation(R_cam):
        return Prediction(R_cam, confidence=confidence)
    return NoPrediction("the network's output is not a number or gives no rotation")


class CardOptions(DeclaredOptions):
    """Options of the method ``card``."""

    file: str = Field(default="", description="TOML card of the network; see docs/add-a-network.md")


class CardMethod(DeclaredMethod):
    """Any network with a card; ``my_net.toml`` is short for ``card[file=my_net.toml]``."""

    name: ClassVar[str] = "card"
    summary: ClassVar[str] = "any network file with a card: --methods my_net.toml"
    Options: ClassVar[type[Options]] = CardOptions

    @classmethod
    def claims(cls, text: str) -> Spec | None:
        """``my_net.toml`` stands for ``card[file=my_net.toml]``; a network alone lacks one."""
        path = Path(text)
        if path.suffix.lower() in FORMATS:
            raise UsageError(
                f"{text}: a network needs a card of its input and output; "
                f"write one with 'hpbench new card {text}', then --methods {path.stem}.toml"
            )
        return Spec(cls.name, {"file": text}) if path.suffix.lower() == ".toml" else None

    @classmethod
    def missing(cls) -> str | None:
        """Return none: what is needed depends on the format."""
        return None

    @classmethod
    def named_weights(cls) -> Sequence[WeightsInfo]:
        """Return none: they depend on the card."""
        return ()

    def spec_in_tables(self, spec: Spec) -> Spec:
        """The card's name in place of its path, so that it is the same from any folder."""
        options = {key: value for key, value in spec.options.items() if key != "file"}
        return Spec(f"{self.network_card().name}.toml", options)

    def load(self) -> None:
        """Open the network; one that gives landmarks is no method."""
        if isinstance(self.network_card().output, LandmarksOutput):
            raise UsageError(
                f"{self.card_path()}: the network gives landmarks; write pnp[landmarks="
                f"{self.card_path()}]"
            )
        super().load()

    def card_path(self) -> Path:
        """TOML file that the user named."""
        if not self.options.file:
            raise UsageError(
                "method 'card' needs a file: write the name of the TOML file, my_net.toml, "
                "or card[file=my_net.toml]"
            )
        return user_path(self.options.file)

    def _by_hand(self) -> str:
        return f"put it into {self.card_path().resolve().parent}"


class FsaNet(DeclaredMethod):
    """FSA-Net as headpose-fsanet-pytorch released it: the mean of two networks."""

    name: ClassVar[str] = "fsanet"
    summary: ClassVar[str] = "FSA-Net, mean of the 1x1 and var networks (Yang et al. 2019)"
    card_file: ClassVar[Path] = Path(__file__).with_name("fsanet.toml")


def fit_to(
    crop: Pixels, size_wh: tuple[int, int], fit: str, short_side: int | None, filter_name: str
) -> Pixels:
    """Scale a crop (h, w, 3) to the network's input as its `InputCard` names it."""
    if fit == "stretch":
        return _resize(crop, size_wh, filter_name)
    width, height = size_wh
    crop_height, crop_width = crop.shape[:2]
    if fit == "centre":
        scaled_wh = short_side_wh((crop_width, crop_height), short_side or max(width, height))
        return centre_of(_resize(crop, scaled_wh, filter_name), size_wh)
    scale = min(width / crop_width, height / crop_height)
    scaled_wh = (max(round(crop_width * scale), 1), max(round(crop_height * scale), 1))
    padded = np.zeros((height, width, 3), dtype=np.uint8)
    left, top = (width - scaled_wh[0]) // 2, (height - scaled_wh[1]) // 2
    padded[top : top + scaled_wh[1], left : left + scaled_wh[0]] = _resize(
        crop, scaled_wh, filter_name
    )
    return padded


def _resize(crop: Pixels, size_wh: tuple[int, int], filter_name: str) -> Pixels:
    library, _, filter_type = filter_name.partition("-")
    if library == "opencv":
        import cv2

        method = cv2.INTER_AREA if filter_type == "area" else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(crop, size_wh, interpolation=method), dtype=np.uint8)
    from PIL import Image

    method = Image.Resampling.BICUBIC if filter_type == "bicubic" else Image.Resampling.BILINEAR
    image = Image.fromarray(np.ascontiguousarray(crop))
    return np.asarray(image.resize(size_wh, method), dtype=np.uint8)


def _weights_info(card: NetworkCard, entry: WeightsFile, folder: Path) -> WeightsInfo:
    source = card.code
    if entry.sha256 is None:  # the cache is not searched for it
        source = f"{card.code or card.title}; it belongs into {folder}"
    return WeightsInfo(
        name=Path(entry.file_name).stem,
        summary=card.title,
        licence=card.weights_licence or card.licence,
        trained_on=card.trained_on,
        size_bytes=entry.size_bytes,
        sha256=entry.sha256,
        source=source,
        file=entry.cached_name,
        url=entry.url,
        path=_local_file(entry, folder),
    )


def _local_file(entry: WeightsFile, card_folder: Path) -> Path | None:
    """File of a weights entry beside the card, or in the cache if the card states its hash."""
    beside = card_folder / entry.file
    if entry.file and beside.is_file():
        return beside
    if entry.sha256 is None:
        return None
    if cached := cached_file(entry.cached_name):
        return cached
    # a file that was put there by its name alone may belong to another card
    plain = cached_file(entry.file_name)
    return plain if plain and sha256_of(plain) == entry.sha256 else None
