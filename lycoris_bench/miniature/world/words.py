"""The words of the miniature tokenizer: the world's, and unused ones kept for triggers."""

from __future__ import annotations

from lycoris_bench.miniature.world.scene import (
    BACKGROUNDS,
    COLOURS,
    OBJECTS,
    POSITIONS,
    SIZES,
    STYLE_NAMES,
)

GRAMMAR = (
    "a",
    "an",
    "in",
    "on",
    "at",
    "the",
    "of",
    "with",
    "and",
    "style",
    "scene",
    "outfit",
    "empty",
    "background",
)
TRIGGERS = (
    "olis",
    "mrao",
    "zunt",
    "vexa",
    "quib",
    "drel",
    "fyno",
    "gomu",
    "hask",
    "jirt",
    "kelb",
    "lupo",
    "mize",
    "nafu",
    "opra",
    "pizk",
    "rulo",
    "sogn",
    "tavi",
    "ubex",
    "wiko",
    "xanu",
    "yort",
    "zeph",
    "brin",
    "cluv",
    "doxa",
    "ektu",
    "fiwo",
    "grax",
    "hyle",
    "ibru",
    "jaxo",
    "kwim",
    "lorq",
    "mupa",
)


def world_words() -> tuple[str, ...]:
    """Every word that a caption of the world can contain, sorted."""
    names = (*OBJECTS, *COLOURS, *BACKGROUNDS, *STYLE_NAMES, *POSITIONS, *SIZES, *GRAMMAR)
    return tuple(sorted({word for name in names for word in name.split()}))
