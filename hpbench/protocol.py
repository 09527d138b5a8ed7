"""Protocols: named, versioned, hashed settings under which results may be compared."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["EulerReading", "Protocol", "WrapRule", "content_named"]

EulerReading = Literal["nearest", "canonical", "rq"]
WrapRule = Literal["360", "none"]


def content_named(setting: str) -> str | None:
    """What a setting is the hash of the content of: ``table`` of ``table_sha256``; else None."""
    name = setting.removesuffix("_sha256")
    return None if name == setting else name


class Protocol(BaseModel):
    """Everything apart from the method that decides a result.

    Attributes
    ----------
    name : str
        ``default``, or the name of a protocol from the literature (``hopenet-paper``, ...).
    version : int
        Raised whenever the meaning of the protocol changes.
    dataset : str
        Name of the data set.
    summary : str
        One line for ``hpbench list`` and the report; not part of the hash.
    settings : dict
        Options of the data set that fix frames, exclusions and annotated boxes.
    boxes : str
        ``annotated``, or the detector that found the faces.
    euler : {'nearest', 'canonical', 'rq'}
        Which triple of angles is read from a predicted rotation: of its two exact triples the
        one nearer to the label; the one with yaw in -90..90; or the RQ order (a known mistake,
        kept to show what it does).
    wrap : {'360', 'none'}
        Error of an angle as min(e, 360 - e), or plain |a - b| as in Hopenet's script.
    """

    model_config = ConfigDict(frozen=True)

    name: str = "default"
    version: int = 1
    dataset: str
    summary: str = ""
    settings: dict[str, str | float | int | bool | None] = {}
    boxes: str = "annotated"
    euler: EulerReading = "nearest"
    wrap: WrapRule = "360"

    @classmethod
    def of(
        cls, dataset: str, options: BaseModel, summary: str, name: str = "default",
        wrap: WrapRule = "360",
    ) -> Protocol:  # fmt: skip
        """Protocol of a data set under some of its options."""
        settings = options.model_dump(mode="json")
        return cls(name=name, dataset=dataset, summary=summary, settings=settings, wrap=wrap)

    @property
    def hash(self) -> str:
        """First 12 hex digits of the SHA-256 over all fields but the summary."""
        fields = self.model_dump(mode="json", exclude={"summary"})
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def differences(self, other: Protocol) -> list[tuple[str, Any, Any]]:
        """Names of the fields and settings in the hash that differ, with both values."""
        fields = [one.model_dump(exclude={"summary", "settings"}) for one in (self, other)]
        return [
            (key, a.get(key), b.get(key))
            for a, b in (fields, (self.settings, other.settings))
            for key in sorted(a.keys() | b.keys())
            if a.get(key) != b.get(key)
        ]
