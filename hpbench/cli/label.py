"""``hpbench label``."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from hpbench.labelling.pseudolabels import PseudoLabel

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
    from hpbench.labelling.journal import Journal
    from hpbench.labelling.pseudolabels import label_faces, labels_key
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
        raise DataError(f"{out}: no folder can be made there ({error.strerror})") from error
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
    journal = Journal(_journal_path(out), labels_key(faces, records, teachers, views, seed))
    if journal:
        typer.echo(f"going on from {len(journal)} faces of a stopped run", err=True)
    with (
        says_when_stopped("\nStopped. The same command goes on from here."),
        closing(journal),
        typer.progressbar(records, file=sys.stderr, label="labelling") as shown,
    ):
        labels, failures = label_faces(faces, shown, teachers, views, seed, journal)
    for reason, count in Counter(failures.values()).most_common():
        typer.echo(f"{count} without a label: {reason}")
    if max_spread is not None:
        kept = [one for one in labels if one.spread_deg <= max_spread]
        typer.echo(f"{len(labels) - len(kept)} left out: spread above {max_spread:g} degrees")
        labels = kept
    if not labels:
        raise DataError(f"{faces.name}: no face is left; raise --max-spread")
    _write(labels, own_yaw, out)
    journal.remove()
    typer.echo(f"{out}  {len(labels)} faces; use it as: table={out}")


def _journal_path(out: Path) -> Path:
    return out.with_name(out.name + ".journal")


def _write(labels: Sequence[PseudoLabel], own_yaw: float, out: Path) -> None:
    """Write a table with one row per face, replaced only when it is whole."""
    import numpy as np
    import pandas as pd

    from hpbench.labelling.pseudolabels import BLEND_FROM_DEG, blend_own_yaw
    from hpbench.rotation import angles_from_rotation

    folder = out.resolve().parent
    rows = []
    for one in labels:
        record = one.record
        own = record.label.angles_deg[0] if record.label is not None else np.nan
        R_cam = blend_own_yaw(one.R_cam, own, BLEND_FROM_DEG, own_yaw)
        yaw, pitch, roll = angles_from_rotation(R_cam).round(4)
        assert record.box_xyxy is not None
        x0, y0, x1, y1 = record.box_xyxy
        rows.append(
            {
                "image": os.path.relpath(record.image_path.resolve(), folder),
                "yaw": yaw, "pitch": pitch, "roll": roll,
                "x0": x0, "y0": y0, "x1": x1, "y1": y1,
                "subject": record.group, "spread_deg": round(one.spread_deg, 3),
            }
        )  # fmt: skip
    table = pd.DataFrame(rows)
    temporary = out.with_name(out.name + ".part")
    try:
        if out.suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)
        temporary.replace(out)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DataError(
            f"{out}: cannot be written ({error.strerror}); the predictions are kept, the same "
            "command goes on from them"
        ) from error
