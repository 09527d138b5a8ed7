"""Finding plugins, good and broken ones."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpbench.cli import app
from hpbench.detectors.base import DETECTORS
from hpbench.errors import HpbenchError, UsageError
from hpbench.inference.faces import each_record
from hpbench.registry import (
    DATASETS,
    METHODS,
    MethodSpec,
    load_method,
    make_dataset,
    make_method,
    plugin_modules,
)
from hpbench.spec import Spec

PLUGIN = """
from hpbench.method import Method, MethodCard
class {cls}(Method):
    name = "{name}"
    summary = "test"
    contract = {contract}
    def card(self): return MethodCard(name=self.name, title="test")
    def prepare(self, face): return 0
    def infer(self, batch): return batch
    def decode(self, output): return []
"""


def write_plugin(path, name="mine", cls="Mine", contract=2):
    path.write_text(PLUGIN.format(name=name, cls=cls, contract=contract))
    return path


def test_built_ins_come_through_entry_points():
    assert {"constant", "hopenet", "pnp"} <= set(METHODS.plugins())
    assert {"aflw2000", "biwi", "pointing04", "sample", "table"} <= set(DATASETS.plugins())


def test_every_built_in_can_be_imported():
    for registry in (METHODS, DATASETS, DETECTORS):
        for name in registry.plugins():
            assert registry.load(name).name == name


def test_a_spec_looks_at_the_installed_packages_once(monkeypatch):
    asked = []

    def counted(**group):
        asked.append(group)
        return entry_points(**group)

    monkeypatch.setattr("hpbench.registry.entry_points", counted)
    assert make_method("nets/my_net.toml").name == "card"
    assert asked == [{"group": "hpbench.methods"}]


def test_method_of_a_plugin_file_is_found(tmp_path):
    file = write_plugin(tmp_path / "mine.py")
    assert make_method("mine", plugins=[file]).name == "mine"


def test_unknown_name_is_refused_with_the_nearest_match():
    with pytest.raises(UsageError, match="no method 'hoppenet'; did you mean 'hopenet'"):
        make_method("hoppenet")


def test_name_offered_twice_is_refused_and_both_origins_are_named(tmp_path):
    file = write_plugin(tmp_path / "mine.py", name="constant")
    with pytest.raises(UsageError, match=r"offered by hpbench .* and .*mine\.py"):
        make_method("constant", plugins=[file])


def test_double_name_does_not_stop_the_others(tmp_path):
    file = write_plugin(tmp_path / "mine.py", name="constant")
    assert METHODS.load("pnp", [file]).name == "pnp"


def test_plugin_for_a_newer_contract_is_refused(tmp_path):
    file = write_plugin(tmp_path / "mine.py", contract=99)
    with pytest.raises(HpbenchError, match="contract 99"):
        make_method("mine", plugins=[file])


def test_path_stands_for_the_spec_of_the_plugin_that_claims_it():
    card = METHODS.parse("nets/my_net.toml[weights=/w]")[0]
    assert (card.name, card.options) == ("card", {"file": "nets/my_net.toml", "weights": "/w"})
    for table in ("data/labels.csv", "labels.PARQUET"):
        assert DATASETS.parse(table)[0] == Spec("table", path=table)
        assert make_dataset(table).root == Path(table)


def test_name_of_a_plugin_is_never_claimed(tmp_path):
    file = write_plugin(tmp_path / "mine.py", name="my.toml")
    assert METHODS.parse("my.toml", [file])[0] == Spec("my.toml")


def test_path_that_two_plugins_claim_is_refused_with_both_readings(tmp_path):
    file = write_plugin(tmp_path / "mine.py")
    with file.open("a") as more:
        more.write(
            "    @classmethod\n"
            "    def claims(cls, text):\n"
            "        from hpbench.spec import Spec\n"
            "        return Spec('mine', {'file': text}) if text.endswith('.toml') else None\n"
        )
    with pytest.raises(UsageError, match=r"may mean card\[file=a\.toml\] and mine\[file=a\.toml\]"):
        make_method("a.toml", plugins=[file])


def test_path_that_nobody_claims_is_an_unknown_name():
    with pytest.raises(UsageError, match=r"no data set 'a/labels\.doc'"):
        make_dataset("a/labels.doc")


@pytest.mark.parametrize(
    ("make", "name", "fix"),
    [
        (make_method, "net.pkl", r"'net\.pkl', which is a file: write NAME\[KEY=net\.pkl\] with"),
        (make_method, "mine.py", r"'mine\.py': add --plugin mine\.py, and write the name of its"),
        (
            make_dataset,
            "frames/a",
            r"'frames/a', which is a folder: write NAME=frames/a with .*known",
        ),
    ],
)
def test_file_or_folder_in_the_place_of_a_name_is_called_one(
    make, name, fix, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("frames/a").mkdir(parents=True)
    for file in ("net.pkl", "mine.py"):
        Path(file).touch()
    with pytest.raises(UsageError, match=fix):
        make(name)


CONTRACT_1 = r"plugin contract 1, this hpbench has 2; return Prediction\(R_cam\) from decode"


def test_plugin_for_the_first_contract_is_refused_with_what_to_change(tmp_path):
    file = write_plugin(tmp_path / "mine.py", contract=1)
    with pytest.raises(HpbenchError, match=f"'mine' of .*mine.py was written for {CONTRACT_1}"):
        make_method("mine", plugins=[file])


def test_method_that_decodes_to_bare_arrays_ends_a_run_with_what_to_change(tmp_path):
    file = tmp_path / "old.py"
    file.write_text(
        "from hpbench.methods.constant import Constant\n"
        "class Old(Constant):\n"
        "    name = 'old'\n"
        "    def decode(self, output): return [one.R_cam for one in super().decode(output)]\n"
    )
    words = ["run", "--methods", "old", "--plugin", str(file), "--limit", "2", "--fresh"]
    done = CliRunner().invoke(app, [*words, "--timing", "off", "--out", str(tmp_path / "run")])
    said = "method 'old': decode gave arrays, not predictions; return Prediction(R_cam)"
    assert str(done.exception).startswith(said)


FAULTS = {
    "contract": ("contract = None", "contract = None"),
    "summary": ("", "no summary"),
    "made": (
        "def __init__(self, *_): raise ValueError('oops')",
        "cannot be made: ValueError: oops",
    ),
    "unfinished": ("decode = Method.decode", "cannot be made: TypeError.*decode"),
    "loaded": (
        "def load(self): raise ImportError('no libx')",
        r"loaded: ImportError: no libx \(mi",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_in_a_plugins_own_code_is_told_with_its_name(tmp_path, fault):
    line, said = FAULTS[fault]
    file = write_plugin(tmp_path / "mine.py")
    text = file.read_text()
    file.write_text(text.replace('summary = "test"', "") if fault == "summary" else text)
    with file.open("a") as more:
        more.write(f"    {line}\n")
    with pytest.raises(HpbenchError, match=f"mine.*{said}"):
        load_method(make_method("mine", plugins=[file]))


def test_plugin_that_ends_the_program_when_imported_is_refused(tmp_path):
    file = tmp_path / "quits.py"
    file.write_text("raise SystemExit(3)")
    with pytest.raises(HpbenchError, match=r"quits\.py.*SystemExit: 3"):
        METHODS.load("constant", [file])


@pytest.mark.parametrize(
    ("words", "step"), [(["list"], "missing"), (["weights", "list"], "named_weights")]
)
def test_listing_goes_on_after_a_plugin_that_fails_to_describe_itself(tmp_path, words, step):
    file = write_plugin(tmp_path / "mine.py")
    with file.open("a") as more:
        more.write(f"    @classmethod\n    def {step}(cls): raise KeyError('oops')\n")
    done = CliRunner().invoke(app, [*words, "--plugin", str(file)])
    assert done.exit_code == 0
    assert f"cannot be used: its {step}() fails: KeyError: 'oops' (mine.py" in done.output
    assert "hopenet" in done.output


def test_data_set_that_fails_to_read_is_named(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from hpbench.dataset import Dataset, DatasetCard\n"
        "class Mine(Dataset):\n"
        "    name, summary, protocols = 'mine', 'test', ()\n"
        "    card = DatasetCard(name='mine', title='test', domain='photo')\n"
        "    def records(self): return [self.nothing]\n"
    )
    with pytest.raises(HpbenchError, match=r"data set 'mine' cannot be read: AttributeError.*line"):
        list(each_record(make_dataset("mine", plugins=[file])))


def test_file_that_does_not_import_is_named_with_its_error(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("import nothing_of_that_name")
    with pytest.raises(HpbenchError, match=r"broken\.py.*nothing_of_that_name"):
        METHODS.load("constant", [file])


def test_missing_plugin_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"--plugin .*: no such file"):
        METHODS.load("constant", [tmp_path / "gone.py"])


def test_listing_plugins_loads_no_heavy_library():
    heavy = ["torch", "torchvision", "cv2", "dlib", "pandas", "matplotlib", "onnxruntime"]
    code = (
        "import sys; from hpbench.registry import METHODS, DATASETS\n"
        "from hpbench.detectors.base import DETECTORS\n"
        "for r in (METHODS, DATASETS, DETECTORS):\n"
        "    for n in r.plugins(): r.load(n)\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_another_process_makes_a_method_of_the_same_options():
    method = make_method("pnp[focal=1.2,landmarks=annotated]")
    made = pickle.loads(pickle.dumps(MethodSpec.of(method))).make("cpu")
    assert (type(made), made.options) == (type(method), method.options)


def test_annotations_of_a_plugin_are_what_its_own_file_makes_of_them(tmp_path):
    """hpbench's own `from __future__ import annotations` is none of the plugin's."""
    file = write_plugin(tmp_path / "mine.py")
    file.write_text(file.read_text() + "\ndef half(x: int): return x / 2\n")
    METHODS.load("mine", [file])
    assert plugin_modules()[file].module.half.__annotations__ == {"x": int}


def test_options_travel_to_other_processes_without_classes_of_their_plugin(tmp_path):
    """These cannot be read there before the plugin is imported."""
    file = tmp_path / "with_enum.py"
    file.write_text("""
from enum import Enum
from hpbench.method import Method, Options
class Crop(str, Enum):
    tight = "tight"
    wide = "wide"
class Chosen(Method):
    name, summary = "chosen", "for a test"
    class Options(Options):
        crop: Crop = Crop.wide
    def card(self): ...
    def prepare(self, face): ...
    def infer(self, batch): ...
    def decode(self, output): ...
""")
    spec = MethodSpec.of(make_method("chosen[crop=tight]", plugins=(file,)))
    assert {key: type(value) for key, value in spec.options.items()} == {"crop": str}
    assert spec.make("cpu", (file,)).options.crop.value == "tight"
