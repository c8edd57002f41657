"""Registries of adapters, encoders, metrics and model families, filled by discovery. The key in
a study file is the module's name: to add one of them is to add a file; no list names it.

A module `image_similarity.py` offers the callable of that name, compared without case and
underscores (`loha.py` offers `LoHa`); a module without one (`base.py`) offers nothing. Names
of adapters and encoders have "-" where the module has "_": `diag_oft.py` is "diag-oft".

The same rule holds outside the package: for files given to `load_plugin`, and for entry points of
other packages in the groups `lycoris_bench.adapters`, `.encoders`, `.metrics` and `.families`."""

import importlib
import importlib.util
import os
import pkgutil
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError, doing, explained
from lycoris_bench.messages.suggestions import unknown

PLUGINS = "LYCORIS_BENCH_PLUGINS"
"""The environment variable that names plug-in files, so that worker processes load them too."""


class Registry:
    """The entries of one kind: those of a package, and those of plug-ins.

    `mark` is an attribute that each entry has; `group` is the last part of the name of the entry
    points' group."""

    def __init__(
        self, kind: str, package: str, *, mark: str, group: str, separator: str = "-"
    ) -> None:
        self.kind, self.package, self.mark, self.separator = kind, package, mark, separator
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
            self._add(info.name, self._offer(info.name, module), "lycoris-bench")
        for entry in entry_points(group=self.group):
            self._add(entry.name, self._loaded(entry), f"the package that declares '{entry.value}'")
        for file in files:
            self._add(Path(file).stem, self._offer(Path(file).stem, _module(file)), file)

    def _offer(self, stem: str, module: ModuleType) -> Any:
        """The entry that a module offers under its own name, or None."""
        for name, value in vars(module).items():
            if _plain(name) == _plain(stem) and hasattr(value, self.mark):
                return value
        return None

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
                value = self._offer(entry.name, value)
            reason = f"what it names has no '{self.mark}'"
        if hasattr(value, self.mark):
            return value
        self._broken[entry.name.replace("_", self.separator)] = (
            f"{self.kind} '{entry.name}' of the entry point '{entry.value}' cannot be used: "
            f"{reason}; update or remove the package that declares it"
        )
        return None

    def _add(self, stem: str, value: Any, source: str) -> None:
        name = stem.replace("_", self.separator)
        if value is None:
            return
        if name in self._found:
            raise BenchError(f"{self.kind} '{name}' of {source} exists already; rename it")
        self._found[name] = value


def load_plugin(path: str | Path) -> ModuleType:
    """Loads a file that offers an adapter, encoder, metric or model family by the rule above, in
    this process and in its worker processes. It runs the file: give only files you trust.

    BenchError: the file is missing, is no Python file, or fails."""
    file = str(disk.expand(str(path)).resolve())
    if not file.endswith(".py"):
        raise BenchError(f"plug-in '{path}' is no Python file; its name has to end in .py")
    module = _module(file)
    if file not in plugin_files():
        os.environ[PLUGINS] = os.pathsep.join([*plugin_files(), file])
    return module


def plugin_files() -> tuple[str, ...]:
    """The plug-in files of this process, in the order in which they were loaded."""
    return tuple(file for file in os.environ.get(PLUGINS, "").split(os.pathsep) if file)


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
        with doing(f"loading the plug-in {file}"):
            spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise BenchError(f"plug-in {file} fails: {explained(error)}") from error
    return module


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
