"""Every reader of hpbench: inputs for it, made from files of our own, and how it reads one.

A reader may give a result, a row with the reason why it is left out, or an error that hpbench
raises on purpose. Anything else is a fault.
"""

from __future__ import annotations

import io
import json
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any, Literal

import fuzz_networks
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fuzz_inputs import mutated_bytes, mutated_json, mutated_table, mutated_text
from PIL import Image

from hpbench.dataset import Record
from hpbench.datasets.biwi import Biwi
from hpbench.datasets.mat_3ddfa import BoxRule, read_mat
from hpbench.datasets.pointing04 import Pointing04
from hpbench.datasets.rendered_labels import read_records
from hpbench.datasets.sample import Sample
from hpbench.datasets.table import Table
from hpbench.errors import DataError, HpbenchError
from hpbench.images import read_rgb, read_size
from hpbench.inference.graphs import open_graph
from hpbench.methods.card.card import read_card
from hpbench.methods.hopenet.card import CARD_KEY
from hpbench.predicting.sources import open_source
from hpbench.registry import DATASETS, METHODS
from hpbench.results.explain_file import ExplainFile
from hpbench.results.json_file import JsonFile
from hpbench.results.results_file import ResultsFile
from hpbench.results.run_config import RunConfig
from hpbench.results.run_record import RunRecord
from hpbench.results.slicing import parse_by
from hpbench.results.timing_record import TimingRecord
from hpbench.scoring.scores import RunTables, load_run, read_run_table, score_datasets
from hpbench.scoring.slices import cut_slices
from hpbench.spec import parse_specs
from hpbench.storage.face_index import FaceIndex
from hpbench.storage.prediction_cache import PredictionCache
from hpbench.storage.run_folder import IndexedDataset, RunFolder

__all__ = ["TARGETS", "Outcome", "Target", "outcome_of", "run_folder"]

