"""Files of tensors: what is told from the first bytes."""

from __future__ import annotations

import numpy as np
import pytest

from hpbench.errors import WeightsError
from hpbench.weights.state_dicts import read_state_dict


@pytest.mark.parametrize("start", [b" <", b" {"])
def test_safetensors_whose_length_looks_like_a_text_is_read(tmp_path, start):
    header = b'{"net.bias": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
    padded = header.ljust(int.from_bytes(start, "little"))  # 15,392 and 31,520 bytes
    path = tmp_path / "net.safetensors"
    path.write_bytes(start.ljust(8, b"\0") + padded + np.ones(2, "<f4").tobytes())
    assert read_state_dict(path)["bias"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("content", [b"<html>log in first</html>", b"\n<p>"])
def test_web_page_under_the_name_of_safetensors_is_named(tmp_path, content):
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"net\.safetensors: is a web page"):
        read_state_dict(path)
