"""Renders a whole data set into a folder: images and one label table.

Images lie in folders of `RenderSpec.shard`; the work is handed out in smaller pieces. The
labels of a piece are written after its images, and the label table of the data set last of
all. So a run that was killed goes on where it was, and nothing unfinished can be taken for
whole. A table or image that was lost later is rendered again. Image ``i`` depends on the seed
and ``i`` only.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from hpbench.errors import DataError, UsageError
from hpbench.inference.cores import usable_cores
from hpbench.rendering.assets import AssetLibrary, find_assets
from hpbench.rendering.identity import Split, available
from hpbench.rendering.lighting import find_environments
from hpbench.rendering.pose_sampling import PoseRanges
from hpbench.rendering.scene import Scene, draw_scene, expressive, identity_for
from hpbench.rendering.sweep import Sweep, apply_factor

if TYPE_CHECKING:
    import pandas as pd

    from hpbench.rendering.renderer import HeadRenderer, Rendering

__all__ = ["LABELS_NAME", "RENDERER_VERSION", "RenderSpec", "label_row", "render_dataset", "scenes"]

LABELS_NAME = "labels.parquet"
SPEC_NAME = "render.json"
RENDERER_VERSION = "2"
"""Raised whenever the same spec would give other images or labels.

Without a sweep, 2 draws what 1 drew. In sweeps it takes the hat off where hair is moved, gives
a neutral face an expression where that is moved, and names the background that is seen.
"""

_PARTS = "parts"
_PIECE = 24  # images: seconds of work, so that no process waits long for another at the end
Progress = Callable[[int], None]


@dataclass(frozen=True)
class RenderSpec:
    """All that decides the content of a rendered data set.

    Attributes
    ----------
    count
        Images. With a sweep it is rounded down to whole sweeps, but at least one.
    seed
        Root of all randomness.
    size
        Image width and height in pixels.
    ranges
        Where the pose may lie.
    split
        Which skins, hair styles, environments and identities may be used.
    per_identity
        How many consecutive images (or sweeps) show the same person.
    sweep
        A factor to move; each scene is then rendered once per value.
    even_yaw
        Spread yaw in equal steps over its range instead of drawing it.
    lamp_share, occluder_share
        Share of images lit by lamps although there are environments, and of those in which
        something is worn or held before the face.
    showcase
        Images for people to look at: every fringe is kept off the eyes, nothing is held
        before the face, and the background is the environment that lights the head.
    shard
        Images per folder.
    """

    count: int
    seed: int = 7
    size: int = 256
    ranges: PoseRanges = field(default_factory=PoseRanges)
    split: Split = "train"
    per_identity: int = 6
    sweep: Sweep | None = None
    even_yaw: bool = False
    lamp_share: float = 0.25
    occluder_share: float = 0.2
    showcase: bool = False
    shard: int = 120

    def __post_init__(self) -> None:
        if self.count < 1 or self.per_identity < 1:
            raise UsageError("--count and --per-identity: must be at least 1")
        if not 32 <= self.size <= 2048:
            raise UsageError(f"--size {self.size}: choose 32 to 2048 pixels")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"--seed {self.seed}: choose 0 to 2^63 - 1")

    @property
    def values_per_scene(self) -> int:
        """Images that are made of one scene."""
        return len(self.sweep.values) if self.sweep else 1

    @property
    def total(self) -> int:
        """Images that will be written."""
        per_scene = self.values_per_scene
        return max(self.count // per_scene, 1) * per_scene

    def to_json(self) -> dict[str, Any]:
        """A plain value that says the same."""
        return dataclasses.asdict(self) | {"renderer_version": RENDERER_VERSION}


def render_dataset(
    out: Path,
    spec: RenderSpec,
    assets: Path | None = None,
    environments: Path | None = None,
    workers: int = 1,
    on_progress: Progress | None = None,
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
            _report(on_progress, len(piece))
        else:
            missing.append(piece)
    jobs = [(out, spec, assets_folder, environments, piece) for piece in missing]
    try:
        if not labelled:
            (out / LABELS_NAME).unlink(missing_ok=True)
        (out / _PARTS).mkdir(exist_ok=True)
        if workers <= 1 or len(jobs) <= 1:
            for job in jobs:
                _report(on_progress, _render_piece(*job))
        else:
            _render_in_processes(jobs, workers, on_progress)
        if not labelled:
            _join_parts(out, spec)
        shutil.rmtree(out / _PARTS)
        return out / LABELS_NAME
    except BrokenProcessPool as error:
        raise DataError(
            f"{out}: a worker was killed, perhaps for memory; run the same command again, "
            "with fewer --workers"
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DataError(
                f"{out}: the disk is full; free some space and run the same command to go on"
            ) from error
        raise DataError(f"{out} cannot be written: {error}") from error


def scenes(
    spec: RenderSpec, library: AssetLibrary, environments: list[str], start: int, stop: int
) -> Iterator[tuple[int, Scene, float | str | None]]:
    """Images ``start`` to ``stop``: number, scene, and the value of the swept factor."""
    names = available("environment", environments, spec.split) if environments else []
    person_of = cache(lambda index: identity_for(spec.seed, index, library, spec.split))
    for number in range(start, stop):
        scene_index, step = divmod(number, spec.values_per_scene)
        identity = person_of(scene_index // spec.per_identity)
        scene = draw_scene(
            spec.seed,
            scene_index,
            identity,
            library,
            names,
            spec.ranges,
            spec.split,
            spec.lamp_share,
            spec.occluder_share,
        )
        if spec.even_yaw:
            yaw = spec.ranges.yaw
            # A stride that is coprime to the count mixes sides within each identity.
            place = (scene_index * _coprime_stride(spec.total)) % spec.total
            share = (place + 0.5) / spec.total
            scene = dataclasses.replace(scene, yaw_deg=yaw.low + share * (yaw.high - yaw.low))
        if spec.showcase:
            scene = _showcase(scene)
        value: float | str | None = None
        if spec.sweep:
            if spec.sweep.factor == "expression":
                scene = expressive(scene, spec.seed, scene_index, library, spec.split)
            value = spec.sweep.values[step]
            scene = apply_factor(scene, spec.sweep.factor, value)
        yield number, scene, value


def _showcase(scene: Scene) -> Scene:
    return dataclasses.replace(
        scene,
        identity=dataclasses.replace(scene.identity, fringe_kept_off_eyes=True),
        background="environment" if scene.environment else scene.background,
        occluder="none" if scene.occluder == "patch" else scene.occluder,
    )


def label_row(
    image: str, scene: Scene, rendering: Rendering, swept: float | str | None, spec: RenderSpec
) -> dict[str, Any]:
    """One row of the label table; see ``docs/synthetic.md`` for the columns."""
    xy = rendering.landmarks_xy
    person = scene.identity
    matrix = rendering.camera_matrix
    row: dict[str, Any] = {
        "image": image,
        "yaw_deg": scene.yaw_deg,
        "pitch_deg": scene.pitch_deg,
        "roll_deg": scene.roll_deg,
    }
    row |= {f"r{i}{j}": float(rendering.R_cam[i, j]) for i in range(3) for j in range(3)}
    row |= dict(zip(("x0", "y0"), xy.min(axis=0).tolist(), strict=True))
    row |= dict(zip(("x1", "y1"), xy.max(axis=0).tolist(), strict=True))
    row |= {
        "fx": float(matrix[0, 0]),
        "fy": float(matrix[1, 1]),
        "cx": float(matrix[0, 2]),
        "cy": float(matrix[1, 2]),
        "landmarks_x": xy[:, 0].tolist(),
        "landmarks_y": xy[:, 1].tolist(),
        "landmarks_visible": rendering.landmarks_visible.tolist(),
        "identity": f"{spec.split}-{spec.seed}-{person.index:05d}",
        "sex": person.sex,
        "age": person.age,
        "african": person.origin[0],
        "asian": person.origin[1],
        "caucasian": person.origin[2],
        "skin": person.skin,
        "hair": person.hair if scene.occluder != "hat" else "none",
        "hair_colour": person.hair_colour,
        "fringe_kept_off_eyes": person.fringe_kept_off_eyes,
        "eyebrow": person.eyebrow,
        "eyelash": person.eyelash,
        "eye": person.eye,
        "cloth": person.cloth,
        "expression": scene.expression.name,
        "expression_weights": json.dumps(dict(scene.expression.weights)),
        "gaze_aside_deg": scene.gaze_deg[0],
        "gaze_up_deg": scene.gaze_deg[1],
        "torso_share": scene.torso_share,
        "light": "lamps" if scene.environment is None else "environment",
        "environment": scene.environment or "none",
        "light_azimuth_deg": scene.light_azimuth_deg
        if scene.environment
        else scene.lamps[0].azimuth_deg,
        "light_elevation_deg": None if scene.environment else scene.lamps[0].elevation_deg,
        "exposure_ev": scene.exposure_ev,
        "fov_deg": scene.fov_deg,
        "zoom": scene.zoom,
        "background": scene.background,
        "occluder": scene.occluder,
        "occlusion": scene.patch_share if scene.occluder == "patch" else 0.0,
        "blur_px": scene.post.blur_px,
        "jpeg_quality": scene.post.jpeg_quality,
        "split": spec.split,
        "seed": spec.seed,
        "sweep": spec.sweep.factor if spec.sweep else "none",
        "sweep_value": "" if swept is None else str(swept),
        "renderer_version": RENDERER_VERSION,
    }
    return row


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
                    f"{out} holds a data set of other settings ({', '.join(other)} in "
                    f"{SPEC_NAME}); name another folder, or delete it first"
                )
            return
        if out.exists() and any(out.iterdir()) and not marker.is_file():
            raise DataError(f"{out} is not empty and holds no rendered data set; name another")
        (out / _PARTS).mkdir(parents=True, exist_ok=True)
        (out / "images").mkdir(exist_ok=True)
        _write_atomically(marker, json.dumps(wanted, indent=1).encode())
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror}") from error


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
        raise DataError(f"{marker} is corrupted; delete its folder and render again") from error
    defaults = json.loads(json.dumps(RenderSpec(count=1).to_json()))
    return defaults | (found if isinstance(found, dict) else {})


def _render_in_processes(
    jobs: list[tuple[Any, ...]], workers: int, on_progress: Progress | None
) -> None:
    # Spawned, not forked: an OpenGL context does not survive a fork.
    pool = ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_start_worker, initargs=(workers,)
    )
    try:
        futures = [pool.submit(_render_piece, *job) for job in jobs]
        for future in as_completed(futures):
            _report(on_progress, future.result())
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
    temporary = path.with_name(path.name + ".tmp")
    table.to_parquet(temporary, index=False, compression="zstd")
    temporary.replace(path)


def _write_atomically(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def _part_path(out: Path, piece: range) -> Path:
    return out / _PARTS / f"{piece.start:07d}-{piece.stop:07d}.parquet"


def _coprime_stride(count: int) -> int:
    """A step near the golden ratio of ``count`` that visits every place once."""
    from math import gcd

    stride = max(int(count * 0.618), 1)
    while gcd(stride, count) != 1:
        stride += 1
    return stride


def _report(on_progress: Progress | None, count: int) -> None:
    if on_progress is not None:
        on_progress(count)
