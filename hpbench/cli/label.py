"""``hpbench label``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hpbench.errors import DataError, UsageError

__all__ = ["label"]


def label(
    dataset: Annotated[
        str, typer.Argument(help="Data set to label, with options.", metavar="NAME[=DIR]")
    ],
    teacher: Annotated[
        list[str],
        typer.Option(help="Methods whose mean is the label: A,B[KEY=VALUE]; repeatable."),
    ],
    out: Annotated[Path, typer.Option(help="Parquet (or CSV) file, a 'table' data set.")],
    data: Annotated[
        list[str] | None, typer.Option(help="Folder of the data set.", metavar="NAME=DIR")
    ] = None,
    views: Annotated[
        int, typer.Option(help="Boxes per face, moved and scaled a little; each also mirrored.")
    ] = 4,
    max_spread: Annotated[
        float | None,
        typer.Option(
            help="Leave out faces whose predictions differ by more than this, in degrees."
        ),
    ] = None,
    own_yaw: Annotated[
        float,
        typer.Option(
            help="Weight of the data set's own yaw at 90 degrees, growing from 30.", min=0, max=1
        ),
    ] = 0.0,
    limit: Annotated[int | None, typer.Option(help="Only the first N faces.", min=1)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "cpu",
    seed: Annotated[int, typer.Option(help="Seed of the moved boxes.")] = 0,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(help="Python file with further methods or data sets; repeatable."),
    ] = None,
) -> None:
    """Label images with the mean prediction of other methods, and its spread."""
    from hpbench.cli.options import pairs
    from hpbench.cli.stopping import says_when_stopped
    from hpbench.inference.devices import resolve_device
    from hpbench.labelling.pseudolabels import label_dataset
    from hpbench.registry import load_method, make_dataset, make_method
    from hpbench.running.data_folders import data_folders
    from hpbench.spec import parse_spec, parse_specs

    if views < 1:
        raise UsageError(f"--views {views}: at least one box per face")
    if out.suffix not in (".parquet", ".csv"):
        raise UsageError(f"--out {out}: name a .parquet or .csv file")
    try:  # before the work, which takes minutes
        out.resolve().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: cannot create the folder ({error.strerror})") from error
    plugins = tuple(plugin or ())
    spec = parse_spec(dataset)
    given = pairs("--data", data or [], "NAME=DIR")
    roots = data_folders({name: Path(folder) for name, folder in given.items()}, spec.name)
    faces = make_dataset(spec, roots.get(spec.name), plugins)
    resolved = resolve_device(device)
    teachers = [make_method(one, resolved, plugins) for one in parse_specs(teacher)]
    for method in teachers:
        load_method(method)
    records = faces.records()[:limit]
    with (
        says_when_stopped("\nStopped. Repeat the command to resume."),
        typer.progressbar(length=len(records), file=sys.stderr, label="labelling") as bar,
    ):
        rows = label_dataset(
            faces, records, teachers, out, views=views, seed=seed, max_spread_deg=max_spread,
            dataset_yaw_share=own_yaw, note=typer.echo, on_progress=bar.update,
        )  # fmt: skip
    typer.echo(f"{out}  {rows} faces; use it as: table={out}")
