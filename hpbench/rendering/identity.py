"""Who a rendered head is: demographics, shape, expression, and what it wears.

A draw is a small value (names and weights) that can be written into a label table; turning
it into vertices is a separate, deterministic step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpbench.errors import UsageError
from hpbench.rendering.asset_files import Floats
from hpbench.rendering.assets import FACE_TARGET_FOLDERS, AssetLibrary

__all__ = [
    "HELD_OUT",
    "Expression",
    "Identity",
    "Split",
    "available",
    "draw_expression",
    "draw_identity",
    "morph",
]

Split = Literal["train", "heldout", "all"]
Weights = tuple[tuple[str, float], ...]

HELD_OUT: Mapping[str, frozenset[str]] = {
    "skin": frozenset({
        "middleage_darkskinned_female_diffuse", "old_darkskinned_male_diffuse",
        "old_lightskinned_male_diffuse2", "young_lightskinned_female_diffuse3",
        "young_lightskinned_male_diffuse3",
    }),
    "hair": frozenset({"bob02", "short02", "short03"}),
    "environment": frozenset({"lobby", "park", "studio", "sunset", "venice", "workshop"}),
}  # fmt: skip
"""What only the held-out split may use: the embedded sample is drawn from these, so that a
method trained on ``--split train`` has seen none of its skins, hair or light."""

ORIGINS = ("african", "asian", "caucasian")

# Natural hair colours as linear reflectance, and how common they are.
HAIR_COLOURS: Mapping[str, tuple[tuple[float, float, float], float]] = {
    "black": ((0.016, 0.014, 0.013), 0.36),
    "brown": ((0.070, 0.043, 0.027), 0.34),
    "blond": ((0.280, 0.195, 0.115), 0.18),
    "red": ((0.170, 0.068, 0.030), 0.06),
    "grey": ((0.300, 0.295, 0.285), 0.06),
}


@dataclass(frozen=True)
class Identity:
    """One person: everything that stays the same over that person's images.

    ``shape`` holds morph-target names and weights; the rest are names of assets or colours
    (linear factors on a texture). ``sex`` is 0 female .. 1 male, ``origin`` the shares of
    MakeHuman's african, asian and caucasian base shapes.
    """

    index: int
    sex: float
    age: str
    origin: tuple[float, float, float]
    shape: Weights
    skin: str
    skin_tint: tuple[float, float, float]
    hair: str
    hair_colour: str
    hair_tint: tuple[float, float, float]
    fringe_kept_off_eyes: bool
    eyebrow: str
    eyelash: str
    eye: str
    cloth: str
    cloth_tint: tuple[float, float, float]
    cloth_bleach: float


@dataclass(frozen=True)
class Expression:
    """A facial expression: morph-target names and weights, and a name for tables."""

    name: str
    weights: Weights

    def scaled(self, factor: float) -> Expression:
        """The same expression, ``factor`` times as strong (0 is neutral)."""
        return Expression(self.name, tuple((name, w * factor) for name, w in self.weights))


def available(kind: str, names: Sequence[str], split: Split) -> list[str]:
    """Those of ``names`` that a split may use: all, or those (not) in ``HELD_OUT[kind]``."""
    reserved = HELD_OUT[kind]
    if split == "all":
        return list(names)
    kept = [name for name in names if (name in reserved) == (split == "heldout")]
    if not kept:
        raise UsageError(f"--split {split}: no {kind} is left; add assets or use --split all")
    return kept


def draw_identity(
    rng: np.random.Generator, library: AssetLibrary, split: Split, index: int
) -> Identity:
    """Draw a person at random.

    Sexes are drawn evenly, origins from a Dirichlet distribution that favours clear mixtures
    without excluding any, ages from child to old with most of them adult.
    """
    male = bool(rng.random() < 0.5)
    sex = float(rng.uniform(0.85, 1.0) if male else rng.uniform(0.0, 0.15))
    age, age_weights = _draw_age(rng)
    origin = rng.dirichlet([0.5, 0.5, 0.5])
    shape = _macro_weights(rng, sex, age_weights, origin) + _local_weights(rng, library)
    skin = _choose_skin(rng, available("skin", sorted(library.skins), split), male, age, origin[0])
    colour, tint = _draw_hair_colour(rng, age, origin)
    return Identity(
        index=index,
        sex=sex,
        age=age,
        origin=(float(origin[0]), float(origin[1]), float(origin[2])),
        shape=shape,
        skin=skin,
        skin_tint=_colour(rng.normal(1.0, 0.06) + rng.normal(0.0, 0.03, 3), 0.8, 1.15),
        hair=_choose_hair(rng, available("hair", sorted(library.hair), split), male, age),
        hair_colour=colour,
        hair_tint=tint,
        fringe_kept_off_eyes=bool(rng.random() < 0.85),
        eyebrow=str(rng.choice(sorted(library.eyebrows))),
        eyelash=str(rng.choice(sorted(library.eyelashes))),
        eye=_choose_eye(rng, sorted(library.eye_colours), origin),
        cloth=_choose_by_sex(rng, sorted(library.clothes), male),
        cloth_tint=_colour(rng.uniform(0.2, 1.6) * rng.uniform(0.45, 1.0, 3), 0.05, 1.6),
        cloth_bleach=float(rng.choice([0.3, 0.95], p=[0.3, 0.7])),
    )


def draw_expression(
    rng: np.random.Generator, library: AssetLibrary, identity: Identity
) -> Expression:
    """Draw an expression; most are mild, as in photographs of people who are not acting."""
    kind = str(rng.choice(["neutral", "smile", "talk", "frown", "surprise", "blink", "mixed"],
                          p=[0.22, 0.26, 0.14, 0.1, 0.08, 0.06, 0.14]))  # fmt: skip
    strength = float(rng.uniform(0.3, 0.9))
    recipes: Mapping[str, Mapping[str, float]] = {
        "neutral": {},
        "smile": {
            "mouth-corner-puller": 0.9,
            "mouth-parling": float(rng.uniform(0, 0.7)),
            "mouth-elevation": float(rng.uniform(0, 0.3)),
            **_both_sides("eye-left-slit", 0.25),
        },
        "talk": {"mouth-open": float(rng.uniform(0.2, 0.7)), "mouth-retraction": 0.2},
        "frown": {
            **_both_sides("eyebrows-left-down", 0.7),
            "mouth-depression": float(rng.uniform(0, 0.5)),
        },
        "surprise": {
            **_both_sides("eyebrows-left-up", 0.8),
            **_both_sides("eye-left-opened-up", 0.6),
            "mouth-open": float(rng.uniform(0.1, 0.6)),
        },
        "blink": _both_sides("eye-left-closure", 0.9),
        "mixed": {},
    }
    units = {name: weight * strength for name, weight in recipes[kind].items()}
    folder = f"expression/{ORIGINS[int(np.argmax(identity.origin))]}/"
    names = sorted(n.removeprefix(folder) for n in library.targets if n.startswith(folder))
    if kind == "mixed":
        for name in rng.choice(names, 3, replace=False):
            units |= _both_sides(str(name), float(rng.uniform(0.1, 0.6)))
    weights = tuple((folder + name, w) for name, w in sorted(units.items()) if name in names)
    return Expression(kind, weights)


def morph(library: AssetLibrary, weights: Weights, vertices: Floats | None = None) -> Floats:
    """Vertices (B, 3) with morph targets added; without ``vertices``, to the base mesh."""
    start = library.body.vertices if vertices is None else vertices
    morphed = start.copy()
    for name, weight in weights:
        target = library.target(name)
        morphed[target.indices] += np.float32(weight) * target.offsets
    return morphed


def _draw_age(rng: np.random.Generator) -> tuple[str, dict[str, float]]:
    """An age group and the weights of MakeHuman's young, old and child shapes."""
    age = str(rng.choice(["young", "middle", "old", "child"], p=[0.45, 0.28, 0.17, 0.1]))
    if age == "child":
        child = float(rng.uniform(0.2, 0.6))
        return age, {"young": 1.0 - child, "child": child}
    old = {"young": 0.0, "middle": rng.uniform(0.2, 0.6), "old": rng.uniform(0.6, 1.0)}[age]
    return age, {"young": 1.0 - float(old), "old": float(old)}


