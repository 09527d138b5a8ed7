"""What stored predictions depend on: which edits and which files change the hashes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hpbench.storage.fingerprints import folder_digest, records_digest

ROOT = Path(__file__).resolve().parents[2]
DIGEST = """
from hpbench.registry import {registry}
from hpbench.storage.fingerprints import code_digest
from pathlib import Path
print(code_digest({registry}.load("{name}", [Path(file) for file in {files}])))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of this checkout that may be edited."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("hpbench", "methods", "datasets"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.npz")
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def digest(checkout: Path, registry: str, name: str, *files: Path) -> str:
    program = DIGEST.format(registry=registry, name=name, files=[str(file) for file in files])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        cwd=checkout.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("edited", "registry", "name"),
    [
        ("datasets/mat_3ddfa.py", "DATASETS", "w300lp"),  # its reader is another package's
        ("hpbench/geometry/boxes.py", "METHODS", "constant"),
        ("hpbench/timing/measure.py", "METHODS", "constant"),  # it decides times
        ("methods/pnp/method.py", "METHODS", "pnp"),
    ],
)
def test_edit_of_any_source_file_of_a_checkout_counts(checkout, edited, registry, name):
    before = digest(checkout, registry, name)
    with (checkout / edited).open("a") as file:
        file.write("\n# edited\n")
    assert digest(checkout, registry, name) != before


PLUGIN = '''
from hpbench.method import Method, MethodCard

class Mine(Method):
    """For a test."""
    name = "mine"
    summary = "for a test"
    def card(self): return MethodCard(name="mine", title="Mine")
    def prepare(self, face): return face
    def infer(self, batch): return batch
    def decode(self, output): return output
'''


def test_modules_beside_a_plugin_file_count_and_other_folders_do_not(checkout, tmp_path):
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN)
    (tmp_path / "helper").mkdir()
    (tmp_path / "helper" / "__init__.py").write_text("")
    (tmp_path / "data").mkdir()
    seen = [digest(checkout, "METHODS", "mine", plugin)]
    (tmp_path / "data" / "a.py").write_text("x = 1\n")
    assert digest(checkout, "METHODS", "mine", plugin) == seen[0]
    for name in ("beside.py", "helper/inner.py", "plugin.py", "weights.onnx"):
        with (tmp_path / name).open("a") as file:
            file.write("x = 1\n")
        seen.append(digest(checkout, "METHODS", "mine", plugin))
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("module", ["lib/helper.py", "elsewhere/far.py"])
def test_module_that_a_plugin_file_imports_counts_wherever_it_lies(checkout, tmp_path, module):
    """A folder without __init__.py, as many a repository has it, and one on sys.path."""
    here, file = tmp_path / "here", tmp_path / "here" / module
    file.parent.mkdir(parents=True)
    plugin, name = here / "plugin.py", file.stem if "far" in module else "lib.helper"
    folder = file.parent if "far" in module else here
    plugin.write_text(f"import sys\nsys.path.insert(0, {str(folder)!r})\nimport {name}\n{PLUGIN}")
    file.write_text("x = 1\n")
    before = digest(checkout, "METHODS", "mine", plugin)
    file.write_text("x = 2000\n")
    assert digest(checkout, "METHODS", "mine", plugin) != before


def test_state_of_a_folder_is_that_of_its_files(tmp_path):
    (tmp_path / "deep").mkdir()
    image = tmp_path / "deep" / "a.png"
    image.write_bytes(b"12345")
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    before = folder_digest(tmp_path)
    assert folder_digest(tmp_path) == before
    os.utime(image, ns=(1, 1))
    assert folder_digest(tmp_path) != before


@pytest.mark.parametrize("link", ["a_now", "zz_now"])
def test_link_to_another_folder_changes_the_state_of_a_folder(tmp_path, link):
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "0.png").write_bytes(b"12345")
        os.utime(tmp_path / version / "0.png", ns=(1, 1))
    (tmp_path / link).symlink_to("v1")
    before = folder_digest(tmp_path), folder_digest(tmp_path, contents=True)
    (tmp_path / link).unlink()
    (tmp_path / link).symlink_to("v2")
    assert folder_digest(tmp_path) != before[0]
    assert folder_digest(tmp_path, contents=True) != before[1]


def test_changed_image_changes_the_state_of_records(tmp_path):
    from hpbench.dataset import Label, Record

    image = tmp_path / "a.png"
    image.write_bytes(b"12345")
    record = Record("a", image, Label.from_angles(1, 2, 3))
    before = records_digest([record])
    image.write_bytes(b"123456")
    assert records_digest([record]) != before
