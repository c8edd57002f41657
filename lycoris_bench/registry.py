"""Finds what a package offers. The key in a study file is the module's name: adding a metric,
an encoder or an adapter is adding one file, and nothing else lists it.

A module `image_similarity.py` offers the callable of that name, compared without case and
underscores (`loha.py` offers `LoHa`); a module without one (`base.py`) offers nothing. Names
of adapters and encoders have "-" where the module has "_": `diag_oft.py` is "diag-oft"."""

import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from lycoris_bench.messages.errors import BenchError


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


PACKAGES = {  # by kind: where entries lie, and an attribute that each of them has
    "adapters": ("lycoris_bench.adapters.algorithms", "allowed"),
    "encoders": ("lycoris_bench.scoring.encoders", "record"),
    "metrics": ("lycoris_bench.scoring.metrics", "better"),
}


@cache
def entries(kind: str) -> dict[str, Any]:
    """Name -> what the module offers, for each module of the package of that kind."""
    package, mark = PACKAGES[kind]
    found: dict[str, Any] = {}
    parent = importlib.import_module(package)
    for info in pkgutil.iter_modules(parent.__path__):
        module = importlib.import_module(f"{package}.{info.name}")
        for name, value in vars(module).items():
            if _plain(name) == _plain(info.name) and hasattr(value, mark):
                found[info.name if kind == "metrics" else info.name.replace("_", "-")] = value
    return found


def get(kind: str, name: str) -> Any:
    """The entry of that name; a `KeyError` with a suggestion if there is none."""
    found = entries(kind)
    if name not in found:
        raise BenchError(unknown(kind.rstrip("s"), name, found))
    return found[name]


def unknown(kind: str, name: str, allowed: Iterable[str], elsewhere: Sequence[str] = ()) -> str:
    """The sentence for a name that does not exist: what was found, what is meant or allowed.

    Of dotted names only the last parts are compared: their tables are the same. `elsewhere` has
    the very name in other tables: it is meant where no allowed one is nearly the same.

    >>> unknown("key", "training.batchsize", ["training.batch_size", "training.betas"])
    "unknown key 'training.batchsize'; did you mean 'training.batch_size'?"
    >>> unknown("algorithm", "x", ["lora", "loha"])
    "unknown algorithm 'x'; allowed are: loha, lora"
    """
    ends = {one.rpartition(".")[2]: one for one in sorted(allowed)}
    likeness = 0.85 if elsewhere else 0.5
    close = difflib.get_close_matches(str(name).rpartition(".")[2], ends, n=1, cutoff=likeness)
    if meant := [ends[one] for one in close] or elsewhere:
        return f"unknown {kind} '{name}'; did you mean {' or '.join(map(repr, meant))}?"
    return f"unknown {kind} '{name}'; allowed are: {', '.join(ends)}"


def presets() -> dict[str, Any]:
    """The layer presets, by name."""
    return importlib.import_module("lycoris_bench.adapters.presets.layers").PRESETS


def preset(table: Any) -> Any:
    """A preset of one's own from its table; a `ValueError` with every mistake."""
    return importlib.import_module("lycoris_bench.adapters.presets.layers").Preset.from_table(table)


def dotted(parents: Iterable[Any], names: Iterable[str]) -> list[str]:
    """`a.b.name` for each name: keys as a study file's reader looks for them."""
    prefix = "".join(f"{parent}." for parent in parents)
    return [prefix + name for name in names]
