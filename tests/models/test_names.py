"""Names from users: their order, and what is a key. Any two names compare, whatever is in them."""

import functools
import itertools
from pathlib import Path

from lycoris_bench.data.dataset import scan
from lycoris_bench.data.folders import natural

NAMES = [
    "dog", "dog2", "dog10", "dog02", "Dog", "DOG2", "2dog", "2", "02", "10", "1.png", "1", "",
    "dog 2", "dog-2b", "dog2b10", "dog\n2", "d\u00e9j\u00e0", "de\u0301ja\u0300", "\u0663",
    "dog\u0662", "\u00b2", "\u6587\u5b57\u5217 3",
    "\u1e9e", "ss", "ß", "\ud800", "9" * 5000, "9" * 4999 + "8", "x" + "0" * 6000 + "1",
]  # fmt: skip


def pieces(name):
    """A name as runs of digits and of other characters, found one character at a time."""
    runs = []
    for is_digit, run in itertools.groupby(name, lambda c: c in "0123456789"):
        runs.append((is_digit, "".join(run)))
    return runs


def by_hand(one, other):
    """-1, 0 or 1: the naive comparison. A number at the start goes before a word."""
    for (digit, a), (other_digit, b) in zip(pieces(one), pieces(other), strict=False):
        if digit and other_digit:
            width = max(len(a), len(b))
            a, b = a.rjust(width, "0"), b.rjust(width, "0")
        elif digit != other_digit:
            return -1 if digit else 1
        if a.casefold() != b.casefold():
            return -1 if a.casefold() < b.casefold() else 1
    if len(pieces(one)) != len(pieces(other)):
        return len(pieces(one)) - len(pieces(other))
    return (one > other) - (one < other)


def test_any_two_names_have_an_order_and_it_is_the_one_of_a_naive_comparison():
    found = sorted(NAMES, key=lambda name: natural(Path("x") / name if name else Path()))
    assert found == sorted(NAMES, key=functools.cmp_to_key(by_hand))
    assert found.index("dog") < found.index("dog2") < found.index("dog10")


def test_the_folders_of_dreambooth_are_a_dataset(tree):
    """dog, dog2 .. dog8, cat, cat2 are siblings there."""
    names = ["cat", "cat2", "dog", *(f"dog{k}" for k in (2, 3, 5, 6, 7, 8, 10))]
    data = scan(tree({f"live/{name}/00.jpg": (f"a {name}", (2, 2)) for name in names}))
    assert [concept.class_name for concept in data.concepts] == names
