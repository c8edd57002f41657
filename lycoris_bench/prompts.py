"""The types of prompts (paper 4.1, D.3), the table of concepts, and how images are shared."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lycoris_bench import disk, registry
from lycoris_bench.errors import BenchError
from lycoris_bench.vocabulary import Concept, PromptSet
from lycoris_bench.wording import Words, too_long

CONCEPTS = "concepts.toml"
WORDS = ("trigger", "class_word", "description", "subclass_words")
MOST = {"images": 100_000, "repeats": 10_000}
"""The counts of a dataset in the table, to plan without it and not to balance, and the highest."""
MOST_PROMPTS = 100_000  # of a file
LONGEST_WORDS = 1_000  # characters of what a table says of a concept
TEXT = ".txt"  # of a file of prompts
PLACE = re.compile(r"\{\}|\[trigger\]")  # where a prompt names the concept
_OTHER_PLACE = re.compile(r"\{[^{}]+\}|\[\s*trigger\s*\]", re.IGNORECASE)
_SHOWN = 5  # of many mistakes in a file


@dataclass(frozen=True)
class PromptType:
    """One row of the table: where prompts come from, and how their images are judged.

    `template` is the prompt used where no file gives one (None: the class's own captions).
    `per_prompt` measures diversity per prompt instead of over the set. `compared_with` is what
    the images are held against: the concept's dataset images, the base model's images, or both.
    `leak`: nothing asks for the concept, so being like the dataset is a fault (4.1)."""

    name: str
    template: str | None
    file_required: bool
    per_prompt: bool
    compared_with: tuple[str, ...]
    not_for: tuple[str, ...] = ()
    leak: bool = False


TYPES = {
    row.name: row
    for row in (
        PromptType("train", None, False, False, ("reference",)),
        PromptType("trigger", "{}", False, False, ("reference",)),
        PromptType("alter", None, True, True, ("reference",)),
        PromptType("style", None, True, False, ("base",), not_for=("styles",)),
        PromptType("agnostic", None, True, True, ("reference", "base"), leak=True),
    )
}


class PromptError(BenchError):
    """What is wrong with the concept table or a prompt file."""


_EXAMPLE = (
    "it names each concept, like "
    '["toys/bunny"] trigger = "olis", class_word = "toy", description = "bunny toy"'
)


def concept_table(*folders: Path) -> tuple[Path, dict[str, Any]]:
    """`concepts.toml` of the first folder that has one, and what it says: one table a concept."""
    path = next((f / CONCEPTS for f in folders if (f / CONCEPTS).exists()), folders[0] / CONCEPTS)
    try:
        table = disk.read_toml(path)
    except disk.NoSuchFile:
        raise PromptError(f"{path} is missing; {_EXAMPLE}") from None
    except disk.FileError as error:
        raise PromptError(str(error)) from None
    return path, {disk.composed(name): entry for name, entry in table.items()}


def read_words(
    dataset: Path, concepts: Iterable[Concept], prompts: Path | None = None
) -> dict[Concept, Words]:
    """How each concept is named: from the table at the dataset's root, or else in the prompt
    tree; all mistakes at once."""
    path, table = concept_table(dataset, *([prompts] if prompts else []))
    if not table:
        raise PromptError(f"{path} is empty; {_EXAMPLE}")
    problems: list[str] = []
    words = {}
    for concept in concepts:
        entry = table.get(str(concept))
        if not isinstance(entry, dict):
            problems.append(_no_table(concept, table))
            continue
        wrong = [f"{concept}: {mistake}" for mistake in _mistakes(entry)]
        problems += wrong
        if not wrong:
            words[concept] = Words(**{key: entry[key] for key in WORDS if key in entry})
    if problems:
        raise PromptError(f"{path}: " + "; ".join(problems))
    return words


def _no_table(concept: Concept, table: Mapping[str, Any]) -> str:
    name = str(concept)
    if name in table:
        return f"{name} is {table[name]!r}; a table is needed"
    nested = table.get(concept.category)
    if isinstance(nested, dict) and concept.class_name in nested:
        return f'[{concept.category}.{concept.class_name}] is not ["{name}"], which is needed'
    return f"no table for {registry.unknown('concept', name, table)}"


def _mistakes(entry: Mapping[str, Any]) -> list[str]:
    """What is wrong with a concept's table."""
    known = [*WORDS, *MOST]
    found = [registry.unknown("key", key, known) for key in entry if key not in known]
    missing = [key for key in WORDS[:3] if not isinstance(entry.get(key), str)]
    if missing:
        found.append(f"{', '.join(missing)} must be given as text")
    elif not (entry["trigger"].strip() or entry["class_word"].strip()):
        found.append("trigger and class_word are both empty; one of them must be given")
    if not isinstance(entry.get("subclass_words", ""), str):
        found.append("subclass_words must be text")
    given = {key: entry[key] for key in WORDS if isinstance(entry.get(key), str)}
    return found + [f"{key} {m}" for key, text in given.items() if (m := _unfit(text))]


def _unfit(text: str) -> str | None:
    """Why a text does not fit into a prompt, as the rest of a sentence."""
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text):
        return f"is {text[:40]!r}; one line without control characters is allowed"
    if place := PLACE.search(text):
        return f"holds {place[0]}, which stands for it in prompts; write the words themselves"
    return too_long(text, LONGEST_WORDS)


