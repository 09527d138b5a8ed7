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
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from hpbench.errors import DataError
from hpbench.inference.cores import usable_cores
from hpbench.rendering.assets import AssetLibrary, find_assets
from hpbench.rendering.labels import LABELS_NAME, label_row
from hpbench.rendering.lighting import find_environments
from hpbench.rendering.render_spec import RenderSpec, scenes
from hpbench.storage.atomic import atomic_path, write_text

if TYPE_CHECKING:
    import pandas as pd

    from hpbench.rendering.renderer import HeadRenderer

__all__ = ["render_dataset"]

SPEC_NAME = "render.json"
_PARTS = "parts"
_PIECE = 24  # images: seconds of work, so that no process waits long for another at the end
Progress = Callable[[int], None]


def render_dataset(
    out: Path,
    spec: RenderSpec,
    assets: Path | None = None,
    environments: Path | None = None,
    workers: int = 1,
    on_progress: Progress = lambda count: None,
) -> Path:
    """Write a data set: ``images/``, ``labels.parquet``, ``render.json``.

    Parameters
    ----------
    out
        Folder to write. If it holds an unfinished run of the same spec, that goes on; what
        was lost of a finished one is rendered again.
    spec
        What to render.
    assets, environments
        MakeHuman data folder and folder of EXR panoramas; ``$HPBENCH_ASSETS`` and
        ``$HPBENCH_ENVIRONMENTS`` where not given.
    workers
        Processes, each with an OpenGL context of its own. It changes nothing but the time.
    on_progress
        Called with the number of images that each finished piece added.

    Returns
    -------
    Path
        The label table.

    Raises
    ------
    DataError
        If an asset is missing or corrupted, ``out`` holds something else, or the disk is full.
    MissingDependencyError
        If moderngl, OpenEXR or an EGL driver is missing.
    """
    assets_folder = find_assets(assets).resolve()
    environment_files = find_environments(environments)
    _prepare_folder(out, spec, environment_files)
    labelled = _rows(out / LABELS_NAME) == spec.total
    missing = []
    for piece in _pieces(spec):
        if (labelled or _rows(_part_path(out, piece)) == len(piece)) and _has_images(
            out, spec, piece
        ):
            on_progress(len(piece))
        else:
            missing.append(piece)
    jobs = [(out, spec, assets_folder, environments, piece) for piece in missing]
    try:
        if not labelled:
            (out / LABELS_NAME).unlink(missing_ok=True)
        (out / _PARTS).mkdir(exist_ok=True)
        if workers <= 1 or len(jobs) <= 1:
            for job in jobs:
                on_progress(_render_piece(*job))
        else:
            _render_in_processes(jobs, workers, on_progress)
        if not labelled:
            _join_parts(out, spec)
        shutil.rmtree(out / _PARTS)
        return out / LABELS_NAME
    except BrokenProcessPool as error:
        raise DataError(
            f"{out}: a worker was killed, perhaps for memory; repeat the command "
            "with fewer --workers"
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DataError(
                f"{out}: the disk is full; free some space and repeat the command to resume"
            ) from error
        raise DataError(f"{out}: cannot be written ({error})") from error


def _prepare_folder(out: Path, spec: RenderSpec, environments: dict[str, Path]) -> None:
    """Make ``out``, or check that it holds an earlier run of the same spec."""
    wanted = spec.to_json() | {"environments": sorted(environments)}
    marker = out / SPEC_NAME
    try:
        if marker.is_file() and not _is_blank(out):
            found, asked = _read_spec(marker), json.loads(json.dumps(wanted))
            other = sorted(key for key in asked if found.get(key) != asked[key])
            if other:
                raise DataError(
                    f"{out}: contains a data set of other settings ({', '.join(other)} in "
                    f"{SPEC_NAME}); name another folder, or delete it first"
                )
            return
        if out.exists() and any(out.iterdir()) and not marker.is_file():
            raise DataError(f"{out}: not empty, and not a rendered data set; name another folder")
        (out / _PARTS).mkdir(parents=True, exist_ok=True)
        (out / "images").mkdir(exist_ok=True)
        write_text(marker, json.dumps(wanted, indent=1))
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror})") from error


