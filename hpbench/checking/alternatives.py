"""What a method would predict if its input were made otherwise: other colours, another scale.

A wrong colour order, ``white``, ``mean`` or ``std``, or a softmax too many or too few, cannot be
undone in the predicted rotation, only before the network or right after it. So the faces are
predicted again under each alternative, and the one that brings the predictions nearest to the
labels is a mistake if that cannot be chance. Networks learn to bear odd colours and contrasts: on
plain images a wrong scale may cost nothing. What is left after those is predicted again on images
with exaggerated colours, and with more and less contrast and light, where it does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from hpbench.checking.requirements import Outcome
from hpbench.face import Face
from hpbench.inference.torch_method import IMAGENET_MEAN, IMAGENET_STD
from hpbench.method import Method, NoPrediction, Prediction
from hpbench.rotation import geodesic_deg
from hpbench.scoring.known_mistakes import MAX_FIXED_DEG, MIN_FACES, MIN_T, Mistake, t_of_gain

__all__ = ["Finding", "InputMistake", "errors_deg", "exchanged_colours", "find_input_mistake"]

Array = npt.NDArray[np.float64]
Stage = Literal["face", "input", "scores"]

MISSING_DEG = 90.0
"""Error of a face without a prediction: what an unrelated prediction has."""

HOPELESS_T = -1.0
"""An alternative whose errors are larger by so many standard errors is not tried any further; on
the first few faces twice as many are needed."""

PLAIN_GAIN = 0.3
"""An alternative that saves this share of the error on plain images needs no others."""

MIN_GAIN = 0.03
"""By which share an alternative has to lower the errors on all images to count.

Right methods are worse under every alternative; wrong ones that a network bears well gain little.
"""

SATURATION, CONTRASTS, DARK, BRIGHT = 3.0, (0.3, 2.5), 0.35, 0.35
"""How images are changed: factors of colour, of contrast, and of light and its opposite."""


@dataclass(frozen=True)
class InputMistake(Mistake):
    """A mistake that can be undone in a face, a prepared input, or the scores of bins.

    Attributes
    ----------
    stage : {'face', 'input', 'scores'}
    change : callable
        A face; pixels (0 to 255, colours last); or scores, bins last, as they ought to be.
    """

    stage: Stage
    change: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """The mistake that best explains the errors, over plain and changed images.

    Attributes
    ----------
    error_deg, fixed_deg : float
        Mean error as the method is and with the mistake undone.
    plain_deg, plain_fixed_deg : float
        The same on plain images.
    predicted, predicted_fixed : int
        Plain images with a prediction.
    """

    mistake: InputMistake
    error_deg: float
    fixed_deg: float
    plain_deg: float
    plain_fixed_deg: float
    predicted: int
    predicted_fixed: int


def exchanged_colours(face: Face) -> Face:
    """The face with red and blue exchanged."""
    return replace(face, image=np.ascontiguousarray(face.image[..., ::-1]))


def find_input_mistake(
    method: Method,
    faces: Sequence[Face],
    ground_truth: Array,
    stages: Collection[Stage] = get_args(Stage),
) -> Finding | None:
    """Find the mistake of a loaded method's input that its errors show, or None.

    Parameters
    ----------
    method : Method
    faces : sequence of Face
    ground_truth : ndarray, shape (n, 3, 3)
    stages : collection of str
        Where mistakes are looked for.
    """
    if len(faces) < MIN_FACES:
        return None
    candidates = {one: _Errors() for one in INPUT_MISTAKES if one.stage in stages}
    declared = _Errors()
    for number, (vary, chosen) in enumerate(_blocks(len(faces))):
        hopeless_t = HOPELESS_T if number else 2.0 * HOPELESS_T
        shown = [_varied(faces[index], vary) for index in chosen]
        truth = ground_truth[chosen]
        declared.add(errors_deg(method, shown, truth), vary is None)
        for mistake in list(candidates):
            errors = errors_deg(method, shown, truth, mistake)
            if errors is not None:
                candidates[mistake].add(errors, vary is None)
            if errors is None or candidates[mistake].is_hopeless(declared, hopeless_t):
                del candidates[mistake]
        gains = [errors.gain(declared) for errors in candidates.values()]
        if not gains or (number == PLAIN_BLOCKS - 1 and max(gains) > PLAIN_GAIN):
            break
    return _best(declared, candidates)


PLAIN_BLOCKS = 3


def _blocks(count: int) -> list[tuple[Callable[[Array], Array] | None, npt.NDArray[np.int64]]]:
    """How images are changed and which of 12 or more faces are shown: few of them first."""
    everyone = np.arange(count)
    few = everyone[:: count // MIN_FACES]
    more = np.setdiff1d(everyone[:: max(count // (3 * MIN_FACES), 1)], few)
    rest = np.setdiff1d(everyone, np.concatenate([few, more]))
    plain = [(None, block) for block in (few, more, rest) if len(block)]
    return plain + [(vary, everyone[i % 3 :: 3]) for i, vary in enumerate(_VARIATIONS)]


class _Errors:
    """Errors of the same faces and images, block by block."""

    def __init__(self) -> None:
        self.blocks: list[Array] = []
        self.plain: list[Array] = []

    def add(self, errors: Array | None, is_plain: bool) -> None:
        assert errors is not None
        self.blocks.append(errors)
        if is_plain:
            self.plain.append(errors)

    def all(self) -> Array:
        return np.concatenate(self.blocks)

    def mean(self) -> float:
        return float(self.all().mean())

    def plain_mean(self) -> float:
        return float(np.concatenate(self.plain).mean())

    def gain(self, declared: _Errors) -> float:
        """Which share of the declared method's errors they save, which may be none at all."""
        return 1.0 - self.mean() / max(declared.mean(), 1e-9)

    def predicted(self) -> int:
        return int((np.concatenate(self.plain) != MISSING_DEG).sum())

    def is_hopeless(self, declared: _Errors, t: float) -> bool:
        """Whether they are larger, or on many plain images so large that they explain nothing."""
        is_unrelated = len(self.plain) > 1 and self.plain_mean() > MAX_FIXED_DEG
        return is_unrelated or t_of_gain(self.all(), declared.all()) < t


