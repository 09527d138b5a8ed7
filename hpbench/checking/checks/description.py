"""What a method says of itself."""

from __future__ import annotations

import subprocess
import sys

from hpbench.checking.probe import Probe
from hpbench.checking.requirements import ConformanceError, NotApplicableError
from hpbench.method import MethodCard

__all__ = ["check_card", "check_light_import"]

_HEAVY = ("torch", "torchvision", "cv2", "dlib", "pandas", "matplotlib", "onnxruntime")

_PLACEHOLDER = "TODO"
"""Begins what the author of a generated package is to write (``hpbench new method``)."""

_IMPORT_ALONE = """
import importlib, runpy, sys
name, file, *heavy = sys.argv[1:]
try:
    importlib.import_module(name)
except ModuleNotFoundError as error:
    if error.name != name.partition(".")[0]:
        raise
    runpy.run_path(file)  # a single file, such as --plugin names
print(*(module for module in heavy if module in sys.modules))
"""


def check_card(probe: Probe) -> str | None:
    """States name, title, licence, weights' licence and crop rule."""
    card = probe.card
    if not isinstance(card, MethodCard):
        raise ConformanceError(f"card() returns a {type(card).__name__}, not a MethodCard")
    for field in ("name", "title", "licence", "crop_rule"):
        if not getattr(card, field):
            raise ConformanceError(f"the card states no {field}")
    if card.weights and not card.weights_licence:
        raise ConformanceError(
            "the card names weights and no weights_licence ('not known' is allowed)"
        )
    if card.weights and not card.trained_on and not card.notes:
        raise ConformanceError(
            "the card does not say what the weights were trained on: trained_on, or a note that "
            "it is not known"
        )
    written = {"summary": probe.method.summary, **dict(card)}
    todo = [name for name, text in written.items() if str(text).startswith(_PLACEHOLDER)]
    return f"still as generated, marked TODO: {', '.join(todo)}" if todo else None


def check_light_import(probe: Probe) -> None:
    """Its module imports without torch, OpenCV, dlib, pandas, ..."""
    name = type(probe.method).__module__
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        raise NotApplicableError("the class is not in a module that can be imported alone")
    command = [sys.executable, "-c", _IMPORT_ALONE, name, file, *_HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ConformanceError(f"'{name}' cannot be imported: {done.stderr.splitlines()[-1]}")
    if done.stdout.strip():
        raise ConformanceError(
            f"importing '{name}' loads {done.stdout.strip()}; move these imports into load() and "
            "the steps, so that 'hpbench --help' stays fast"
        )
