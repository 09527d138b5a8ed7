"""Finding methods and data sets: entry points of installed packages, and single files.

Built-in and third-party plugins come the same way. A broken plugin is named with its package
and its error, and stops only a run that asks for it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from hpbench.dataset import Dataset
from hpbench.errors import HpbenchError, UsageError, plugin_errors
from hpbench.method import CONTRACT_VERSION, Method
from hpbench.spec import Spec, build_options, parse_spec, suggest

__all__ = [
    "DATASETS",
    "METHODS",
    "Plugin",
    "Registry",
    "load_method",
    "make_dataset",
    "make_method",
    "outdated_contract",
]

T = TypeVar("T", bound=Method | Dataset)


@dataclass(frozen=True, slots=True)
class Plugin:
    """A name that an installed package or a file offers; nothing is imported yet.

    Attributes
    ----------
    name : str
    origin : str
        The package (``hpbench 0.1.0``) or file it comes from.
    source : EntryPoint or type
    """

    name: str
    origin: str
    source: EntryPoint | type


class Registry(Generic[T]):
    """All plugins of one kind.

    Parameters
    ----------
    group : str
        Entry-point group, ``hpbench.methods`` or ``hpbench.datasets``.
    base : type
        Class that every plugin derives from.
    word : str
        ``method`` or ``data set``, for messages.
    """

    def __init__(self, group: str, base: type[T], word: str) -> None:
        self.group = group
        self.base = base
        self.word = word

    def plugins(self, files: Sequence[Path] = ()) -> dict[str, list[Plugin]]:
        """Offers by name, sorted; more than one offer for a name is a conflict."""
        offers: dict[str, list[Plugin]] = {}
        for entry in entry_points(group=self.group):
            dist = entry.dist
            origin = f"{dist.name} {dist.version}" if dist is not None else entry.value
            offers.setdefault(entry.name, [])
            if all(other.origin != origin for other in offers[entry.name]):
                offers[entry.name].append(Plugin(entry.name, origin, entry))
        for file in files:
            for found in self._classes_in(file):
                offers.setdefault(found.name, []).append(Plugin(found.name, str(file), found))
        return dict(sorted(offers.items()))

    def load(self, name: str, files: Sequence[Path] = ()) -> type[T]:
        """Import the class behind a name.

        Raises
        ------
        UsageError
            If the name is unknown (with the nearest match) or offered twice.
        HpbenchError
            If the plugin cannot be imported, is not of the right class, or was written for
            another contract; the message names its package.
        """
        offers = self.plugins(files)
        if name not in offers:
            raise UsageError(f"no {self.word} '{name}'; {suggest(name, offers)}")
        if len(offers[name]) > 1:
            origins = " and ".join(offer.origin for offer in offers[name])
            raise UsageError(
                f"{self.word} '{name}' is offered by {origins}; rename or uninstall one of them"
            )
        return self._import(offers[name][0])

    def _import(self, plugin: Plugin) -> type[T]:
        where = f"{self.word} '{plugin.name}' of {plugin.origin}"
        if isinstance(plugin.source, EntryPoint):
            try:
                found = plugin.source.load()
            except (Exception, SystemExit) as error:
                if _is_of_contract_1(error):
                    raise HpbenchError(outdated_contract(where, 1)) from error
                raise HpbenchError(
                    f"{where} is broken: {type(error).__name__}: {error}; "
                    "fix or uninstall that package"
                ) from error
        else:
            found = plugin.source
        if not (inspect.isclass(found) and issubclass(found, self.base)):
            raise HpbenchError(f"{where} is not a subclass of hpbench's {self.base.__name__}")
        if not isinstance(found.contract, int):
            raise HpbenchError(
                f"{where} has contract = {found.contract!r}; write the whole number of the "
                f"plugin contract that it was written for, now {CONTRACT_VERSION}"
            )
        if found.contract < CONTRACT_VERSION:
            raise HpbenchError(outdated_contract(where, found.contract))
        if found.contract > CONTRACT_VERSION:
            raise HpbenchError(
                f"{where} was written for plugin contract {found.contract}, this hpbench has "
                f"{CONTRACT_VERSION}; update hpbench"
            )
        lacking = [
            name
            for name, kind in self.base.__annotations__.items()
            if str(kind).startswith("ClassVar") and not hasattr(found, name)
        ]
        if lacking:
            raise HpbenchError(f"{where} has no {', '.join(lacking)}; give its class one")
        return found

    def _classes_in(self, file: Path) -> Iterator[type[T]]:
        module = _import_file(file.resolve())
        for found in vars(module).values():
            if (
                inspect.isclass(found)
                and issubclass(found, self.base)
                and found.__module__ == module.__name__
                and hasattr(found, "name")
                # an unfinished class that has a name is offered, so that making it says what lacks
                and ("name" in vars(found) or not inspect.isabstract(found))
            ):
                yield found


@cache
def _import_file(file: Path) -> ModuleType:
    """Import a plugin file under a name of its own, so that its classes pickle."""
    if not file.is_file():
        raise UsageError(f"{file}: no such plugin file (--plugin)")
    digest = hashlib.sha256(str(file).encode()).hexdigest()[:8]
    name = f"hpbench_plugin_{file.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file}: not a Python file (--plugin)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        if _is_of_contract_1(error):
            raise HpbenchError(outdated_contract(str(file), 1)) from error
        raise HpbenchError(
            f"{file}: plugin cannot be imported: {type(error).__name__}: {error}"
        ) from error
    return module


def _is_of_contract_1(error: BaseException) -> bool:
    """Whether an import failed on a name that plugin contract 1 had."""
    names = ("'NoAnswer'", "'Pose'")
    return isinstance(error, ImportError) and any(name in str(error) for name in names)


def outdated_contract(subject: str, contract: int) -> str:
    """The one line for a plugin of an earlier contract, which says what to change."""
    return (
        f"{subject} was written for plugin contract {contract}, this hpbench has "
        f"{CONTRACT_VERSION}; return Prediction(R_cam) from decode, rename NoAnswer to "
        f"NoPrediction, and set contract = {CONTRACT_VERSION}"
    )


DECLARED = "onnx"
"""The method that a card stands for: ``my_net.toml`` is short for ``onnx[card=my_net.toml]``."""

METHODS: Registry[Method] = Registry("hpbench.methods", Method, "method")  # type: ignore[type-abstract]
DATASETS: Registry[Dataset] = Registry("hpbench.datasets", Dataset, "data set")  # type: ignore[type-abstract]


def make_method(spec: str | Spec, device: str = "cpu", plugins: Sequence[Path] = ()) -> Method:
    """Make a method from its text form; its weights are not loaded yet.

    Parameters
    ----------
    spec : str or Spec
        ``"pnp[model=mallick6]"``, or the card of a declared method, ``"nets/my_net.toml"``.
    device : str
    plugins : sequence of Path
        Files named by ``--plugin``.

    Raises
    ------
    UsageError
        For an unknown method, option or value.
    """
    spec = parse_spec(spec) if isinstance(spec, str) else spec
    if spec.path is not None:
        raise UsageError(
            f"method '{spec.name}={spec.path}': write options as {spec.name}[key=value]"
        )
    options = spec.options
    name = spec.name
    if name.lower().endswith(".toml"):
        name, options = DECLARED, {"card": name, **options}
    kind = METHODS.load(name, plugins)
    built = build_options(kind.Options, options, f"method '{spec.name}'")
    with plugin_errors(f"method '{spec.name}' cannot be made"):
        return kind(built, device)


def load_method(method: Method) -> None:
    """Let a method read its weights.

    Raises
    ------
    HpbenchError
        Whatever its own code raises, with its name.
    """
    with plugin_errors(f"method '{method.name}' cannot be loaded"):
        method.load()


def make_dataset(
    spec: str | Spec, root: Path | None = None, plugins: Sequence[Path] = ()
) -> Dataset:
    """Make a data set from its text form; nothing is read yet.

    Parameters
    ----------
    spec : str or Spec
        ``"aflw2000[box=pt2d-visible]"`` or ``"table=labels.csv"``.
    root : Path or None
        Its folder, unless the spec names one.
    plugins : sequence of Path

    Raises
    ------
    UsageError
        For an unknown data set, option or value.
    """
    spec = parse_spec(spec) if isinstance(spec, str) else spec
    kind = DATASETS.load(spec.name, plugins)
    options = build_options(kind.Options, spec.options, f"data set '{spec.name}'")
    with plugin_errors(f"data set '{spec.name}' cannot be made"):
        return kind(Path(spec.path) if spec.path else root, options)
