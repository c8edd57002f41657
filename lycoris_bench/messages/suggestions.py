"""Sentences for names that do not exist: what was found, what is meant or allowed."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any


def unknown(
    kind: str, name: str, allowed: Iterable[str], elsewhere: Sequence[str] = (), table: str = ""
) -> str:
    """The sentence for a name that does not exist: what was found, what is meant or allowed.

    `table` begins a key and those that are allowed, and is not compared. `elsewhere` has the very
    name in other tables: it is meant where no allowed one is nearly the same.

    >>> keys = ["training.batch_size", "training.betas"]
    >>> unknown("key", "training.batchsize", keys, table="training.")
    "unknown key 'training.batchsize'; did you mean 'training.batch_size'?"
    >>> unknown("algorithm", "x", ["lora", "loha"])
    "unknown algorithm 'x'; allowed are: loha, lora"
    """
    ends = {one.removeprefix(table): one for one in sorted(allowed)}
    likeness = 0.85 if elsewhere else 0.5
    close = difflib.get_close_matches(str(name).removeprefix(table), ends, n=1, cutoff=likeness)
    if meant := [ends[one] for one in close] or elsewhere:
        return f"unknown {kind} '{name}'; did you mean {' or '.join(map(repr, meant))}?"
    return f"unknown {kind} '{name}'; allowed are: {', '.join(ends)}"


def dotted(parents: Iterable[Any], names: Iterable[str]) -> list[str]:
    """`a.b.name` for each name: keys as a study file's reader looks for them."""
    prefix = "".join(f"{parent}." for parent in parents)
    return [prefix + name for name in names]
