"""Which mistakes `hpbench check` finds in every network of the zoo, and how it names them.

    python benchmarks/planted_mistakes.py [--weights DIR] [--methods tddfa,fsanet] [--out FILE.md]

Each mistake is made in each method: in the rotation it returns, in the scaling and colour order of
its input (or in these lines of its card), in the decoding of its bins. The checks of conventions
then see the embedded sample, as `hpbench check` does. Methods whose weights are not on this machine
are left out and named. `--weights` is a folder with networks and cards (tddfa.toml, lwhpe.toml).
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from hpbench.checking.conformance import CHECKS, Probe, run_check
from hpbench.errors import HpbenchError
from hpbench.method import Method, Prediction
from hpbench.registry import METHODS, make_dataset, make_method
from hpbench.rotation import angles_from_rotation, geodesic_deg, rotation_from_angles

S = np.diag([1.0, -1.0, -1.0])
CONVENTIONS = [check for check in CHECKS if check.__module__.endswith("checks.conventions")]
GEOMETRY = [check for check in CHECKS if check.__module__.endswith("checks.geometry")]


@dataclass(frozen=True)
class Plant:
    """A mistake: what it is, how a method is made with it, and how it is rightly named."""

    name: str
    make: Callable[[], Method]
    check: str
    words: str


@dataclass(frozen=True)
class Found:
    """What the checks said of one planted mistake."""

    method: str
    plant: str
    is_named: bool
    said: str
    harm: float
    seconds: float


# ---- mistakes in the rotation -------------------------------------------------------------------

Change = Callable[[np.ndarray], np.ndarray]


def signs(*factors: float) -> Change:
    return lambda R: rotation_from_angles(angles_from_rotation(R) * factors)


def places(*columns: int) -> Change:
    return lambda R: rotation_from_angles(angles_from_rotation(R)[:, list(columns)])


def shifted(*degrees: float) -> Change:
    return lambda R: rotation_from_angles(angles_from_rotation(R) + degrees)


def put_together_as_rq(R: np.ndarray) -> np.ndarray:
    yaw, pitch, roll = angles_from_rotation(R).T
    return Rotation.from_euler("xyz", np.stack([-pitch, yaw, roll], 1), degrees=True).as_matrix()


def read_as_rq(R: np.ndarray) -> np.ndarray:
    x, y, z = Rotation.from_matrix(R).as_euler("xyz", degrees=True).T
    return rotation_from_angles(np.stack([y, -x, z], axis=1))


ROTATION_PLANTS: tuple[tuple[str, Change, str, str], ...] = (
    ("sign of yaw", signs(-1, 1, 1), "signs", "sign of yaw is"),
    ("sign of pitch", signs(1, -1, 1), "signs", "sign of pitch is"),
    ("sign of roll", signs(1, 1, -1), "signs", "sign of roll is"),
    ("frame with y up kept", lambda R: S @ R @ S, "signs", "yaw and roll is.*y up"),
    ("6DRepNet's frame kept", lambda R: S @ np.swapaxes(R, 1, 2) @ S, "euler_order", "inverted"),
    ("matrix transposed", lambda R: np.swapaxes(R, 1, 2), "euler_order", "inverted"),
    ("yaw and pitch exchanged", places(1, 0, 2), "euler_order", "yaw and pitch are"),
    ("pitch and roll exchanged", places(0, 2, 1), "euler_order", "pitch and roll are"),
    ("order roll, yaw, pitch", places(2, 0, 1), "euler_order", "order is roll, yaw, pitch"),
    ("put together in RQ order", put_together_as_rq, "euler_order", r"as Rz.* Ry.* Rx.* instead"),
    ("angles of RQDecomp3x3", read_as_rq, "euler_order", "RQDecomp3x3"),
    (
        "radians for degrees",
        lambda R: rotation_from_angles(np.radians(angles_from_rotation(R))),
        "angle_unit",
        "radians",
    ),
    ("offset -90 for -99", shifted(9, 9, 9), "offset", "offset_deg"),
    ("offset of yaw -180 for -99", shifted(-81, 0, 0), "offset", "offset_deg.*yaw"),
)


def with_rotation(make: Callable[[], Method], change: Change) -> Callable[[], Method]:
    """A method whose predictions are changed in the last step."""

    def planted() -> Method:
        method = make()
        decode = method.decode

        def wrong(output: Any) -> list[Any]:
            return [
                replace(one, R_cam=change(one.R_cam[None])[0])
                if isinstance(one, Prediction)
                else one
                for one in decode(output)
            ]

        method.decode = wrong  # type: ignore[method-assign]
        return method

    return planted


# ---- mistakes in the input ----------------------------------------------------------------------

IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
NOTHING = ((0.0,) * 3, (1.0,) * 3)
UNIT = ((0.0,) * 3, (255.0,) * 3)
Scaling = tuple[Sequence[float], Sequence[float]]


def wrong_scalings(
    mean: Sequence[float], std: Sequence[float]
) -> Iterator[tuple[str, Scaling, str]]:
    """Mistakes of a network whose input is ``(pixel - mean) / std``, with their names."""
    if not any(mean):
        yield "white 1 for 255", UNIT, "white"
        yield "mean and std of ImageNet for none", IMAGENET, "mean|std"
        return
    if mean[0] == mean[1]:  # -1 to 1: the code bases scale from bytes
        plain, missing_std, wrong_white = NOTHING, (1.0,) * 3, 255.0
        yield "white 1 for 255", (np.multiply(mean, 255.0), np.multiply(std, 255.0)), "white"
    else:
        plain, missing_std, wrong_white = UNIT, (255.0,) * 3, 1.0 / 255.0
        yield (
            "white 255 for 1",
            (np.multiply(mean, wrong_white), np.multiply(std, wrong_white)),
            "white",
        )
    yield "mean and std missing", plain, "mean|std"
    yield "mean missing", (plain[0], std), "mean"
    yield "std missing", (mean, missing_std), "std"


def torch_plants(make: Callable[[], Any]) -> Iterator[Plant]:
    """Wrong scalings and colours of a method that is one torch network."""

    def with_scaling(scaling: Scaling) -> Callable[[], Method]:
        def planted() -> Method:
            method = make()
            method.mean, method.std = (tuple(map(float, values)) for values in scaling)
            return method

        return planted

    def with_colours() -> Method:
        method = make()
        order = "RGB" if method.facts.colour_order == "BGR" else "BGR"
        method.facts = method.facts.model_copy(update={"colour_order": order})
        return method

    right = make()
    for name, scaling, words in wrong_scalings(right.mean, right.std):
        yield Plant(name, with_scaling(scaling), "input_scaling", words)
    yield Plant("RGB and BGR exchanged", with_colours, "colour_order", "BGR")


def adas_plants(make: Callable[[], Any]) -> Iterator[Plant]:
    """The same for OpenVINO's network, whose input is bytes."""

    def with_pixels(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[], Method]:
        def planted() -> Method:
            method = make()
            infer = method.infer
            method.infer = lambda batch: infer([change(one) for one in batch])
            return method

        return planted

    for name, (mean, std), words in wrong_scalings(*NOTHING):
        change = partial(lambda pixels, mean, std: (pixels - mean) / std, mean=mean, std=std)
        yield Plant(name, with_pixels(change), "input_scaling", words)
    colours = with_pixels(lambda pixels: pixels[..., ::-1])
    yield Plant("RGB and BGR exchanged", colours, "colour_order", "BGR")


