"""Names of configurations become folders: which names may not, and which would share one."""

import unicodedata
from collections.abc import Iterable, Iterator

from lycoris_bench.files.disk import PARTIAL
from lycoris_bench.messages.printable import printable
from lycoris_bench.study.records import BASE, REAL

# What the store calls files and folders of the base model, of real images and of encoders.
TAKEN = {f"{name}{end}" for name in (BASE, REAL) for end in ("", ".parquet", "-images.parquet")}
TAKEN |= {"dataset", "weights.json"}
CLASS_IMAGES = "class images"  # begins the names of items that draw them


def problems(names: Iterable[str]) -> Iterator[str]:
    """A sentence for each name that cannot be a folder of its own on every file system."""
    seen: dict[str, str] = {}
    for name in names:
        folded = unicodedata.normalize("NFC", name).casefold()
        if unfit := _unfit(name):
            yield f"a configuration is called {name!r}: {unfit}; choose another name"
        elif folded in TAKEN or folded.startswith(CLASS_IMAGES):
            yield f"'{name}' is the name of what configurations are held to; choose another"
        elif folded in seen:
            said = "twice" if seen[folded] == name else f"'{seen[folded]}' but for case, too"
            yield f"a configuration is called '{name}' and {said}: give each a name of its own"
        seen.setdefault(folded, name)


def _unfit(name: str) -> str | None:
    if not name.strip():
        return "it is empty"
    if name != name.strip() or name.endswith("."):
        return "it begins or ends in a space, or ends in a dot, which some file systems drop"
    if printable(name, len(name)) != name:
        return "it holds characters that cannot be printed"
    if name.casefold().endswith(PARTIAL):
        return f"'{PARTIAL}' marks files that are half written"
    return None
