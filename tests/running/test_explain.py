"""A finished run predicted again under other settings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from hpbench.cli import app
from hpbench.errors import DataError, UsageError
from hpbench.inference.progress import NoProgress
from hpbench.results.run_config import RunConfig
from hpbench.rotation import angles_from_rotation
from hpbench.running import explain as again
from hpbench.running.explain import plan_variants
from hpbench.running.explain_config import ExplainConfig
from hpbench.running.named_files import require_named
from hpbench.running.reuse import EqualFaces
from hpbench.running.runner import predict_run, run
from hpbench.spec import parse_spec
from hpbench.storage.folder_lock import folder_lock
from hpbench.storage.schemas import ROTATION_COLUMNS

PLUGIN = '''
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import field_validator

from hpbench.dataset import Dataset, DatasetCard, Label, Record
from hpbench.method import Method, MethodCard, Options, Prediction
from hpbench.protocol import Protocol
from hpbench.rotation import rotation_from_angles

class Wide(Method):
    """Yaw is the width of the box."""
    name = "wide"
    summary = "for a test"
    def card(self): return MethodCard(name=self.name, title=self.name)
    def prepare(self, face):
        with Path(__file__).with_name("prepared.txt").open("a") as log:
            log.write(f"{face.image_id} {face.box_xyxy[2] - face.box_xyxy[0]:.0f}\\n")
        return face
    def infer(self, batch): return batch
    def decode(self, output):
        boxes = [face.box_xyxy for face in output]
        return [Prediction(rotation_from_angles([b[2] - b[0], 0.0, 0.0])) for b in boxes]

class Half(Wide):
    """Yaw is half the width of the box."""
    name = "half"
    def decode(self, output):
        boxes = [face.box_xyxy for face in output]
        return [Prediction(rotation_from_angles([(b[2] - b[0]) / 2, 0.0, 0.0])) for b in boxes]

class HeadsOptions(Options):
    box: Literal["narrow", "broad"] = "narrow"
    most_deg: float | None = 30.0
    tilted: bool = False

    @field_validator("most_deg", mode="before")
    @classmethod
    def _none(cls, value):
        return None if value == "none" else value

class Heads(Dataset):
    """Eight frontal faces, and one whose yaw is 60."""
    name = "heads"
    summary = "for a test"
    Options = HeadsOptions
    card = DatasetCard(name="heads", title="Heads")
    protocols = (
        Protocol(dataset="heads", settings=HeadsOptions().model_dump()),
        Protocol(dataset="heads", name="all", settings=HeadsOptions(most_deg=None).model_dump()),
    )
    def records(self):
        width = 10.0 if self.options.box == "narrow" else 25.0
        return [self._record(number, width) for number in range(9)]
    def _record(self, number, width):
        yaw = 60.0 if number == 8 else 0.0
        limit = self.options.most_deg
        return Record(
            image_id=f"head{number}", image_path=self.require_folder() / "grey.png",
            label=Label.from_angles(yaw, 5.0 if self.options.tilted else 0.0, 0.0),
            box_xyxy=np.array([20.0, 20.0, 20.0 + width, 40.0]),
            excluded="turned too far" if limit is not None and yaw > limit else None,
        )
'''


def explain(folder, data=(), plugins=(), **given):
    config = ExplainConfig(rundir=folder, data=dict(data), plugins=plugins, **given)
    return again.explain(config, NoProgress())


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> RunConfig:
    folder = tmp_path_factory.mktemp("heads")
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(folder / "grey.png")
    plugin = folder / "plugin.py"
    plugin.write_text(PLUGIN, encoding="utf-8")
    return RunConfig(
        methods="wide", datasets="heads", data={"heads": folder}, plugins=(plugin,), device="cpu",
        timing="off", workers=1, trust_labels=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def explained(spec, tmp_path_factory) -> Path:
    folder = run(spec, tmp_path_factory.mktemp("run") / "run", NoProgress())
    explain(folder, spec.data, spec.plugins)
    return folder


def rows(folder: Path) -> dict[str, dict]:
    stored = json.loads((folder / "explain.json").read_text(encoding="utf-8"))
    return {row["rule"]: row for row in stored["rows"]}


def test_every_option_is_changed_alone_and_the_detector_is_tried(spec) -> None:
    planned = {variant.rule: variant.spec for variant in plan_variants(spec)}
    assert {one.datasets for one in planned.values()} == {
        "heads[box=broad]", "heads[tilted=true]", "heads[most_deg=none]", "heads",
    }  # fmt: skip
    assert [one.boxes for one in planned.values()].count("dlib") == 1


def test_run_on_found_boxes_is_rerun_on_annotated_ones(spec) -> None:
    found = plan_variants(spec.model_copy(update={"boxes": "dlib"}))
    assert found[-1].spec.boxes == "annotated"


def test_corruption_and_timing_are_not_repeated(spec) -> None:
    corrupted = spec.model_copy(update={"corrupt": ("blur=2",), "timing": "full"})
    assert {(one.spec.corrupt, one.spec.timing) for one in plan_variants(corrupted)} == {
        ((), "off")
    }


def test_method_sees_the_other_box(explained) -> None:
    row = rows(explained)["box = broad (in this run narrow)"]
    assert row["method_spec"] == "wide"
    assert row["mae_deg"]["yaw"] == pytest.approx(25.0)


def test_only_faces_that_a_setting_changes_are_predicted_again(spec, tmp_path) -> None:
    """Eight faces with the broad box, and the excluded ninth; nothing for other labels."""
    log = spec.plugins[0].with_name("prepared.txt")
    folder = run(spec, tmp_path / "run", NoProgress())
    log.unlink(missing_ok=True)
    moved = spec.data["heads"].parent / "moved"  # not in the cache
    moved.mkdir()
    shutil.copy(spec.data["heads"] / "grey.png", moved)
    explain(folder, {"heads": moved}, spec.plugins)
    narrow, broad = (
        sorted(line.split()[0] for line in log.read_text().splitlines() if line.endswith(width))
        for width in (" 10", " 25")
    )
    assert narrow == [f"head{number}" for number in range(9)]
    assert broad == [f"head{number}" for number in range(8)]


def test_exclusion_that_an_earlier_setting_has_lifted_holds_again(explained) -> None:
    rules = rows(explained)
    assert list(rules)[1:3] == [
        "most_deg = none (in this run 30.0)", "tilted = true (in this run false)"
    ]  # fmt: skip
    assert rules["tilted = true (in this run false)"]["images"]["excluded"] == 1


def test_exclusion_is_lifted(explained) -> None:
    row = rows(explained)["most_deg = none (in this run 30.0)"]
    assert row["images"] == {"total": 9, "excluded": 0, "scored": 9, "no_answer": 0}
    assert row["mae_deg"]["yaw"] == pytest.approx((8 * 10.0 + 50.0) / 9)


def test_faces_that_the_detector_misses_have_no_prediction(explained) -> None:
    (row,) = [one for rule, one in rows(explained).items() if rule.startswith("boxes found")]
    assert row["images"]["no_answer"] == 8


def test_run_itself_is_left_as_it_is(explained) -> None:
    results = json.loads((explained / "results.json").read_text(encoding="utf-8"))["results"]
    assert results[0]["mae_deg"]["yaw"] == pytest.approx(10.0)
    assert not list(explained.glob("parts"))


def test_run_of_a_machine_with_a_gpu_is_explained_where_there_is_none(spec, tmp_path) -> None:
    folder = run(spec, tmp_path / "run", NoProgress())
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    record["spec"]["device"] = "cuda:3"
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    (folder / "SHA256SUMS").unlink()
    explain(folder, spec.data, spec.plugins)
    assert (folder / "explain.json").is_file()


def test_data_that_has_gone_is_named(explained, spec, tmp_path) -> None:
    with pytest.raises(DataError, match="gone: no such folder"):
        explain(explained, {"heads": tmp_path / "gone"}, spec.plugins)


class ImageGone(NoProgress):
    """Takes the image away before a method is shown faces for the second time."""

    def __init__(self, image):
        self.image, self.started = image, 0

    def start(self, dataset, *given):
        self.started += 1
        if self.started == 2:
            self.image.unlink()


def test_images_that_vanish_meanwhile_end_it_and_name_no_folder_of_its_own(spec, tmp_path) -> None:
    heads = shutil.copytree(spec.data["heads"], tmp_path / "heads", copy_function=shutil.copy)
    here = spec.model_copy(update={"data": {"heads": heads}, "fresh": True})
    folder = run(here, tmp_path / "run", NoProgress())
    (heads / "grey.png").touch()  # so that no prediction is stored
    config = ExplainConfig(rundir=folder, data=here.data, plugins=here.plugins)
    with pytest.raises(DataError) as caught:
        again.explain(config, ImageGone(heads / "grey.png"))
    assert str(caught.value) == (
        "data set 'heads': 8 of 9 images vanished during the run; bring its folder back and repeat "
        "the command"
    )


def test_folder_that_a_run_names_is_asked_for(explained, spec) -> None:
    with pytest.raises(UsageError, match=r"opened only if you name them; .* add --data heads=/"):
        explain(explained, plugins=spec.plugins)


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("card[file=/etc/passwd]", "--allow /etc/passwd"),
        ("nets/card.toml", "--allow nets/card.toml"),
        ("pnp[landmarks='dlib[predictor=~/x.dat]']", "--allow '~/x.dat'"),
        ("hopenet[weights=here.bin]", "--allow here.bin"),
        ("ensemble[methods='pnp;../x.toml']", "--allow ../x.toml"),
        ("ensemble[methods='pnp;onnx[card=../x]']", "--allow ../x"),
        ("other[files='here.txt,/etc/passwd']", "--allow /etc/passwd"),
        ("hopenet[weights='nets/../../out.bin']", "--allow nets/../../out.bin"),
    ],
)
def test_every_path_in_a_spec_is_asked_for(tmp_path, monkeypatch, method, asked) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.bin").touch()
    with pytest.raises(UsageError) as caught:
        require_named([parse_spec(method)], {}, {}, {}, [tmp_path / "other"])
    assert str(caught.value).endswith(f"add {asked}")
    named = [tmp_path.parent, Path("/etc"), Path("~")]
    require_named([parse_spec(method)], {}, {}, {}, named)


def test_words_in_a_spec_that_are_no_paths_pass() -> None:
    spec = parse_spec("pnp[landmarks='tddfa[crop=box]',model=mallick6,focal=1.0]")
    require_named([spec], {}, {}, {})


def test_method_that_has_changed_since_the_run_is_not_mixed_in(spec, tmp_path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        PLUGIN
        + """
