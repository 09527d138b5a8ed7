"""Paths that a user writes."""

from __future__ import annotations

import pytest

from hpbench.errors import UsageError
from hpbench.registry import make_method


@pytest.mark.parametrize(
    "spec",
    [
        "hopenet[weights=~nobodyx/net.pkl]",
        "fsanet[weights=~nobodyx/folder]",
        "card[file=~nobodyx/net.toml]",
        "pnp[predictor=~nobodyx/net.dat]",
        "predictions[file=~nobodyx/net.csv]",
        "facemesh[python=~nobodyx/python]",
    ],
)
def test_home_folder_of_nobody_is_one_line(spec):
    with pytest.raises(UsageError, match=r"^~nobodyx/.*: there is no home folder '~nobodyx'"):
        make_method(spec).load()