Outcome = Literal["result", "row", "error"]
SAMPLE = Path(__file__).resolve().parents[2] / "datasets" / "sample"
Depth = Literal["read", "computed", "drawn"]
"""How far an input goes that is valid."""
ONE_COMPUTED, ONE_DRAWN = 200, 4000
"""Of inputs of cheap readers, one of so many goes on to what is computed, or drawn, from them."""


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes
    ----------
    make : callable
        Makes an input from a chance.
    read : callable
        Reads an input in a folder of its own: True for a result, False for a row with a reason.
    runtime : bool
        Compiled code of others reads it, whose crashes SECURITY.md leaves to it.
    """

    make: Callable[[Random], Any]
    read: Callable[[Any, Path], bool]
    runtime: bool = False


def outcome_of(target: Target, given: Any, folder: Path) -> Outcome:
    """What a reader makes of an input; whatever it may not raise is raised."""
    try:
        return "result" if target.read(given, folder) else "row"
    except HpbenchError as error:
        assert str(error), "an error without a word"
        return "error"


def _one_of(seeds: Callable[[], Sequence[bytes]], chance: Random) -> bytes:
    return mutated_bytes(chance.choice(seeds()), chance)


def _file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], bool]:
    """Reader of bytes through a file of one name."""

    def read_bytes(content: bytes, folder: Path) -> bool:
        path = folder / name
        path.write_bytes(content)
        return read(path) is not False

    return read_bytes


def _usable(records: Sequence[Record]) -> bool:
    """Whether no record is left out; they go through the index of a run, too."""
    index = FaceIndex.read("fuzzed", records, None)
    assert len(list(index)) == len(records)
    return all(record.excluded is None for record in records)


# ---- labels of data sets -----------------------------------------------------------------------


@cache
def _mat_files() -> list[bytes]:
    from scipy.io import savemat
    from scipy.sparse import eye

    points = np.linspace(20.0, 400.0, 136).reshape(2, 68)
    content: dict[str, Any] = {
        "Pose_Para": np.array([[0.1, -0.4, 0.2, 90.0, 200.0, -60.0, 0.001]]),
        "pt2d": points[:, ::4],
        "pt3d_68": np.vstack([points, points[:1]]),
    }
    others = {"cell": np.array([[1], "x"], dtype=object), "text": "abc", "struct": {"f": 1.0}}
    files = []
    for compressed in (False, True):
        for variables in (content, others | {"sparse": eye(3).tocsc()} | content):
            file = io.BytesIO()
            savemat(file, variables, do_compression=compressed)
            files.append(file.getvalue())
    return files


def _mat(chance: Random) -> bytes:
    content = chance.choice(_mat_files())
    size = struct.unpack_from("<I", content, 132)[0]
    if content[128] != 15 or chance.random() < 0.3:
        return mutated_bytes(content, chance)
    # inside of the first compressed variable
    inner = zlib.compress(mutated_bytes(zlib.decompress(content[136 : 136 + size]), chance))
    return content[:128] + struct.pack("<II", 15, len(inner)) + inner + content[136 + size :]


def _read_mat(path: Path) -> bool:
    face = read_mat(path)
    rules: tuple[BoxRule, ...] = ("pt3d_68", "pt2d-visible", "pt2d-positive", "pt2d")
    for rule in rules:
        try:
            face.box_xyxy(rule)
        except DataError:
            return False
    return True


_POSE = (
    "0.984808 0 0.173648\n0.059391 0.939693 -0.336824\n-0.163176 0.342020 0.925417\n\n91 26 954\n"
)
_CALIBRATION = (
    "517.679 0 320\n0 517.679 240.5\n0 0 1\n\n0 0 0 0\n\n"
    "0.999947 0.00432361 0.00929419\n-0.00446314 0.999877 0.0150443\n"
    "-0.009228 -0.015085 0.999844\n\n-24.0198 5.8896 -13.2308\n\n640 480\n"
)
_FRAMES = "# frames\n01/frame_00003\n01/frame_00004\n"
_NUMBERS = ("1e5", "-0.5", "\u00bd", "0b1", "1 2 3", "# x\n", "\u2028", "01/frame_00003\n")


def _biwi(chance: Random) -> dict[str, bytes]:
    texts = {"01/frame_00003_pose.txt": _POSE, "01/rgb.cal": _CALIBRATION, "frames.txt": _FRAMES}
    files = {name: text.encode() for name, text in texts.items()}
    name = chance.choice(list(texts))
    text = mutated_text(texts[name], chance, _NUMBERS)
    files[name] = text.encode("utf-8", "surrogatepass")
    if chance.random() < 0.2:
        files[name] = mutated_bytes(files[name], chance)
    return files


def _read_biwi(files: Mapping[str, bytes], folder: Path) -> bool:
    (folder / "01").mkdir(exist_ok=True)
    (folder / "01" / "frame_00004_pose.txt").write_text(_POSE)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return _usable(Biwi(folder, Biwi.Options(frames=folder / "frames.txt")).records())


def _pointing04(chance: Random) -> tuple[bytes, bytes]:
    name = "person04258+15-15"
    if chance.random() < 0.7:
        name = mutated_text(name, chance, ("+90", "-90", "person", ".txt", "Person"))
    box = mutated_text("x.jpg\n\nFace\n180\n131\n74\n82\n", chance, _NUMBERS)
    wanted = name.encode("utf-8", "surrogatepass")
    return wanted, box.encode("utf-8", "surrogatepass")


def _read_pointing04(given: tuple[bytes, bytes], folder: Path) -> bool:
    person = folder / "Person04"
    person.mkdir(exist_ok=True)
    for path in person.iterdir():
        path.unlink()
    name = given[0].replace(b"/", b"_").replace(b"\0", b"_")[:200] + b".txt"
    Path(os.fsdecode(os.path.join(os.fsencode(person), name))).write_bytes(given[1])  # noqa: PTH118
    return _usable(Pointing04(folder).records())


@cache
def _render_table() -> pa.Table:
    return pq.read_table(SAMPLE / "labels.parquet").slice(0, 6)


def _read_renders(given: bytes, folder: Path) -> bool:
    (folder / "labels.parquet").write_bytes(given)
    return _usable(read_records(folder))


def _parquet(seed: Callable[[], pa.Table], chance: Random) -> bytes:
    """A table with changed columns, or the bytes of the file changed."""
    if chance.random() < 0.3:
        return mutated_bytes(_parquet_bytes(seed), chance)
    file = io.BytesIO()
    try:
        pq.write_table(mutated_table(seed(), chance), file)
    except pa.ArrowException:  # no Parquet type for it
        return mutated_bytes(_parquet_bytes(seed), chance)
    return file.getvalue()


@cache
def _parquet_bytes(seed: Callable[[], pa.Table]) -> bytes:
    file = io.BytesIO()
    pq.write_table(seed(), file)
    return file.getvalue()


_CSV = (
    "image,yaw,pitch,roll,x0,y0,x1,y1,subject,light\na.png,10,-5,2,1,1,9,9,anna,dim\n"
    "b.png,-30.5,0,NA,1,2,8,9,ben,bright\n",
    "sep=;\nImage;Yaw (deg);Pitch (deg)\na.png;10,5;-5\n'b c.png';nan;1e2\n",
    "# made by a tool\nfile\tr00\tr01\tr02\tr10\tr11\tr12\tr20\tr21\tr22\n"
    "a.png\t1\t0\t0\t0\t1\t0\t0\t0\t1\n",
    "image|qw|qx|qy|qz|cx|cy|w|h\na.png|1|0|0|0|5|5|4|4\nC:\\faces\\b.png|0.7|0.7|0|0|5|5|4|4\n",
    'img_path,rotvec_x,rotvec_y,rotvec_z,bbox_x,bbox_y,bbox_w,bbox_h\n"a,1.png",.1,.2,.3,1,1,4,4\n',
    "image yaw_rad pitch_rad roll_rad\na.png 0.1 0.2 0.3\n",
)
_COLUMNS = (
    "image", "yaw", "pitch", "roll", "x0", "x1", "width", "r00", "r33", "qw", "rotvec_x", "subject",
    "yaw_rad", "#", "sep=|\n", "\n", "a.png", '"', ";", "\t", "|", "\ufeff", "\x85",
)  # fmt: skip
_TABLE_OPTIONS: tuple[Mapping[str, str], ...] = (
    {}, {}, {"unit": "rad"}, {"euler": "rq"}, {"signs": "-yaw,-roll"}, {"order": "pitch,yaw,roll"},
    {"offset": "pitch-180"}, {"frame": "y-up"}, {"box": "corners"}, {"box": "cxcywh"},
    {"box_unit": "fraction"}, {"box_size": "640x480"}, {"exif": "boxes"}, {"exif": "ignore"},
)  # fmt: skip


def _csv(chance: Random) -> tuple[bytes, int]:
    text = mutated_text(chance.choice(_CSV), chance, _COLUMNS)
    content = text.encode(chance.choice(("utf-8", "utf-8", "utf-8", "utf-16")), "surrogatepass")
    content = mutated_bytes(content, chance) if chance.random() < 0.2 else content
    return content, chance.randrange(len(_TABLE_OPTIONS))


@cache
def _table_seed() -> pa.Table:
    rows = {"image": ["a.png", "b.png"], "yaw": [10.0, -20.0], "pitch": [1.0, 2.0], "roll": [0, 1]}
    box = {name: [float(k), k + 1.0] for k, name in enumerate(("x0", "y0", "x1", "y1"))}
    return pa.table(rows | box | {"subject": ["anna", "ben"], "light": ["dim", None]})


def _read_table(name: str, given: tuple[bytes, int], folder: Path) -> bool:
    for image in ("a.png", "b.png"):
        if not (folder / image).exists():
            Image.new("RGB", (12, 10)).save(folder / image)
    (folder / name).write_bytes(given[0])
    options = Table.Options.model_validate(_TABLE_OPTIONS[given[1]])
    table = Table(folder / name, options)
    table.protocol_settings()
    return _usable(table.records())


# ---- images, cards, weights, networks ----------------------------------------------------------


@cache
def _images() -> list[bytes]:
    ramp = np.outer(np.arange(24), np.arange(32)).astype(np.float64)
    rgb = np.stack([ramp / 3, 255 - ramp / 3, ramp % 256], axis=-1).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    colour, grey = Image.fromarray(rgb), Image.fromarray(rgb[..., 0])
    deep = Image.fromarray((ramp * 90).astype(np.uint16))
    kinds: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (colour, "JPEG", {"exif": exif}), (colour.convert("CMYK"), "JPEG", {}),
        (colour, "JPEG", {"progressive": True}), (colour, "PNG", {"exif": exif}),
        (deep, "PNG", {}), (colour.convert("P"), "PNG", {}), (colour.convert("RGBA"), "PNG", {}),
        (colour, "WEBP", {}), (colour, "WEBP", {"lossless": True}), (colour, "TIFF", {}),
        (colour, "TIFF", {"compression": "tiff_lzw"}), (deep, "TIFF", {}),
        (colour, "TIFF", {"compression": "tiff_adobe_deflate"}), (grey.convert("1"), "TIFF", {}),
        (Image.fromarray((ramp / 800).astype(np.float32)), "TIFF", {}), (colour, "BMP", {}),
        (grey, "BMP", {}), (colour.convert("P"), "GIF", {}), (colour, "JPEG2000", {}),
        (colour, "AVIF", {}),
    ]  # fmt: skip
    files = [(SAMPLE / "images" / "sample_018.jpg").read_bytes()]
    Image.init()
    for image, kind, options in kinds:
        if kind in Image.SAVE:  # AVIF is not in every build
            file = io.BytesIO()
            image.save(file, format=kind, **options)
            files.append(file.getvalue())
    return files


def _read_image(path: Path) -> None:
    read_size(path)
    pixels = read_rgb(path)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3


@cache
def _cards() -> list[str]:
    tests = Path(__file__).resolve().parents[1]
    return [
        (tests / "probe_card.toml").read_text(),
        (tests.parent / "methods" / "card" / "fsanet.toml").read_text(),
    ]


def _card(chance: Random) -> bytes:
    words = ("[input]", "[[weights]]", "kind = ", '"bins"', "0.0", "1979-05-27", "'''", "[[", "a.b")
    text = mutated_text(chance.choice(_cards()), chance, words)
    if chance.random() < 0.02:
        text = "x = " + "[" * chance.choice((10, 500, 5000)) + text
    content = text.encode("utf-8", "surrogatepass")
    return mutated_bytes(content, chance) if chance.random() < 0.1 else content


@cache
def _tensors() -> dict[str, Any]:
    import torch

    head = {f"fc_{angle}.weight": torch.ones(3, 4) for angle in ("yaw", "pitch", "roll")}
    return head | {"backbone.conv1.weight": torch.zeros(2, 3, 3, 3), "n": torch.tensor(1)}


@cache
def _torch_files() -> list[bytes]:
    import torch

    files = []
    for content in (
        _tensors(),
        {"epoch": 3, "model": {f"module.{k}": v for k, v in _tensors().items()}},
    ):
        for modern in (True, False):
            file = io.BytesIO()
            torch.save(content, file, _use_new_zipfile_serialization=modern)
            files.append(file.getvalue())
    return files


def _read_torch(path: Path) -> None:
    from hpbench.weights.state_dicts import read_state_dict

    read_state_dict(path)


def _read_safetensors(path: Path) -> None:
    """The tensors, and the network that the file's card names."""
    from hpbench.methods.hopenet.card import read_card as read_weights_card
    from hpbench.methods.hopenet.weights import load_weights
    from hpbench.weights.state_dicts import read_state_dict

    read_state_dict(path)
    if read_weights_card(path) is not None:  # else all networks of torchvision are tried
        load_weights(path)


