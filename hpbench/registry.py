"""Finding plugins: entry points of installed packages, and single files.

Built-in and third-party plugins come the same way, and none is named here. A broken plugin is
named with its package and its error, and stops only a run that asks for it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, NamedTuple, TypeVar

from hpbench.dataset import Dataset
from hpbench.errors import PLUGIN_ERRORS, HpbenchError, UsageError, plugin_errors
from hpbench.method import Method
from hpbench.paths import file_named, file_state
from hpbench.plugin import CONTRACT_VERSION, Options, Plugin
from hpbench.spec import (
    Spec,
    SpecsLike,
    build_options,
    parse_spec,
    parse_specs,
    quote_hint,
    suggest,
)

__all__ = [
    "DATASETS",
    "METHODS",
    "MethodSpec",
    "Offer",
    "PluginModule",
    "Registry",
    "imported_by_plugin_files",
    "load_method",
    "make_dataset",
    "make_method",
    "make_methods",
    "plugin_modules",
    "require_different",
    "require_live",
]

T = TypeVar("T", bound=Plugin)


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """All that another process needs to make a method; no instance of a plugin's class is in it.

    Attributes
    ----------
    name : str
        Of the plugin.
    options : mapping of str to object
        Those that were given.
    """

    name: str
    options: Mapping[str, Any]

    @classmethod
    def of(cls, method: Method) -> MethodSpec:
        """The spec of a method."""
        # as JSON: an Enum of the plugin would need the plugin to be read
        return cls(method.name, method.options.model_dump(mode="json", exclude_unset=True))

    def make(self, device: str, plugins: Sequence[Path] = ()) -> Method:
        """Make the method; its weights are not loaded yet."""
        method_class = METHODS.load(self.name, plugins)
        options = build_options(method_class.Options, self.options, f"method '{self.name}'")
        return METHODS.instance(method_class, options, device, plugins=plugins)


@dataclass(frozen=True, slots=True)
class Offer:
    """A name that an installed package or a file offers; nothing is imported yet.

    `origin` is the package (``hpbench 0.1.0``) or file.
    """

    name: str
    origin: str
    source: EntryPoint | type


Offers = Mapping[str, Sequence[Offer]]
"""Offers by name."""


@dataclass(frozen=True)
class Registry(Generic[T]):
    """All plugins of one kind.

    Attributes
    ----------
    group : str
        Entry-point group, such as ``hpbench.methods``.
    base : type
        Class that every plugin derives from.
    noun : str
        ``method``, for messages.
    takes_path : bool
        Whether a spec may name a path: ``table=labels.csv``.
    """

    group: str
    base: type[T]
    noun: str
    takes_path: bool = False

    def plugins(self, files: Sequence[Path] = ()) -> dict[str, list[Offer]]:
        """Offers by name, sorted; more than one offer for a name is a conflict."""
        offers: dict[str, list[Offer]] = {}
        for entry in entry_points(group=self.group):
            dist = entry.dist
            origin = f"{dist.name} {dist.version}" if dist is not None else entry.value
            offers.setdefault(entry.name, [])
            if all(other.origin != origin for other in offers[entry.name]):
                offers[entry.name].append(Offer(entry.name, origin, entry))
        for file in files:
            for cls in self._classes_in(file):
                offers.setdefault(cls.name, []).append(Offer(cls.name, str(file), cls))
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
        return self._load(name, self.plugins(files))

    def _load(self, name: str, offers: Offers) -> type[T]:
        if name not in offers:
            raise UsageError(self._unknown(name, suggest(name, offers)))
        if len(offers[name]) > 1:
            origins = " and ".join(offer.origin for offer in offers[name])
            raise UsageError(
                f"{self.noun} '{name}' is offered by {origins}; rename or uninstall one of them"
            )
        return self._import(offers[name][0])

    def _unknown(self, name: str, known: str) -> str:
        """Why a name is none; a file or folder in its place needs the plugin that reads it."""
        path = Path(name)
        if not path.exists():
            return f"no {self.noun} '{name}'; {known}{quote_hint(name)}"
        if path.suffix == ".py":
            return f"no {self.noun} '{name}': add --plugin {name}, and write the name of its class"
        kind = "folder" if path.is_dir() else "file"
        form = f"NAME={name}" if self.takes_path else f"NAME[KEY={name}]"
        return (
            f"no {self.noun} '{name}', which is a {kind}: write {form} with the {self.noun} that "
            f"reads it; {known}"
        )

    def parse(self, specs: SpecsLike, files: Sequence[Path] = ()) -> list[Spec]:
        """Specs of a list, or those that they stand for where one plugin claims their name."""
        offers = self.plugins(files)
        return [self._resolve(spec, offers) for spec in parse_specs(specs)]

    def _resolve(self, spec: Spec, offers: Offers) -> Spec:
        if spec.name in offers or spec.path is not None:
            return spec
        claims = [claim for name in offers if (claim := self._claim(name, spec.name, offers))]
        if len(claims) > 1:
            texts = " and ".join(claim.text for claim in claims)
            raise UsageError(f"{self.noun} '{spec.name}' may mean {texts}; write one of them")
        if not claims:
            return spec
        return Spec(claims[0].name, claims[0].options | spec.options, claims[0].path)

    def _claim(self, name: str, text: str, offers: Offers) -> Spec | None:
        try:
            cls = self._load(name, offers)
        except HpbenchError:  # a broken plugin stops only a run that names it
            return None
        with plugin_errors(f"{self.noun} '{name}': its claims() fails"):
            return cls.claims(text)

    def configure(
        self, spec: str | Spec, files: Sequence[Path] = ()
    ) -> tuple[type[T], Options, Path | None]:
        """Class behind a spec, its options, and the path that the spec names."""
        given = parse_spec(spec) if isinstance(spec, str) else spec
        if given.path is not None and not self.takes_path:
            raise UsageError(
                f"{self.noun} '{given.name}={given.path}': write options as {given.name}[key=value]"
            )
        offers = self.plugins(files)
        full = self._resolve(given, offers)
        cls = self._load(full.name, offers)
        options = build_options(cls.Options, full.options, f"{self.noun} '{given.name}'")
        return cls, options, full.root

    def instance(self, cls: type[T], *arguments: Any, plugins: Sequence[Path] = ()) -> T:
        """Make a plugin; whatever its own code raises is named after it.

        `plugins` are the files of ``--plugin``. A class that is made of other plugins gets them:
        one whose ``__init__`` has an argument of that name.
        """
        with plugin_errors(f"{self.noun} '{cls.name}' cannot be made"):
            takes_them = "plugins" in inspect.signature(cls).parameters
            named: dict[str, Any] = {"plugins": plugins} if takes_them else {}
            return cls(*arguments, **named)

    def _import(self, offer: Offer) -> type[T]:
        subject = f"{self.noun} '{offer.name}' of {offer.origin}"
        if isinstance(offer.source, EntryPoint):
            try:
                cls = offer.source.load()
            except PLUGIN_ERRORS as error:
                raise HpbenchError(
                    f"{subject} is broken: {type(error).__name__}: {error}; "
                    "fix or uninstall that package"
                ) from error
        else:
            cls = offer.source
        if not (inspect.isclass(cls) and issubclass(cls, self.base)):
            raise HpbenchError(f"{subject} is not a subclass of hpbench's {self.base.__name__}")
        _require_contract(cls, subject)
        lacking = [
            name
            for base in self.base.__mro__
            for name, annotation in vars(base).get("__annotations__", {}).items()
            if str(annotation).startswith("ClassVar") and not hasattr(cls, name)
        ]
        if lacking:
            raise HpbenchError(f"{subject} has no {', '.join(lacking)}; give its class one")
        if cls.name != offer.name:
            raise HpbenchError(
                f"{subject}: its class has name = '{cls.name}'; write the same name in both"
            )
        return cls

    def _classes_in(self, file: Path) -> Iterator[type[T]]:
        module = _import_file(file.resolve())
        for cls in vars(module).values():
            if (
                inspect.isclass(cls)
                and issubclass(cls, self.base)
                and cls.__module__ == module.__name__
                and hasattr(cls, "name")
                # an unfinished class that has a name is offered, so that making it says what lacks
                and ("name" in vars(cls) or not inspect.isabstract(cls))
            ):
                yield cls


class PluginModule(NamedTuple):
    """A plugin file as it was imported last."""

    sha256: str
    module: ModuleType


_plugin_modules: dict[Path, PluginModule] = {}
_imported_by_plugin_files: dict[Path, Sequence[Any]] = {}


def plugin_modules() -> Mapping[Path, PluginModule]:
    """Plugin files that were imported."""
    return _plugin_modules


def imported_by_plugin_files() -> Mapping[Path, Sequence[Any]]:
    """Files of all modules that were imported with plugin files, wherever these lie.

    With their :func:`hpbench.paths.file_state` when they were imported.
    """
    return _imported_by_plugin_files


def _import_file(file: Path) -> ModuleType:
    """Import a plugin file under a name of its own, so that its classes pickle.

    One that was edited since is imported anew.
    """
    if not file.is_file():
        raise UsageError(f"--plugin {file}: no such file")
    source = file.read_bytes()
    sha256 = hashlib.sha256(source).hexdigest()
    earlier = _plugin_modules.get(file)
    if earlier is not None and earlier.sha256 == sha256:
        return earlier.module
    digest = hashlib.sha256(str(file).encode()).hexdigest()[:8]
    name = f"hpbench_plugin_{file.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"--plugin {file}: not a Python file; name a .py file")
    module = importlib.util.module_from_spec(spec)
    known = {*sys.modules, name}
    sys.modules[name] = module
    try:
        # not by the loader, which would take compiled code of the same second and size
        exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)
    except PLUGIN_ERRORS as error:
        del sys.modules[name]
        if earlier is not None:
            sys.modules[name] = earlier.module
        raise HpbenchError(
            f"{file}: plugin cannot be imported: {type(error).__name__}: {error}"
        ) from error
    _plugin_modules[file] = PluginModule(sha256, module)
    for other in sys.modules.keys() - known:
        path = getattr(sys.modules[other], "__file__", None)
        if path and Path(path).is_file():
            _imported_by_plugin_files[Path(path)] = file_state(Path(path))
    return module


def _require_contract(cls: type[Plugin], subject: str) -> None:
    if not isinstance(cls.contract, int):
        raise HpbenchError(
            f"{subject} has contract = {cls.contract!r}; write the whole number of the plugin "
            f"contract that it was written for, now {CONTRACT_VERSION}"
        )
    if cls.contract == CONTRACT_VERSION:
        return
    fix = f"set contract = {CONTRACT_VERSION}"
    if cls.contract > CONTRACT_VERSION:
        fix = "update hpbench"
    elif issubclass(cls, Method):
        fix = (
            "return Prediction(R_cam) from decode, rename NoAnswer to NoPrediction, and "
            f"set contract = {CONTRACT_VERSION}"
        )
    raise HpbenchError(
        f"{subject} was written for plugin contract {cls.contract}, this hpbench has "
        f"{CONTRACT_VERSION}; {fix}"
    )


METHODS: Registry[Method] = Registry("hpbench.methods", Method, "method")  # type: ignore[type-abstract]
DATASETS: Registry[Dataset] = Registry(
    "hpbench.datasets",
    Dataset,  # type: ignore[type-abstract]
    "data set",
    takes_path=True,
)


def make_method(spec: str | Spec, device: str = "cpu", plugins: Sequence[Path] = ()) -> Method:
    """Make a method from its text form; its weights are not loaded yet.

    Parameters
    ----------
    spec : str or Spec
        ``"pnp[model=mallick6]"``, or a path that a method claims, ``"nets/my_net.toml"``.
    device : str
    plugins : sequence of Path
        Files named by ``--plugin``.

    Raises
    ------
    UsageError
        For an unknown method, option or value.
    """
    cls, options, _ = METHODS.configure(spec, plugins)
    return METHODS.instance(cls, options, device, plugins=plugins)


def make_methods(
    specs: SpecsLike, device: str = "cpu", plugins: Sequence[Path] = ()
) -> dict[str, Method]:
    """Make methods, each under the spec that tables have for it; see :func:`make_method`.

    Where two would have the same, both keep what the user wrote.
    """
    made = [(spec, make_method(spec, device, plugins)) for spec in parse_specs(specs)]
    named = []
    for spec, method in made:
        with plugin_errors(f"method '{spec}': its spec_in_tables() fails"):
            named.append(str(method.spec_in_tables(spec)))
    return {
        name if named.count(name) == 1 else str(spec): method
        for name, (spec, method) in zip(named, made, strict=True)
    }


def load_method(method: Method, only_prepare: bool = False) -> None:
    """Let a method read its weights; whatever its own code raises is named after it."""
    with plugin_errors(f"method '{method.name}' cannot be loaded"):
        if only_prepare:
            method.load_to_prepare()
        else:
            method.load()


def require_different(methods: Mapping[str, Method], mean_of: str) -> None:
    """Refuse a mean in which one method, under two spellings, would count twice.

    Raises
    ------
    UsageError
        With both; `mean_of` begins its text: ``"method 'ensemble'"``.
    """
    for (one, first), (other, second) in combinations(methods.items(), 2):
        if type(first) is type(second) and _options(first) == _options(second):
            raise UsageError(
                f"{mean_of}: '{one}' and '{other}' are the same method; leave one of them out"
            )


def _options(method: Method) -> dict[str, Any]:
    """Options of a method, with every file in one form, however its path is written."""
    found = dict(method.options)
    for name, value in found.items():
        file = file_named(value) if isinstance(value, str | Path) else None
        if file is not None:
            found[name] = file.resolve()
    return found


def require_live(method: Method, wanted: str) -> None:
    """Refuse a method whose predictions are stored, where new images are to be predicted.

    Raises
    ------
    UsageError
        `wanted` begins its text: ``"hpbench predict"``.
    """
    if method.stored_members:
        raise UsageError(
            f"{wanted} predicts new images, and '{method.name}' has stored predictions; "
            "leave it out"
        )


def make_dataset(
    spec: str | Spec, root: Path | None = None, plugins: Sequence[Path] = ()
) -> Dataset:
    """Make a data set from its text form; nothing is read yet.

    Parameters
    ----------
    spec : str or Spec
        ``"aflw2000[box=pt2d-visible]"``, ``"table=labels.csv"``, or a path that a data set claims.
    root : Path or None
        Its folder, unless the spec names one.
    plugins : sequence of Path

    Raises
    ------
    UsageError
        For an unknown data set, option or value.
    """
    cls, options, path = DATASETS.configure(spec, plugins)
    return DATASETS.instance(cls, path or root, options, plugins=plugins)
