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

from hpbench.inference.progress import NoProgress
from hpbench.reports import write_report
from hpbench.results.run_config import RunConfig
from hpbench.running.runner import run as _run

EVIL = "m[k=<img src=x onerror=alert(1)>]"


@pytest.fixture(scope="module")
def page(tmp_path_factory, run_maker) -> Path:
    """Report of two methods, one with markup in its name, one sometimes silent, on two sets."""
    folder = run_maker(
        tmp_path_factory.mktemp("html") / "run",
        errors={"near": (1.0, 2.0, 3.0), EVIL: (-8.0, 4.0, 0.0)},
        without_prediction={"near": 5},
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
        "pairs", "explain", "intervals", "importance",
    }  # fmt: skip


# --- in a browser -------------------------------------------------------------------------------

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

PROBE = """
const found = {};
found.width = [document.documentElement.scrollWidth, innerWidth];
const drawn = () => [...document.querySelectorAll(".drawing")]
  .map((one) => one.querySelectorAll(".main-svg").length > 0);
found.atFirst = drawn();
dispatchEvent(new Event("beforeprint"));
found.drawn = drawn();
dispatchEvent(new Event("afterprint"));

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
form.elements.to.value = 33;
form.elements.to.dispatchEvent(new Event("input", { bubbles: true }));
found.hiddenRows = [...table.tBodies[0].rows].map((row) => row.hidden);
found.hiddenSection = document.getElementById("faces").hidden;
found.narrowed = [...document.querySelectorAll("[data-range=heads] tbody td")]
  .map((cell) => cell.textContent);
found.range = document.querySelector("[data-range=heads] caption").textContent;
dispatchEvent(new Event("beforeprint"));
const points = document.querySelector("[data-plot=heads-scatter]").data;
found.points = points.map((trace) => trace.meta);
found.lines = document.querySelector("[data-plot=heads-ced]").data.map((trace) => trace.meta);
found.maps = document.querySelector("[data-plot=heads-map]").data.map((trace) => trace.meta);
found.widestYaw = Math.max(...points[0].x.map(Math.abs));
dispatchEvent(new Event("afterprint"));

const closed = () => document.querySelectorAll("details:not([open])").length;
found.closed = [closed()];
for (const moment of ["beforeprint", "afterprint"]) {
  dispatchEvent(new Event(moment));
  found.closed.push(closed());
}
return found;
"""


OUTER = """<!DOCTYPE html><html><body><iframe id="open"></iframe><script>
const open = document.getElementById("open").contentDocument;
open.open(); // until it is closed, the page counts as loading and is not printed
addEventListener("message", ({{ data }}) => {{
  const out = document.createElement("pre"); out.id = "probe"; out.textContent = data;
  document.body.append(out);
  open.close();
}});</script><iframe src="{name}" width="{width}" height="900"></iframe></body></html>"""


def browse(page: Path, folder: Path, probe: str, width_px: int) -> dict:
    """What a script finds in the page on a screen of some width, and the browser's log.

    The page is shown in a frame, because a window has no width below 500 pixels.
    """
    script = (
        "<script>addEventListener('load', async () => { let found;"
        "while (document.documentElement.dataset.plotly === undefined)"
        " await new Promise((resolve) => setTimeout(resolve, 50));"
        f"try {{ found = (async () => {{ {probe} }})(); }}"
        "catch (error) { found = { error: `${error}` }; }"
        "Promise.resolve(found).then((one) => parent.postMessage(JSON.stringify(one), '*'));"
        " });</script></body>"
    )
    text = page.read_text(encoding="utf-8")
    inner, outer = folder / "inner.html", folder / "outer.html"
    inner.write_text(text.replace("</body>\n</html>", f"{script}</html>"), encoding="utf-8")
    outer.write_text(OUTER.format(name=inner.name, width=width_px), encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM, *OPTIONS, "--enable-logging=stderr", "--window-size=1200,1000",
            f"--user-data-dir={folder / 'profile'}", "--dump-dom", f"file://{outer}",
        ],
        capture_output=True, text=True, timeout=180, check=True,
    )  # fmt: skip
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(html.unescape(found[1])) | {"log": done.stderr}


@pytest.fixture(scope="module")
def browsed(page, tmp_path_factory) -> dict:
    return browse(page, tmp_path_factory.mktemp("browser"), PROBE, 1000)


@in_browser
def test_page_opens_without_a_complaint_and_draws_every_figure(browsed) -> None:
    assert browsed["drawn"] == [True] * 14
    assert not all(browsed["atFirst"])  # what is out of sight is drawn later
    assert "CONSOLE" not in browsed["log"]


@in_browser
def test_click_on_a_head_sorts_up_then_down(browsed) -> None:
    assert browsed["up"] == ["1.00", "8.00"]
    assert browsed["down"] == ["8.00", "1.00"]


@in_browser
def test_filters_hide_a_method_and_a_data_set(browsed) -> None:
    assert browsed["hiddenRows"] == [False, True]  # sorted down: near is the second row
    assert browsed["points"] == browsed["lines"] == [EVIL]
    assert browsed["maps"] == [EVIL]
    assert browsed["hiddenSection"] is True


