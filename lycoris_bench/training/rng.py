"""Randomness without state: every draw is a function of what it is for, named by counters.

Nothing has to be saved to resume: step 7 of epoch 3 draws the same numbers whether or not the
process that made step 6 is still alive. The key is hashed, not added, so that (seed 23, step 1)
and (seed 24, step 0) share nothing."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def number(*key: int | str) -> int:
    """A number in [0, 2^63) for the key: the head of its SHA-256.

    >>> number(23, "epoch", 1) == number(23, "epoch", 1), number(23, 1) == number(24, 0)
    (True, False)
    """
    digest = hashlib.sha256(repr(key).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def shuffled(items: Sequence[T], *key: int | str) -> list[T]:
    """The items in the order of their numbers: a shuffle no library's next version can change.

    >>> shuffled("abcd", 1), shuffled("abcd", 2)
    (['d', 'c', 'b', 'a'], ['b', 'a', 'c', 'd'])
    """
    order = sorted(range(len(items)), key=lambda k: number(*key, k))
    return [items[k] for k in order]


def generator(*key: int | str) -> "torch.Generator":
    """A CPU generator for the key; the same numbers then go to whatever device is used."""
    import torch

    return torch.Generator().manual_seed(number(*key))
