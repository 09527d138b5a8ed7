"""``hpbench label``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from hpbench.arguments import (
    Config,
    DataFolders,
    Device,
    Limit,
    MaxPixels,
    Metavar,
    Methods,
    Plugins,
    Seed,
)
from hpbench.errors import UsageError, write_errors
from hpbench.images import MAX_PIXELS, pixel_limit
from hpbench.results.run_config import TrustLabels

__all__ = ["LabelConfig", "label"]


class LabelConfig(Config):
    """Options of ``hpbench label``."""

    dataset: Annotated[str, Metavar("DATASET", positional=True)] = Field(
        description="Data set to label, with options."
    )
    methods: Methods = Field(description="Methods whose mean prediction is the label.")
    out: Annotated[Path, Metavar("FILE")] = Field(
        description="Parquet (or CSV) file, a 'table' data set."
    )
    data: DataFolders = Field({})
    views: int = Field(
        4, ge=1, description="Boxes per face, moved and scaled a little; each also mirrored."
    )
    max_spread: float | None = Field(
        None,
        ge=0.0,
        allow_inf_nan=False,
        description="Leave out faces whose predictions differ by more, in degrees.",
    )
    dataset_label: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="Weight of the data set's own label in the mean with that of the teachers.",
    )
    limit: Limit = Field(None, description="Only the first N faces.")
    device: Device = "auto"
    seed: Seed = 0
    max_pixels: MaxPixels = MAX_PIXELS
    plugins: Plugins = ()
    trust_labels: TrustLabels = False


def label(config: LabelConfig) -> None:
    """Label images with the mean prediction of other methods, and its spread.

    A table of your own images needs the columns image, x0, y0, x1, y1, and yaw and pitch, which may
    hold 0.

    Examples
    --------
    hpbench label pointing04 --data pointing04=DIR --methods hopenet,fsanet --out labels.parquet
    hpbench label table=boxes.csv --methods hopenet --max-spread 12 --out labels.csv
    """
    from hpbench.cli.terminal import open_bar, says_when_stopped
    from hpbench.detectors.base import face_finder
    from hpbench.inference.devices import resolve_device
    from hpbench.labelling.pseudolabels import label_dataset
    from hpbench.labels.boxes import review_boxes
    from hpbench.labels.suspicion import stop_at
    from hpbench.registry import make_dataset, make_method, require_live
    from hpbench.running.data_folders import data_folders
    from hpbench.spec import parse_spec, parse_specs
    from hpbench.tables.rows import refuse_foreign_table

    out = config.out
    if out.suffix not in (".parquet", ".csv"):
        raise UsageError(f"--out {out}: name a .parquet or .csv file")
    with write_errors(out):  # before the work, which takes minutes
        out.resolve().parent.mkdir(parents=True, exist_ok=True)
    spec = parse_spec(config.dataset)
    folder = data_folders(config.data, [spec]).get(spec.name)
    dataset = make_dataset(spec, folder, config.plugins)
    dataset.refuse_to_overwrite(out)
    refuse_foreign_table(out, ("image", "spread_deg"), "hpbench label")
    device = resolve_device(config.device)
    teachers = [make_method(one, device, config.plugins) for one in parse_specs(config.methods)]
    for method in teachers:
        require_live(method, "hpbench label")
    with pixel_limit(config.max_pixels):  # for the records, too: boxes may need sizes of images
        records = dataset.records()[: config.limit]
        suspicions = review_boxes(records, dataset, face_finder())
        if not config.trust_labels:
            stop_at(suspicions, dataset.name, dataset)
        for one in suspicions:
            typer.echo(one.line(dataset.name, dataset, ""), err=True)
        with (
            says_when_stopped("\nStopped. To resume, repeat the command."),
            open_bar("labelling", len(records)) as advance,
        ):
            rows = label_dataset(
                dataset,
                records,
                teachers,
                out,
                views=config.views,
                seed=config.seed,
                max_spread_deg=config.max_spread,
                dataset_share=config.dataset_label,
                note=typer.echo,
                on_progress=advance,
            )
    # boxes and angles are of the image as it was read
    options = "[exif=ignore]" if dataset.image_options().get("exif_ignored") else ""
    typer.echo(f"{out}  {rows} faces; use it as: table={out}{options}")
