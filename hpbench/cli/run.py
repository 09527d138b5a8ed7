"""``hpbench run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hpbench.cli.options import pairs

if TYPE_CHECKING:
    from hpbench.cli.progress import Bars
    from hpbench.results.run_config import RunConfig

__all__ = ["run"]


def run(
    methods: Annotated[
        str,
        typer.Option(
            help="Methods with options: hopenet,pnp[model=mallick6,focal=1.0]. "
            "'hpbench list' names them.",
            metavar="A,B[KEY=VALUE,...]",
        ),
    ],
    datasets: Annotated[
        str,
        typer.Option(
            help="Data sets with options: aflw2000,biwi or table=labels.csv. "
            "Without it the embedded sample is used.",
            metavar="NAME[KEY=VALUE,...]",
        ),
    ] = "sample",
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder of a data set; repeatable. Or $HPBENCH_DATA/NAME.", metavar="NAME=DIR"
        ),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Named protocol; 'hpbench list' names those of each data set.")
    ] = "default",
    boxes: Annotated[
        str, typer.Option(help="Where face boxes come from: annotated, dlib, yunet[model=FILE].")
    ] = "annotated",
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:1, or auto: cuda where there is one.")
    ] = "auto",
    batch_size: Annotated[int, typer.Option(help="Faces per network call.", min=1)] = 32,
    limit: Annotated[
        int | None, typer.Option(help="Only the first N faces of each data set.", min=1)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder; a stopped run in it is taken up. Default: runs/TIME."),
    ] = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(help="Python file with further methods or data sets; repeatable."),
    ] = None,
    timing_images: Annotated[
        int, typer.Option(help="Faces of the timing pass; 0 leaves it out.", min=0)
    ] = 32,
    timing: Annotated[
        Literal["quick", "full", "off"],
        typer.Option(
            help="quick: the serial timing pass; full: throughput over batch sizes, one core, "
            "cold start and memory, too (minutes); off.",
        ),
    ] = "quick",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Compute everything; reuse no stored predictions.")
    ] = False,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="local, or ray: spread the accuracy pass over a Ray cluster."),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            help="Ray cluster: HOST:PORT, ray://HOST:PORT or auto. Default: Ray on this machine.",
            metavar="HOST:PORT",
        ),
    ] = None,
    corrupt: Annotated[
        list[str] | None,
        typer.Option(
            help="Also evaluate under corruption: downsample=5,10,15, blur=1,2,4, noise, jpeg, "
            "dark, occlude, box-jitter, box-scale; repeatable. Units: docs/robustness.md.",
            metavar="NAME=LEVEL,...",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of random corruptions.", min=0)] = 0,
    workers: Annotated[
        int | None, typer.Option(help="Threads that read and prepare; default: all cores.", min=1)
    ] = None,
    embed_images: Annotated[
        bool,
        typer.Option(
            "--embed-images",
            help="Put small images of the faces into report.html; mind the data set's terms. "
            "The embedded sample's are always in.",
        ),
    ] = False,
) -> None:
    """Run methods over data sets, print the result table and write a report."""
    from hpbench.api import fresh_run_folder
    from hpbench.results.run_config import RunConfig
    from hpbench.running.data_folders import data_folders

    spec = RunConfig.from_options(
        methods=methods,
        datasets=datasets,
        data=data_folders(
            {
                name: Path(folder)
                for name, folder in pairs("--data", data or [], "NAME=DIR").items()
            },
            datasets,
        ),
        protocol=protocol,
        boxes=boxes,
        device=device,
        batch_size=batch_size,
        limit=limit,
        plugins=tuple(plugin or ()),
        timing_images=timing_images,
        timing=timing,
        fresh=fresh,
        engine=engine,
        address=address,
        workers=workers,
        seed=seed,
        corrupt=tuple(corrupt or ()),
    )
    _run_and_report(spec, out or fresh_run_folder(), embed_images)


def _run_and_report(spec: RunConfig, out: Path, embed_images: bool) -> None:
    import hpbench.running.runner as engine
    from hpbench.cli.progress import Bars, print_results, print_reused
    from hpbench.cli.stopping import says_when_stopped
    from hpbench.reports import write_report

    bars: Bars
    words = f"\nStopped. The same command with --out {out} goes on from here."
    with says_when_stopped(words, kept=out / "run.json"), Bars() as bars:
        engine.run(spec, out, bars)
    written = write_report(out, embed_images=embed_images)
    print_results(out)
    print_reused(out)
    for path in reversed(written):  # scripts read the last line: the path of report.md
        typer.echo(str(path))
