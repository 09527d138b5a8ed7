"""The data set of a folder that ``hpbench render`` wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from hpbench.dataset import Dataset, DatasetCard, Record
from hpbench.datasets.rendered_labels import RENDER_DOMAIN_NOTE, read_records
from hpbench.protocol import Protocol
from hpbench.rendering.labels import LABELS_NAME

__all__ = ["Synthetic"]


class Synthetic(Dataset):
    """Rendered heads with exact poses: ``--datasets synthetic --data synthetic=OUT``."""

    name: ClassVar[str] = "synthetic"
    summary: ClassVar[str] = "heads rendered by 'hpbench render', with exact poses"
    resample: ClassVar[Literal["image", "group"]] = "group"
    label_file: ClassVar[str] = LABELS_NAME
    card: ClassVar[DatasetCard] = DatasetCard(
        name="synthetic",
        title="Synthetic heads",
        licence="the renders are their maker's own; MakeHuman assets and environments are CC0",
        how_to_get="Render it: hpbench render OUT --count 2000 --seed 7",
        domain="render",
        label_source="exact: the rotation that the head was rendered with",
        notes=(
            RENDER_DOMAIN_NOTE,
            "Poses are given in the head frame of 300W-LP labels; the constant turn from the "
            "mesh's own axes is known to about 1.5 degrees of pitch.",
            "Confidence intervals resample identities.",
        ),
    )
    protocols: ClassVar[tuple[Protocol, ...]] = (
        Protocol(
            dataset="synthetic",
            summary="all renders, box of the 68 points; the label table's hash is part of it",
        ),
    )

    def protocol_settings(self) -> dict[str, Any]:
        """The label table's hash: other renders are another protocol."""
        path = self.require_folder() / LABELS_NAME
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
        return {**super().protocol_settings(), "labels_sha256": digest}

    def records(self) -> Sequence[Record]:
        """Index of all renders; see :meth:`hpbench.dataset.Dataset.records`."""
        return read_records(self.require_folder())
