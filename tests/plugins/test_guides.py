"""The guides are scripts: their blocks are run in order, in a separate environment."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import torch

from hpbench.methods.card.card import NetworkCard

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# (\S+/\S+)\n")


def follow(guide: str, environment, folder: Path) -> str:
    """Do what a guide says: write its files, run its commands; returns all output."""
    output = []
    for language, body in BLOCK.findall((DOCS / guide).read_text(encoding="utf-8")):
        name = FILE_NAME.match(body)
        if language == "bash":
            done = environment.run("bash", "-euc", body, cwd=folder)
            output.append(done.stdout)
            assert done.returncode == 0, f"{body}\n{done.stdout}\n{done.stderr}"
        elif name:
            path = folder / name.group(1)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = body if path.suffix == ".py" else body[name.end() :]
            path.write_text(text, encoding="utf-8")
    return "\n".join(output)


@pytest.fixture(scope="module")
def environment(new_environment):
    return new_environment("guides")


def results_of(folder: Path) -> dict[str, dict]:
    rows = json.loads((folder / "results.json").read_text())["results"]
    return {row["method"]: row for row in rows}


def test_method_guide_ends_with_a_row_in_the_table(environment, tmp_path):
    output = follow("add-a-method.md", environment, tmp_path)
    assert "three_points: " in output
    assert " 0 failed" in output
    rows = results_of(tmp_path / "runs" / "first")
    assert "three_points" in (tmp_path / "runs" / "first" / "report.md").read_text()
    mine, floor = (rows[name]["by_abs_yaw"][0] for name in ("three_points", "constant"))
    assert mine["to"] == 30.0
    assert mine["mae_mean"] < 12.0 < floor["mae_mean"]


def test_dataset_guide_scores_one_face_and_counts_the_other(environment, tmp_path):
    follow("add-a-dataset.md", environment, tmp_path)
    images = results_of(tmp_path / "runs" / "faces")["constant"]["images"]
    assert images["total"] == 2
    assert images["excluded"] == 1


def test_metric_guide_adds_a_column(environment, tmp_path):
    follow("add-a-metric.md", environment, tmp_path)
    row = results_of(tmp_path / "runs" / "within")["pnp"]
    assert 0.0 < row["within_10_everywhere"] < 1.0
    assert row["intervals_95"]["within_10_everywhere"][0] < row["within_10_everywhere"]
    assert "Within 10, all angles" in (tmp_path / "runs" / "within" / "report.md").read_text()


def test_detector_guide_runs(environment, tmp_path):
    output = follow("add-a-detector.md", environment, tmp_path)
    assert "20 faces, 0 excluded" in output


def test_export_guide_ends_with_a_row_in_the_table(environment, tmp_path):
    pytest.importorskip("onnxruntime", reason="pip install 'hpbench[onnx]'")
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 9):
        pytest.skip("torch.export.save writes the layout that is read from torch 2.9 on")
    output = follow("export-to-onnx.md", environment, tmp_path)
    assert "net.onnx gives what the network gives" in output
    assert "net.toml" in (tmp_path / "runs" / "export" / "report.md").read_text()
    assert results_of(tmp_path / "runs" / "export")["card"]["confidence"]["given"] > 0
    assert "../net.pt2" in (tmp_path / "nets" / "exported" / "net.toml").read_text()


def test_card_of_the_guide_is_valid():
    (card, *_) = [
        body
        for language, body in BLOCK.findall((DOCS / "add-a-network.md").read_text())
        if language == "toml"
    ]
    assert NetworkCard.model_validate(tomllib.loads(card)).name == "my_net"