def face_plants(make: Callable[[], Any]) -> Iterator[Plant]:
    """Exchanged colours of a method that detects landmarks itself."""

    def planted() -> Method:
        method = make()
        prepare = method.prepare
        method.prepare = lambda face: prepare(
            replace(face, image=np.ascontiguousarray(face.image[..., ::-1]))
        )
        return method

    yield Plant("RGB and BGR exchanged", planted, "colour_order", "BGR")


# ---- mistakes in the decoding of bins -----------------------------------------------------------


def lwhpe_scores(make: Callable[[], Any]) -> Iterator[Plant]:
    """Logits that are taken for probabilities."""
    from hpbench.methods.lwhpe.method import _BIN_VALUES_DEG

    def planted() -> Method:
        method = make()
        method.rotations = lambda outputs: (
            rotation_from_angles(outputs.reshape(-1, 3, 66) @ _BIN_VALUES_DEG),
            np.zeros(len(outputs)),
        )
        return method

    yield Plant("logits for probabilities", planted, "scores", "logits are taken")


# ---- mistakes in a card -------------------------------------------------------------------------


def card_plants(text: str, folder: Path, work: Path) -> Iterator[Plant]:
    """Mistakes as lines of a card: each is one line that another network's card has."""
    values = dict(re.findall(r"^(\w+) = (.+)$", text, re.M))

    def with_lines(**lines: str) -> Callable[[], Method]:
        changed = text
        for key, line in lines.items():
            changed = re.sub(rf"^{key} = .+$", f"{key} = {line}", changed, flags=re.M)
        assert changed != text
        number = len(list(work.iterdir()))
        file = work / f"card{number}.toml"
        file.write_text(changed)
        return lambda: make_method(f"card[file={file},weights={folder}]")

    white = float(values["white"])
    yield Plant(
        f"white {256 - white:g} for {white:g}",
        with_lines(white=f"{256.0 - white}"),
        "input_scaling",
        "white",
    )
    for name, lines, words in (
        ("mean and std missing", {"mean": "0.0", "std": "1.0"}, "mean|std"),
        ("mean missing", {"mean": "0.0"}, "mean"),
        ("std missing", {"std": "1.0"}, "std"),
    ):
        yield Plant(name, with_lines(**lines), "input_scaling", words)
    order = '"RGB"' if "BGR" in values["colour_order"] else '"BGR"'
    yield Plant("RGB and BGR exchanged", with_lines(colour_order=order), "colour_order", "BGR")
    if "order" in values:
        first = re.findall(r'"(\w+)"', values["order"])
        for angle in ("yaw", "pitch", "roll"):
            line = values["order"].replace(f'"{angle}"', f'"-{angle}"')
            yield Plant(f"sign of {angle}", with_lines(order=line), "signs", f"sign of {angle} is")
        for one, other in (("yaw", "pitch"), ("pitch", "roll"), ("yaw", "roll")):
            swap = {one: other, other: one}
            line = "[" + ", ".join(f'"{swap.get(angle, angle)}"' for angle in first) + "]"
            words = "exchanged" if "roll" in (one, other) and one == "yaw" else f"{one} and {other}"
            yield Plant(
                f"{one} and {other} exchanged", with_lines(order=line), "euler_order", words
            )
    if values["kind"] == '"angles"':
        yield Plant("radians for degrees", with_lines(unit='"rad"'), "angle_unit", "degrees read")
        rq = with_lines(unit='"deg"\neuler = "rq"')
        yield Plant("put together in RQ order", rq, "euler_order", r"as Rz.* Ry.* Rx.* instead")
    if values["kind"] == '"bins"':
        scores = with_lines(scores='"probabilities"')
        yield Plant("logits for probabilities", scores, "scores", "logits are taken")
        offset = float(values["offset_deg"])
        for wrong in (offset + 9.0, 0.0):
            planted = with_lines(offset_deg=f"{wrong}")
            yield Plant(f"offset {wrong:g} for {offset:g}", planted, "offset", "offset_deg")
    if "frame" in values:
        for frame, check, words in (
            ("camera", "signs", "yaw and roll is.*y up"),
            ("6drepnet", "euler_order", "inverted"),
            ("opal", "signs", "pitch and roll is"),
        ):
            yield Plant(f"frame {frame}", with_lines(frame=f'"{frame}"'), check, words)


