"""From an identity and an expression to rest-pose meshes, ready for the renderer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpbench.rendering.asset_files import Floats, Ints, Mesh, Part
from hpbench.rendering.assets import AssetLibrary
from hpbench.rendering.geometry import NormalOperator
from hpbench.rendering.identity import Expression, Identity, morph
from hpbench.rotation import rotation_from_angles

__all__ = [
    "HEAD_FRAME_PITCH_DEG",
    "LANDMARK_VERTICES",
    "LOWEST_BODY_DM",
    "HeadBuilder",
    "Layer",
    "mesh_from_label",
    "rotate_eyes",
]

LOWEST_BODY_DM = 3.2
"""Body faces lower than this (the upper chest) are never in the image."""

HEAD_FRAME_PITCH_DEG = -4.0
"""Labelled pitch of a MakeHuman head that the mesh's own axes call frontal.

A head frame is a convention: a face model's "straight ahead" is whatever its makers took it for.
Labels of 300W-LP and AFLW2000 come from fits of one face model, and MakeHuman's neutral head
looks up a little in that model's frame. ``docs/synthetic.md`` says how it was measured.
"""

LANDMARK_VERTICES = np.array(
    [
        # jaw, from the person's right ear over the chin to the left ear
        5741, 5602, 5759, 5242, 735, 915, 891, 921, 747,
        7623, 7593, 7617, 7455, 11851, 12356, 12199, 12338,
        # brows, right then left
        261, 225, 204, 205, 209, 6984, 6980, 6979, 6999, 7030,
        # nose: bridge, then base
        133, 131, 164, 294, 320, 313, 317, 7076, 7082,
        # eyes, right then left
        4855, 4849, 4865, 72, 4862, 6777, 6856, 11483, 11467, 11473, 13373, 11480,
        # outer lips, inner lips
        422, 5351, 450, 466, 7210, 11953, 7182, 7166, 7241, 492, 486, 406,
        418, 472, 474, 7228, 7178, 7243, 494, 488,
    ],
    np.int32,
)  # fmt: skip
"""The 68 iBUG landmarks as vertices of the MakeHuman base mesh, shape (68,).

Found once by running a 68-point predictor that was trained on photographs (dlib's, 300-W) over
near-frontal renders of sixty identities, taking the median position of each point on the mesh,
and making left and right the same. Vertices 60 to 67 are the inner edges of the lips, upper and
lower apart, so they part when the mouth opens.
"""


@dataclass(frozen=True)
class Layer:
    """One mesh of a head in its rest pose: ``vertices`` and ``normals``, both (V, 3)."""

    name: str
    vertices: Floats
    normals: Floats


class HeadBuilder:
    """Builds rest-pose meshes; keeps what the same person's images share."""

    def __init__(self, library: AssetLibrary) -> None:
        self.library = library
        body = library.body
        shown = (body.vertices[:, 1] > LOWEST_BODY_DM)[body.faces].all(axis=1)
        self.body = Mesh(body.vertices, body.uv, body.faces[shown], body.face_uv[shown])
        self._normal_operators: dict[str, NormalOperator] = {}
        self._person: Identity | None = None

    def neutral(self, identity: Identity) -> Floats:
        """Base-mesh vertices (B, 3) of a person without expression."""
        if self._person != identity:
            self._neutral = morph(self.library, identity.shape)
            self._worn: dict[str, Layer] = {}
            self._person = identity
        return self._neutral

    def expressive(self, identity: Identity, expression: Expression) -> Floats:
        """Base-mesh vertices (B, 3) with an expression."""
        return morph(self.library, expression.weights, self.neutral(identity))

    def body_layer(self, vertices: Floats) -> Layer:
        """Skin of head, neck and shoulders."""
        return self._layer("body", self.body.faces, vertices)

    def part_layer(self, part: Part, fitted: Floats) -> Layer:
        """A part whose vertices (V, 3) were fitted to the head."""
        return self._layer(part.name, part.mesh.faces, fitted)

    def worn_layer(self, part: Part, identity: Identity) -> Layer:
        """A part that does not feel expressions (hair, clothes, hat), kept per person."""
        neutral = self.neutral(identity)
        if part.name not in self._worn:
            self._worn[part.name] = self.part_layer(part, part.fit(neutral))
        return self._worn[part.name]

    def share_of(self, part: Part) -> Floats:
        """How far each vertex of a part follows the skull (V,)."""
        return np.clip(part.transfer(self.library.head_share), 0.0, 1.0).astype(np.float32)

    def fringe_box(self, vertices: Floats) -> tuple[float, float, float, float]:
        """Centre x, half width, lowest y and rearmost z of the space before eyes and brows."""
        left = self.library.joint(vertices, "eye.L____head")
        right = self.library.joint(vertices, "eye.R____head")
        apart = float(abs(left[0] - right[0]))
        middle = (left + right) / 2
        x, y, z = (float(value) for value in middle)
        return x, 1.05 * apart, y + 0.50 * apart, z - 0.25 * apart

    def _layer(self, name: str, faces: Ints, vertices: Floats) -> Layer:
        if name not in self._normal_operators:
            self._normal_operators[name] = NormalOperator(faces, len(vertices))
        return Layer(name, vertices, self._normal_operators[name](vertices))


def mesh_from_label(R_cam: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation (3, 3) of the mesh that shows the labelled rotation ``R_cam`` (3, 3)."""
    mesh: NDArray[np.float64] = R_cam @ rotation_from_angles([0.0, HEAD_FRAME_PITCH_DEG, 0.0]).T
    return mesh


def rotate_eyes(
    eyes: Floats, centres: tuple[Floats, Floats], gaze_deg: tuple[float, float]
) -> Floats:
    """Eyeball vertices (V, 3) turned to look aside and up, each about its own centre.

    ``centres`` (3,) are those of the person's left eye, at positive x, and of the right one;
    ``gaze_deg`` are degrees towards the image's right, and upwards, relative to the head.
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