def _read_openvino(given: tuple[bytes, bytes], folder: Path) -> bool:
    (folder / "net.bin").write_bytes(given[1])
    return _file("net.xml", open_graph)(given[0], folder)


def _safetensors(chance: Random) -> bytes:
    """Header and card changed as JSON, or the bytes of the file."""
    content = _safetensors_file()
    if chance.random() < 0.3:
        return mutated_bytes(content, chance)
    size = struct.unpack_from("<Q", content)[0]
    header = json.loads(content[8 : 8 + size])
    if chance.random() < 0.7:
        card = header["__metadata__"][CARD_KEY].encode()
        header["__metadata__"][CARD_KEY] = mutated_json(card, chance).decode("latin-1")
        text = json.dumps(header).encode()
    else:
        text = mutated_json(json.dumps(header).encode(), chance)
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


@cache
def _safetensors_file() -> bytes:
    from safetensors.torch import save

    card = {"backbone": "thin_resnet_s", "bins": 66, "input_size": 64, "trained_on": ["x"]}
    return save(_tensors(), metadata={CARD_KEY: json.dumps(card)})


# ---- run folders and the cache -----------------------------------------------------------------


@cache
def run_folder() -> Mapping[str, bytes]:
    """Files of a small run, and of its report's and explain's."""
    from hpbench.inference.progress import NoProgress
    from hpbench.running.runner import run

    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "run"
        run(RunConfig(methods="constant", limit=12, timing_images=4), out, NoProgress())
        files = {path.name: path.read_bytes() for path in out.iterdir()}
        del files["SHA256SUMS"]  # nothing that is changed would get past it
        return files | {"explain.json": _EXPLAIN}


