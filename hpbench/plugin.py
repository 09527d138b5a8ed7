"""What methods, data sets and face detectors have in common."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from hpbench.spec import Spec

__all__ = ["CONTRACT_VERSION", "BaseOptions", "Options", "Plugin", "WeightsInfo"]

CONTRACT_VERSION = 2
"""Version of the plugin contracts; a plugin that was written for another one is refused."""


class Options(BaseModel):
    """Base of the options of a plugin: immutable, unknown keys refused.

    Field descriptions are shown by ``hpbench list --options``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


BaseOptions = Options
"""The base class under a second name: plugins have a class attribute called ``Options``."""


class WeightsInfo(BaseModel):
    """One weights file that a plugin knows by name.

    Attributes
    ----------
    name : str
        As in ``hpbench weights fetch NAME``.
    trained_on : tuple of str
        Names of data sets.
    sha256, git_blob : str or None
        What pins the content; git's id of a file (SHA-1 over a header and the content) is public
        for every file of a public repository, also where no SHA-256 is known.
    git_blob_url : str
        Where that id can be asked for: the contents address of GitHub's API, at a fixed commit.
    source : str
        Where the file comes from, for a person.
    file : str
        Its name in the user's cache; empty if it is not kept there.
    url : str
        Where a program can fetch it; empty if only a person can.
    path : Path or None
        Where the file is on this machine; None when it has to be fetched first.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    summary: str
    licence: str
    trained_on: tuple[str, ...]
    size_bytes: int | None = None
    sha256: str | None = None
    git_blob: str | None = None
    git_blob_url: str = ""
    source: str = ""
    file: str = ""
    url: str = ""
    path: Path | None = None

    @property
    def can_be_fetched(self) -> bool:
        """Whether a program can fetch the file and verify it."""
        return bool(self.url and (self.sha256 or self.git_blob or self.git_blob_url))

    @property
    def by_hand(self) -> str:
        """What a person does who fetches the file: "get it from ..."."""
        steps = f"get it from {self.source or self.url}"
        return f"{steps}, then 'hpbench weights add {self.name} FILE'" if self.file else steps


class Plugin(ABC):
    """Base class of every kind of plugin.

    The module that holds a plugin class must import fast: heavy libraries belong into its methods.

    Parameters
    ----------
    options : Options
        An instance of the class attribute ``Options``.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    """One line for ``hpbench list``."""
    Options: ClassVar[type[BaseOptions]] = BaseOptions
    contract: ClassVar[int] = CONTRACT_VERSION

    def __init__(self, options: BaseOptions | None = None) -> None:
        self.options: Any = options if options is not None else self.Options()

    @classmethod
    def claims(cls, text: str) -> Spec | None:
        """Spec that a text stands for which names no plugin, or None.

        A plugin that is described by a file claims its path: ``labels.csv`` stands for
        ``table=labels.csv``. The file need not exist.
        """
        return None

    def spec_in_tables(self, spec: Spec) -> Spec:
        """Spec by which tables and run folders name the plugin, from the one that the user wrote.

        A plugin that a file describes puts the file's own name in the place of its path, so that
        it is the same one from any folder.
        """
        return spec

    def fingerprint_is_complete(self) -> bool:
        """Whether the fingerprint covers the content of every file that is read in ``load``.

        Otherwise files that Python code opens in ``load`` are noted, with their paths.
        """
        return False

    @classmethod
    def missing(cls) -> str | None:
        """What has to be installed or fetched before the plugin can be used, or None.

        ``hpbench list`` asks every plugin, so nothing heavy may be imported to find out.
        """
        return None

    @classmethod
    def named_weights(cls) -> Sequence[WeightsInfo]:
        """Weights that ``hpbench weights`` lists; those on this machine carry their path."""
        return ()

    @classmethod
    def validate_weights(cls, info: WeightsInfo, file: Path) -> None:
        """Refuse a file that cannot be the named weights, before ``hpbench weights add`` keeps it.

        Raises
        ------
        hpbench.errors.WeightsError
            With what the file holds instead.
        """
