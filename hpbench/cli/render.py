"""``hpbench render``: make a data set of rendered heads with exact poses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["render"]


def render(
    out: Annotated[Path, typer.Argument(help="Folder to write; an unfinished run goes on.")],
    n: Annotated[int, typer.Option("--n", min=1, help="Number of images.")] = 2000,
    seed: Annotated[int, typer.Option(help="Root of all randomness.", min=0)] = 7,
    size: Annotated[int, typer.Option(help="Image width and height in pixels.")] = 256,
    yaw: Annotated[str, typer.Option(help="Range LOW:HIGH in degrees.")] = "-90:90",
    pitch: Annotated[str, typer.Option(help="Range LOW:HIGH in degrees.")] = "-60:60",
    roll: Annotated[str, typer.Option(help="Range LOW:HIGH in degrees.")] = "-45:45",
    sweep: Annotated[
        str | None,
        typer.Option(
            help="Move one factor and hold the rest, such as yaw=-90:90:2; also pitch, roll, "
            "fov, light_azimuth, light_elevation, exposure, expression, occlusion, hair, occluder."
        ),
    ] = None,
    assets: Annotated[
        Path | None, typer.Option(help="MakeHuman data folder; default $HPBENCH_ASSETS.")
    ] = None,
    environments: Annotated[
        Path | None,
        typer.Option(help="Folder of .exr panoramas; default $HPBENCH_ENVIRONMENTS, else lamps."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    split: Annotated[
        Literal["train", "heldout", "all"],
        typer.Option(
            help="train leaves out what the embedded sample is made of, heldout uses only that, "
            "all uses everything."
        ),
    ] = "train",
    per_identity: Annotated[
        int, typer.Option(help="Consecutive images of the same person.", min=1)
    ] = 6,
) -> None:
    """Render heads with exact poses into a folder that 'hpbench run' reads.

    The folder then is a data set: hpbench run --datasets synthetic --data synthetic=OUT
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from hpbench.cli.stopping import says_when_stopped
    from hpbench.rendering.assets import AssetLibrary, find_assets
    from hpbench.rendering.identity import available
    from hpbench.rendering.job import RenderSpec, render_dataset
    from hpbench.rendering.pose_sampling import PoseRanges, parse_range
    from hpbench.rendering.sweep import parse_sweep

    ranges = PoseRanges(
        parse_range(yaw, "--yaw", 90.0),
        parse_range(pitch, "--pitch", 90.0),
        parse_range(roll, "--roll", 180.0),
    )
    library = AssetLibrary(find_assets(assets))
    parsed_sweep = (
        parse_sweep(sweep, available("hair", sorted(library.hair), split)) if sweep else None
    )
    spec = RenderSpec(
        count=n,
        seed=seed,
        size=size,
        ranges=ranges,
        split=split,
        per_identity=per_identity,
        sweep=parsed_sweep,
    )
    columns = (
        TextColumn("rendering"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    words = "Stopped. The same command goes on from here."
    with says_when_stopped(words), Progress(*columns) as progress:
        task = progress.add_task("rendering", total=spec.total)
        table = render_dataset(
            out,
            spec,
            assets,
            environments,
            workers,
            on_progress=lambda count: progress.advance(task, count),
        )
    typer.echo(f"{spec.total} images and {table}")
