"""How much is computed: a slice of seconds, or all of it with ``PROOF=long`` (``.ci/proof``)."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def many():
    """Return ``many(short, long)``: how many cases of this session."""
    return lambda short, long: long if os.environ.get("PROOF") == "long" else short
