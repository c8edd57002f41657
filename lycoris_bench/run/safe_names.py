"""File names made safe: of a configuration, a concept, an encoder."""

import os
import re
from functools import cache
from pathlib import Path

from lycoris_bench.files.identity import uid
from lycoris_bench.study.records import Concept

LONGEST_NAME = 255  # bytes of one name, as most file systems have it


def safe(name: str) -> str:
    """The name with separators, control characters and a leading dot escaped, so that its file
    stays inside its folder. A name too long for file systems is cut and ends in its hash.

    >>> safe("hat, pixel art"), safe(".."), safe("a/b"), safe("naïve ☃")
    ('hat, pixel art', '%2E.', 'a%2Fb', 'naïve ☃')
    """
    name = re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|%]', lambda m: f"%{ord(m.group()):02X}", name)
    name = "%2E" + name[1:] if name.startswith(".") else name
    whole = os.fsencode(name)
    if len(whole) <= LONGEST_NAME:
        return name
    end = "-" + uid(name)
    return whole[: LONGEST_NAME - len(end)].decode(errors="ignore") + end


@cache
def concept_path(concept: Concept) -> Path:
    """category/class[/sub-class], each name made safe."""
    parts = (concept.category, concept.class_name, concept.subclass)
    return Path(*(safe(part) for part in parts if part))
