"""Tags as captions spell them, and which of them are left out of a concept's captions."""

import csv
import fnmatch
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.study.records import Concept

GENERAL = "0"  # the category of tags that say what is seen; ratings and names of characters are not
REMOVED = "tags.toml"
TAGGER = "SmilingWolf/wd-convnext-tagger-v3"  # the paper's, of version 2, is an ONNX file alone


class TagError(BenchError):
    """A list of tags is faulty."""


def labels(path: Path) -> list[str | None]:
    """The tag of each output of a tagger as captions spell it; None for ratings and names.

    `selected_tags.csv` has a line an output, with its `name` and `category`."""
    try:
        rows = list(csv.DictReader(disk.read_text(path).splitlines()))
        tags = [spelled(row["name"]) if row["category"] == GENERAL else None for row in rows]
    except disk.NoSuchFile:
        raise TagError(f"{path} is missing; it names the tagger's outputs") from None
    except disk.FileError as error:
        raise TagError(str(error)) from None
    except (KeyError, TypeError, AttributeError, csv.Error):
        tags = []
    if not tags:
        raise TagError(f"{path} is no list of tags; the columns 'name' and 'category' are needed")
    return tags


def spelled(tag: str) -> str:
    """A Danbooru tag in words: spaces for underscores, parentheses kept, and faces kept whole,
    which are the tags without two letters in a row.

    >>> [spelled(tag) for tag in ("long_hair", "star_(sky)", ">_<", "o_o", "(o)_(o)", ";d", "v")]
    ['long hair', 'star (sky)', '>_<', 'o_o', '(o)_(o)', ';d', 'v']
    """
    return tag.replace("_", " ") if re.search(r"[^\W\d_]{2}", tag) else tag


def removed(path: Path) -> dict[str, list[str]]:
    """Pattern of concepts -> tags that their captions leave out, from a TOML file:

    "people/*" = ["solo", "* hair"]
    "toys/bunny" = ["pink"]
    """
    try:
        table = disk.read_toml(path)
    except disk.NoSuchFile:
        raise TagError(
            f"{path} is missing; it lists the tags that belong to a concept, like "
            '"people/*" = ["solo", "* hair"]; with --strategy all none are left out'
        ) from None
    except disk.FileError as error:
        raise TagError(str(error)) from None
    for pattern, tags in table.items():
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise TagError(f"{path}: '{pattern}' must be a list of tags")
    return table


def left_out(concept: Concept, table: Mapping[str, Iterable[str]]) -> re.Pattern[str]:
    """Matches the tags that a concept's captions leave out; `*` stands for anything.

    >>> own = left_out(Concept("people", "ann"), {"people/*": ["solo", "* hair"], "toys": ["toy"]})
    >>> [bool(own.fullmatch(tag)) for tag in ("solo", "long hair", "hair ribbon", "toy")]
    [True, True, False, False]
    """
    name = str(concept)
    patterns = [
        re.escape(tag).replace(r"\*", ".*")
        for pattern, tags in ((disk.composed(p), tags) for p, tags in table.items())
        if name == pattern or fnmatch.fnmatchcase(name, pattern) or name.startswith(f"{pattern}/")
        for tag in tags
    ]
    return re.compile("|".join(patterns) or "(?!)")


def caption(descriptor: str, tags: Iterable[str], out: re.Pattern[str]) -> str:
    """ "descriptor, tag, tag, ...", without tags that are left out or in the descriptor already.

    >>> caption("fck man, realistic", ["solo", "realistic", "hat"], re.compile("solo"))
    'fck man, realistic, hat'
    """
    parts = descriptor.split(", ")
    return ", ".join([descriptor, *(t for t in tags if not out.fullmatch(t) and t not in parts)])
