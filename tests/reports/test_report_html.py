"""report.html, as text and in a real browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from hpbench.reports import write_report

EVIL = "m[k=<img src=x onerror=alert(1)>]"


@pytest.fixture(scope="module")
def page(tmp_path_factory, run_maker) -> Path:
    """Report of two methods, one with markup in its name, one sometimes silent, on two sets."""
    folder = run_maker(
        tmp_path_factory.mktemp("html") / "run",
        errors={"near": (1.0, 2.0, 3.0), EVIL: (-8.0, 4.0, 0.0)},
        silent={"near": 5},
        image_name="</script><b>img{:03d}",
        datasets=("heads", "faces"),
    ).write()
    (path,) = write_report(folder, ["html"])
    return path


class Elements(HTMLParser):
    """Start tags with their attributes, and the text of tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_nothing_is_loaded_from_outside(page) -> None:
    for tag, attributes in Elements(page.read_text(encoding="utf-8")).tags:
        for name in ("src", "href"):
            assert attributes.get(name) is None, (tag, attributes)


def test_names_with_markup_do_not_become_elements(page) -> None:
    tags = Elements(page.read_text(encoding="utf-8")).tags
    assert not [tag for tag, attributes in tags if tag in {"img", "b"} or "onerror" in attributes]


def test_every_table_of_the_markdown_report_is_there(page) -> None:
    text = page.read_text(encoding="utf-8")
    shown = set(re.findall(r'data-table="(\w+)"', text))
    assert shown == {
        "accuracy", "common", "metrics", "readings", "yaw", "worst", "unscored", "runtime",
        "pairs", "explain", "intervals",
    }  # fmt: skip


# --- in a browser -------------------------------------------------------------------------------

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

PROBE = """
const found = {};
found.width = [document.documentElement.scrollWidth, innerWidth];
found.drawn = [...document.querySelectorAll(".drawing")]
  .map((one) => one.querySelectorAll(".main-svg").length > 0);

const table = document.querySelector("#heads [data-table=accuracy] table");
const yaws = () => [...table.tBodies[0].rows].map((row) => row.cells[1].textContent);
const button = table.tHead.rows[0].cells[1].firstElementChild;
button.click();
found.up = yaws();
button.click();
found.down = yaws();

const form = document.getElementById("filters");
form.querySelector("[name=method][value=near]").click();
form.querySelectorAll("[name=dataset]")[1].click();
form.elements.to.value = 30;
form.elements.to.dispatchEvent(new Event("input", { bubbles: true }));
found.hiddenRows = [...table.tBodies[0].rows].map((row) => row.hidden);
found.hiddenSection = document.getElementById("faces").hidden;
found.narrowed = [...document.querySelectorAll("[data-range=heads] tbody td")]
  .map((cell) => cell.textContent);
const points = document.querySelector("[data-plot=heads-scatter]").data;
found.hiddenPoints = points.map((trace) => trace.visible === false);
found.widestYaw = Math.max(...points[1].x.map(Math.abs));
return found;
"""


@pytest.fixture(scope="module")
def browsed(page, tmp_path_factory) -> dict:
    """What a script finds in the page on a narrow screen, and the browser's log."""
    folder = tmp_path_factory.mktemp("browser")
    script = (
        "<script>addEventListener('load', () => setTimeout(() => {"
        "const out = document.createElement('pre'); out.id = 'probe';"
        f"try {{ out.textContent = JSON.stringify((() => {{ {PROBE} }})()); }}"
        "catch (error) { out.textContent = JSON.stringify({ error: String(error) }); }"
        "document.body.append(out); }, 500));</script></body>"
    )
    probed = folder / "probed.html"
    text = page.read_text(encoding="utf-8")
    probed.write_text(text.replace("</body>\n</html>", f"{script}</html>"), encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM, *OPTIONS, "--enable-logging=stderr", "--window-size=500,900",
            f"--user-data-dir={folder / 'profile'}", "--dump-dom", f"file://{probed}",
        ],
        capture_output=True, text=True, timeout=180, check=True,
    )  # fmt: skip
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None, done.stdout[-2000:]
    return json.loads(html.unescape(found[1])) | {"log": done.stderr}


@in_browser
def test_page_opens_without_a_complaint_and_draws_every_figure(browsed) -> None:
    assert browsed["drawn"] == [True] * 14
    assert "CONSOLE" not in browsed["log"]


@in_browser
def test_click_on_a_head_sorts_up_then_down(browsed) -> None:
    assert browsed["up"] == ["1.00", "8.00"]
    assert browsed["down"] == ["8.00", "1.00"]


@in_browser
def test_filters_hide_a_method_and_a_data_set(browsed) -> None:
    assert browsed["hiddenRows"] == [False, True]  # sorted down: near is the second row
    assert browsed["hiddenPoints"] == [True, False]
    assert browsed["hiddenSection"] is True


@in_browser
def test_yaw_filter_narrows_the_errors_and_the_points(browsed) -> None:
    method, *errors = browsed["narrowed"]
    assert method == EVIL
    assert errors[:4] == ["8.00", "4.00", "0.00", "4.00"]
    assert browsed["widestYaw"] <= 30


@in_browser
def test_page_is_no_wider_than_a_narrow_screen(browsed) -> None:
    content, window = browsed["width"]
    assert content <= window


@in_browser
def test_picture_of_the_page_can_be_taken(page, tmp_path) -> None:
    picture = tmp_path / "page.png"
    subprocess.run(
        [
            CHROMIUM, *OPTIONS, f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1000,1600", f"--screenshot={picture}", f"file://{page}",
        ],
        capture_output=True, timeout=180, check=True,
    )  # fmt: skip
    with Image.open(picture) as shown:
        assert len(shown.convert("RGB").getcolors(1_000_000) or []) > 50
