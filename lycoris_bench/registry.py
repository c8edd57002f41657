"""Finds what a package offers. The key in a study file is the module's name: adding a metric,
an encoder or an adapter is adding one file, and nothing else lists it.

A module `image_similarity.py` offers the callable of that name, compared without case and
underscores (`loha.py` offers `LoHa`); a module without one (`base.py`) offers nothing. Names
of adapters and encoders have "-" where the module has "_": `diag_oft.py` is "diag-oft"."""

import importlib
import pkgutil
from functools import cached_property
from typing import Any

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.suggestions import unknown


class Registry:
    """What one package offers. `mark` is an attribute that each of its entries has."""

    def __init__(self, kind: str, package: str, mark: str, separator: str = "-") -> None:
        self.kind, self.package, self.mark, self.separator = kind, package, mark, separator

    def entries(self) -> dict[str, Any]:
        """Name -> what the module of that name offers."""
        return self._entries

    def get(self, name: str) -> Any:
        """The entry of that name. BenchError, with a suggestion: there is none."""
        if name not in self._entries:
            raise BenchError(self.unknown(name))
        return self._entries[name]

    def unknown(self, name: str) -> str:
        """The sentence for a name that does not exist."""
        return unknown(self.kind, name, self._entries)

    @cached_property
    def _entries(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for info in pkgutil.iter_modules(importlib.import_module(self.package).__path__):
            module = importlib.import_module(f"{self.package}.{info.name}")
            for name, value in vars(module).items():
                if _plain(name) == _plain(info.name) and hasattr(value, self.mark):
                    found[info.name.replace("_", self.separator)] = value
        return found


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