def _is_blank(out: Path) -> bool:
    """Whether a run left before its first image, so that settings may still change."""
    ours = {SPEC_NAME, "images", _PARTS}
    return {path.name for path in out.iterdir()} <= ours and not any(
        path.is_file() for name in ("images", _PARTS) for path in (out / name).rglob("*")
    )


def _read_spec(marker: Path) -> dict[str, Any]:
    """Settings of an earlier run; those that did not exist then had today's defaults."""
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{marker}: corrupted; delete its folder and render again") from error
    defaults = json.loads(json.dumps(RenderSpec(count=1).to_json()))
    return defaults | (found if isinstance(found, dict) else {})


def _render_in_processes(jobs: list[tuple[Any, ...]], workers: int, on_progress: Progress) -> None:
    # Spawned, not forked: an OpenGL context does not survive a fork.
    pool = ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_start_worker, initargs=(workers,)
    )
    try:
        futures = [pool.submit(_render_piece, *job) for job in jobs]
        for future in as_completed(futures):
            on_progress(future.result())
    finally:
        # Not by "with", which would render all that is left before it lets an error through.
        pool.shutdown(cancel_futures=True)


def _start_worker(workers: int) -> None:
    """Set up a worker: it shares the cores with the others, and ends with the main process."""
    share = max(usable_cores() // workers, 1)
    os.environ.setdefault("LP_NUM_THREADS", str(share) if share > 1 else "0")
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, str(share))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process stops the workers in order
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave when the main process was killed, which would otherwise leave workers behind."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


_renderer: tuple[tuple[Any, ...], HeadRenderer] | None = None


def _renderer_for(assets: Path, environments: Path | None, size: int) -> HeadRenderer:
    """The renderer of this process, kept from piece to piece: it takes seconds to build."""
    global _renderer
    from hpbench.rendering.renderer import HeadRenderer

    key = (assets, environments, size)
    if _renderer is None or _renderer[0] != key:
        import cv2

        cv2.setNumThreads(1)
        files = find_environments(environments)
        _renderer = (key, HeadRenderer(AssetLibrary(assets), files, size))
    return _renderer[1]


def _render_piece(
    out: Path, spec: RenderSpec, assets: Path, environments: Path | None, piece: range
) -> int:
    """Render one piece, images before labels; returns its number of images."""
    import pandas as pd

    from hpbench.rendering.post import encode_jpeg

    renderer = _renderer_for(assets, environments, spec.size)
    names = sorted(find_environments(environments))
    rows = []
    for number, scene, swept in scenes(spec, renderer.library, names, piece.start, piece.stop):
        rendering = renderer.render(scene)
        name = _image_name(spec, number)
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(encode_jpeg(rendering.image, scene.post.jpeg_quality))
        rows.append(label_row(name, scene, rendering, swept, spec))
    _write_table(pd.DataFrame(rows), _part_path(out, piece))
    return len(rows)


def _pieces(spec: RenderSpec) -> list[range]:
    """Numbers of the images that are rendered in one go; no piece lies in two folders."""
    return [
        range(start, min(start + _PIECE, folder + spec.shard, spec.total))
        for folder in range(0, spec.total, spec.shard)
        for start in range(folder, min(folder + spec.shard, spec.total), _PIECE)
    ]


def _join_parts(out: Path, spec: RenderSpec) -> None:
    """Write the label table of the whole data set from its pieces'."""
    import pandas as pd

    paths = [_part_path(out, piece) for piece in _pieces(spec)]
    table = pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
    _write_table(table, out / LABELS_NAME)


def _image_name(spec: RenderSpec, number: int) -> str:
    return f"images/{number // spec.shard * spec.shard:07d}/{number:07d}.jpg"


def _has_images(out: Path, spec: RenderSpec, piece: range) -> bool:
    """Whether all images of a piece are there; one that a crash left empty is not."""
    paths = [out / _image_name(spec, number) for number in piece]
    return all(path.is_file() and path.stat().st_size > 0 for path in paths)


def _rows(path: Path) -> int:
    """Rows of a Parquet file; 0 for one that is not there or cannot be read."""
    from pyarrow import ArrowInvalid, parquet

    try:
        return int(parquet.read_metadata(path).num_rows)
    except (OSError, ArrowInvalid):
        return 0


def _write_table(table: pd.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")


def _part_path(out: Path, piece: range) -> Path:
    return out / _PARTS / f"{piece.start:07d}-{piece.stop:07d}.parquet"
