"""The mean of several methods as a method of the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hpbench.errors import UsageError
from hpbench.face import Face
from hpbench.geometry.views import mirrored
from hpbench.inference.solving import valid_predictions
from hpbench.method import (
    Method,
    MethodCard,
    ModelSize,
    NoPrediction,
    Options,
    Prediction,
    StoredMethod,
)
from hpbench.plugin import BaseOptions
from hpbench.registry import load_method, make_method, require_different
from hpbench.rotation import (
    angles_from_rotation,
    geodesic_deg,
    mean_rotation,
    mirror_rotation,
    nearest_angles,
    nearest_rotation,
    rotation_from_rotvec,
    rotvec_from_rotation,
    wrap_deg,
)
from hpbench.spec import Spec, parse_specs
from hpbench.storage.fingerprints import code_digest, hash_of

__all__ = ["Ensemble", "EnsembleOptions", "combine", "geodesic_mean"]

Array = npt.NDArray[np.float64]

_STEPS = 100
_CONVERGED_RAD = 1e-10
_HOW = 'ensemble[methods="hopenet;pnp"]'


class EnsembleOptions(Options):
    """Options of the method ``ensemble``."""

    methods: str = Field(
        default="",
        description="two methods or more, separated by semicolons, each with its options: "
        '"hopenet;nets/my_net.toml;pnp[model=mallick6]"; one is enough with mirror=true',
    )
    mirror: bool = Field(
        default=False,
        description="every member also predicts the mirrored face; its pose, mirrored back, counts "
        "like that of another member",
    )
    average: Literal["chordal", "geodesic"] = Field(
        default="chordal",
        description="chordal: the rotation nearest to the mean of the matrices; geodesic: the "
        "rotation with the least sum of squared angles to the members'",
    )


class Ensemble(Method):
    """Mean rotation of several methods, each on its own crop of the face, or of its mirror image.

    A face is predicted where every member predicts it. The spread is the standard deviation of the
    members' yaw, pitch and roll around the mean, the confidence minus the root mean square of
    their angles to it, in degrees.
    """

    name: ClassVar[str] = "ensemble"
    summary: ClassVar[str] = "mean rotation of several methods, with their spread as confidence"
    Options: ClassVar[type[Options]] = EnsembleOptions
    options: EnsembleOptions

    def __init__(
        self,
        options: BaseOptions | None = None,
        device: str = "cpu",
        plugins: Sequence[Path] = (),
    ) -> None:
        super().__init__(options, device)
        specs = _members_in(self.options.methods)
        if len(specs) == 1 and not self.options.mirror:
            raise UsageError(f"method 'ensemble' has one member; write {_HOW}, or add mirror=true")
        self._members = {str(spec): make_method(spec, device, plugins) for spec in specs}
        require_different(self._members, "method 'ensemble'")
        if self.options.mirror and self.stored_members:
            raise UsageError(
                "method 'ensemble' has mirror=true and a member with stored predictions, which "
                "hold none of mirrored faces; leave one of them out"
            )
        self._votes = [(name, member, False) for name, member in self._members.items()]
        if self.options.mirror:
            self._votes += [(f"{name}, mirrored", one, True) for name, one, _ in self._votes]

    @classmethod
    def missing(cls) -> str | None:
        """Say that its members have to be named."""
        return f"members: {_HOW}"

    @property
    def prepare_in(self) -> Literal["threads", "processes"]:  # type: ignore[override]
        """In processes if the faces of any member are."""
        members = self._members.values()
        return "processes" if any(m.prepare_in == "processes" for m in members) else "threads"

    def fingerprint(self) -> str:
        """Kind of mean, whether faces are mirrored, and options, files and code of every member."""
        members = [
            (one.name, one.fingerprint(), code_digest(type(one))) for one in self._members.values()
        ]
        return f"{self.options.average} mirror={self.options.mirror} {hash_of(*members)}"

    def card(self) -> MethodCard:
        """Describe all members."""
        cards = [member.card() for member in self._members.values()]
        return MethodCard(
            name=self.name,
            title=f"Mean of {', '.join(card.title for card in cards)}",
            licence="; ".join(dict.fromkeys(card.licence for card in cards if card.licence)),
            weights="; ".join(card.weights for card in cards if card.weights),
            weights_licence="; ".join(
                dict.fromkeys(card.weights_licence for card in cards if card.weights_licence)
            ),
            trained_on=tuple(dict.fromkeys(name for card in cards for name in card.trained_on)),
            trained_domains=tuple(
                dict.fromkeys(name for card in cards for name in card.trained_domains)
            ),
            crop_rule="; ".join(f"{card.name}: {card.crop_rule}" for card in cards),
            notes=(
                f"{self.options.average} mean; only faces that every member predicts",
                *["every member predicts the face and its mirror image"] * self.options.mirror,
                "confidence: minus the root mean square angle of the members to the mean, degrees",
                *(
                    f"weights of {card.name}: SHA-256 {card.weights_sha256}"
                    for card in cards
                    if card.weights_sha256
                ),
            ),
        )

    def load(self) -> None:
        """Load all members."""
        self._load_members(only_prepare=False)

    def load_to_prepare(self) -> None:
        """Load of all members what they need to prepare."""
        self._load_members(only_prepare=True)

    def _load_members(self, only_prepare: bool) -> None:
        if not self._members:
            raise UsageError(f"method 'ensemble' has no members; write {_HOW}")
        for member in self._members.values():
            load_method(member, only_prepare)

    def size(self) -> ModelSize | None:
        """Sum over the members that have a network, which compute twice if faces are mirrored."""
        sizes = [size for member in self._members.values() if (size := member.size()) is not None]
        if not sizes:
            return None
        times = 2 if self.options.mirror else 1
        return ModelSize(
            parameters=_sum([size.parameters for size in sizes]),
            weights_bytes=_sum([size.weights_bytes for size in sizes]),
            flops=_sum([size.flops for size in sizes] * times),
        )

    def unsupported_reason(
        self, dataset_name: str, has_camera: bool, has_landmarks: bool
    ) -> str | None:
        """Decline what any member declines."""
        for name, member in self._members.items():
            reason = member.unsupported_reason(dataset_name, has_camera, has_landmarks)
            if reason is not None:
                return f"{name}: {reason}"
        return None

    @property
    def stored_members(self) -> Sequence[StoredMethod]:
        """All members with stored predictions."""
        return [one for member in self._members.values() for one in member.stored_members]

    def incidents(self) -> list[str]:
        """Those of all members."""
        return [f"{name}: {one}" for name, m in self._members.items() for one in m.incidents()]

    def fingerprint_is_complete(self) -> bool:
        """Whether those of all members are."""
        return all(member.fingerprint_is_complete() for member in self._members.values())

    def prepare(self, face: Face) -> list[Any] | NoPrediction:
        """Inputs of all members, each of its own crop."""
        mirror = mirrored(face) if self.options.mirror else face
        inputs = []
        for name, member, is_mirror in self._votes:
            prepared = member.prepare(mirror if is_mirror else face)
            if isinstance(prepared, NoPrediction):
                return _of_member(name, prepared)
            inputs.append(prepared)
        return inputs

    def infer(self, batch: Sequence[list[Any]]) -> list[Any]:
        """Run one member after the other."""
        return [
            member.infer(list(inputs))
            for (_, member, _), inputs in zip(self._votes, zip(*batch, strict=True), strict=True)
        ]

    def decode(self, output: Sequence[Any]) -> list[Prediction | NoPrediction]:
        """Mean of the members' rotations for every face."""
        decoded = [
            valid_predictions(member, member.decode(found))
            for (_, member, _), found in zip(self._votes, output, strict=True)
        ]
        return [self._combined(predictions) for predictions in zip(*decoded, strict=True)]

    def _combined(
        self, predictions: Sequence[Prediction | NoPrediction]
    ) -> Prediction | NoPrediction:
        rotations = []
        for (name, _, is_mirror), one in zip(self._votes, predictions, strict=True):
            if isinstance(one, NoPrediction):
                return _of_member(name, one)
            rotations.append(mirror_rotation(one.R_cam) if is_mirror else one.R_cam)
        mean = geodesic_mean if self.options.average == "geodesic" else mean_rotation
        return combine(np.stack(rotations), mean)

    def synchronize(self) -> None:
        """Wait for all members."""
        for member in self._members.values():
            member.synchronize()