def _macro_weights(
    rng: np.random.Generator,
    sex: float,
    age_weights: Mapping[str, float],
    origin: NDArray[np.float64],
) -> Weights:
    """Weights of MakeHuman's whole-body targets, which multiply sex, age, origin, build."""
    weight_axis, muscle_axis = float(rng.uniform(-0.8, 0.8)), float(rng.uniform(-0.5, 0.8))
    builds = {
        f"{muscle}-{weight}": muscle_share * weight_share
        for muscle, muscle_share in _between("muscle", muscle_axis).items()
        for weight, weight_share in _between("weight", weight_axis).items()
    }
    weights: list[tuple[str, float]] = []
    for sex_name, sex_share in (("male", sex), ("female", 1.0 - sex)):
        for age_name, age_share in age_weights.items():
            share = sex_share * age_share
            if share == 0.0:
                continue
            weights += [
                (f"macro/{name}-{sex_name}-{age_name}", share * float(part))
                for name, part in zip(ORIGINS, origin, strict=True)
            ]
            weights += [
                (f"macro/universal-{sex_name}-{age_name}-{build}", share * build_share)
                for build, build_share in builds.items()
            ]
    return tuple(weights)


def _between(name: str, value: float) -> dict[str, float]:
    """Shares of MakeHuman's min, average and max shapes for a value in -1..1."""
    extreme = f"max{name}" if value > 0 else f"min{name}"
    return {f"average{name}": 1.0 - abs(value), extreme: abs(value)}