@in_browser
def test_yaw_filter_narrows_the_errors_and_the_points(browsed) -> None:
    method, *errors = browsed["narrowed"]
    assert method == EVIL
    assert errors[:4] == ["8.00", "4.00", "0.00", "4.00"]
    assert browsed["widestYaw"] <= 33


@in_browser
def test_caption_of_the_narrowed_errors_names_the_steps_that_they_are_of(browsed) -> None:
    assert browsed["range"].endswith("|yaw| from 0 to 30 degrees")


@in_browser
def test_paper_shows_what_a_click_would_open(browsed) -> None:
    on_screen, on_paper, afterwards = browsed["closed"]
    assert on_paper == 0
    assert on_screen == afterwards > 2  # the cards of both methods, worst faces, ...


NARROW = """
for (const moment of ["beforeprint", "afterprint"]) dispatchEvent(new Event(moment));
const drawings = [...document.querySelectorAll(".drawing")];
while (drawings.some((one) => !one.querySelector(".main-svg"))) {
  await new Promise((resolve) => setTimeout(resolve, 100));
}
const figure = (name) => document.querySelector(`[data-plot=heads-${name}]`);
const right = (one) => one.getBoundingClientRect().right;
const words = (name, kind) => figure(name).querySelectorAll(`.main-svg ${kind}`).length;
const titles = [...document.querySelectorAll(".drawing .infolayer g[class*=title]")];
const cut = titles.filter((one) => right(one) > right(one.closest(".drawing")));
const scroll = document.querySelector("#heads [data-table=common] .scroll");
const caption = scroll.querySelector("caption");
scroll.scrollLeft = 100;
const { left } = caption.getBoundingClientRect();
return {
  ticks: [words("map", ".ytick") > 0, words("map", ".y2tick") > 0],
  histogramTitles: words("histogram", "g[class*=x][class$=title] text"),
  cut: cut.map((one) => one.textContent),
  scrolled: scroll.scrollLeft,
  caption: [left, right(caption)],
  milliseconds: [...figure("pareto").querySelectorAll(".xtick text")].map((one) => one.textContent),
  medians: [...figure("runtime").querySelectorAll(".textpoint text")]
    .map((one) => one.textContent.trim()),
  clipped: figure("pareto").data.flatMap((one) => one.mode === "markers" ? [one.cliponaxis] : []),
};
"""


@pytest.fixture(scope="module")
def narrow(page, tmp_path_factory) -> dict:
    return browse(page, tmp_path_factory.mktemp("narrow"), NARROW, 420)


@in_browser
def test_only_the_first_map_of_a_row_has_words_beside_it(narrow) -> None:
    assert narrow["ticks"] == [True, False]


@in_browser
def test_title_of_equal_axes_stands_under_the_last_panel_alone(narrow) -> None:
    assert narrow["histogramTitles"] == 1


@in_browser
def test_no_title_of_an_axis_is_cut_on_a_phone(narrow) -> None:
    assert narrow["cut"] == []


@in_browser
def test_caption_of_a_table_stays_in_sight_while_the_table_scrolls(narrow) -> None:
    left, right = narrow["caption"]
    assert narrow["scrolled"] > 0
    assert left >= 0
    assert right <= 420


@in_browser
def test_times_of_less_than_a_decade_have_numbers_on_their_axis(narrow) -> None:
    places = [float(one) for one in narrow["milliseconds"]]
    assert len(places) >= 2
    assert places == sorted(places)  # a digit that stands for its decade would break the order


@in_browser
def test_bars_of_times_end_with_the_median_of_the_total(narrow) -> None:
    assert len(narrow["medians"]) == 2
    assert all(re.fullmatch(r"[\d.,]+ ms", one) for one in narrow["medians"])


@in_browser
def test_marker_on_an_axis_of_the_page_is_whole(narrow) -> None:
    assert narrow["clipped"] == [False, False]


LONG = "frontal_by_a_name_that_is_much_longer_than_the_screen_of_any_phone_is_wide"
FRONTAL = f"""
import numpy as np
from hpbench.method import Method, MethodCard, Prediction

class Frontal(Method):
    name = "{LONG}"
    summary = "for a test"
    def card(self): return MethodCard(name=self.name, title="frontal")
    def prepare(self, face): return face
    def infer(self, batch): return batch
    def decode(self, output): return [Prediction(np.eye(3)) for _ in output]
"""

