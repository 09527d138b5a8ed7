"""The embedded sample: what ``hpbench run`` uses when no data set is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from hpbench.dataset import Dataset, DatasetCard, Record
from hpbench.datasets.rendered_labels import RENDER_DOMAIN_NOTE, read_records
from hpbench.protocol import Protocol

__all__ = ["Sample"]


class Sample(Dataset):
    """Rendered faces with exact poses that ship with hpbench."""

    name: ClassVar[str] = "sample"
    summary: ClassVar[str] = "144 rendered faces with exact poses, shipped with hpbench"
    needs_root: ClassVar[bool] = False
    resample: ClassVar[Literal["image", "group"]] = "group"
    card: ClassVar[DatasetCard] = DatasetCard(
        name="sample",
        title="hpbench sample",
        licence="Apache-2.0, as hpbench; made with CC0 assets",
        how_to_get="It comes with hpbench",
        domain="render",
        label_source="exact: the rotation that the head was rendered with",
        notes=(
            RENDER_DOMAIN_NOTE,
            "Skins, hair, environments and identities are reserved for it: no training split of "
            "'hpbench render' uses them.",
            "It shows that an installation works; it is too small to rank methods that differ by "
            "less than about a degree.",
        ),
    )
    protocols: ClassVar[tuple[Protocol, ...]] = (
        Protocol(dataset="sample", summary="all 144 renders, box of the 68 points"),
    )

    def records(self) -> Sequence[Record]:
        """Index of all faces; see :meth:`hpbench.dataset.Dataset.records`."""
        return read_records(Path(__file__).resolve().parent)
