"""Which files predict writes, from what the user asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from hpbench.errors import UsageError
from hpbench.geometry.pose_drawing import DrawStyle
from hpbench.images import WRITTEN_SUFFIXES
from hpbench.predicting.marks import is_from_predict
from hpbench.predicting.sources import ImageFiles, Source
from hpbench.predicting.writers import DrawnImages, PoseTable, PredictionWriter, VideoFile

__all__ = ["plan_output", "refuse_to_overwrite"]


def plan_output(
    out: Path,
    source: Source,
    style: DrawStyle | None,
    table_format: Literal["csv", "json"] | None,
    methods: Sequence[str],
    metadata: Mapping[str, Any],
) -> list[PredictionWriter]:
    """Writers of the files that ``--out``, ``--draw`` and ``--format`` ask for.

    `out` is a folder (no suffix, or one that exists) for table and drawings; or one file: ``.csv``,
    ``.json``, an image for one image, ``.mp4`` for a video or camera. Without a `style` nothing is
    drawn; without a `table_format` it is csv in a folder, and by the suffix for a file. A file that
    does not go with the source or the other options is a UsageError.
    """

    def video(path: Path, fps: float, style: DrawStyle) -> VideoFile:
        return VideoFile(path, fps, source.live, methods, style)

    suffix = out.suffix.lower()
    if out.is_dir() or not suffix:
        writers: list[PredictionWriter] = [
            PoseTable(out / f"poses.{table_format or 'csv'}", methods, metadata)
        ]
        if style is not None and isinstance(source, ImageFiles):
            drawings = {name: _drawing(out / name) for name in source.names}
            writers.append(DrawnImages(drawings, methods, style))
        elif style is not None and source.fps is not None:
            stem = "camera" if source.live else Path(source.name).stem
            writers.append(video(out / f"{stem}_pose.mp4", source.fps, style))
        return writers
    if suffix in {".csv", ".json"}:
        if table_format not in {None, suffix[1:]}:
            raise UsageError(
                f"--out {out} is not a {table_format} file; drop --format {table_format}"
            )
        return [PoseTable(out, methods, metadata)]
    if style is None:
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
        return [video(out, source.fps, style)]
    if suffix in WRITTEN_SUFFIXES:
        if not isinstance(source, ImageFiles) or source.total != 1:
            raise UsageError(f"--out {out}: {source.name} is not a single image; name a folder")
        return [DrawnImages({source.names[0]: out}, methods, style)]
    raise UsageError(
        f"--out {out}: unknown type of file '{out.suffix}'; name a folder, or a file that ends in "
        f".csv .json .mp4 {' '.join(sorted(WRITTEN_SUFFIXES))}"
    )


def _drawing(path: Path) -> Path:
    return path.with_name(f"{path.stem}_pose{path.suffix}")


def refuse_to_overwrite(writers: Sequence[PredictionWriter], source: Source) -> None:
    """Raise a UsageError if a planned file is one of the source, or exists and is not predict's."""
    read = {path.resolve() for path in source.paths}
    for path in (path for writer in writers for path in writer.planned):
        if path.resolve() in read:
            raise UsageError(f"{path}: is read and would be overwritten; name another --out")
        if path.exists() and not is_from_predict(path):
            raise UsageError(
                f"{path}: exists and is not from 'hpbench predict'; move it, or name another --out"
            )