def combine(rotations: Array, mean: Callable[[npt.ArrayLike], Array] = mean_rotation) -> Prediction:
    """Mean of rotations, shape (members, 3, 3), with the confidence and spread that they give it.

    Examples
    --------
    >>> from hpbench.rotation import rotation_from_angles
    >>> found = combine(rotation_from_angles([[10.0, 0.0, 0.0], [14.0, 0.0, 0.0]]))
    >>> round(found.confidence, 3), found.spread_deg.round(3).tolist()
    (-2.0, [2.828, 0.0, 0.0])
    """
    R_cam = mean(rotations)
    angles_deg = angles_from_rotation(R_cam)
    differences = wrap_deg(nearest_angles(rotations, angles_deg) - angles_deg)
    spread_deg = np.sqrt((differences**2).sum(axis=0) / (len(rotations) - 1))
    apart_deg = np.sqrt(np.mean(geodesic_deg(rotations, R_cam) ** 2))
    return Prediction(R_cam, confidence=-float(apart_deg), spread_deg=spread_deg)


def geodesic_mean(rotations: npt.ArrayLike) -> Array:
    """Rotation with the least sum of squared angles to others (Karcher mean).

    Found by stepping along the mean of the rotation vectors to all of them, from the chordal mean
    (Manton, ICARCV 2004).

    Parameters
    ----------
    rotations : array_like, shape (n, 3, 3)

    Returns
    -------
    ndarray, shape (3, 3)
    """
    members = nearest_rotation(rotations)
    mean = mean_rotation(members)
    for _ in range(_STEPS):
        step = rotvec_from_rotation(mean.T @ members).mean(axis=0)
        mean = mean @ rotation_from_rotvec(step)
        if np.linalg.norm(step) < _CONVERGED_RAD:
            break
    return mean


def _of_member(name: str, none: NoPrediction) -> NoPrediction:
    """Why a member has no prediction, with its name; a failure stays one."""
    return replace(none, reason=f"{name}: {none.reason}")


def _sum(numbers: Sequence[int | None]) -> int | None:
    """Sum, or None where one is not known."""
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def _members_in(methods: str) -> list[Spec]:
    try:
        return parse_specs(methods, ";") if methods else []
    except UsageError as error:
        if not _has_commas_between(methods):
            raise
        raise UsageError(
            f"method 'ensemble': '{methods}': members have a semicolon between them: {_HOW}"
        ) from error


def _has_commas_between(methods: str) -> bool:
    try:
        return len(parse_specs(methods)) > 1
    except UsageError:
        return False
