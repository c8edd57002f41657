"""The table of concepts, `concepts.toml`: how prompts name each concept, and of what kind it is."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lycoris_bench.files import disk
from lycoris_bench.messages import suggestions
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.metrics import METRICS
from lycoris_bench.study.records import Concept
from lycoris_bench.study.wording import STYLE, Words, too_long

CONCEPTS = "concepts.toml"
WORDS = ("trigger", "class_word", "description", "subclass_words")
KIND = "kind"
STYLES = "styles"  # the category of styles where a table says no kind, as older ones do not
MOST = {"images": 100_000, "repeats": 10_000}
"""The counts of a dataset in the table, to plan without it and not to balance, and the highest."""
SHOWN = 3  # of many concepts
LONGEST_WORDS = 1_000  # characters of what a table says of a concept
PLACE = re.compile(r"\{\}|\[trigger\]")  # where a prompt names the concept


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
            named = {key: entry[key] for key in WORDS if key in entry}
            words[concept] = Words(**named, kind=_kind(concept, entry))
    if problems:
        raise PromptError(f"{path}: " + "; ".join(problems))
    return words


def doubts(dataset: Path, concepts: Iterable[Concept], prompts: Path) -> tuple[str, ...]:
    """One sentence where the table says no kind of concepts that are taken for styles."""
    path, table = concept_table(dataset, prompts)
    guessed = [
        str(concept)
        for concept in concepts
        if concept.category == STYLES and KIND not in table.get(str(concept), {})
    ]
    if not guessed:
        return ()
    more = f" and {len(guessed) - SHOWN} more" if len(guessed) > SHOWN else ""
    taken = "is taken for a style" if len(guessed) == 1 else "are taken for styles"
    return (
        f"{path}: {', '.join(guessed[:SHOWN])}{more} {taken} by the name of the category; "
        f'write {KIND} = "{STYLE}" in the table of each',
    )


def kinds() -> list[str]:
    """The kinds of concepts that prompt types and metrics tell from others."""
    return sorted({STYLE}.union(*(metric.kinds for metric in METRICS.entries().values())))


def _kind(concept: Concept, entry: Mapping[str, Any]) -> str:
    return str(entry.get(KIND, STYLE if concept.category == STYLES else ""))


def _no_table(concept: Concept, table: Mapping[str, Any]) -> str:
    name = str(concept)
    if name in table:
        return f"{name} is {table[name]!r}; a table is needed"
    nested = table.get(concept.category)
    if isinstance(nested, dict) and concept.class_name in nested:
        return f'[{concept.category}.{concept.class_name}] is not ["{name}"], which is needed'
    return f"no table for {suggestions.unknown('concept', name, table)}"


def _mistakes(entry: Mapping[str, Any]) -> list[str]:
    """What is wrong with a concept's table."""
    known = [*WORDS, KIND, *MOST]
    mistakes = [suggestions.unknown("key", key, known) for key in entry if key not in known]
    missing = [key for key in WORDS[:3] if not isinstance(entry.get(key), str)]
    if missing:
        mistakes.append(f"{', '.join(missing)} must be given as text")
    elif not (entry["trigger"].strip() or entry["class_word"].strip()):
        mistakes.append("trigger and class_word are both empty; one of them must be given")
    if not isinstance(entry.get("subclass_words", ""), str):
        mistakes.append("subclass_words must be text")
    if KIND in entry and entry[KIND] not in (allowed := kinds()):
        mistakes.append(suggestions.unknown(KIND, str(entry[KIND]), allowed))
    given = {key: entry[key] for key in WORDS if isinstance(entry.get(key), str)}
    return mistakes + [f"{key} {m}" for key, text in given.items() if (m := _unfit(text))]


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