POINTER = """
const found = {};
found.width = [document.documentElement.scrollWidth, innerWidth];
for (const one of document.querySelectorAll("details")) one.open = true;
await new Promise((resolve) => setTimeout(resolve, 300));
found.gallery = document.querySelectorAll(".gallery .face image").length;
const scatter = document.querySelector("[data-plot=sample-scatter]");
scatter.scrollIntoView();
await new Promise((resolve) => setTimeout(resolve, 1000));
const { xaxis, yaxis } = scatter._fullLayout;
const surface = scatter.querySelector(".nsewdrag");
const { left, top } = surface.getBoundingClientRect();
const pointer = {
  clientX: left + xaxis.l2p(scatter.data[0].x[0]), clientY: top + yaxis.l2p(scatter.data[0].y[0]),
  bubbles: true,
};
surface.dispatchEvent(new MouseEvent("mousemove", pointer));
return new Promise((show) => setTimeout(() => {
  const hovered = document.querySelector("[data-hovered=sample]");
  found.image = scatter.data[0].customdata[0];
  found.words = hovered.textContent;
  found.href = hovered.querySelector("image")?.getAttribute("href").slice(0, 22);
  found.ends = [...hovered.querySelectorAll("line")].map((line) =>
    [Number(line.getAttribute("x2")), Number(line.getAttribute("y2"))]);
  show(found);
}, 1000));
"""


@pytest.fixture(scope="module")
def pointed(tmp_path_factory) -> dict:
    """What the pointer shows on a report of the embedded sample, on a phone."""
    folder = tmp_path_factory.mktemp("sample")
    plugin = folder / "plugin.py"
    plugin.write_text(FRONTAL, encoding="utf-8")
    spec = RunConfig(
        methods=LONG, plugins=(plugin,), limit=8, timing="off", device="cpu", workers=1
    )
    run = _run(spec, folder / "run", NoProgress())
    (page,) = write_report(run, ["html"])
    return browse(page, folder, POINTER, 390)


@in_browser
def test_pointer_shows_the_face_with_labelled_and_predicted_axes(pointed) -> None:
    assert pointed["href"] == "data:image/jpeg;base64"
    assert pointed["words"].startswith(pointed["image"])
    true, predicted = pointed["ends"][:3], pointed["ends"][3:]
    assert predicted == [[80, 50], [50, 80], [50, 50]]  # of a frontal head
    assert true != predicted


@in_browser
def test_worst_faces_are_shown(pointed) -> None:
    assert pointed["gallery"] == 8


@in_browser
def test_page_is_no_wider_than_a_phone(pointed) -> None:
    content, window = pointed["width"]
    assert window == 390
    assert content <= window


@in_browser
def test_image_of_the_page_can_be_taken(page, tmp_path) -> None:
    image = tmp_path / "page.png"
    subprocess.run(
        [
            CHROMIUM, *OPTIONS, f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=200000", "--window-size=1000,1600", f"--screenshot={image}", f"file://{page}",
        ],
        capture_output=True, timeout=180, check=True,
    )  # fmt: skip
    with Image.open(image) as shown:
        assert len(shown.convert("RGB").getcolors(1_000_000) or []) > 50


CHOOSE = """
const form = document.getElementById("filters");
const colour = (spec) => form.querySelector(`[value=${spec}]`).nextElementSibling.style.background;
const found = { at_first: colour("m21"), count: form.querySelector("[data-count]").textContent };
form.querySelector("[data-choose=none]").click();
form.querySelector("[value=m21]").click();
found.chosen = colour("m21");
found.rows = [...document.querySelectorAll("#heads [data-table=accuracy] tbody tr")]
  .filter((row) => !row.hidden).length;
dispatchEvent(new Event("beforeprint"));
found.traces = document.querySelector("[data-plot=heads-ced]").data.map((trace) => trace.name);
form.querySelector("[data-choose=all]").click();
dispatchEvent(new Event("beforeprint"));
found.all = document.querySelector("[data-plot=heads-ced]").data.map((trace) => trace.name);
return found;
"""


@in_browser
def test_method_beyond_the_twentieth_takes_a_colour_that_is_free(tmp_path, run_maker) -> None:
    errors = {f"m{number}": (0.5 * number, 1.0, 1.0) for number in range(23)}
    folder = run_maker(tmp_path / "run", errors=errors, timed=False).write()
    (page,) = write_report(folder, ["html"])
    found = browse(page, tmp_path, CHOOSE, 1000)
    assert found["count"] == "23 of 23 methods"
    assert found["chosen"] != found["at_first"]
    assert found["rows"] == 1
    assert found["traces"] == ["m21"]
    assert sorted(found["all"]) == sorted(["3 further methods", *(f"m{n}" for n in range(20))])


CHOOSE_DATA = """
const form = document.getElementById("filters");
form.querySelector("[data-choose=none][data-of=dataset]").click();
form.querySelector("[name=dataset][value=heads3]").click();
return {
  count: form.querySelector("[data-count=dataset]").textContent,
  shown: [...document.querySelectorAll("section.dataset:not([hidden])")].map((one) => one.id),
};
"""


@in_browser
def test_many_data_sets_are_chosen_from_a_folded_list(tmp_path, run_maker) -> None:
    datasets = tuple(f"heads{number}" for number in range(7))
    errors = {"near": (1.0, 2.0, 3.0)}
    folder = run_maker(tmp_path / "run", errors=errors, timed=False, datasets=datasets).write()
    (page,) = write_report(folder, ["html"])
    found = browse(page, tmp_path, CHOOSE_DATA, 1000)
    assert (found["count"], found["shown"]) == ("1 of 7 data sets", ["heads3"])
