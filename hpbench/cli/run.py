"""``hpbench run``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hpbench.cli.report import EmbedImages
from hpbench.results.run_config import RunConfig
from hpbench.results.run_record import RunRecord

__all__ = ["run"]


def run(
    config: RunConfig,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run folder; a stopped run in it is resumed. A new one below runs/ if not given.",
            metavar="DIR",
            rich_help_panel="Output",
        ),
    ] = None,
    no_report: Annotated[
        bool,
        typer.Option(
            "--no-report", help="Write no report; 'hpbench report' can.", rich_help_panel="Output"
        ),
    ] = False,
    embed_images: EmbedImages = False,
) -> None:
    """Run methods over data sets, print the results and write a report.

    Examples
    --------
    hpbench run --methods hopenet,pnp
    hpbench run --methods "hopenet,pnp[model=mallick6]" --datasets aflw2000 --data aflw2000=DIR
    """
    from hpbench.api import run_folder

    with run_folder(out) as folder:
        _run_into(folder, config, no_report, embed_images)


def _run_into(folder: Path, config: RunConfig, no_report: bool, embed_images: bool) -> None:
    from hpbench.cli.terminal import open_bars, print_results, print_reused, says_when_stopped
    from hpbench.reports import write_report
    from hpbench.running.batch_size import CPU_FACES
    from hpbench.running.plan import dataset_items
    from hpbench.running.runner import predict_run
    from hpbench.running.runner import run as run_and_score

    words = f"\nStopped. To resume, repeat the command with --out {folder}"
    with says_when_stopped(words, kept=folder / "run.json"), open_bars() as bars:
        # a report scores the run itself
        command = ("hpbench", *sys.argv[1:])
        (run_and_score if no_report else predict_run)(config, folder, bars, command)
    items = dataset_items(config).values()
    tables = {item.text: item.root for item in items if item.root}
    written = []
    if not no_report:
        written = write_report(folder, embed_images=embed_images, data={**config.data, **tables})
    print_results(folder)
    if config.batch_size == "auto" and (faces := RunRecord.read(folder).batch_size) != CPU_FACES:
        typer.echo(f"--batch-size auto: {faces} faces at once.")
    print_reused(folder)
    for path in reversed(written):  # scripts read the last line: the path of report.md
        typer.echo(str(path))
    if no_report:
        typer.echo(str(folder))
