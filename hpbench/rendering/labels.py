"""Rows of the label table of a rendered data set."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hpbench.face import intrinsics_of
from hpbench.storage.schemas import BOX_XYXY, rotation_cells

if TYPE_CHECKING:
    from hpbench.rendering.render_spec import RenderSpec
    from hpbench.rendering.renderer import Rendering
    from hpbench.rendering.scene import Scene

__all__ = ["LABELS_NAME", "RENDERER_VERSION", "label_row"]

LABELS_NAME = "labels.parquet"

RENDERER_VERSION = "3"
"""Raised whenever the same spec would give other images or labels.

Without a sweep, 2 draws what 1 drew; its sweeps take the hat off where hair is moved, give a
neutral face an expression where that is moved, and name the background that is seen.

3 draws the same heads, poses, landmarks and lights. Faces cast shadows whether a fringe is cut or
not (before, 85 of 100 had no shadow of the nose or chin), hair has one kind of edge, eyes have no
inside, and a picture takes little more than half the time. With fewer samples, one landmark in a
hundred moves in or out of sight.
"""


def label_row(
    image: str, scene: Scene, rendering: Rendering, swept: float | str | None, spec: RenderSpec
) -> dict[str, Any]:
    """One row of the label table; see ``docs/synthetic.md`` for the columns."""
    xy = rendering.landmarks_xy
    person = scene.identity
    box = [*xy.min(axis=0).tolist(), *xy.max(axis=0).tolist()]
    return {
        "image": image,
        "yaw_deg": scene.yaw_deg,
        "pitch_deg": scene.pitch_deg,
        "roll_deg": scene.roll_deg,
        **rotation_cells(rendering.R_cam),
        **dict(zip(BOX_XYXY, box, strict=True)),
        **intrinsics_of(rendering.camera_matrix),
        "landmarks_x": xy[:, 0].tolist(),
        "landmarks_y": xy[:, 1].tolist(),
        "landmarks_visible": rendering.landmarks_visible.tolist(),
        "identity": f"{spec.split}-{spec.seed}-{person.index:05d}",
        "sex": person.sex,
        "age": person.age,
        "african": person.origin[0],
        "asian": person.origin[1],
        "caucasian": person.origin[2],
        "skin": person.skin,
        "hair": person.hair if scene.occluder != "hat" else "none",
        "hair_colour": person.hair_colour,
        "fringe_kept_off_eyes": person.fringe_kept_off_eyes,
        "eyebrow": person.eyebrow,
        "eyelash": person.eyelash,
        "eye": person.eye,
        "cloth": person.cloth,
        "expression": scene.expression.name,
        "expression_weights": json.dumps(dict(scene.expression.weights)),
        "gaze_aside_deg": scene.gaze_deg[0],
        "gaze_up_deg": scene.gaze_deg[1],
        "torso_share": scene.torso_share,
        "light": "lamps" if scene.environment is None else "environment",
        "environment": scene.environment or "none",
        "light_azimuth_deg": scene.light_azimuth_deg
        if scene.environment
        else scene.lamps[0].azimuth_deg,
        "light_elevation_deg": None if scene.environment else scene.lamps[0].elevation_deg,
        "exposure_ev": scene.exposure_ev,
        "fov_deg": scene.fov_deg,
        "zoom": scene.zoom,
        "background": scene.background,
        "occluder": scene.occluder,
        "occlusion": scene.patch_share if scene.occluder == "patch" else 0.0,
        "blur_px": scene.post.blur_px,
        "jpeg_quality": scene.post.jpeg_quality,
        "split": spec.split,
        "seed": spec.seed,
        "sweep": spec.sweep.factor if spec.sweep else "none",
        "sweep_value": "" if swept is None else str(swept),
        "renderer_version": RENDERER_VERSION,
    }
