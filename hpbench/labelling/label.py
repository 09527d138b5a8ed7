"""From what a user writes to a table of labels."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from hpbench.dataset import Dataset, Record
from hpbench.detectors.base import face_finder
from hpbench.errors import DataError, UsageError, write_errors
from hpbench.images import pixel_limit
from hpbench.inference.devices import resolve_device
from hpbench.inference.faces import each_record
from hpbench.inference.progress import Progress
from hpbench.labelling.config import LabelConfig
from hpbench.labelling.pseudolabels import PseudoLabel, blend_dataset_label, label_faces
from hpbench.labels.boxes import review_boxes
from hpbench.labels.files import faces_of, review_files
from hpbench.labels.plausibility import review_labels, screened
from hpbench.labels.suspicion import stop_at
from hpbench.method import Method
from hpbench.registry import make_method, require_different, require_live
from hpbench.rotation import angles_from_rotation
from hpbench.running.data_folders import open_named
from hpbench.spec import parse_specs
from hpbench.storage.atomic import atomic_path
from hpbench.storage.folder_lock import file_lock
from hpbench.tables.rows import refuse_foreign_table

__all__ = ["Labelled", "label_dataset"]


@dataclass(frozen=True)
class Labelled:
    """What was labelled.

    Attributes
    ----------
    use_as : str
        Spec of the data set that the table is.
    faces : int
        Of the table.
    left_out : mapping of str to int
        Faces without a label by reason.
    """

    use_as: str
    faces: int
    left_out: Mapping[str, int]


def label_dataset(
    config: LabelConfig, progress: Progress, note: Callable[[str], None] = print
) -> Labelled:
    """Write a table of labels that teachers give.

    Repeated after it was stopped, it resumes from ``OUT.progress``. The table is replaced only when
    it is complete.

    Parameters
    ----------
    config : LabelConfig
    progress : Progress
    note : callable
        Takes lines for the user, such as what looks wrong with boxes.

    Returns
    -------
    Labelled

    Raises
    ------
    UsageError
        If `out` is of another format or of another program, or ``OUT.progress`` holds labels of
        other arguments.
    DataError
        If no face could be labelled, boxes look wrong, another process writes the same table, or
        the disk refuses it.
    """
    out = config.out
    if out.suffix not in (".parquet", ".csv"):
        raise UsageError(f"--out {out}: name a .parquet or .csv file")
    with write_errors(out):  # before the work, which takes minutes
        out.resolve().parent.mkdir(parents=True, exist_ok=True)
    dataset = open_named(config.dataset, config.data, config.plugins)
    dataset.refuse_to_overwrite(out)
    refuse_foreign_table(out, ("image", "spread_deg"), "hpbench label")
    device = resolve_device(config.device)
    teachers = {
        str(spec): make_method(spec, device, config.plugins) for spec in parse_specs(config.methods)
    }
    require_different(teachers, "hpbench label")
    for method in teachers.values():
        require_live(method, "hpbench label")
    with file_lock(out.with_name(f".{out.name}.lock"), out):
        faces, left_out = _label(config, dataset, list(teachers.values()), progress, note)
    # boxes and angles are of the image as it was read
    options = "[exif=ignore]" if dataset.image_options().get("exif_ignored") else ""
    return Labelled(f"table={out}{options}", faces, left_out)


def _label(
    config: LabelConfig,
    dataset: Dataset,
    teachers: Sequence[Method],
    progress: Progress,
    note: Callable[[str], None],
) -> tuple[int, Mapping[str, int]]:
    """Label the faces of a data set, and write the table; its number of rows, and what it lacks."""
    out = config.out
    progress_file = out.with_name(f"{out.name}.progress")
    with pixel_limit(config.max_pixels):  # for the records, too: boxes may need sizes of images
        each = each_record(dataset)
        if config.dataset_label:
            records = list(islice(screened(each), config.limit))
            _count_whole_labels(records, note)
            suspicions = review_labels(records, dataset, face_finder())
        else:  # the table's angles may hold anything
            records = list(islice(each, config.limit))
            suspicions = review_boxes(records, dataset, face_finder())
        suspicions += review_files(dataset, faces_of(records))
        if not config.trust_labels:
            stop_at(suspicions, dataset.name, dataset)
        for one in suspicions:
            note(one.line(dataset.name, dataset, ""))
        bar = (dataset.name, "labelling")
        progress.start(*bar, len(records), 0)
        labels, failures = label_faces(
            dataset, records, teachers, progress_file, config.views, config.seed, note,
            lambda count: progress.advance(*bar, count),
        )  # fmt: skip
    if config.max_spread is not None:
        certain = [label for label in labels if label.spread_deg <= config.max_spread]
        note(f"{len(labels) - len(certain)} left out: spread above {config.max_spread:g} degrees")
        labels = certain
    if not labels:
        raise DataError(f"data set '{dataset.name}': no face is left; raise --max-spread")
    _write_table(labels, out, config.dataset_label)
    progress_file.unlink(missing_ok=True)
    return len(labels), Counter(failures.values())


def _count_whole_labels(records: Sequence[Record], note: Callable[[str], None]) -> None:
    """Say how many faces have no label of their own that --dataset-label could take."""
    lacking = sum(one.label is None or one.label.R_cam is None for one in records)
    if lacking == len(records):
        raise UsageError("no face has a label of all three angles; leave --dataset-label out")
    if lacking:
        note(f"{lacking} keep the teachers' rotation: their own label lacks an angle")


def _write_table(labels: Sequence[PseudoLabel], path: Path, dataset_share: float) -> None:
    """Write labels as a table that the data set ``table`` reads."""
    import pandas as pd

    folder = path.resolve().parent
    rows = []
    for one in labels:
        record = one.record
        R_cam = blend_dataset_label(one, dataset_share)
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
    kept = "the predictions are kept, repeat the command to resume"
    with write_errors(path, kept), atomic_path(path) as temporary:
        if path.suffix == ".csv":  # quoted, for a name may look like a comment or a formula
            table.to_csv(temporary, index=False, quoting=csv.QUOTE_NONNUMERIC)
        else:
            table.to_parquet(temporary, index=False)
