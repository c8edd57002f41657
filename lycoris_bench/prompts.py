"""The types of prompts (paper 4.1, D.3), the table of concepts, and how images are shared."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lycoris_bench import disk, registry
from lycoris_bench.errors import BenchError
from lycoris_bench.vocabulary import Concept, PromptSet
from lycoris_bench.wording import Words

CONCEPTS = "concepts.toml"
WORDS = ("trigger", "class_word", "description", "subclass_words")
MOST = {"images": 100_000, "repeats": 10_000}
"""The counts of a dataset in the table, to plan without it and not to balance, and the highest."""
TEXT = ".txt"  # of a file of prompts


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


def concept_table(*folders: Path) -> tuple[Path, dict[str, Any]]:
    """`concepts.toml` of the first folder that has one, and what it says: one table a concept."""
    path = next((f / CONCEPTS for f in folders if (f / CONCEPTS).exists()), folders[0] / CONCEPTS)
    try:
        table = disk.read_toml(path)
    except disk.NoSuchFile:
        raise PromptError(
            f"{path} is missing; it names each concept, like "
            '["toys/bunny"] trigger = "olis", class_word = "toy", description = "bunny toy"'
        ) from None
    except disk.FileError as error:
        raise PromptError(str(error)) from None
    return path, {disk.composed(name): entry for name, entry in table.items()}


def read_words(
    dataset: Path, concepts: Iterable[Concept], prompts: Path | None = None
) -> dict[Concept, Words]:
    """How each concept is named: from the table at the dataset's root, or else in the prompt
    tree; all mistakes at once."""
    path, table = concept_table(dataset, *([prompts] if prompts else []))
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
    return found


def numbers(table: Mapping[str, Any], key: str) -> dict[Concept, int]:
    """Of each concept that has it, a number of the table: its `images`, or their `repeats`."""
    found: dict[Concept, int] = {}
    for name, entry in table.items():
        value = entry.get(key) if isinstance(entry, Mapping) else None
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST[key]:
            allowed = f"a number from 1 to {MOST[key]} is allowed"
            raise PromptError(f"{name}: {key} is {value!r}; {allowed}")
        parts = name.split("/", 2)
        if len(parts) < 2 or not all(parts):
            raise PromptError(f"'{name}' names no concept; category/class[/sub-class] is needed")
        found[Concept(*parts)] = value
    return found


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
    prompts = tuple(re.sub(r"\{\}|\[trigger\]", lambda _: words.descriptor, line) for line in lines)
    return PromptSet(concept, kind, prompts, tuple(words.plain(prompt) for prompt in prompts))


def _nearest(folder: Path, concept: Concept, name: str) -> list[str] | None:
    places = [folder]
    for part in (concept.category, concept.class_name, concept.subclass):
        places += [disk.named(places[-1], part)] if part else []
    for place in reversed(places):
        try:
            lines = disk.read_lines(place / name)
        except disk.NoSuchFile:
            continue
        except disk.FileError as error:
            raise PromptError(str(error)) from None
        lines = [line for line in lines if line and not line.startswith("#")]
        if not lines:
            raise PromptError(
                f"{place / name} holds no prompt; write one a line, with {{}} for the concept"
            )
        return lines
    return None