def numbers(table: Mapping[str, Any], key: str) -> dict[Concept, int]:
    """Of each concept that has it, a number of the table: its `images`, or their `repeats`.

    PromptError names all wrong numbers of the table, those of the other key too."""
    entries = {name: entry for name, entry in table.items() if isinstance(entry, Mapping)}
    problems = [
        f"{name}: {count} is {entry[count]!r}; a number from 1 to {most} is allowed"
        for name, entry in entries.items()
        for count, most in MOST.items()
        if count in entry and not (type(entry[count]) is int and 1 <= entry[count] <= most)
    ]
    given = {name: entry[key] for name, entry in entries.items() if key in entry}
    parts = {name: name.split("/", 2) for name in given}
    problems += [
        f"'{name}' names no concept; category/class[/sub-class] is needed"
        for name, part in parts.items()
        if len(part) < 2 or not all(part)
    ]
    if problems:
        raise PromptError("; ".join(problems))
    return {Concept(*parts[name]): value for name, value in given.items()}


def shares(images: int, prompts: int) -> list[int]:
    """How many of `images` each of `prompts` gets: as even as can be, the earlier take the rest.

    >>> shares(100, 8)
    [13, 13, 13, 13, 12, 12, 12, 12]
    >>> shares(2, 3)
    [1, 1, 0]
    """
    if prompts < 1:
        raise BenchError("there is no prompt to share images among")
    return [images // prompts + (k < images % prompts) for k in range(prompts)]


def assignment(images: int, prompts: int) -> list[int]:
    """Index of the prompt of each image: image k of a set draws prompt `assignment(...)[k]`."""
    return [p for p, count in enumerate(shares(images, prompts)) for _ in range(count)]


def prompt_set(
    folder: Path,
    concept: Concept,
    kind: str,
    words: Words,
    captions: Sequence[str],
    extension: str = "",
) -> PromptSet | None:
    """The prompts of a concept and type: the nearest `<type>.txt` from the sub-class's folder up
    to the root, else the row's template or the captions. None where the type does not apply.

    `captions` are those that a configuration is trained with. Where they have an `extension` of
    their own, a tree's `train.txt` is of other captions: `train.no-tags.txt` is of theirs."""
    row = TYPES[kind]
    if concept.category in row.not_for:
        return None
    own = extension if row.template is None and not row.file_required else ""
    lines = _nearest(folder, concept, f"{kind}{own}{TEXT}")
    if lines is None:
        if row.file_required:
            raise PromptError(
                f"no {kind}.txt for {concept} in {folder}; write one, a prompt a line, "
                "with {} for the concept"
            )
        lines = [row.template] if row.template else list(dict.fromkeys(captions))
    prompts = tuple(PLACE.sub(lambda _: words.descriptor, line) for line in lines)
    if problem := next(filter(None, map(too_long, prompts)), None):
        raise PromptError(f"a {kind} prompt of {concept}, with its words in it, {problem}")
    return PromptSet(concept, kind, prompts, tuple(words.plain(prompt) for prompt in prompts))


def _nearest(folder: Path, concept: Concept, name: str) -> list[str] | None:
    places = [folder]
    for part in (concept.category, concept.class_name, concept.subclass):
        places += [disk.named(places[-1], part)] if part else []
    for place in reversed(places):
        try:
            return _prompts(place / name)
        except disk.NoSuchFile:
            continue
        except disk.FileError as error:
            raise PromptError(str(error)) from None
    return None


def _prompts(path: Path) -> list[str]:
    """The prompts of a file, one a line; PromptError with all that is wrong with them."""
    lines = [
        (number, line)
        for number, line in enumerate(disk.read_lines(path), 1)
        if line and not line.startswith("#")
    ]
    if not lines:
        raise PromptError(f"{path} holds no prompt; write one a line, with {{}} for the concept")
    if len(lines) > MOST_PROMPTS:
        raise PromptError(
            f"{path} has {len(lines):,} prompts; at most {MOST_PROMPTS:,} are allowed"
        )
    wrong = [f"line {number} {m}" for number, line in lines if (m := _mistake(line))]
    if wrong:
        more = [f"and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        raise PromptError(f"{path}: " + "; ".join(wrong[:_SHOWN] + more))
    return [line for _, line in lines]


def _mistake(line: str) -> str | None:
    """What is wrong with a prompt, as the rest of a sentence."""
    if place := _OTHER_PLACE.search(PLACE.sub("", line)):
        return f"holds {place[0][:40]}; only {{}} and [trigger] stand for the concept"
    return too_long(line)
