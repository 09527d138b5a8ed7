"""Drawn predictions: one panel per method, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpbench.geometry.pose_drawing import DrawStyle, draw_face
from hpbench.geometry.text_drawing import draw_text, enlarge_small, side_by_side
from hpbench.predicting.faces import FrameResult
from hpbench.spec import parse_spec

__all__ = ["draw_result", "short_names"]

Pixels = npt.NDArray[np.uint8]


def draw_result(
    result: FrameResult,
    methods: Sequence[str],
    style: DrawStyle = "axes",
    max_width_px: int | None = None,
) -> Pixels:
    """Draw the poses of all faces, with one panel per method side by side, in the order given.

    The frame must have an image. Small images are enlarged by a whole factor, so that the angles
    can be read, thin ones by less; the panels are reduced to fit into `max_width_px`.
    """
    image = result.frame.image
    if image is None:
        raise ValueError(f"{result.frame.name}: there is no image to draw into")
    image, scale = _fit(image, len(methods), max_width_px)
    panels = []
    for name in methods:
        panel = image
        for face in reversed(result.faces):  # the surest on top
            R_cam = face.shown_rotation(name)
            words = [f"face {face.track}"] if face.track is not None else []
            words += ["no prediction"] if R_cam is None else []
            unsure = name in face.unsure
            words += ["unsure"] if unsure else []
            box = (face.box_xyxy + 0.5) * scale - 0.5
            panel = draw_face(panel, box, R_cam, style, " ".join(words), pale=unsure)
        if not result.faces:
            panel = draw_text(panel, ["no face found"], (0.0, panel.shape[0]), 14)
        panels.append(panel)
    titles = short_names(methods) if len(methods) > 1 else [""]
    return side_by_side(panels, titles)


def _fit(image: Pixels, panels: int, max_width_px: int | None) -> tuple[Pixels, float]:
    """Enlarge or reduce an image for drawing; also the factor."""
    import cv2

    image, factor = enlarge_small(image, panels)
    height, width = image.shape[:2]
    if max_width_px is None or panels * width <= max_width_px:
        return image, float(factor)
    reduced = max_width_px // panels
    size_wh = (reduced, max(1, round(height * reduced / width)))
    small = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8), factor * reduced / width


def short_names(methods: Sequence[str]) -> list[str]:
    """Method specs as a reader needs them: plain names where they differ, files without folders.

    Examples
    --------
    >>> short_names(["hopenet[weights=/data/a.pkl]", "pnp"])
    ['hopenet', 'pnp']
    >>> short_names(["hopenet[weights=/data/a.pkl]", "hopenet[weights=/data/b.pkl]"])
    ['hopenet weights=a.pkl', 'hopenet weights=b.pkl']
    """
    specs = [parse_spec(name) for name in methods]
    if len({spec.name for spec in specs}) == len(specs):
        return [spec.name for spec in specs]
    return [
        " ".join([spec.name, *(f"{key}={Path(text).name}" for key, text in spec.options.items())])
        for spec in specs
    ]
