"""From an identity and an expression to rest-pose meshes, ready for the renderer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpbench.rendering.asset_files import Floats, Ints, Mesh, Part
from hpbench.rendering.assets import AssetLibrary
from hpbench.rendering.geometry import NormalOperator
from hpbench.rendering.identity import Expression, Identity, morph

__all__ = ["LOWEST_BODY_DM", "FringeBox", "HeadBuilder", "Layer", "rotate_eyes"]

LOWEST_BODY_DM = 3.2
"""Body faces lower than this (the upper chest) are never in the image."""


@dataclass(frozen=True)
class Layer:
    """One mesh of a head in its rest pose: ``vertices`` and ``normals``, both (V, 3)."""

    name: str
    vertices: Floats
    normals: Floats


@dataclass(frozen=True)
class FringeBox:
    """The space before the eyes that hair is kept out of, in rest coordinates."""

    centre_x: float
    half_width: float
    lowest_y: float
    behind_z: float


class HeadBuilder:
    """Builds rest-pose meshes; keeps what the same person's images share.

    Parameters
    ----------
    library
        Where shapes and parts come from.
    """

    def __init__(self, library: AssetLibrary) -> None:
        self.library = library
        body = library.body
        shown = (body.vertices[:, 1] > LOWEST_BODY_DM)[body.faces].all(axis=1)
        self.body = Mesh(body.vertices, body.uv, body.faces[shown], body.face_uv[shown])
        self._normal_operators: dict[str, NormalOperator] = {}
        self._neutral: tuple[Identity, Floats] | None = None
        self._worn: tuple[Identity, dict[str, Layer]] | None = None

    def neutral(self, identity: Identity) -> Floats:
        """Base-mesh vertices (B, 3) of a person without expression."""
        if self._neutral is None or self._neutral[0] != identity:
            self._neutral = (identity, morph(self.library, identity.shape))
        return self._neutral[1]

    def expressive(self, identity: Identity, expression: Expression) -> Floats:
        """Base-mesh vertices (B, 3) with an expression."""
        return morph(self.library, expression.weights, self.neutral(identity))

    def body_layer(self, vertices: Floats) -> Layer:
        """Skin of head, neck and shoulders."""
        return self._layer("body", self.body.faces, vertices)

    def part_layer(self, part: Part, vertices: Floats) -> Layer:
        """A part that moves with the expression (eyes, brows, lashes, teeth)."""
        return self._layer(part.name, part.mesh.faces, part.fit(vertices))

    def part_layer_from(self, part: Part, fitted: Floats) -> Layer:
        """The same for part vertices (V, 3) that were moved after fitting."""
        return self._layer(part.name, part.mesh.faces, fitted)

    def worn_layer(self, part: Part, identity: Identity) -> Layer:
        """A part that does not feel expressions (hair, clothes, hat), kept per person."""
        if self._worn is None or self._worn[0] != identity:
            self._worn = (identity, {})
        layers = self._worn[1]
        if part.name not in layers:
            layers[part.name] = self.part_layer(part, self.neutral(identity))
        return layers[part.name]

    def share_of(self, part: Part) -> Floats:
        """How far each vertex of a part follows the skull (V,)."""
        return np.clip(part.transfer(self.library.head_share), 0.0, 1.0).astype(np.float32)

    def fringe_box(self, vertices: Floats) -> FringeBox:
        """The space in front of this person's eyes and brows, from below the eyes upwards."""
        left = self.library.joint(vertices, "eye.L____head")
        right = self.library.joint(vertices, "eye.R____head")
        apart = float(abs(left[0] - right[0]))
        middle = (left + right) / 2
        return FringeBox(
            centre_x=float(middle[0]),
            half_width=1.05 * apart,
            lowest_y=float(middle[1]) + 0.50 * apart,
            behind_z=float(middle[2]) - 0.25 * apart,
        )

    def skin_texture_path(self, identity: Identity) -> Path:
        """The texture of a person's skin."""
        return self.library.skins[identity.skin]

    def _layer(self, name: str, faces: Ints, vertices: Floats) -> Layer:
        if name not in self._normal_operators:
            self._normal_operators[name] = NormalOperator(faces, len(vertices))
        return Layer(name, vertices, self._normal_operators[name](vertices))


def rotate_eyes(
    eyes: Floats, centres: tuple[Floats, Floats], gaze_deg: tuple[float, float]
) -> Floats:
    """Eyeball vertices (V, 3) turned to look aside and up, each about its own centre.

    Parameters
    ----------
    eyes : ndarray, shape (V, 3)
    centres
        Centres (3,) of the left and the right eye (the person's left, at positive x).
    gaze_deg
        Degrees towards the image's right, and upwards, relative to the head.
    """
    aside, up = np.radians(gaze_deg)
    turn = np.array(
        [[np.cos(aside), 0, np.sin(aside)], [0, 1, 0], [-np.sin(aside), 0, np.cos(aside)]]
    ) @ np.array([[1, 0, 0], [0, np.cos(up), np.sin(up)], [0, -np.sin(up), np.cos(up)]])
    middle_x = (centres[0][0] + centres[1][0]) / 2
    turned = eyes.copy()
    for centre, mine in ((centres[0], eyes[:, 0] > middle_x), (centres[1], eyes[:, 0] <= middle_x)):
        turned[mine] = (eyes[mine] - centre) @ turn.T.astype(np.float32) + centre
    return turned
