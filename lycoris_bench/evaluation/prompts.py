"""The prompts of an evaluation: the shipped ones that suit what the concept is, or the user's own,
as the files of a prompt tree."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import tomli_w

from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.study import prompt_options
from lycoris_bench.study.concept_words import CONCEPTS
from lycoris_bench.study.places import locate
from lycoris_bench.study.prompt_types import TYPES, prompt_lines
from lycoris_bench.study.records import Concept
from lycoris_bench.study.wording import STYLE, Words, whole_words

KINDS = "kinds.toml"
SHIPPED = "package:prompts/paper"
MINIATURE = "package:prompts/miniature"
STYLES = "styles"  # the folder of a shipped tree whose concepts are ways of drawing
ALTER, TEXT = "alter.txt", ".txt"
EVAL = ".eval"  # style.eval.txt: in place of style.txt in an evaluation
LIKE_OPTION = re.compile(r"(?:^|\s)(--\w+(?:-\w+)*)(?=[\s=]|$)")
OF_ALL = {
    "w": "sampling.width", "h": "sampling.height", "s": "sampling.steps",
    "steps": "sampling.steps", "l": "sampling.guidance", "cfg": "sampling.guidance",
    "d": "sampling.seed", "seed": "sampling.seed",
}  # fmt: skip
"""Options of a prompt, and the keys that say the same of all images."""
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


def own_prompts(file: Path) -> tuple[list[str], list[str]]:
    """The prompts of a user's file, a line each, and what is to be said of them. Options at the end
    of a line, as trainers read them, are no part of a prompt, and are not used: all images that are
    compared share them. BenchError: what is wrong with the prompts."""
    if file.suffix.lower() in (".json", ".toml"):
        raise BenchError(f"--prompts: {file} is no text; a file with a prompt a line is needed")
    found: dict[str, dict[str, None]] = {}
    unknown: dict[str, None] = {}

    def prompt_of(line: str) -> str:
        prompt, options = prompt_options.split(line)
        for name, value in options:
            found.setdefault(name, {})[value] = None
        unknown.update(dict.fromkeys(LIKE_OPTION.findall(prompt)))
        return prompt

    lines = prompt_lines(file, TYPES["alter"], prompt_of)
    stays = [
        f"{file.name}: {', '.join(unknown)} in its lines is no option that trainers read, and "
        "stays in the prompt"
    ] * bool(unknown)
    if not found:
        return lines, stays
    keys = [
        f"--set {OF_ALL[name]}={next(iter(values))}"
        for name, values in found.items()
        if name in OF_ALL and len(values) == 1 and _is_possible(name, *values)
    ]
    instead = f" (for all of them: {' '.join(keys)})" if keys else ""
    return lines, [
        f"{file.name}: {', '.join(f'--{name}' for name in found)} in its lines are not used: all "
        "images of an evaluation share one size, guidance, number of steps and list of seeds, and "
        f"no negative prompt{instead}",
        *stays,
    ]


def _is_possible(name: str, value: str) -> bool:
    """Whether the key that says the same of all images takes the value."""
    if name in ("l", "cfg"):
        return bool(re.fullmatch(r"\d+(\.\d+)?", value))
    least = 0 if name in ("d", "seed") else 1
    return value.isdecimal() and value.isascii() and int(value) >= least


def files_of(words: Mapping[Concept, Words], tree: Path, own: Sequence[str] | None = None) -> Files:
    """The files of a prompt tree for concepts that are called so. `own` are prompts that ask for
    other contents, in place of the shipped ones."""
    files = {CONCEPTS: _table(words)}
    for concept, named in words.items():
        folder = folder_for(named.class_word or named.description, tree)
        place = "/".join(filter(None, (concept.category, concept.class_name, concept.subclass)))
        nearest = dict(_nearest(tree, folder))
        own_name = {name: name.removesuffix(TEXT).removesuffix(EVAL) + TEXT for name in nearest}
        for name in sorted(nearest, key=lambda name: own_name[name] != name):
            files[f"{place}/{own_name[name]}"] = nearest[name]  # those of evaluations come last
        if own is not None:
            files[f"{place}/{ALTER}"] = "".join(f"{line}\n" for line in own)
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