_EXPLAIN = json.dumps({
    "schema": 2, "created": "2020-01-02T03:04:05+00:00", "run_created": "2020-01-02T03:04:05+00:00",
    "failed": [{"dataset": "sample", "rule": "boxes", "reason": "none"}],
    "rows": [{
        "dataset": "sample", "method_spec": "constant", "boxes": "annotated", "rule": "wrap",
        "protocol": {"name": "default", "version": 1, "hash": "0123456789ab"},
        "images": {"total": 3, "excluded": 1, "scored": 1, "no_answer": 1},
        "mae_deg": {"yaw": 1.0, "pitch": 2.0, "roll": None, "mean": 1.5},
        "geodesic_deg": {"mean": 3.0, "median": 2.0},
    }],
}).encode()  # fmt: skip


def _depth(chance: Random) -> Depth:
    number = chance.randrange(ONE_DRAWN)
    return "drawn" if number == 0 else "read" if number % ONE_COMPUTED else "computed"


def _json_file(name: str, chance: Random) -> tuple[bytes, Depth]:
    return mutated_json(run_folder()[name], chance), _depth(chance)


def _read_json_file(model: type[JsonFile], given: tuple[bytes, Depth], folder: Path) -> bool:
    """The file alone, and some that are valid with a whole report."""
    (folder / model.file_name).write_bytes(given[0])
    model.read(folder)
    _report(folder, model.file_name, given)
    return True


