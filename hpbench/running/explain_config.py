"""What ``hpbench explain`` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from hpbench.arguments import Config, DataFolders, Files, Metavar, Plugins, Specs, Workers

__all__ = ["ExplainConfig"]


class ExplainConfig(Config):
    """Options of ``hpbench explain``."""

    rundir: Annotated[Path, Metavar("RUN", positional=True)] = Field(
        description="Folder that 'hpbench run' wrote."
    )
    data: DataFolders = Field({}, description="Folder of a data set of the run; repeatable.")
    allow: Files = Field(
        (),
        description="Other file that the run names, such as weights, or a folder that holds such "
        "files; repeatable.",
    )
    workers: Workers = None
    plugins: Plugins = ()
    methods: Specs = Field("", description="The run's methods, where their files have moved since.")