def _best(declared: _Errors, candidates: dict[InputMistake, _Errors]) -> Finding | None:
    """The alternative with the smallest errors, if they are clearly smaller."""
    if not candidates:
        return None
    mistake, errors = min(candidates.items(), key=lambda item: item[1].mean())
    is_explained = errors.plain_mean() < MAX_FIXED_DEG
    if (
        not is_explained
        or errors.gain(declared) < MIN_GAIN
        or t_of_gain(errors.all(), declared.all()) < MIN_T
    ):
        return None
    return Finding(
        mistake=mistake,
        error_deg=declared.mean(),
        fixed_deg=errors.mean(),
        plain_deg=declared.plain_mean(),
        plain_fixed_deg=errors.plain_mean(),
        predicted=declared.predicted(),
        predicted_fixed=errors.predicted(),
    )


def errors_deg(
    method: Method, faces: Sequence[Face], ground_truth: Array, mistake: InputMistake | None = None
) -> Array | None:
    """Errors with a mistake undone, shape (n,), or None where it cannot be undone here."""
    try:
        outcomes = _predict(method, faces, mistake)
    except Exception:  # whatever a method raises on an input that it was not written for
        if mistake is None:
            raise
        return None
    errors = np.array(
        [
            float(geodesic_deg(one.R_cam, R)) if isinstance(one, Prediction) else MISSING_DEG
            for one, R in zip(outcomes, ground_truth, strict=True)
        ]
    )
    return np.where(np.isfinite(errors), errors, MISSING_DEG)


class _NotApplicableError(Exception):
    """The prepared input is no image, or there are no scores of bins."""


def _predict(
    method: Method, faces: Sequence[Face], mistake: InputMistake | None
) -> Sequence[Outcome]:
    """Predict faces with a mistake undone at its stage."""
    if mistake is None:
        return method.predict(faces)
    if mistake.stage == "face":
        return method.predict([mistake.change(face) for face in faces])
    prepared = [method.prepare(face) for face in faces]
    inputs = [value for value in prepared if _is_input(value)]
    if not inputs:
        raise _NotApplicableError
    if mistake.stage == "input":
        seen = (face for face, value in zip(faces, prepared, strict=True) if _is_input(value))
        darkest, brightest = _range_of(method, next(seen))
        change = _in_range(mistake.change, darkest, brightest)
        outputs = method.infer([_with_images(value, change) for value in inputs])
    else:
        outputs = _with_scores(method.infer(inputs), mistake.change)
    decoded = iter(method.decode(outputs))
    return [next(decoded) if _is_input(value) else value for value in prepared]