class Read(Wide):
    name = "read"
    def load(self): Path(__file__).with_name("k.txt").read_text()
"""
    )
    (tmp_path / "k.txt").write_text("1.5")
    changed = spec.model_copy(update={"methods": "read", "plugins": (plugin,)})
    folder = run(changed, tmp_path / "run", NoProgress())
    (tmp_path / "k.txt").write_text("2.4")
    with pytest.raises(DataError, match="method 'read' has changed since the run"):
        explain(folder, spec.data, [plugin])


@pytest.fixture
def table_run(spec, tmp_path) -> tuple[Path, Path]:
    """A finished run on two faces whose predicted yaw is the width of the box, and its table."""
    for name in "ab":
        Image.new("RGB", (64, 64)).save(tmp_path / f"{name}.png")
    table = tmp_path / "labels.csv"
    rows = "a.png,10,0,0,20,20,50,50\nb.png,12,0,0,20,20,50,50\n"
    table.write_text(f"image,yaw,pitch,roll,x0,y0,x1,y1\n{rows}")
    config = spec.model_copy(update={"datasets": f"table={table}", "data": {}})
    return run(config, tmp_path / "run", NoProgress()), table


def test_labels_that_have_changed_since_the_run_are_not_mixed_in(spec, table_run) -> None:
    folder, table = table_run
    table.write_text(table.read_text().replace("a.png,10,", "a.png,14,"))
    with pytest.raises(DataError, match="labels of data set 'table' have changed since the run"):
        explain(folder, {"table": table}, spec.plugins)
    assert not (folder / "explain.json").exists()


def test_boxes_that_have_changed_since_the_run_are_not_mixed_in(spec, table_run) -> None:
    folder, table = table_run
    table.write_text(table.read_text().replace("20,20,50,50", "20,20,60,50"))
    with pytest.raises(DataError, match=r"\(9\.67 for 6\.33\): images, boxes or libraries"):
        explain(folder, {"table": table}, spec.plugins)


def test_folder_of_an_unknown_data_set_is_refused(explained, spec, tmp_path) -> None:
    with pytest.raises(UsageError, match="did you mean 'heads'"):
        explain(explained, {"head": tmp_path}, spec.plugins)


def test_folder_that_is_written_to_is_not_explained_meanwhile(explained, spec) -> None:
    with folder_lock(explained), pytest.raises(DataError, match="wait for its end"):
        explain(explained, spec.data, spec.plugins)


def test_half_finished_run_is_refused(explained, tmp_path) -> None:
    shutil.copytree(explained, tmp_path / "run")
    (tmp_path / "run" / "predictions.parquet").unlink()
    with pytest.raises(DataError, match="not finished"):
        explain(tmp_path / "run")


def test_command_prints_the_rows_and_writes_them_into_the_report(explained, spec) -> None:
    data = ["--data", f"heads={spec.data['heads']}"]
    done = CliRunner().invoke(
        app, ["explain", str(explained), "--plugin", str(spec.plugins[0]), *data]
    )
    assert done.exit_code == 0, done.output
    assert "rerun with box = broad" in " ".join(done.output.split())
    report = (explained / "report.md").read_text(encoding="utf-8")
    assert "rerun with box = broad (in this run narrow) | 25.00" in report


def test_plugins_that_a_run_folder_names_are_asked_for(explained) -> None:
    with pytest.raises(UsageError, match=r"run only if you name them; .* add --plugin /.*\.py"):
        explain(explained)


LOOKING = '''
import numpy as np
from hpbench.method import Method, MethodCard, Prediction
from hpbench.rotation import rotation_from_angles

class Looking(Method):
    """Yaw is the grey level of the image, pitch a tenth of its width."""
    name = "looking"
    summary = "for a test"
    def card(self): return MethodCard(name=self.name, title=self.name)
    def prepare(self, face): return [face.image.mean(), face.image.shape[1] / 10, 0.0]
    def infer(self, batch): return np.stack(batch)
    def decode(self, output): return [Prediction(R) for R in rotation_from_angles(output)]
'''


def predicted(spec: str, folder: Path, shared: EqualFaces) -> np.ndarray:
    (folder / "looking.py").write_text(LOOKING, encoding="utf-8")
    config = RunConfig(
        methods="looking", datasets=spec, plugins=(folder / "looking.py",), device="cpu",
        timing="off", workers=1, trust_labels=True,
    )  # fmt: skip
    out = folder / f"run{len(list(folder.glob('run*')))}"
    predict_run(config, out, NoProgress(), shared=shared)
    R_cam = pd.read_parquet(out / "predictions.parquet")[list(ROTATION_COLUMNS)].to_numpy()
    return angles_from_rotation(R_cam.reshape(-1, 3, 3))


def table_of(folder: Path, image: Image.Image, **saved) -> Path:
    folder.mkdir()
    image.save(folder / "face.png", **saved)
    (folder / "labels.csv").write_text("image,yaw,pitch,roll,x0,y0,x1,y1\nface.png,0,0,0,5,5,30,30")
    return folder / "labels.csv"


def test_faces_of_two_tables_that_are_described_alike_share_no_predictions(tmp_path) -> None:
    shared = EqualFaces()
    for level in (10, 40):
        table = table_of(tmp_path / str(level), Image.new("RGB", (50, 50), (level,) * 3))
        ((yaw, _, _),) = predicted(str(table), tmp_path, shared)
        assert yaw == pytest.approx(level)


def test_faces_of_an_image_that_is_read_in_another_way_share_no_predictions(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    table = table_of(tmp_path / "turned", Image.new("RGB", (80, 40)), exif=exif)
    shared = EqualFaces()
    widths = [
        10 * predicted(spec, tmp_path, shared)[0][1]
        for spec in (f"{table}", f"{table}[exif=ignore]")
    ]
    assert widths == pytest.approx([40, 80])


def test_run_on_two_tables_is_explained_as_the_error_says(tmp_path) -> None:
    tables = [table_of(tmp_path / name, Image.new("RGB", (50, 50))) for name in "ab"]
    config = RunConfig(methods="constant", datasets=",".join(map(str, tables)), timing="off")
    run(config, tmp_path / "run", NoProgress())
    with pytest.raises(UsageError, match=r"add --allow \S+labels\.csv --allow \S+labels\.csv$"):
        explain(tmp_path / "run")
    found = explain(tmp_path / "run", allow=tables)
    assert {row["method_spec"] for row in rows(found.parent).values()} == {"constant"}


def test_run_on_a_table_named_by_its_path_is_explained_there_and_where_it_has_moved(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table_of(tmp_path / "here", Image.new("RGB", (50, 50)))
    config = RunConfig(methods="constant", datasets="here/labels.csv", timing="off")
    run(config, tmp_path / "run", NoProgress())
    with pytest.raises(UsageError, match=r"add --data table=here/labels\.csv"):
        explain(tmp_path / "run")
    explain(tmp_path / "run", {"table": Path("here/labels.csv")})
    (tmp_path / "here").rename(tmp_path / "moved")
    found = explain(tmp_path / "run", {"table": Path("moved/labels.csv")})
    assert {row["method_spec"] for row in rows(found.parent).values()} == {"constant"}


def test_settings_that_are_stored_for_one_of_two_methods_are_repeated_for_both(
    spec, tmp_path
) -> None:
    """What is taken from the cache for one must not be lost to what runs share for the other."""
    alone = run(spec, tmp_path / "alone", NoProgress())
    explain(alone, spec.data, spec.plugins)
    both = spec.model_copy(update={"methods": "wide,half"})
    folder = run(both, tmp_path / "both", NoProgress())
    explain(folder, spec.data, spec.plugins)
    first, second = (
        json.loads((one / "explain.json").read_text(encoding="utf-8")) for one in (alone, folder)
    )
    assert second["failed"] == first["failed"]
    found = {(row["rule"], row["method_spec"]) for row in second["rows"]}
    assert found == {(row["rule"], method) for row in first["rows"] for method in ("wide", "half")}
