"""From what the user asked for to evaluations: data sets, their protocols and their faces."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from hpbench.dataset import Dataset, evenly_spaced
from hpbench.detectors.base import Detector, face_finder
from hpbench.errors import NO_SUCH_IMAGE, DataError, UsageError, is_io_failure, plugin_errors
from hpbench.images import max_pixels
from hpbench.inference.faces import each_record, read_image
from hpbench.labels.boxes import SAMPLE
from hpbench.labels.files import review_files
from hpbench.labels.plausibility import LOOKED_AT, NO_ANGLE, review_columns, screened
from hpbench.labels.suspicion import Suspicion, stop_at
from hpbench.method import Method
from hpbench.paths import is_file
from hpbench.protocol import Protocol
from hpbench.registry import DATASETS
from hpbench.results.run_config import ANNOTATED, RunConfig
from hpbench.results.run_record import LabelWarning
from hpbench.results.slicing import parse_by, require_factors
from hpbench.running.corruptions import Corruption, corrupted_protocol
from hpbench.running.evaluation import Evaluation
from hpbench.scoring.factors import DERIVED
from hpbench.scoring.scores import UNLABELLED
from hpbench.spec import Spec, build_options, suggest
from hpbench.storage.face_index import FaceIndex
from hpbench.storage.fingerprints import (
    files_digest,
    folder_digest,
    hash_of,
    index_key,
    records_digest,
)
from hpbench.storage.loaded_files import detector_digest
from hpbench.storage.prediction_cache import PredictionCache
from hpbench.storage.run_folder import IndexedDataset

__all__ = ["STORED", "dataset_items", "open_dataset", "plan"]

STORED = "stored predictions do not change with the image or the box"
"""Why a :class:`hpbench.method.StoredMethod` is left out where these are changed."""

MAX_REVIEWED = 20_000
"""Of so many faces, from all over a data set, the labels are looked at."""


def plan(
    config: RunConfig,
    methods: Mapping[str, Method],
    detector: Detector | None,
    corruptions: Sequence[Corruption],
    cache: PredictionCache | None,
) -> list[Evaluation]:
    """Every data set of a run, clean and then once per corruption.

    Parameters
    ----------
    config : RunConfig
    methods : mapping of str to Method
        By canonical spec; they need not be loaded.
    detector : Detector or None
    corruptions : sequence of Corruption
    cache : PredictionCache or None
        Where the index of unchanged data may be; None: every data set is read.

    Raises
    ------
    HpbenchError
        If a data set is unknown, cannot be read or holds no faces, or an option does not fit.
    """
    if corruptions and all(method.stored_members for method in methods.values()):
        raise UsageError(f"--corrupt: {STORED}; add a method that sees images")
    items = dataset_items(config)
    boxes = detector.fingerprint() if detector else ANNOTATED
    if detector is not None and config.several != "refuse":
        boxes += f", {config.several} of several faces"
    found_by = "" if detector is None else detector_digest(detector, detector.load)
    evaluations: list[Evaluation] = []
    first_row = 0
    for key, item in items.items():
        dataset, protocol = open_dataset(item, config, boxes)
        index, faces_key = _read_index(key, dataset, protocol, found_by, config, cache)
        if methods:
            _require_a_face(key, index)
            _require_an_image(key, dataset, index)
        warnings = _review(key, dataset, index, detector, config)
        is_variant = any(other.dataset.name == dataset.name for other in evaluations)
        reasons = {
            name: _unsupported_reason(method, dataset, index, config.limit is None, is_variant)
            for name, method in methods.items()
        }
        clean = Evaluation(
            indexed=IndexedDataset(key, index, first_row),
            dataset=dataset,
            protocol=protocol,
            methods={name: method for name, method in methods.items() if reasons[name] is None},
            detector=detector,
            boxes=config.boxes,
            several=config.several,
            unsupported={name: reason for name, reason in reasons.items() if reason is not None},
            plugins=config.plugins,
            index_key=hash_of(faces_key, max_pixels()),
            warnings=warnings,
        )
        for evaluation in (clean, *(_corrupted(clean, one) for one in corruptions)):
            indexed = replace(evaluation.indexed, first_row=first_row)
            evaluations.append(replace(evaluation, indexed=indexed))
            first_row += len(index)
    if methods and not any(one.methods for one in evaluations):
        said = [f"{m}: {why}" for one in evaluations for m, why in one.unsupported.items()]
        raise UsageError(f"no method can be run; {'; '.join(dict.fromkeys(said))}")
    _require_factors(config.by, evaluations)
    return evaluations


def _require_a_face(key: str, index: FaceIndex) -> None:
    """Refuse a data set without a face that can be scored, before anything is predicted."""
    if np.isfinite(index.angles_deg(np.flatnonzero(index.included()))).any():
        return
    first = index.table.slice(0, 1).to_pylist()[0]
    raise DataError(
        f"none of the {len(index)} faces of data set '{key}' can be scored; the first, "
        f"{first['image_id']}: {first['excluded'] or UNLABELLED}"
    )


def _require_an_image(key: str, dataset: Dataset, index: FaceIndex) -> None:
    """Refuse a data set none of whose images is there, likewise.

    A plugin may read images that are no files: then its reader says so of the first.
    """
    included = np.flatnonzero(index.included())
    if any(is_file(record.image_path) for record in index.take(included)):
        return
    try:
        read_image(dataset, next(index.take(included[:1])))
    except DataError as error:
        if NO_SUCH_IMAGE in str(error):
            raise DataError(
                f"none of the images of data set '{key}' is there, of {len(included)} faces; the "
                f"first: {error}"
            ) from error


def _require_factors(by: str, evaluations: Iterable[Evaluation]) -> None:
    """Refuse to slice by what no data set has, before anything is predicted."""
    known = ["group", *DERIVED]
    if {cut.factor for spec in parse_by(by) for cut in spec.cuts} - set(known):
        names = set().union(*(one.indexed.index.factor_names() for one in evaluations))
        require_factors(by, [*sorted(names), *known])


def _read_index(
    key: str,
    dataset: Dataset,
    protocol: Protocol,
    found_by: str,
    config: RunConfig,
    cache: PredictionCache | None,
) -> tuple[FaceIndex, str]:
    """Faces of a data set, from the cache where no file of its folder has changed; and their key.

    Other data sets are read in any case, for it takes no longer than to see whether they have
    changed.

    Raises
    ------
    DataError
        If the data set cannot be read, or its folder changes meanwhile.
    """
    root, limit, contents = dataset.root, config.limit, config.verify_data
    if root is None or not root.is_dir():
        folder = None if root is None else root.parent
        index = FaceIndex.read(key, islice(screened(each_record(dataset)), limit), folder)
        data = records_digest(index, contents)
        if root is not None:  # which may hold the images, as an archive does
            data = hash_of(data, files_digest([root], contents))
        return index, index_key(dataset, protocol, found_by, limit, data)
    data = folder_digest(root, contents)
    faces_key = index_key(dataset, protocol, found_by, limit, data)
    entry = None if cache is None else cache.get(faces_key)
    if entry is not None:
        index = FaceIndex(entry.table(), root)
        return index, _with_images_elsewhere(faces_key, index, contents)
    index = FaceIndex.read(key, islice(screened(each_record(dataset)), limit), root)
    if not root.is_dir() or folder_digest(root, contents) != data:
        raise DataError(f"{root}: changed while it was read; wait until it is whole and try again")
    reasons = index.table["excluded"].drop_null().to_pylist()
    if cache is not None and not any(map(is_io_failure, reasons)):
        cache.put(faces_key, index.table, {})
    return index, _with_images_elsewhere(faces_key, index, contents)


def _with_images_elsewhere(faces_key: str, index: FaceIndex, contents: bool) -> str:
    """A key with the images that do not lie in the folder of the data set, where there are any."""
    # os.path: a million of Path objects take five seconds
    elsewhere = {path for path in index.table["image_path"].to_pylist() if os.path.isabs(path)}  # noqa: PTH117
    if not elsewhere:
        return faces_key
    return hash_of(faces_key, files_digest(map(Path, sorted(elsewhere)), contents))


def _review(
    key: str, dataset: Dataset, index: FaceIndex, detector: Detector | None, config: RunConfig
) -> tuple[LabelWarning, ...]:
    """What looks wrong with the labels and boxes of a data set.

    Raises
    ------
    DataError
        For the first thing under which results would be wrong, unless labels are trusted.
    """
    included = np.flatnonzero(index.included())
    # --boxes picture asks for no box
    looks = dataset.name != SAMPLE and (detector is None or detector.finds_faces)
    reasons = index.table["excluded"].drop_null().to_pylist()
    suspicions = review_columns(
        index.angles_deg(included[evenly_spaced(len(included), MAX_REVIEWED)]),
        sum(NO_ANGLE in reason for reason in reasons),
        list(index.take(included[evenly_spaced(len(included), LOOKED_AT)])),
        dataset,
        face_finder(detector) if looks else None,
    )
    suspicions += review_files(dataset, index.faces(included))
    if not config.trust_labels:
        stop_at(suspicions, key, dataset)
    whole = dataset.complete_faces() or 0
    if config.limit is None and len(index) < whole:
        seen = f"{len(index):,} of the {whole:,} faces of {dataset.card.title} are there"
        suspicions.append(
            Suspicion("incomplete", seen, "its results are not those of the whole", stops=False)
        )
    return tuple(LabelWarning(code=s.code, text=s.line(key, dataset, "")) for s in suspicions)


def _unsupported_reason(
    method: Method, dataset: Dataset, index: FaceIndex, whole: bool, is_variant: bool
) -> str | None:
    """Why a method takes no part in an evaluation, or None.

    `whole` says that the index holds all faces of the data set, `is_variant` that the same data set
    is in the run with other options already.
    """
    has_camera, has_landmarks = index.has_some("camera_matrix"), index.has_some("landmarks_xy")
    with plugin_errors(f"method '{method.name}': its unsupported_reason() fails"):
        reason = method.unsupported_reason(dataset.name, has_camera, has_landmarks)
    if reason is not None or not method.stored_members:
        return reason
    if is_variant:
        return f"not applicable: {STORED}, and are scored under the first options"
    return method.unsupported_faces(dataset.name, index.table["image_id"].to_pylist(), whole)


def _corrupted(evaluation: Evaluation, corruption: Corruption) -> Evaluation:
    """The same faces and methods, with every face corrupted."""
    index = evaluation.indexed.index
    if corruption.kind.by_box and index.table["x0"].null_count == len(index):
        raise UsageError(
            f"--corrupt {corruption}: needs annotated boxes, and data set '{evaluation.key}' "
            "has none; use downsample, noise, jpeg or dark"
        )
    protocol = corrupted_protocol(evaluation.protocol, corruption)
    live = {n: m for n, m in evaluation.methods.items() if not m.stored_members}
    stored = evaluation.methods.keys() - live.keys()
    return replace(
        evaluation,
        methods=live,
        unsupported={
            **evaluation.unsupported,
            **dict.fromkeys(stored, f"not applicable: {STORED}"),
        },
        indexed=replace(evaluation.indexed, key=f"{evaluation.key} + {corruption}"),
        protocol=protocol,
        corruption=corruption,
        clean_key=evaluation.key,
        index_key=f"{evaluation.index_key} {protocol.hash}",
        warnings=(),
    )


def open_dataset(item: Spec, config: RunConfig, boxes: str = ANNOTATED) -> tuple[Dataset, Protocol]:
    """Make a data set of a run and settle the protocol that its options amount to.

    Parameters
    ----------
    item : Spec
        The user's spec; its options win over those of the named protocol, its path over `config`.
    config : RunConfig
    boxes : str
        ``annotated``, or the fingerprint of a detector.

    Returns
    -------
    dataset : Dataset
        Nothing is read yet, save a file that an option names.
    protocol : Protocol
        With all settings of the data set; options that differ from the named protocol are in
        its name, as in ``default (box=pt2d-visible)``.

    Raises
    ------
    UsageError
        If the data set has no such protocol, or an option does not fit.
    """
    cls = DATASETS.load(item.name, config.plugins)
    known = {protocol.name: protocol for protocol in cls.protocols}
    if config.protocol not in known:
        raise UsageError(
            f"data set '{cls.name}' has no protocol '{config.protocol}'; "
            f"{suggest(config.protocol, known)}"
        )
    base = known[config.protocol]
    given = {**base.settings, **item.options}
    options = build_options(cls.Options, given, f"data set '{item.name}'")
    root = item.root or config.data.get(item.name)
    dataset = DATASETS.instance(cls, root, options, plugins=config.plugins)
    settings = dataset.protocol_settings()
    changed = ",".join(
        f"{key}={settings.get(key)}"
        for key in sorted(item.options)
        if settings.get(key) != base.settings.get(key)
    )
    name = f"{base.name} ({changed})" if changed else base.name
    update = {"name": name, "boxes": boxes, "settings": settings}
    return dataset, base.model_copy(update=update)


def dataset_items(config: RunConfig) -> dict[str, Spec]:
    """Data sets of a run as the user wrote them, by the name they have in the tables."""
    items = DATASETS.parse(config.datasets, config.plugins)
    names, short = [item.name for item in items], [str(item) for item in items]
    found: dict[str, Spec] = {}
    for item in items:
        key = item.name if names.count(item.name) == 1 else str(item)
        # of two tables neither is called by less than its path
        found[item.text if short.count(key) > 1 else key] = item
    return found
