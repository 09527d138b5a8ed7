from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from hpbench.datasets.aflw2000 import Aflw2000
from hpbench.datasets.mat_3ddfa import read_mat
from hpbench.datasets.mat_file import read_matrices
from hpbench.errors import DataError

NAMES = ("Pose_Para", "pt2d", "pt3d_68")


def test_all_real_files_read_as_scipy_reads_them(aflw2000_dir: Path, w300lp_dir: Path):
    paths = [*sorted(aflw2000_dir.glob("*.mat"))[::25], *sorted(w300lp_dir.rglob("*.mat"))[::6]]
    assert len(paths) > 30
    for path in paths:
        found, expected = read_matrices(path, NAMES), loadmat(path, variable_names=NAMES)
        assert set(found) == set(NAMES) & set(expected)
        for name, matrix in found.items():
            assert matrix.dtype == expected[name].dtype
            np.testing.assert_array_equal(matrix, expected[name])


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_matrices_of_every_class_read_as_scipy_reads_them(tmp_path, dtype, compressed):
    shapes = {"a": (1, 1), "bc": (3, 5), "name_of_9": (2, 0), "d" * 31: (1, 2, 3)}
    content = {name: np.arange(np.prod(s)).reshape(s).astype(dtype) for name, s in shapes.items()}
    savemat(tmp_path / "x.mat", content, do_compression=compressed, long_field_names=True)
    found = read_matrices(tmp_path / "x.mat", content)
    assert list(found) == list(content)
    for name, matrix in content.items():
        np.testing.assert_array_equal(found[name], matrix)
        assert found[name].dtype == dtype


def test_variables_of_other_classes_are_skipped_unless_asked_for(tmp_path):
    from scipy.sparse import eye

    content = {"cell": np.array([[1], "x"], dtype=object), "text": "abc", "sparse": eye(3).tocsc()}
    content |= {"struct": {"f": 1}, "Pose_Para": np.ones((1, 7)), "complex": np.array([[1j]])}
    savemat(tmp_path / "x.mat", content)
    assert read_matrices(tmp_path / "x.mat", ["Pose_Para"])["Pose_Para"].tolist() == [[1.0] * 7]
    for name in set(content) - {"Pose_Para"}:
        with pytest.raises(ValueError, match=f"{name} is .* instead of a matrix of numbers"):
            read_matrices(tmp_path / "x.mat", [name])


def test_file_that_ends_scipy_is_a_face_with_a_reason(write_face, tmp_path, reliability_cases):
    write_face(tmp_path, "image00002")
    hostile = write_face(tmp_path, "image00004")
    hostile.write_bytes((reliability_cases / "mat_segfault_min.mat").read_bytes())
    records = Aflw2000(tmp_path).records()
    assert records[0].excluded is None
    assert records[1].excluded.startswith("image00004.mat: cannot be read as a MATLAB file")


def test_newer_format_is_named(tmp_path):
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "x.mat").write_bytes(header.ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(ValueError, match=r"written by save -v7\.3; save it with -v7"):
        read_matrices(tmp_path / "x.mat", NAMES)


def test_compressed_bomb_is_refused_before_it_is_unpacked(tmp_path):
    savemat(tmp_path / "x.mat", {"Pose_Para": np.zeros((1, 4_000_000))}, do_compression=True)
    assert (tmp_path / "x.mat").stat().st_size < 100_000
    with pytest.raises(DataError, match="larger than 16 MB"):
        read_mat(tmp_path / "x.mat")


@pytest.mark.parametrize("compressed", [False, True])
def test_mutated_files_are_faces_or_have_a_reason(tmp_path, compressed, reliability_cases):
    points = np.arange(136.0).reshape(2, 68)
    content = {
        "Pose_Para": np.zeros((1, 7)),
        "pt2d": points,
        "pt3d_68": np.vstack([points, points[:1]]),
    }
    savemat(tmp_path / "x.mat", content, do_compression=compressed)
    seeds = [tmp_path / "x.mat", reliability_cases / "mat_segfault_min.mat"]
    tool = Path(__file__).parents[2] / "tools" / "fuzz_mat.py"
    done = subprocess.run(
        [sys.executable, tool, *seeds, "--files", "3000", "--seconds", "10"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr  # negative where a signal ended it
    faces, reasons = (int(word) for word in done.stdout.split()[2:5:2])
    assert faces > 50
    assert reasons > 50
