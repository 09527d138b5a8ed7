"""mkdocs hook: pages of the site whose source lies beside what they describe."""

from __future__ import annotations

import ast
import inspect
import posixpath
import re
import textwrap
from importlib import import_module
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "model-card.md": "methods/hopenet/weights/README.md",
    "sample.md": "datasets/sample/README.md",
    "ablations.md": "examples/ablations/README.md",
}
"""Page of the site, and its file in the repository."""

PLUGIN_CLASSES = {
    "hpbench.method": (
        "Method", "Prediction", "NoPrediction", "MethodCard", "ModelSize",
    ),
    "hpbench.face": ("Face", "Camera"),
    "hpbench.dataset": ("Dataset", "Record", "Label", "DatasetCard"),
    "hpbench.protocol": ("Protocol",),
    "hpbench.detectors.base": ("Detector",),
    "hpbench.landmarks.base": ("LandmarkDetector",),
    "hpbench.plugin": ("Plugin", "Options", "WeightsInfo"),
}  # fmt: skip

PAGES = {
    **{source: page for page, source in FILES.items()},
    **{
        f"{module.replace('.', '/')}.py": f"plugin-api.md#{names[0].lower()}"
        for module, names in PLUGIN_CLASSES.items()
    },
    "hpbench/plugin.py": "plugin-api.md",
}
"""File in the repository that a page links, and the page of the site that shows it."""

LINK = re.compile(r"(?<=\]\()([^\s:#()]+)(?=[#)])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for page, source in FILES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "plugin-api.md", content=plugin_api()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to files of the repository become links between pages."""
    return site_links(markdown, FILES.get(page.file.src_uri, f"docs/{page.file.src_uri}"))


def site_links(text: str, source: str) -> str:
    """Text of a file of the repository, with its relative links as the site needs them."""

    def to_page(link: re.Match[str]) -> str:
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        return PAGES.get(file, posixpath.relpath(file, "docs"))

    return LINK.sub(to_page, text)


def plugin_api() -> str:
    """Page of the classes that a plugin imports, from their docstrings."""
    parts = [
        "# Plugin API\n\nThe classes that a plugin imports. Guides: "
        "[Add a method](add-a-method.md), [Add a data set](add-a-dataset.md). Angles and frames: "
        "[Coordinate conventions](conventions.md)."
    ]
    for module, names in PLUGIN_CLASSES.items():
        for name in names:
            cls = getattr(import_module(module), name)
            parts += [f"## {name}", f"`from {module} import {name}`", _doc(inspect.getdoc(cls))]
            parts += _members(cls)
    return "\n\n".join(parts) + "\n"


def _members(cls: type) -> list[str]:
    """Attributes with the text below them, then public methods."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    attributes, methods = [], []
    documented = set(re.findall(r"\w+(?=[\w, ]* : )", inspect.getdoc(cls) or ""))
    for node, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) not in documented | {"_"}:
            has_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            text = f": {_doc(inspect.cleandoc(following.value.value))}" if has_text else ""
            attributes.append(f"- `{ast.unparse(node)}`{text}")
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            is_property = any(ast.unparse(mark) == "property" for mark in node.decorator_list)
            arguments = "" if is_property else f"({ast.unparse(node.args)})"
            methods += [f"### {cls.__name__}.{node.name}", f"`{node.name}{arguments}{returns}`"]
            methods.append(_doc(ast.get_docstring(node)))
    if attributes:
        methods.insert(0, "\n".join(["**Attributes**\n", *attributes]))
    return methods


def _doc(text: str | None) -> str:
    """Markdown of a NumPy docstring."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", (text or "").replace("``", "`"))
    text = re.sub(r"^(\w+)\n-+\n", r"**\1**\n\n", text, flags=re.MULTILINE)
    # "name : type", or a type alone, above an indented text becomes an item of a list
    text = re.sub(r"^(\w[\w, ]*) : (.*)$", r"\n- `\1` : \2\n", text, flags=re.MULTILINE)
    return re.sub(r"^(\w.*)\n(?= {4}\w)", r"\n- \1\n\n", text, flags=re.MULTILINE)
