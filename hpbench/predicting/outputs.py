"""Which files predict writes, from what the user asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hpbench.errors import UsageError
from hpbench.geometry.pose_drawing import DrawStyle
from hpbench.images import IMAGE_SUFFIXES
from hpbench.predicting.sources import Source
from hpbench.predicting.writers import DrawnImages, PoseTable, PredictionWriter, VideoFile

__all__ = ["OutputPlan", "TableFormat", "plan_output"]

TableFormat = Literal["csv", "json"]


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """Which files are to be written.

    Attributes
    ----------
    table : Path or None
    images : Path or None
        Folder of drawn images, or the one drawn image.
    one_image : bool
    video : Path or None
    """

    table: Path | None = None
    images: Path | None = None
    one_image: bool = False
    video: Path | None = None

    def open(
        self, source: Source, methods: Sequence[str], style: DrawStyle, metadata: Mapping[str, Any]
    ) -> list[PredictionWriter]:
        """Open the files.

        Raises
        ------
        DataError
            If one cannot be written.
        """
        writers: list[PredictionWriter] = []
        if self.table is not None:
            writers.append(PoseTable(self.table, methods, metadata))
        if self.images is not None:
            writers.append(DrawnImages(self.images, self.one_image, methods, style))
        if self.video is not None:
            assert source.fps is not None
            writers.append(VideoFile(self.video, source.fps, source.live, methods, style))
        return writers


def plan_output(
    out: Path, source: Source, draws: bool, table_format: TableFormat | None
) -> OutputPlan:
    """Decide from ``--out``, ``--draw`` and ``--format`` what is written.

    Parameters
    ----------
    out : Path
        A folder (no suffix, or one that exists) for table and drawings; or one file: ``.csv``,
        ``.json``, an image for one image, ``.mp4`` for a video or camera.
    source : Source
    draws : bool
        Whether anything is drawn.
    table_format : {'csv', 'json'} or None
        None: csv in a folder, by the suffix for a file.

    Returns
    -------
    OutputPlan

    Raises
    ------
    UsageError
        If `out` is a file that does not go with the source or the other options.
    """
    suffix = out.suffix.lower()
    if out.is_dir() or not suffix:
        return _plan_folder(out, source, draws, table_format or "csv")
    if suffix in {".csv", ".json"}:
        if table_format not in {None, suffix[1:]}:
            raise UsageError(
                f"--out {out} is not a {table_format} file; drop --format {table_format}"
            )
        return OutputPlan(table=out)
    if not draws:
        raise UsageError(f"--out {out}: --draw none draws nothing; name a folder, .csv or .json")
    if table_format is not None:
        raise UsageError(
            f"--out {out}: holds no table; name a folder to use --format {table_format}"
        )
    if suffix == ".mp4":
        if source.fps is None:
            raise UsageError(
                f"--out {out}: {source.name} is not a video; name an image or a folder"
            )
        return OutputPlan(video=out)
    if suffix in IMAGE_SUFFIXES:
        if source.fps is not None or source.total != 1:
            raise UsageError(f"--out {out}: {source.name} is not a single image; name a folder")
        if out.exists() and Path(source.name).expanduser().samefile(out):
            raise UsageError(f"--out {out}: would overwrite the source image; name another file")
        return OutputPlan(images=out, one_image=True)
    raise UsageError(
        f"--out {out}: unknown type of file '{out.suffix}'; name a folder, or a file that ends in "
        f".csv .json .mp4 {' '.join(sorted(IMAGE_SUFFIXES))}"
    )


def _plan_folder(out: Path, source: Source, draws: bool, table_format: TableFormat) -> OutputPlan:
    table = out / f"poses.{table_format}"
    if not draws:
        return OutputPlan(table=table)
    if source.fps is None:
        return OutputPlan(table=table, images=out)
    stem = "camera" if source.live else Path(source.name).stem
    return OutputPlan(table=table, video=out / f"{stem}_pose.mp4")
