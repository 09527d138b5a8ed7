"""Renders a whole data set into a folder: images and one label table.

Images lie in folders of `RenderSpec.shard`; the work is handed out in smaller pieces. The
labels of a piece are written after its images, and the label table of the data set last of
all. So a run that was killed goes on where it was, and nothing unfinished can be taken for
whole. A table or image that was lost later is rendered again. Image ``i`` depends on the seed
and ``i`` only.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hpbench.errors import DataError, write_errors
from hpbench.inference.cores import usable_cores
from hpbench.inference.worker_processes import WorkerPool
from hpbench.rendering.assets import AssetLibrary, find_assets
from hpbench.rendering.labels import LABELS_NAME, label_row
from hpbench.rendering.lighting import find_environments
from hpbench.rendering.render_spec import RenderSpec, scenes
from hpbench.storage.atomic import read_table, write_table, write_text
from hpbench.storage.folder_lock import LOCK, folder_lock

if TYPE_CHECKING:
    import pandas as pd

    from hpbench.rendering.renderer import HeadRenderer

__all__ = ["render_dataset"]

SPEC_NAME = "render.json"
_PARTS = "parts"
_PIECE = 24  # images: seconds of work, so that no process waits long for another at the end


def render_dataset(
    out: Path,
    spec: RenderSpec,
    assets: Path | None = None,
    environments: Path | None = None,
    workers: int = 1,
    on_progress: Callable[[int], None] = lambda count: None,
) -> Path:
    """Write a data set: ``images/``, ``labels.parquet``, ``render.json``; return the label table.

    Parameters
    ----------
    out
        If it holds an unfinished run of the same spec, that goes on; what was lost of a finished
        one is rendered again.
    spec
    assets, environments
        MakeHuman data folder and folder of EXR panoramas; ``$HPBENCH_ASSETS`` and
        ``$HPBENCH_ENVIRONMENTS`` where not given.
    workers
        Processes, each with an OpenGL context of its own. It changes nothing but the time.
    on_progress
        Called with the number of images that each finished piece added.

    Raises
    ------
    DataError
        If an asset is missing or corrupted, ``out`` holds something else, another process renders
        into it, or the disk is full.
    MissingDependencyError
        If moderngl, OpenEXR or an EGL driver is missing.
    """
    assets_folder = find_assets(assets).resolve()
    environment_files = find_environments(environments)
    _refuse_foreign(out)  # before anything is written into it
    with folder_lock(out):
        _prepare_folder(out, spec, environment_files)
        _render_missing(out, spec, (assets_folder, environments), workers, on_progress)
    return out / LABELS_NAME


def _render_missing(
    out: Path,
    spec: RenderSpec,
    assets: tuple[Path, Path | None],
    workers: int,
    on_progress: Callable[[int], None],
) -> None:
    import pandas as pd

    labelled = _rows(out / LABELS_NAME) == spec.total
    missing = []
    for piece in _pieces(spec):
        if (labelled or _rows(_part_path(out, piece)) == len(piece)) and _has_images(
            out, spec, piece
        ):
            on_progress(len(piece))
        else:
            missing.append(piece)
    setup = (out, spec, *assets)
    with _disk_errors_named(out):
        if not labelled:
            (out / LABELS_NAME).unlink(missing_ok=True)
        (out / _PARTS).mkdir(exist_ok=True)
        if workers <= 1 or len(missing) <= 1:
            for piece in missing:
                on_progress(_start_rendering(*setup)(piece))
        else:
            environment = _thread_counts(workers)
            with WorkerPool(
                "render", workers, _start_rendering, *setup, environment=environment
            ) as pool:
                for done in as_completed([pool.submit(piece) for piece in missing]):
                    on_progress(done.result())
        if not labelled:
            parts = [pd.read_parquet(_part_path(out, piece)) for piece in _pieces(spec)]
            _write_table(pd.concat(parts, ignore_index=True), out / LABELS_NAME)
        shutil.rmtree(out / _PARTS)


@contextmanager
def _disk_errors_named(out: Path) -> Iterator[None]:
    with write_errors(out):
        try:
            yield
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise DataError(
                f"{out}: the disk is full; free some space and repeat the command to resume"
            ) from error


def _thread_counts(workers: int) -> dict[str, str]:
    """Variables by which each of some workers leaves cores to the others."""
    share = max(usable_cores() // workers, 1)
    counts = {
        "LP_NUM_THREADS": str(share) if share > 1 else "0",
        "OMP_NUM_THREADS": str(share),
        "OPENBLAS_NUM_THREADS": str(share),
    }
    return {name: os.environ.get(name, count) for name, count in counts.items()}


def _refuse_foreign(out: Path) -> None:
    with _disk_errors_named(out):
        if not out.exists() or (out / SPEC_NAME).is_file():
            return
        if any(path.name != LOCK for path in out.iterdir()):
            raise DataError(f"{out}: not empty, and not a rendered data set; name another folder")


def _prepare_folder(out: Path, spec: RenderSpec, environments: dict[str, Path]) -> None:
    """Begin a data set in ``out``, or check that it holds an earlier run of the same spec."""
    wanted = json.loads(json.dumps(spec.to_json() | {"environments": sorted(environments)}))
    marker = out / SPEC_NAME
    with _disk_errors_named(out):
        if marker.is_file() and not _is_blank(out):
            try:
                found = dict(json.loads(marker.read_text(encoding="utf-8")))
            except (ValueError, TypeError) as error:
                raise DataError(
                    f"{marker}: corrupted; delete its folder and render again"
                ) from error
            other = [
                f"{key} {json.dumps(found.get(key))}, now {json.dumps(wanted[key])}"
                for key in sorted(wanted)
                if found.get(key) != wanted[key]
            ]
            if other:
                raise DataError(
                    f"{out}: contains a data set of other settings ({'; '.join(other)}); name "
                    "another folder, or delete it first"
                )
            return
        (out / _PARTS).mkdir(parents=True, exist_ok=True)
        (out / "images").mkdir(exist_ok=True)
        write_text(marker, json.dumps(wanted, indent=1))


def _is_blank(out: Path) -> bool:
    """Whether a run left before its first image, so that settings may still change."""
    ours = {SPEC_NAME, "images", _PARTS, LOCK}
    return {path.name for path in out.iterdir()} <= ours and not any(
        path.is_file() for name in ("images", _PARTS) for path in (out / name).rglob("*")
    )


@lru_cache(maxsize=1)  # it takes seconds to build
def _renderer(assets: Path, environments: Path | None, size: int) -> HeadRenderer:
    import cv2

    from hpbench.rendering.renderer import HeadRenderer

    cv2.setNumThreads(1)
    return HeadRenderer(AssetLibrary(assets), find_environments(environments), size)


def _start_rendering(
    out: Path, spec: RenderSpec, assets: Path, environments: Path | None
) -> Callable[[range], int]:
    """What renders one piece, images before labels, and returns its number of images."""
    import pandas as pd

    from hpbench.rendering.post import encode_jpeg

    renderer = _renderer(assets, environments, spec.size)
    names = sorted(find_environments(environments))

    def render(piece: range) -> int:
        rows = []
        with _disk_errors_named(out):
            for number, scene, swept in scenes(
                spec, renderer.library, names, piece.start, piece.stop
            ):
                rendering = renderer.render(scene)
                name = _image_name(spec, number)
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (out / name).write_bytes(encode_jpeg(rendering.image, scene.post.jpeg_quality))
                rows.append(label_row(name, scene, rendering, swept, spec))
            _write_table(pd.DataFrame(rows), _part_path(out, piece))
        return len(rows)

    return render


def _pieces(spec: RenderSpec) -> list[range]:
    """Numbers of the images that are rendered in one go; no piece lies in two folders."""
    return [
        range(start, min(start + _PIECE, folder + spec.shard, spec.total))
        for folder in range(0, spec.total, spec.shard)
        for start in range(folder, min(folder + spec.shard, spec.total), _PIECE)
    ]


def _image_name(spec: RenderSpec, number: int) -> str:
    return f"images/{number // spec.shard * spec.shard:07d}/{number:07d}.jpg"


def _has_images(out: Path, spec: RenderSpec, piece: range) -> bool:
    """Whether all images of a piece are there; one that a crash left empty is not."""
    paths = [out / _image_name(spec, number) for number in piece]
    return all(path.is_file() and path.stat().st_size > 0 for path in paths)


def _rows(path: Path) -> int:
    """Rows of a Parquet file; 0 for one that is not there or is corrupted."""
    try:
        return read_table(path).num_rows
    except Exception:  # a corrupted file makes pyarrow raise anything
        return 0


def _write_table(table: pd.DataFrame, path: Path) -> None:
    from pyarrow import Table

    write_table(path, Table.from_pandas(table, preserve_index=False))


def _part_path(out: Path, piece: range) -> Path:
    return out / _PARTS / f"{piece.start:07d}-{piece.stop:07d}.parquet"
