"""Code in a pickle that someone has put in the place of a file is never executed."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from hpbench.errors import HpbenchError
from hpbench.inference.progress import NoProgress
from hpbench.registry import METHODS, make_method
from hpbench.reports import write_report
from hpbench.results.run_config import RunConfig
from hpbench.running.runner import run


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture
def mark(tmp_path) -> Path:
    return tmp_path / "mark"


@pytest.fixture
def trap(mark) -> bytes:
    content = pickle.dumps(Trap(mark))
    pickle.loads(content)
    mark.unlink()  # it does work
    return content


def run_constant(out: Path) -> Path:
    config = RunConfig(methods="constant", datasets="sample", limit=4, timing="off", device="cpu")
    return run(config, out, NoProgress())


def test_nothing_of_a_run_folder_is_unpickled(tmp_path, trap, mark, monkeypatch):
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "cache"))
    folder = run_constant(tmp_path / "run")
    for file in sorted(folder.glob("*.*")):
        genuine = file.read_bytes()
        file.write_bytes(trap)
        for read in (write_report, run_constant):
            try:
                read(folder)
            except HpbenchError as error:
                assert "\n" not in str(error)
        file.write_bytes(genuine)
    assert not mark.exists()


def test_nothing_of_the_cache_is_unpickled(tmp_path, trap, mark, monkeypatch):
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "cache"))
    run_constant(tmp_path / "first")
    entries = list((tmp_path / "cache").rglob("*.*"))
    assert entries
    for entry in entries:
        entry.write_bytes(trap)
    run_constant(tmp_path / "second")
    assert not mark.exists()


def test_no_weights_file_is_unpickled(tmp_path, trap, mark):
    tried = 0
    for name in METHODS.plugins():
        if "weights" not in METHODS.load(name).Options.model_fields:
            continue
        for suffix in (".pkl", ".pth", ".safetensors", ".onnx"):
            weights = tmp_path / f"weights{suffix}"
            weights.write_bytes(trap)
            with pytest.raises(HpbenchError):
                make_method(f"{name}[weights={weights}]").load()
            tried += 1
    assert tried and not mark.exists()