def _report(folder: Path, name: str, given: tuple[bytes, Depth]) -> None:
    """What is computed from a run folder with one changed file; figures, if they are drawn."""
    from hpbench.reports import write_report
    from hpbench.scoring.comparison import compare_runs

    content, depth = given
    if depth == "read":
        return
    for other, intact in run_folder().items():
        (folder / other).write_bytes(content if other == name else intact)
    write_report(folder, ["csv", "latex"] if depth == "computed" else ["md", "html"])
    compare_runs(folder, folder)


def _run_table(name: str, chance: Random) -> tuple[bytes, Depth]:
    seed = partial(_table_of_run, name)
    return _parquet(_seeds.setdefault(name, seed), chance), _depth(chance)


_seeds: dict[str, Callable[[], pa.Table]] = {}


@cache
def _table_of_run(name: str) -> pa.Table:
    return pq.read_table(io.BytesIO(run_folder()[name]))


def _read_run_table(name: str, given: tuple[bytes, Depth], folder: Path) -> bool:
    (folder / name).write_bytes(given[0])
    kind = Path(name).stem
    score_datasets(replace(_run_tables(), **{kind: read_run_table(folder, kind)}))
    _report(folder, name, given)
    return True


@cache
def _run_tables() -> RunTables:
    with tempfile.TemporaryDirectory() as name:
        for other, content in run_folder().items():
            (Path(name) / other).write_bytes(content)
        return load_run(Path(name))


