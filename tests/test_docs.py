"""The documentation builds, its links resolve, and its commands parse."""

from __future__ import annotations

import ast
import json
import pkgutil
import re
import runpy
import shlex
import subprocess
import sys
import textwrap
from importlib.metadata import entry_points
from itertools import chain
from pathlib import Path

import pytest
import typer.main
import yaml
from markdown.extensions.toc import slugify, unique

from hpbench.detectors.base import make_detector
from hpbench.registry import make_dataset

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "CHANGELOG.md",
    *sorted(
        page
        for room in ("methods", "datasets", "examples")
        for page in (ROOT / room).rglob("README.md")
    ),
]
INDENTED_COMMAND = re.compile(r"^ {4}(?:pip install \S+ && )?(hpbench .*)$", re.MULTILINE)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED_BLOCK = re.compile(r"(?:^ {4}.*\n(?:[ \t]*\n)*)+", re.MULTILINE)
KEY = re.compile(r"`(\w+)`")
LINK = re.compile(r"\]\(([^):#]*)(?:#([^)]+))?\)")
REMOVED_TERMS = re.compile(
    r"\b(answer(s|ed)?|(?<!ground )truth|pictures?|damaged?|mend(s|ed)?|declin(e|es|ed)"
    r"|beyond chance|(faces|figures) that count|taken up|turn of the head|one turn"
    r"|stay(s|ed)? silent|exchangeable|missing as frontal)\b",
    re.IGNORECASE,
)
"""Left column of the glossary: terms that have no other meaning in the documentation."""
SITE = runpy.run_path(str(ROOT / "tools" / "site_pages.py"))


def commands_of(page: Path) -> list[str]:
    """Command lines of a page that start with ``hpbench``, continuation lines joined."""
    text = page.read_text().replace("\\\n", " ")
    found = INDENTED_COMMAND.findall(text)
    for language, body in FENCE.findall(text):
        if language in ("", "bash", "sh", "console"):
            found += [line for line in body.splitlines() if line.startswith("hpbench ")]
    return found


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def documented_commands() -> list[tuple[str, str]]:
    return [(page_id(page), command) for page in PAGES for command in commands_of(page)]


def test_documentation_builds_with_every_link_resolved(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "index.html").exists()


def test_every_page_is_in_the_navigation_once():
    text = (ROOT / "mkdocs.yml").read_text()
    sections = yaml.safe_load(text)["nav"]
    entries = [
        page for part in sections for item in chain(*part.values()) for page in item.values()
    ]
    written = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(set(written) - set(entries)) == []
    assert len(entries) == len(set(entries))


def test_citation_names_the_version_of_the_package():
    from hpbench import __version__

    citation = (ROOT / "CITATION.cff").read_text()
    assert f'version: "{__version__}"' in citation
    assert f"version = {{{__version__}}}" in (ROOT / "docs" / "licences.md").read_text()


def anchors_of(page: Path) -> set[str]:
    """Anchors of a page's headings that the site and GitHub make alike, and explicit ones."""
    text = FENCE.sub("", page.read_text())
    site: set[str] = set()
    github: set[str] = set()
    for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"[`*]", "", title)
        unique(slugify(plain, "-"), site)
        github.add(re.sub(r"[^\w -]", "", plain.lower()).replace(" ", "-"))
    return site & github | set(re.findall(r'<a id="([^"]+)"', text))


def test_an_anchor_that_the_site_and_github_make_differently_needs_an_id(tmp_path):
    page = tmp_path / "page.md"
    page.write_text('## Landmarks + PnP\n<a id="given"></a>\n## Two words\n')
    assert anchors_of(page) == {"given", "two-words"}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_and_their_anchors_exist(page):
    broken = []
    for target, anchor in LINK.findall(FENCE.sub("", page.read_text())):
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors_of(path)):
            broken.append(f"{target}#{anchor}")
    assert broken == []


@pytest.mark.parametrize(
    ("source", "link", "on_the_site"),
    [
        ("docs/weights.md", "metrics.md#all", "metrics.md#all"),
        ("docs/weights.md", "images/axes.png", "images/axes.png"),
        ("docs/weights.md", "#on-this-page", "#on-this-page"),
        ("docs/weights.md", "https://example.org/docs/a.md", "https://example.org/docs/a.md"),
        ("docs/weights.md", "../methods/hopenet/weights/README.md#size", "model-card.md#size"),
        ("docs/weights.md", "../hpbench/dataset.py", "plugin-api.md#dataset"),
        ("docs/weights.md", "../hpbench/plugin.py", "plugin-api.md"),
        ("docs/weights.md", "../CONTRIBUTING.md", "contributing.md"),
        ("methods/hopenet/weights/README.md", "../../../docs/training.md", "training.md"),
        ("CONTRIBUTING.md", "docs/add-a-metric.md", "add-a-metric.md"),
        ("CHANGELOG.md", "examples/ablations/README.md", "ablations.md"),
    ],
)
def test_links_between_files_become_links_between_pages_of_the_site(source, link, on_the_site):
    assert SITE["site_links"](f"see [it]({link}).", source) == f"see [it]({on_the_site})."


def test_every_file_that_the_site_shows_as_a_page_exists():
    assert [file for file in SITE["PAGES"] if not (ROOT / file).is_file()] == []


