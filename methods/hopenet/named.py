"""Weights that the ``weights`` option of ``hopenet`` knows by name."""

from __future__ import annotations

from pathlib import Path

from hpbench.errors import UsageError, WeightsError
from hpbench.method import WeightsInfo
from hpbench.spec import suggest
from hpbench.weights.store import cached_file, sha256_of

__all__ = ["BACKBONES", "BUNDLED", "bundled_weights", "named_weights", "resolve_weights"]

_PACKAGE_FOLDER = Path(__file__).parent / "weights"

BUNDLED = "bundled"
"""Name of the weights that come with hpbench."""

_AUTHORS_LICENCE = "code Apache-2.0; weights trained on 300W-LP, whose images are for research only"

_LITE_REPOSITORY = "https://github.com/OverEuro/deep-head-pose-lite"

_FETCHED: tuple[WeightsInfo, ...] = (
    WeightsInfo(
        name="alpha1",
        summary="ResNet-50 of the paper, alpha 1",
        licence=_AUTHORS_LICENCE,
        trained_on=("w300lp",),
        source="https://drive.google.com/open?id=1EJPu2sOAwrfuamTitTkw2xJ2ipmMsmD3",
        file="hopenet_alpha1.pkl",
    ),
    WeightsInfo(
        name="alpha2",
        summary="ResNet-50 of the paper, alpha 2",
        licence=_AUTHORS_LICENCE,
        trained_on=("w300lp",),
        source="https://drive.google.com/open?id=16OZdRULgUpceMKZV6U9PNFiigfjezsCY",
        file="hopenet_alpha2.pkl",
    ),
    WeightsInfo(
        name="robust",
        summary="ResNet-50 of the authors, alpha 1, trained to bear poor image quality",
        licence=_AUTHORS_LICENCE,
        trained_on=("w300lp",),
        source="https://drive.google.com/open?id=1m25PrSE7g9D2q2XJVMR6IA7RaCvWSzCR",
        file="hopenet_robust_alpha1.pkl",
        size_bytes=95_924_799,
        sha256="1e0c6ddfda0e19a679607480c10875020de29b3984f187ec311c5e0802b6b6d5",
    ),
    WeightsInfo(
        name="lite",
        summary="ShuffleNetV2 x1.0 of deep-head-pose-lite",
        licence="Apache-2.0; trained on 300W-LP, whose images are for research only",
        trained_on=("w300lp",),
        source="https://github.com/OverEuro/deep-head-pose-lite/tree/a969f6c/model",
        file="shuff_epoch_120.pkl",
        url=f"{_LITE_REPOSITORY}/raw/a969f6c/model/shuff_epoch_120.pkl",
        git_blob_url="https://api.github.com/repos/OverEuro/deep-head-pose-lite/contents/"
        "model/shuff_epoch_120.pkl?ref=a969f6c",
    ),
)


BACKBONES = {
    "alpha1": "resnet50",
    "alpha2": "resnet50",
    "robust": "resnet50",
    "lite": "shufflenet_v2_x1_0",
}
"""Networks of the named weights, which a file of another one cannot be."""


def bundled_weights() -> Path | None:
    """File of the weights that come with hpbench, or None where there are none."""
    files = sorted(_PACKAGE_FOLDER.glob("*.safetensors"))
    return files[0] if files else None


def named_weights() -> tuple[WeightsInfo, ...]:
    """All weights with a name; those that are on this machine carry their path and size."""
    known = [_bundled_info()] if bundled_weights() is not None else []
    for info in _FETCHED:
        path = cached_file(info.file)
        size = path.stat().st_size if path is not None else info.size_bytes
        known.append(info.model_copy(update={"path": path, "size_bytes": size}))
    return tuple(known)


def _bundled_info() -> WeightsInfo:
    from hpbench.methods.hopenet.card import read_card

    path = bundled_weights()
    assert path is not None
    card = read_card(path)
    if card is None:
        raise WeightsError(f"{path}: bundled weights without a card; reinstall hpbench")
    return WeightsInfo(
        name=BUNDLED,
        summary=card.summary,
        licence=card.licence,
        trained_on=card.trained_on,
        size_bytes=path.stat().st_size,
        sha256=sha256_of(path),
        source="comes with hpbench",
        path=path,
    )


def resolve_weights(weights: str) -> Path:
    """File behind the ``weights`` option.

    Parameters
    ----------
    weights : str
        A path, a name, or empty for the weights that come with hpbench.

    Raises
    ------
    UsageError
        If nothing is asked for and nothing is bundled, or the name is unknown.
    WeightsError
        If a named file has not been fetched yet, or a path does not exist.
    """
    if not weights or weights == BUNDLED:
        path = bundled_weights()
        if path is None:
            raise UsageError(
                "method 'hopenet' has no weights yet: give hopenet[weights=FILE] a state dict of "
                "deep-head-pose, deep-head-pose-lite or 'hpbench train hopenet'; "
                "'hpbench weights' lists where to get some"
            )
        return path
    for info in _FETCHED:
        if weights == info.name:
            path = cached_file(info.file)
            if path is None:
                mend = (
                    f"hpbench weights fetch {info.name}"
                    if info.url
                    else f"get them from {info.source}, then hpbench weights add {info.name} FILE"
                )
                raise WeightsError(
                    f"weights '{weights}' ({info.file}) are not on this machine: {mend}"
                )
            return path
    path = Path(weights).expanduser()
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise WeightsError(f"{path}: no such weights file")
    names = [info.name for info in named_weights()]
    raise UsageError(f"no weights '{weights}', and no such file; {suggest(weights, names)}")
