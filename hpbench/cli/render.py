"""``hpbench render``: make a data set of rendered heads with exact poses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import typer
from pydantic import Field

from hpbench.arguments import Config, Metavar

__all__ = ["RenderConfig", "render"]

_RANGE = "Range in degrees."


class RenderConfig(Config):
    """Options of ``hpbench render``."""

    panels: ClassVar = {"Assets": "assets environments", "Poses": "yaw pitch roll sweep"}

    out: Annotated[Path, Metavar("OUT", positional=True)] = Field(
        description="Folder to write; an unfinished run in it is resumed."
    )
    count: int = Field(2000, ge=1, description="Number of images.")
    seed: int = Field(7, ge=0, lt=2**63, description="Random seed.")
    size: int = Field(256, ge=32, le=2048, description="Image width and height in pixels.")
    yaw: Annotated[str, Metavar("LOW:HIGH")] = Field("-90:90", description=_RANGE)
    pitch: Annotated[str, Metavar("LOW:HIGH")] = Field("-60:60", description=_RANGE)
    roll: Annotated[str, Metavar("LOW:HIGH")] = Field("-45:45", description=_RANGE)
    sweep: Annotated[str | None, Metavar("FACTOR=VALUES")] = Field(
        None,
        description="Move one factor and hold the rest, such as yaw=-90:90:2; also pitch, roll, "
        "fov, light_azimuth, light_elevation, exposure, expression, occlusion, hair, occluder.",
    )
    assets: Annotated[Path | None, Metavar("DIR")] = Field(
        None, description="MakeHuman data folder; $HPBENCH_ASSETS if not given."
    )
    environments: Annotated[Path | None, Metavar("DIR")] = Field(
        None,
        description="Folder of .exr panoramas; $HPBENCH_ENVIRONMENTS if not given, else lamps.",
    )
    workers: int = Field(1, ge=1, description="Processes that render.")
    split: Literal["train", "heldout", "all"] = Field(
        "train",
        description="train leaves out what the embedded sample is made of, heldout uses only "
        "that, all uses everything.",
    )
    per_identity: int = Field(6, ge=1, description="Consecutive images of the same person.")


def render(config: RenderConfig) -> None:
    """Render heads with exact poses into a folder that 'hpbench run' reads.

    The folder then is a data set: hpbench run --datasets synthetic --data synthetic=OUT

    Examples
    --------
    hpbench render renders --count 2000 --assets makehuman/data
    hpbench render yaw --sweep yaw=-90:90:10 --count 228 --per-identity 1
    """
    from hpbench.cli.terminal import open_bar, says_when_stopped
    from hpbench.rendering.assets import AssetLibrary, find_assets
    from hpbench.rendering.identity import available
    from hpbench.rendering.job import render_dataset
    from hpbench.rendering.render_spec import RenderSpec, parse_sweep
    from hpbench.rendering.scene import PoseRanges, parse_range

    ranges = PoseRanges(
        parse_range(config.yaw, "--yaw", 90.0),
        parse_range(config.pitch, "--pitch", 90.0),
        parse_range(config.roll, "--roll", 180.0),
    )
    hair_styles = sorted(AssetLibrary(find_assets(config.assets)).hair)
    sweep = config.sweep and parse_sweep(config.sweep, available("hair", hair_styles, config.split))
    shared = config.model_dump(include={"count", "seed", "size", "split", "per_identity"})
    spec = RenderSpec(**shared, ranges=ranges, sweep=sweep or None)
    words = "Stopped. To resume, repeat the command."
    with says_when_stopped(words), open_bar("rendering", spec.total) as advance:
        table = render_dataset(
            config.out, spec, config.assets, config.environments, config.workers, advance
        )
    typer.echo(f"{spec.total} images and {table}")