def test_overview_links_every_page():
    linked = {target for target, _ in LINK.findall((ROOT / "docs" / "index.md").read_text())}
    written = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert sorted(written - linked - {"getting-started.md"}) == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_no_page_uses_a_term_that_the_glossary_replaced(page):
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text()))
    assert [found.group() for found in REMOVED_TERMS.finditer(prose)] == []


def test_protocol_hashes_on_the_pages_are_those_of_today():
    aflw2000, sample = (type(make_dataset(name)).protocols[0] for name in ("aflw2000", "sample"))
    detected = aflw2000.model_copy(update={"boxes": make_detector("dlib").fingerprint()})
    text = {page_id(page): page.read_text() for page in PAGES}
    assert f"sample, protocol default ({sample.hash})" in text["README.md"]
    assert f'"default", "version": 1, "hash": "{detected.hash}"' in text["docs/results-format.md"]
    assert f"`default ({aflw2000.hash})`" in text["docs/licences.md"]


def test_example_of_the_coordinate_conventions_holds():
    (block,) = [
        body
        for language, body in FENCE.findall((ROOT / "docs" / "conventions.md").read_text())
        if language == "python"
    ]
    exec(compile(block, "conventions.md", "exec"), {})


@pytest.mark.parametrize(("page", "command"), documented_commands())
def test_documented_command_has_only_options_that_exist(page, command):
    from hpbench.cli import app

    words = [word for word in shlex.split(command, comments=True) if word != "..."][1:]
    group = typer.main.get_command(app)
    while words and words[0].startswith("--"):
        words.pop(0)
    if not words:
        return
    context = group.make_context("hpbench", [words[0]], resilient_parsing=True)
    sub = group.get_command(context, words[0])
    assert sub is not None, f"{page}: no command '{words[0]}'"
    sub = getattr(sub, "commands", {}).get(words[1], sub) if len(words) > 1 else sub
    known = {option for parameter in sub.params for option in parameter.opts} | {"--help"}
    used = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert used <= known, f"{page}: {command}"


def test_keys_of_the_results_table_are_those_of_the_schema():
    schema = json.loads((ROOT / "docs" / "schemas" / "results.json").read_text())["$defs"]
    text = (ROOT / "docs" / "results-format.md").read_text()
    table = text[text.index("Per result, ") : text.index("Beside `results`")]
    named = {
        key
        for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for key in KEY.findall(cell)
    }
    assert named <= set(schema["MethodResult"]["properties"])


def test_every_installed_method_is_on_the_page_of_methods():
    text = (ROOT / "docs" / "methods.md").read_text()
    entries = entry_points(group="hpbench.methods")
    installed = {entry.name for entry in entries if entry.value.startswith("hpbench.")}
    assert {name for name in installed if f"| `{name}` |" not in text} == set()


def test_every_option_in_the_prose_belongs_to_a_command():
    from hpbench.cli import app

    root = typer.main.get_command(app)
    commands = [root, *root.commands.values()]
    commands += [sub for one in commands[1:] for sub in getattr(one, "commands", {}).values()]
    known = {option for one in commands for item in one.params for option in item.opts}
    named = {
        (page_id(page), option)
        for page in PAGES
        for option in re.findall(r"`(--[a-z-]+)", FENCE.sub("", page.read_text()))
    }
    # the scripts of benchmarks/ and examples/ have options of their own
    foreign = {"--epochs", "--init", "--help"}
    assert [(page, option) for page, option in sorted(named) if option not in known | foreign] == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_python_blocks_compile(page):
    for language, body in FENCE.findall(page.read_text()):
        if language == "python":
            compile(body, str(page), "exec")


def python_blocks(text: str) -> list[str]:
    """Python of a page: fenced as such, or indented and readable as Python."""
    found = [body for language, body in FENCE.findall(text) if language == "python"]
    for block in INDENTED_BLOCK.findall(FENCE.sub("", text)):
        body = textwrap.dedent(block)
        try:
            ast.parse(body)
        except SyntaxError:
            assert not re.search(r"^(import|from) \w", body, re.MULTILINE), body
        else:
            found.append(body)
    return found


def missing_names(python: str) -> list[str]:
    """Names of hpbench that a block imports or uses and that do not exist."""
    used = set()
    for node in ast.walk(ast.parse(python)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hpbench":
            used |= {f"{node.module}.{one.name}" for one in node.names}
        elif isinstance(node, ast.Import):
            used |= {one.name for one in node.names if one.name.split(".")[0] == "hpbench"}
        elif isinstance(node, ast.Attribute) and re.match(r"hpbench(\.\w+)+$", ast.unparse(node)):
            used.add(ast.unparse(node))
    return sorted(name for name in used if not _exists(name))


def _exists(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=page_id)
def test_every_name_of_hpbench_in_python_blocks_exists(page):
    found = [missing_names(body) for body in python_blocks(page.read_text())]
    assert list(chain(*found)) == []


def test_a_name_that_does_not_exist_is_found_in_fenced_and_indented_blocks():
    text = (
        "Prose:\n\n    import json\n    from hpbench.running.corruptions import error_by_level\n\n"
        "    for point in error_by_level([], []):\n        print(point)\n\n"
        "A command:\n\n    hpbench run --methods pnp\n\n"
        "```python\nimport hpbench.cli\nimport hpbench.nothing\n\nhpbench.no_such()\n"
        "hpbench.load('a').table()\n```\n"
    )
    assert [missing_names(body) for body in python_blocks(text)] == [
        ["hpbench.no_such", "hpbench.nothing"],
        ["hpbench.running.corruptions.error_by_level"],
    ]
