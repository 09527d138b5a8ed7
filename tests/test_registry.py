"""Finding plugins, good and broken ones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hpbench.errors import HpbenchError, UsageError
from hpbench.registry import DATASETS, METHODS, make_method

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


def write_plugin(path, name="mine", cls="Mine", contract=1):
    path.write_text(PLUGIN.format(name=name, cls=cls, contract=contract))
    return path


def test_built_ins_come_through_entry_points():
    assert {"constant", "hopenet", "pnp"} <= set(METHODS.plugins())
    assert {"aflw2000", "biwi", "pointing04", "sample", "table"} <= set(DATASETS.plugins())


def test_every_built_in_can_be_imported():
    for registry in (METHODS, DATASETS):
        for name in registry.plugins():
            assert registry.load(name).name == name


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


def test_file_that_does_not_import_is_named_with_its_error(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("import nothing_of_that_name")
    with pytest.raises(HpbenchError, match=r"broken\.py.*nothing_of_that_name"):
        METHODS.load("constant", [file])


def test_missing_plugin_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such plugin file"):
        METHODS.load("constant", [tmp_path / "gone.py"])


def test_listing_plugins_loads_no_heavy_library():
    heavy = ["torch", "torchvision", "cv2", "dlib", "pandas", "matplotlib", "onnxruntime"]
    code = (
        "import sys; from hpbench.registry import METHODS, DATASETS\n"
        "for r in (METHODS, DATASETS):\n"
        "    for n in r.plugins(): r.load(n)\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
