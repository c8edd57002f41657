"""Registries of adapters, encoders, metrics and model families, filled by discovery. The key in
a study file is the module's name: to add one of them is to add a file; no list names it.

A module `image_similarity.py` offers the callable of that name, compared without case and
underscores (`loha.py` offers `LoHa`); a module without one (`base.py`) offers nothing. Names
of adapters and encoders have "-" where the module has "_": `diag_oft.py` is "diag-oft". What a
module offers has the mark of its kind (`MARKS`).

The same rule holds outside the package: for files given to `load_plugin`, which have to offer
something, and for entry points of other packages in the groups `lycoris_bench.adapters`,
`.encoders`, `.metrics` and `.families`."""

import importlib
import importlib.util
import os
import pkgutil
import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError, explained
from lycoris_bench.messages.suggestions import unknown

PLUGINS = "LYCORIS_BENCH_PLUGINS"
"""The environment variable that names plug-in files, so that worker processes load them too."""
MARKS = {
    "adapter": "Options",
    "encoder": "record",
    "metric": "better",
    "family": "base_model_version",
}
"""Kind -> the attribute that each of its entries has. `@metric` sets that of a metric; the others
are attributes of a class."""


class Registry:
    """The entries of one kind: those of a package, and those of plug-ins.

    `kind` is one of `MARKS`; `group` is the last part of the name of the entry points' group."""

    def __init__(self, kind: str, package: str, *, group: str, separator: str = "-") -> None:
        self.kind, self.package, self.mark, self.separator = kind, package, MARKS[kind], separator
        self.group = f"lycoris_bench.{group}"
        self._found: dict[str, Any] = {}
        self._broken: dict[str, str] = {}
        self._known: tuple[str, ...] | None = None  # the plug-in files that `_found` is made of

    def entries(self) -> dict[str, Any]:
        """Name -> entry. BenchError: a plug-in cannot be loaded, or its name is taken."""
        if (files := plugin_files()) != self._known:
            self._find(files)
            self._known = files
        return self._found

    def get(self, name: str) -> Any:
        """The entry of that name. BenchError, with a suggestion: there is none."""
        if name not in self.entries():
            raise BenchError(self.unknown(name))
        return self._found[name]

    def unknown(self, name: str) -> str:
        """The sentence for a name that does not exist."""
        entries = self.entries()
        return self._broken.get(name) or unknown(self.kind, name, entries)

    def _find(self, files: tuple[str, ...]) -> None:
        self._found, self._broken = {}, {}
        for info in pkgutil.iter_modules(importlib.import_module(self.package).__path__):
            module = importlib.import_module(f"{self.package}.{info.name}")
            self._add(info.name, _offer(info.name, module, self.mark), "lycoris-bench")
        for entry in entry_points(group=self.group):
            self._add(entry.name, self._loaded(entry), f"the package that declares '{entry.value}'")
        for file in files:
            stem = Path(file).stem
            self._add(stem, _offer(stem, _module(file), self.mark), file)

    def _loaded(self, entry: EntryPoint) -> Any:
        """The entry of an entry point. The error of one that fails is kept for the message when
        its name is asked for."""
        try:
            value = entry.load()
        except Exception as error:
            value = None
            reason = explained(error)
        else:
            if isinstance(value, ModuleType):
                value = _offer(entry.name, value, self.mark)
            reason = f"what it names has no '{self.mark}'"
        if hasattr(value, self.mark):
            return value
        self._broken[self._name(entry.name)] = (
            f"{self.kind} '{entry.name}' of the entry point '{entry.value}' cannot be used: "
            f"{reason}; update or remove the package that declares it"
        )
        return None

    def _add(self, stem: str, value: Any, source: str) -> None:
        name = self._name(stem)
        if value is None:
            return
        if name in self._found:
            raise BenchError(f"{self.kind} '{name}' of {source} exists already; rename it")
        self._found[name] = value

    def _name(self, stem: str) -> str:
        return stem.replace("-", "_").replace("_", self.separator)


def load_plugin(path: str | Path) -> ModuleType:
    """Loads a Python file that offers an adapter, encoder, metric or model family, in this process
    and in its worker processes. It runs the file: give only files you trust.

    What it offers is named like the file, compared without case, "_" and "-": `loha.py` offers
    `LoHa`. A relative path begins at the present folder.
    BenchError: the file is missing, is no Python file, fails, or offers nothing of its name."""
    file = _absolute(str(path))
    if not file.endswith(".py"):
        raise BenchError(f"plug-in '{path}' is no Python file; its name has to end in .py")
    module = _module(file)
    if file not in plugin_files():
        os.environ[PLUGINS] = os.pathsep.join([*plugin_files(), file])
    return module


def plugin_files() -> tuple[str, ...]:
    """The absolute paths of this process's plug-in files, each once, in the order of loading. A
    relative one begins at the folder in which the process first asks for it."""
    return _resolved(os.environ.get(PLUGINS, ""))


def titled(kind: str, name: str, entry: Any) -> str:
    """`metric 'x'`, and where it comes from if that is a plug-in: for sentences on what it does."""
    return f"{kind} '{name}'" + (f" of {place}" if (place := origin(entry)) else "")


def origin(entry: Any) -> str:
    """The file, or else the module, of an entry that is not of this package; "" for one that is."""
    module = entry.__module__
    if module.startswith("lycoris_bench."):
        return ""
    return getattr(sys.modules.get(module), "__file__", None) or module


@cache  # each look-up of an entry asks for it
def _resolved(given: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_absolute(file) for file in given.split(os.pathsep) if file))


def _absolute(file: str) -> str:
    return str(disk.expand(file).resolve())


def _module(file: str) -> ModuleType:
    """The module of a plug-in file, loaded once per process under a name that pickle finds."""
    name = f"lycoris_bench_plugin_{Path(file).stem}"
    if (loaded := sys.modules.get(name)) is not None:
        if loaded.__file__ != file:
            raise BenchError(f"plug-ins {loaded.__file__} and {file} have one name; rename one")
        return loaded
    if not Path(file).is_file():
        raise BenchError(f"plug-in {file} is not there")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise BenchError(f"plug-in {file} fails: {explained(error)}") from error
    if not any(_offer(Path(file).stem, module, mark) for mark in MARKS.values()):
        del sys.modules[name]
        raise BenchError(_offers_nothing(file, module))
    return module


def _offer(stem: str, module: ModuleType, mark: str) -> Any:
    """What a module offers under its own name and has the mark, or None."""
    for name, value in vars(module).items():
        if _plain(name) == _plain(stem) and hasattr(value, mark):
            return value
    return None


def _offers_nothing(file: str, module: ModuleType) -> str:
    """The sentence for a plug-in without an entry of its name."""
    kinds = ", ".join(f"{kind} ('{mark}')" for kind, mark in MARKS.items())
    others = [
        f"'{name}'"
        for name, value in vars(module).items()
        if getattr(value, "__module__", "") == module.__name__
        and any(hasattr(value, mark) for mark in MARKS.values())
    ]
    return (
        f"plug-in {file} offers nothing named '{Path(file).stem}'"
        + (f", only {', '.join(others)}" if others else "")
        + "; it needs one thing of the file's name (without case, '_' and '-') that has the "
        f"attribute of its kind: {kinds}; '@metric' sets that of a metric"
    )


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
