"""report.html, as text and in a real browser."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from hpbench.reports import write_report

EVIL = "m[k=</script><img src=x onerror=alert(1)>]"


@pytest.fixture(scope="module")
def page(tmp_path_factory, run_maker) -> Path:
    """Report of two methods, one with markup in its name, one sometimes silent, on two sets."""
    folder = run_maker(
        tmp_path_factory.mktemp("html") / "run",
        errors={"near": (1.0, 2.0, 3.0), EVIL: (-8.0, 4.0, 0.0)},
        silent={"near": 5},
        image_name="<b>img{:03d}",
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
        "pairs", "explain",
    }  # fmt: skip


# --- in a browser -------------------------------------------------------------------------------

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


def browse(page: Path, folder: Path, script: str = "", *options: str) -> tuple[str, str]:
    """Open a page, run a script in it that returns text, and give back the text and the log."""
    probe = (
        "<script>addEventListener('load', () => setTimeout(() => {"
        "const out = document.createElement('pre'); out.id = 'probe';"
        f"try {{ out.textContent = (() => {{ {script} }})(); }}"
        "catch (error) { out.textContent = error; }"
        "document.body.append(out); }, 500));</script></body>"
    )
    probed = folder / "probed.html"
    text = page.read_text(encoding="utf-8")
    probed.write_text(text.replace("</body>\n</html>", f"{probe}</html>"), encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--enable-logging=stderr", "--virtual-time-budget=20000",
            f"--user-data-dir={folder / 'profile'}", *options, "--dump-dom", f"file://{probed}",
        ],
        capture_output=True, text=True, timeout=180, check=True,
    )  # fmt: skip
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None, done.stdout[-2000:]
    return html.unescape(found[1]), done.stderr


@in_browser
def test_page_opens_without_a_complaint_and_draws_every_figure(page, tmp_path) -> None:
    drawn, log = browse(
        page, tmp_path,
        "return [...document.querySelectorAll('.drawing')]"
        ".map((one) => one.querySelectorAll('.main-svg').length > 0).join();",
    )  # fmt: skip
    assert set(drawn.split(",")) == {"true"}
    assert len(drawn.split(",")) == 14
    assert "CONSOLE" not in log


@in_browser
def test_click_on_a_head_sorts_up_then_down(page, tmp_path) -> None:
    order, _ = browse(
        page, tmp_path,
        "const table = document.querySelector('[data-table=accuracy] table');"
        "const read = () => [...table.tBodies[0].rows].map((r) => r.cells[1].textContent).join();"
        "const button = table.tHead.rows[0].cells[1].firstElementChild;"
        "button.click(); const up = read(); button.click(); return `${up} ${read()}`;",
    )  # fmt: skip
    assert order == "1.00,8.00 8.00,1.00"


@in_browser
def test_filters_hide_a_method_and_a_data_set_and_narrow_the_yaw(page, tmp_path) -> None:
    shown, _ = browse(
        page, tmp_path,
        "const form = document.getElementById('filters');"
        "form.querySelectorAll('[name=method]')[1].click();"
        "form.querySelectorAll('[name=dataset]')[1].click();"
        "form.elements.to.value = 30;"
        "form.elements.to.dispatchEvent(new Event('input', {bubbles: true}));"
        "const rows = [...document.querySelectorAll('#heads [data-table=accuracy] tbody tr')];"
        "const scatter = document.querySelector('[data-plot=heads-scatter]');"
        "return [rows.map((r) => r.hidden), document.getElementById('faces').hidden,"
        "document.querySelector('[data-range=heads] tbody tr').innerText.trim(),"
        "Math.max(...scatter.data[0].x.map(Math.abs)) <= 30, scatter.data[1].visible].join('|');",
    )  # fmt: skip
    rows, section, narrowed, points, other = shown.split("|")
    assert (rows, section, points, other) == ("false,true", "true", "true", "false")
    assert narrowed.split()[:5] == ["near", "1.00", "2.00", "3.00", "2.00"]


@in_browser
def test_page_is_no_wider_than_a_phone(page, tmp_path) -> None:
    widths, _ = browse(
        page, tmp_path, "return `${document.documentElement.scrollWidth} ${innerWidth}`;",
        "--window-size=500,900",
    )  # fmt: skip
    content, window = map(int, widths.split())
    assert content <= window


@in_browser
def test_picture_of_the_page_can_be_taken(page, tmp_path) -> None:
    picture = tmp_path / "page.png"
    subprocess.run(
        [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu",
            "--virtual-time-budget=20000", f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1000,1600", f"--screenshot={picture}", f"file://{page}",
        ],
        capture_output=True, timeout=180, check=True,
    )  # fmt: skip
    with Image.open(picture) as shown:
        assert len(shown.convert("RGB").getcolors(1_000_000) or []) > 50
