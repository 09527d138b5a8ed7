"""Weights that the ``weights`` option of ``hopenet`` knows by name."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from hpbench.errors import WeightsError
from hpbench.method import WeightsInfo
from hpbench.weights.named import with_paths
from hpbench.weights.store import sha256_of

__all__ = ["BACKBONES", "named_weights"]

_AUTHORS_LICENCE = "code Apache-2.0; weights trained on 300W-LP, whose images are for research only"

_authors = partial(WeightsInfo, licence=_AUTHORS_LICENCE, trained_on=("w300lp",))

_FETCHED: tuple[WeightsInfo, ...] = (
    _authors(
        name="alpha1",
        summary="ResNet-50 of the paper, alpha 1",
        source="https://drive.google.com/open?id=1EJPu2sOAwrfuamTitTkw2xJ2ipmMsmD3",
        file="hopenet_alpha1.pkl",
    ),
    _authors(
        name="alpha2",
        summary="ResNet-50 of the paper, alpha 2",
        source="https://drive.google.com/open?id=16OZdRULgUpceMKZV6U9PNFiigfjezsCY",
        file="hopenet_alpha2.pkl",
    ),
    _authors(
        name="robust",
        summary="ResNet-50 of the authors, alpha 1, trained to bear poor image quality",
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
        url="https://github.com/OverEuro/deep-head-pose-lite/raw/a969f6c/model/shuff_epoch_120.pkl",
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


def named_weights() -> tuple[WeightsInfo, ...]:
    """All weights with a name, the bundled ones first; those on this machine carry their path."""
    from hpbench.methods.hopenet.card import read_card

    (bundled,) = (Path(__file__).parent / "weights").glob("*.safetensors")
    card = read_card(bundled)
    if card is None:
        raise WeightsError(f"{bundled}: bundled weights without a card; reinstall hpbench")
    info = WeightsInfo(
        name="bundled",
        summary=card.summary,
        licence=card.licence,
        trained_on=card.trained_on,
        size_bytes=bundled.stat().st_size,
        sha256=sha256_of(bundled),
        source="comes with hpbench",
        path=bundled,
    )
    return info, *with_paths(_FETCHED)