def _local_weights(rng: np.random.Generator, library: AssetLibrary) -> Weights:
    """Weights of local face targets, about one in eight at a time, nearly symmetrical."""
    # These move or tilt the whole head and would change what the labelled pose means.
    moves_the_head = ("head-angle", "head-trans", "neck-trans")
    names = sorted(
        name
        for name in library.targets
        if name.split("/")[0] in FACE_TARGET_FOLDERS
        and "/r-" not in name
        and not any(part in name for part in moves_the_head)
    )
    weights: list[tuple[str, float]] = []
    for name in names:
        if rng.random() >= 0.12:
            continue
        weight = float(min(abs(rng.normal(0.0, 0.33)), 0.85))
        weights.append((name, weight))
        if "/l-" in name:
            weights.append((name.replace("/l-", "/r-"), weight * float(rng.uniform(0.85, 1.15))))
    return tuple(weights)


def _choose_skin(
    rng: np.random.Generator, names: Sequence[str], male: bool, age: str, african: float
) -> str:
    """A skin that fits sex, tone and age as far as the folder has one."""
    wanted_age = {"child": "young", "middle": "middleage"}.get(age, age)
    candidates = list(names)
    for fits in (
        lambda name: ("_darkskinned" in name) == (african > 0.45),
        lambda name: ("_female" in name) != male,
        lambda name: name.startswith(wanted_age),
    ):
        candidates = list(filter(fits, candidates)) or candidates
    return str(rng.choice(candidates))


def _choose_hair(rng: np.random.Generator, names: Sequence[str], male: bool, age: str) -> str:
    """A hair style, or ``none``: a shaved or bald head."""
    bald = {"old": 0.35, "child": 0.03}.get(age, 0.18) if male else 0.02
    if rng.random() < bald:
        return "none"
    fitting = [n for n in names if n.startswith("short") == male] or list(names)
    # A woman with short hair is common, a man with a bob or a plait is not.
    if rng.random() < (0.06 if male else 0.3):
        fitting = list(names)
    return str(rng.choice(fitting))


def _choose_by_sex(rng: np.random.Generator, names: Sequence[str], male: bool) -> str:
    fitting = [name for name in names if name.startswith("female") != male]
    return str(rng.choice(fitting or list(names)))


def _choose_eye(rng: np.random.Generator, names: Sequence[str], origin: NDArray[np.float64]) -> str:
    brown = [name for name in names if "brown" in name]
    if brown and rng.random() < 0.35 + 0.6 * (1.0 - origin[2]):
        return str(rng.choice(brown))
    return str(rng.choice(list(names)))


def _draw_hair_colour(
    rng: np.random.Generator, age: str, origin: NDArray[np.float64]
) -> tuple[str, tuple[float, float, float]]:
    names = list(HAIR_COLOURS)
    shares = np.array([HAIR_COLOURS[name][1] for name in names])
    if origin[2] < 0.5:
        shares = shares * np.array([4.0, 1.0, 0.1, 0.1, 1.0])
    if age == "old":
        shares[names.index("grey")] = 1.5 * shares.sum()
    if age == "child":
        shares[names.index("grey")] = 0.0
    name = str(rng.choice(names, p=shares / shares.sum()))
    return name, _colour(np.array(HAIR_COLOURS[name][0]) * rng.uniform(0.7, 1.4), 0.0, 1.0)


def _both_sides(name: str, weight: float) -> dict[str, float]:
    return {
        name: weight,
        name.replace("left", "right"): weight,
        name.replace("right", "left"): weight,
    }


def _colour(values: NDArray[np.float64], low: float, high: float) -> tuple[float, float, float]:
    red, green, blue = np.clip(values, low, high)
    return float(red), float(green), float(blue)