def exported_hopenet(work: Path, *, softmax: bool) -> str:
    """The bundled Hopenet as an ONNX network with bins, and the text of its card."""
    import torch
    from torch import nn

    method: Any = make_method("hopenet")
    method.load()
    loaded = method._require_loaded()

    class Bins(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = loaded.network

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            scores = self.network(pixels).reshape(len(pixels), 3, -1)
            return scores.softmax(2) if softmax else scores

    size = method.input_size
    name = "probabilities" if softmax else "logits"
    torch.onnx.export(
        Bins().eval(), torch.zeros(1, 3, size, size), str(work / f"{name}.onnx"), dynamo=False
    )
    bins = loaded.bins
    return f"""schema = 1
name = "hopenet-{name}"
title = "Hopenet, exported"
licence = "Apache-2.0"
trained_on = []

[[weights]]
file = "{name}.onnx"

[input]
width = {size}
height = {size}
colour_order = "RGB"
white = 1.0
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
fit = "centre"
filter = "pillow-bilinear"

[crop]
rule = "{method._crop}"
k = {method._k}

[output]
kind = "bins"
order = ["yaw", "pitch", "roll"]
width_deg = {bins.width_deg}
offset_deg = {bins.decode_offset_deg}
scores = "{name}"
"""


# ---- the table ----------------------------------------------------------------------------------


def subjects(weights: Path | None, work: Path) -> Iterator[tuple[str, Callable[[], list[Plant]]]]:
    """Name of every method, and what makes its plants; the first plant is the right method."""

    def built_in(spec: str, *kinds: Callable[..., Iterator[Plant]]) -> list[Plant]:
        make = lambda: make_method(spec)  # noqa: E731
        right = Plant("none", make, "", "")
        turned = [
            Plant(name, with_rotation(make, change), check, words)
            for name, change, check, words in ROTATION_PLANTS
        ]
        return [right, *turned, *(plant for kind in kinds for plant in kind(make))]

    def card(text: str, folder: Path) -> list[Plant]:
        own = work / str(len(list(work.iterdir())))
        own.mkdir()
        (own / "right.toml").write_text(text)
        right = lambda: make_method(f"card[file={own / 'right.toml'},weights={folder}]")  # noqa: E731
        return [Plant("none", right, "", ""), *card_plants(text, folder, own)]

    yield "hopenet", lambda: built_in("hopenet", torch_plants)
    yield "hopenet lite", lambda: built_in("hopenet[weights=lite]", torch_plants)
    yield "tddfa", lambda: built_in("tddfa", torch_plants)
    yield "lwhpe", lambda: built_in("lwhpe", torch_plants, lwhpe_scores)
    yield "whenet", lambda: built_in("whenet", torch_plants)
    yield "adas", lambda: built_in("adas", adas_plants)
    yield "fsanet", lambda: built_in("fsanet")
    yield "pnp", lambda: built_in("pnp", face_plants)
    yield "facemesh", lambda: built_in("facemesh", face_plants)

    def fsanet() -> list[Plant]:
        cls: Any = METHODS.load("fsanet")
        if cls.missing():
            raise HpbenchError(cls.missing())
        here = cls.named_weights()[0].path
        return card(cls.card_file.read_text(), here.parent)

    yield "fsanet card", fsanet
    for name in ("tddfa", "lwhpe"):
        if weights is not None and (weights / f"{name}.toml").is_file():
            text = (weights / f"{name}.toml").read_text()
            yield f"{name} card", lambda text=text: card(text, weights)

    def exported() -> list[Plant]:
        return card(exported_hopenet(work, softmax=False), work)

    def with_two_softmaxes() -> list[Plant]:
        text = exported_hopenet(work, softmax=True)
        for name, scores in (("right", "probabilities"), ("wrong", "logits")):
            line = f'scores = "{scores}"'
            (work / f"{name}.toml").write_text(text.replace('scores = "probabilities"', line))
        right, wrong = (
            partial(make_method, f"card[file={work / name}.toml,weights={work}]")
            for name in ("right", "wrong")
        )
        name = "probabilities for logits"
        return [
            Plant("none", right, "", ""),
            Plant(name, wrong, "scores", "probabilities are taken"),
        ]

    yield "hopenet card (logits)", exported
    yield "hopenet card (probabilities)", with_two_softmaxes


def examine(method: str, plant: Plant, base: Probe, right_deg: float | None) -> tuple[Found, float]:
    """Run the checks on a method with a planted mistake."""
    began = perf_counter()
    probe = replace(base, make=plant.make)
    checks = [*CONVENTIONS, *(GEOMETRY if plant.name == "none" else [])]
    results = [run_check(check, probe) for check in checks]
    failed = {one.name: one.reason for one in results if one.status == "failed"}
    _, R, truth = probe.predicted()
    error = float(geodesic_deg(R, truth).mean()) if len(R) else 90.0
    said = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
    is_named = (
        not failed
        if not plant.check
        else (set(failed) == {plant.check} and bool(re.search(plant.words, failed[plant.check])))
    )
    harm = 0.0 if right_deg is None else error / right_deg - 1.0
    return Found(method, plant.name, is_named, said, harm, perf_counter() - began), error


def table(found: Sequence[Found]) -> str:
    """Mistakes by methods in Markdown: named, or what was said, and the harm where nothing was."""
    methods = list(dict.fromkeys(one.method for one in found))
    lines = [f"| mistake | {' | '.join(methods)} |", "|---|" + "---|" * len(methods)]
    cells = {(one.plant, one.method): one for one in found}
    for plant in dict.fromkeys(one.plant for one in found):
        row = [_cell(cells.get((plant, method))) for method in methods]
        lines.append(f"| {plant} | {' | '.join(row)} |")
    return "\n".join(lines)


def _cell(one: Found | None) -> str:
    if one is None:
        return ""
    if one.is_named:
        return "passes" if one.plant == "none" else "named"
    if not one.said:
        return f"**not found**, error {one.harm:+.0%}"
    return f"**{one.said.split(':')[0]}**"


def main() -> None:
    """Plant every mistake, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="folder with tddfa.toml, lwhpe.toml")
    parser.add_argument("--methods", default="", help="only these, comma-separated")
    parser.add_argument("--mistakes", default="", help="only those that match this expression")
    parser.add_argument("--out", type=Path, help="write the table there, too")
    arguments = parser.parse_args()
    only = [name for name in arguments.methods.split(",") if name]
    base = Probe.of(lambda: make_method("constant"), make_dataset("sample"))
    found: list[Found] = []
    with tempfile.TemporaryDirectory() as folder:
        for method, plants in subjects(arguments.weights, Path(folder)):
            if only and method not in only:
                continue
            right_deg = None
            try:
                for plant in plants():
                    if plant.check and not re.search(arguments.mistakes, plant.name):
                        continue
                    one, error = examine(method, plant, base, right_deg)
                    right_deg = right_deg or error
                    found.append(one)
                    mark = "ok " if one.is_named else "BAD"
                    print(
                        f"{mark} {method}: {plant.name} ({one.harm:+.0%}, {one.seconds:.0f} s)"
                        f" {'' if one.is_named else one.said}",
                        flush=True,
                    )
            except HpbenchError as error:
                print(f"-   {method}: left out: {error}", file=sys.stderr)
    planted = [one for one in found if one.plant != "none"]
    harmful = [one for one in planted if one.harm > HARMFUL]
    summary = [
        f"{sum(one.is_named for one in some)} of {len(some)} {what}"
        for some, what in (
            (planted, "planted mistakes are rightly named"),
            (harmful, f"of those that raise the error by more than {HARMFUL:.0%}"),
            ([one for one in found if one.plant == "none"], "right methods pass"),
        )
    ]
    text = f"{table(found)}\n\n" + "\n".join(summary)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


HARMFUL = 0.05

if __name__ == "__main__":
    main()
