"""Planted differences on rendered heads are found, and no others: ten seeds of the benchmark."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def benchmark(load_script):
    return load_script("benchmarks/planted_factors.py")


@pytest.fixture(scope="module")
def scores(benchmark, tmp_path_factory):
    """Predictions of hopenet for the sample, as it is and with every face covered."""
    out = tmp_path_factory.mktemp("planted") / "run"
    return benchmark.predict(out, None, "hopenet", ["cover"])


def test_planted_cover_ranks_first_and_its_slice_is_the_worst(benchmark, scores):
    for seed in range(10):
        data, without = benchmark.planted(scores, "cover", seed)
        ((_, matter, worst),) = benchmark.findings(data)
        assert matter[:1] == ["cover"]
        assert worst == ("cover", "covered")
        assert not set(matter) & without


def test_shuffled_factors_do_not_matter(benchmark, scores):
    found = [
        matter
        for seed in range(10)
        for _, matter, _ in benchmark.findings(benchmark.shuffled(scores[""], seed))
    ]
    assert sum(map(bool, found)) <= 1  # at a level of 1 %