def _is_input(prepared: Any) -> bool:
    return not isinstance(prepared, NoPrediction)


# ---- prepared inputs ----------------------------------------------------------------------------


def _image_of(prepared: Any) -> npt.NDArray[Any]:
    """The image inside a prepared input, colours last."""
    parts = prepared if isinstance(prepared, tuple) else (prepared,)
    for part in parts:
        if _is_image(part):
            return _colours_last(np.asarray(part))
    raise _NotApplicableError


def _is_image(value: Any) -> bool:
    shape = tuple(getattr(value, "shape", ()))
    return len(shape) in (3, 4) and 3 in (shape[-1], shape[-3]) and min(shape[-2:]) > 0


def _colours_last(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return image if image.shape[-1] == 3 else np.moveaxis(image, -3, -1)


def _with_images(
    prepared: Any, change: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
) -> Any:
    """A prepared input with its images changed; what else it holds stays."""
    if isinstance(prepared, tuple):
        return tuple(_with_images(part, change) if _is_image(part) else part for part in prepared)
    values = np.asarray(prepared)
    changed = change(_colours_last(values).astype(np.float32)).astype(np.float32)
    if values.shape[-1] != 3:
        changed = np.moveaxis(changed, -1, -3)
    changed = np.ascontiguousarray(changed)
    if isinstance(prepared, np.ndarray):
        return changed
    import torch  # a prepared input that is no array is a tensor of a method that uses torch

    return torch.from_numpy(changed)


def _range_of(method: Method, face: Face) -> tuple[Array, Array]:
    """What black and white become in a prepared input, per colour.

    Where `prepare` scales pixels itself this tells how; bytes are left as they are.
    """
    if _image_of(method.prepare(face)).dtype == np.uint8:
        return np.zeros(3), np.full(3, 255.0)
    found = []
    for level in (0, 255):
        image = _image_of(method.prepare(replace(face, image=np.full_like(face.image, level))))
        found.append(np.median(image.reshape(-1, 3), axis=0))
    if not (found[0] < found[1]).all():
        raise _NotApplicableError
    return found[0], found[1]


def _in_range(
    change: Callable[[Array], Array], darkest: Array, brightest: Array
) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """A change of pixels 0 to 255 as one of values between `darkest` and `brightest`."""
    scale = (brightest - darkest) / 255.0

    def changed(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return (darkest + scale * change((values - darkest) / scale)).astype(np.float32)

    return changed


def _scaled_as(
    wanted: tuple[Array, Array], declared: tuple[Array, Array]
) -> Callable[[Array], Array]:
    """Pixels that, scaled as declared, give the input that the network wants."""
    (shift, scale), (old_shift, old_scale) = wanted, declared
    return lambda pixels: old_shift + old_scale * (pixels - shift) / scale


_MEAN, _STD = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
_NONE, _BYTES, _HALF = np.zeros(3), np.ones(3), np.full(3, 127.5)
_UNIT = np.full(3, 255.0)

_SCALES: dict[str, tuple[Array, Array]] = {
    "0..255": (_NONE, _BYTES),
    "0..1": (_NONE, _UNIT),
    "ImageNet's mean and std": (_MEAN, _STD),
    "-1..1": (_HALF, _HALF),
}
"""Usual inputs: ``(pixel - first) / second`` for pixels 0 to 255 in RGB."""


def _scaling_mistakes() -> list[InputMistake]:
    found = [
        InputMistake(
            _scaling_text(declared, wanted),
            "scaling",
            "input",
            _scaled_as(_SCALES[wanted], _SCALES[declared]),
        )
        for declared, wanted in permutations(_SCALES, 2)
    ]
    parts = {"ImageNet's": (_MEAN, _STD), "that of -1..1": (_HALF, _HALF)}
    for whose, (mean, std) in parts.items():
        missing = {
            "mean": _scaled_as((mean, std), (_NONE, std)),
            "std": _scaled_as((mean, std), (mean, _UNIT)),
        }
        found += [
            InputMistake(f"the {part} is missing ({whose})", "scaling", "input", change)
            for part, change in missing.items()
        ]
    bytes_std = _scaled_as((_HALF, _HALF), (_HALF, _BYTES))
    return [
        *found,
        InputMistake("the std is missing (that of -1..1 in bytes)", "scaling", "input", bytes_std),
    ]


def _scaling_text(declared: str, wanted: str) -> str:
    if {declared, wanted} == {"0..255", "0..1"}:
        return f"white is wrong (the input is scaled to {declared} and the network wants {wanted})"
    if declared in ("0..255", "0..1"):
        return f"mean and std are missing (the input is {declared}, the network wants {wanted})"
    if wanted in ("0..255", "0..1"):
        return f"mean and std are too many (the input is {declared}, the network wants {wanted})"
    return f"mean and std are wrong (the input is {declared}, the network wants {wanted})"


# ---- scores of bins -----------------------------------------------------------------------------


def _with_scores(outputs: Any, change: Callable[[Array], Array], is_one_head: bool = False) -> Any:
    """Outputs with the scores of bins changed, in each array that holds some; there must be one.

    Three arrays are one head each, as most exports of Hopenet give them: 66 bins are no 3 x 22.
    """
    if isinstance(outputs, list | tuple):
        held = [_holds_scores(part) for part in outputs]
        if not any(held):
            raise _NotApplicableError
        return type(outputs)(
            _with_scores(part, change, is_one_head=sum(held) == 3) if holds else part
            for part, holds in zip(outputs, held, strict=True)
        )
    if not _holds_scores(outputs):
        raise _NotApplicableError
    shape = tuple(outputs.shape)
    is_array = isinstance(outputs, np.ndarray)
    values = outputs if is_array else outputs.detach().cpu().numpy()
    # else three heads lie side by side, as hpbench's own networks give them
    is_one_head = is_one_head or len(shape) != 2 or shape[-1] % 3 != 0
    heads = values if is_one_head else values.reshape(shape[0], 3, -1)
    changed = change(heads).reshape(shape)
    return changed if is_array else outputs.new_tensor(changed)


_MIN_BINS = 18


def _holds_scores(outputs: Any) -> bool:
    if isinstance(outputs, list | tuple):
        return any(_holds_scores(part) for part in outputs)
    shape = tuple(getattr(outputs, "shape", ()))
    return len(shape) >= 2 and shape[-1] >= _MIN_BINS


def _softmax(scores: Array) -> Array:
    if _are_probabilities(scores):
        raise _NotApplicableError
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _logarithm(scores: Array) -> Array:
    if not _are_probabilities(scores):
        raise _NotApplicableError
    return np.log(np.maximum(scores, 1e-12))


def _are_probabilities(scores: Array) -> bool:
    return bool((scores >= 0.0).all() and np.allclose(scores.sum(axis=-1), 1.0, atol=1e-3))


INPUT_MISTAKES: tuple[InputMistake, ...] = (
    InputMistake("BGR for RGB", "colour", "face", exchanged_colours),
    *_scaling_mistakes(),
    InputMistake("logits are taken for probabilities", "scores", "scores", _softmax),
    InputMistake("probabilities are taken for logits", "scores", "scores", _logarithm),
)


# ---- changed images -----------------------------------------------------------------------------


def _varied(face: Face, vary: Callable[[Array], Array] | None) -> Face:
    """The face in a changed image, or as it is."""
    if vary is None:
        return face
    changed = np.clip(np.rint(vary(face.image.astype(np.float64))), 0.0, 255.0)
    return replace(face, image=changed.astype(np.uint8))


def _vivid(pixels: Array) -> Array:
    grey = (pixels @ np.array([0.299, 0.587, 0.114]))[..., None]
    return np.asarray(grey + SATURATION * (pixels - grey))


def _contrast(factor: float) -> Callable[[Array], Array]:
    return lambda pixels: pixels.mean() + factor * (pixels - pixels.mean())


_VARIATIONS: tuple[Callable[[Array], Array], ...] = (
    _vivid,
    _contrast(CONTRASTS[0]),
    _contrast(CONTRASTS[1]),
    lambda pixels: DARK * pixels,
    lambda pixels: 255.0 - BRIGHT * (255.0 - pixels),
    _vivid,
)
