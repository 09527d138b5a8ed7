"""Tables of results as a terminal shows them."""

from __future__ import annotations

import pytest

from hpbench.cli.terminal import print_table

SPEC = "hopenet[crop=hopenet-train,k=0.30,weights=lite]"
NUMBERS = ("yaw", "pitch", "roll", "MAE deg", "geodesic", "scored", "no prediction", "ms/face")
COLUMNS = [("method", True), *((heading, False) for heading in NUMBERS)]


@pytest.fixture
def shown(capsys, monkeypatch):
    """Return ``shown(width)``: first cell of each row of a table on a screen of that width."""

    def show(width: int) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        print_table("heads", COLUMNS, [[SPEC, *["12.34"] * len(NUMBERS)]])
        lines = capsys.readouterr().out.splitlines()
        body = lines[next(n for n, line in enumerate(lines) if "12.34" in line) :]
        return [cell for line in body if (cell := line.strip(" │").split("  ")[0].split(" ")[0])]

    return show


def test_spec_is_broken_after_commas(shown) -> None:
    assert shown(120)[:2] == ["hopenet[crop=hopenet-train,k=0.30,", "weights=lite]"]


def test_narrow_screen_shows_the_name_of_the_method(shown) -> None:
    assert shown(80)[0].startswith("hopenet[")