@cache
def _indexed() -> IndexedDataset:
    return IndexedDataset(
        "sample", FaceIndex.read("sample", list(Sample(None).records())[:6], None), 0
    )


@cache
def _part() -> tuple[str, bytes]:
    """A part of a run that was stopped: name and content."""
    from hpbench.storage.schemas import PartRow

    with tempfile.TemporaryDirectory() as name:
        folder = RunFolder(Path(name))
        rows = [
            PartRow(row=k, method="constant", excluded=None, box_status="annotated",
                    transient=False, status="ok", R_cam=np.eye(3))
            for k in range(4)
        ]  # fmt: skip
        folder.append(_indexed(), rows)
        (path,) = folder.parts.rglob("*.parquet")
        return path.name, path.read_bytes()


def _read_part(given: bytes, folder: Path) -> bool:
    """A part that is not as it was written is replaced by what is computed again."""
    stopped = RunFolder(folder / "stopped")
    name, intact = _part()
    path = stopped.parts / "000000000" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(given)
    stopped.drop_corrupted_parts()
    assert path.exists() == (given == intact)
    return bool(stopped.done(_indexed(), "constant")[:4].all())


@cache
def _entry() -> tuple[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        PredictionCache(Path(name)).put("key", _table_seed(), {"created": "2020", "card": {}})
        (path,) = Path(name).iterdir()
        return path.name, path.read_bytes()


def _read_entry(given: bytes, folder: Path) -> bool:
    """An entry that is not as it was written is none."""
    stored = folder / "cache"
    stored.mkdir(exist_ok=True)
    name, intact = _entry()
    (stored / name).write_bytes(given)
    entry = PredictionCache(stored).get("key")
    assert (entry is not None) == (given == intact)
    return entry is not None and len(entry.table()) == 2


# ---- texts of the command line -----------------------------------------------------------------

_SPECS = (
    "hopenet,pnp[model=mallick6]", "pnp[landmarks=dlib,focal=1.0]", "table=labels.csv[unit=rad]",
    'hopenet[weights="lr=0.1,bs=32/best.pkl",bin_width=3,offset="-99,-99,-99"]', "nets/my_net.toml",
    "constant[yaw=20]", "biwi[calibrated=true,frames='a b.txt']", "aflw2000[box=pt2d-visible]",
    "card[file=x.toml]", "synthetic=renders", "fsanet[runtime=onnx]",
)  # fmt: skip
_PARTS = (
    "[",
    "]",
    "=",
    ",",
    "'",
    '"',
    "\\",
    "pnp",
    "hopenet",
    "table",
    ".toml",
    "weights=",
    "/",
    "[]",
)
_BY = (
    "light",
    "camera*light",
    "face_px=0:64:128:inf",
    "light,yaw=-90:0:90",
    r"a\,b*c\=d",
    "subject",
)


def _specs(chance: Random) -> tuple[str, Depth]:
    return mutated_text(chance.choice(_SPECS), chance, _PARTS), _depth(chance)


def _read_specs(given: tuple[str, Depth], folder: Path) -> bool:
    """The text alone, and of some the options of the plugins that it names."""
    specs = parse_specs(given[0])
    for spec in specs:
        assert parse_specs(spec.text) == [spec], spec
    for registry in () if given[1] == "read" else (METHODS, DATASETS):
        for spec in specs:
            with suppress(HpbenchError):
                registry.configure(spec)
    return True


@cache
def _scores() -> Any:
    return score_datasets(_run_tables())[0]


def _read_by(given: str, folder: Path) -> bool:
    cut = cut_slices(_scores(), parse_by(given))
    return not cut.refused


def _source(chance: Random) -> str:
    # the digits of a camera that exists would open it, and folders of this machine take long
    text = mutated_text(
        chance.choice(("camera:7", "/dev/video9", "a.png", "clip.mp4", ".")), chance
    )
    return text.replace("/dev/", "/nowhere/").replace("..", ".")


def _read_source(given: str, folder: Path) -> bool:
    name = (
        given
        if given.startswith(("camera:", "/nowhere/")) or given.isdecimal()
        else f"{folder}/{given}"
    )
    open_source(name)
    return True


# ---- all of them -------------------------------------------------------------------------------

TARGETS: Mapping[str, Target] = {
    "mat": Target(_mat, _file("face.mat", _read_mat)),
    "image": Target(partial(_one_of, _images), _file("face.img", _read_image)),
    "table-csv": Target(_csv, partial(_read_table, "labels.csv")),
    "table-parquet": Target(
        lambda chance: (_parquet(_table_seed, chance), chance.randrange(len(_TABLE_OPTIONS))),
        partial(_read_table, "labels.parquet"),
    ),
    "renders": Target(partial(_parquet, _render_table), _read_renders),
    "biwi": Target(_biwi, _read_biwi),
    "pointing04": Target(_pointing04, _read_pointing04),
    "card": Target(_card, _file("net.toml", read_card)),
    "weights-torch": Target(partial(_one_of, _torch_files), _file("net.pth", _read_torch)),
    "weights-safetensors": Target(_safetensors, _file("net.safetensors", _read_safetensors)),
    "onnx": Target(fuzz_networks.onnx_file, _file("net.onnx", open_graph), runtime=True),
    "torch.export": Target(fuzz_networks.exported, _file("net.pt2", open_graph)),
    "torchscript": Target(fuzz_networks.torchscript, _file("net.ts", open_graph), runtime=True),
    "openvino": Target(fuzz_networks.openvino_files, _read_openvino, runtime=True),
    "tflite": Target(fuzz_networks.tflite, _file("net.tflite", open_graph), runtime=True),
    "run.json": Target(partial(_json_file, "run.json"), partial(_read_json_file, RunRecord)),
    "results.json": Target(
        partial(_json_file, "results.json"), partial(_read_json_file, ResultsFile)
    ),
    "timing.json": Target(
        partial(_json_file, "timing.json"), partial(_read_json_file, TimingRecord)
    ),
    "explain.json": Target(
        partial(_json_file, "explain.json"), partial(_read_json_file, ExplainFile)
    ),
    **{
        name: Target(partial(_run_table, name), partial(_read_run_table, name))
        for name in ("faces.parquet", "predictions.parquet", "timing.parquet")
    },
    "parts": Target(lambda chance: _one_of(lambda: [_part()[1]], chance), _read_part),
    "cache": Target(lambda chance: _one_of(lambda: [_entry()[1]], chance), _read_entry),
    "specs": Target(_specs, _read_specs),
    "by": Target(
        lambda chance: mutated_text(chance.choice(_BY), chance, (*_BY, "*", "=", ":", "\\")),
        _read_by,
    ),
    "source": Target(_source, _read_source),
}
