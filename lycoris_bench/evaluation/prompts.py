"""The prompts of an evaluation: the shipped ones that suit what the concept is, or the user's own,
as the files of a prompt tree."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import tomli_w

from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.study.concept_words import CONCEPTS
from lycoris_bench.study.places import locate
from lycoris_bench.study.records import Concept
from lycoris_bench.study.wording import STYLE, Words, whole_words

KINDS = "kinds.toml"
SHIPPED = "package:prompts/paper"
MINIATURE = "package:prompts/miniature"
STYLES = "styles"  # the folder of a shipped tree whose concepts are ways of drawing
ALTER, TEXT = "alter.txt", ".txt"
EVAL = ".eval"  # style.eval.txt: in place of style.txt in an evaluation
Files = dict[str, str]
"""Path in a prompt tree -> its text."""


def tree_of(base_model: str) -> Path:
    """The shipped tree that a base model knows the words of."""
    inside = Path(base_model).is_relative_to(locate("package:miniature", Path()))
    return locate(MINIATURE if inside else SHIPPED, Path())


def folder_for(class_word: str, tree: Path) -> str:
    """The folder of a shipped tree whose prompts suit what is called so."""
    kinds: Mapping[str, list[str]] = disk.read_toml(tree / KINDS)
    for folder, words in kinds.items():
        if not words or whole_words(*words).search(class_word.lower()):
            return folder
    raise BenchError(f"{tree / KINDS} has no folder for all that is left")


def files_of(words: Mapping[Concept, Words], tree: Path, own: Path | None = None) -> Files:
    """The files of a prompt tree for concepts that are called so. `own` is a file of prompts that
    ask for other contents, in place of the shipped ones."""
    files = {CONCEPTS: _table(words)}
    for concept, named in words.items():
        folder = folder_for(named.class_word or named.description, tree)
        place = "/".join(filter(None, (concept.category, concept.class_name, concept.subclass)))
        nearest = dict(_nearest(tree, folder))
        own_name = {name: name.removesuffix(TEXT).removesuffix(EVAL) + TEXT for name in nearest}
        for name in sorted(nearest, key=lambda name: own_name[name] != name):
            files[f"{place}/{own_name[name]}"] = nearest[name]  # those of evaluations come last
        if own is not None:
            files[f"{place}/{ALTER}"] = disk.read_text(own)
    return files


def kind_of(class_word: str, tree: Path) -> str:
    """STYLE for a way of drawing, "" for anything else."""
    return STYLE if folder_for(class_word, tree) == STYLES else ""


def _table(words: Mapping[Concept, Words]) -> str:
    """The table of concepts; what is empty and not needed is left out."""
    needed = ("trigger", "class_word", "description")
    return tomli_w.dumps(
        {
            str(concept): {k: v for k, v in vars(named).items() if v or k in needed}
            for concept, named in words.items()
        }
    )


def _nearest(tree: Path, folder: str) -> Iterator[tuple[str, str]]:
    """The files of prompts in a folder of a tree, and those above that it has none of."""
    seen: set[str] = set()
    for place in dict.fromkeys((tree / folder, tree)):
        for file in sorted(place.glob("*.txt")):
            if file.name not in seen:
                seen.add(file.name)
                yield file.name, disk.read_text(file)
