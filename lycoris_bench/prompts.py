"""The types of prompts (paper 4.1, D.3), how images are shared among them, and the text
that CLIP compares an image with."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lycoris_bench import registry
from lycoris_bench.errors import BenchError
from lycoris_bench.vocabulary import Concept, PromptSet

CONCEPTS = "concepts.toml"
WORDS = ("trigger", "class_word", "description", "subclass_words")
COUNTS = ("images", "repeats")  # of the dataset: to plan without it, and not to balance


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


@dataclass(frozen=True)
class Words:
    """How a concept is named: "trigger class_word[, subclass_words]", and `description`, the
    plain words that stand for all of it where an encoder does not know the trigger."""

    trigger: str
    class_word: str
    description: str
    subclass_words: str = ""

    @property
    def descriptor(self) -> str:
        head = f"{self.trigger} {self.class_word}".strip()
        return f"{head}, {self.subclass_words}" if self.subclass_words else head

    def plain(self, prompt: str) -> str:
        """The prompt as CLIP should read it: no invented words, nothing left dangling (D.4).

        >>> bunny = Words("olis", "stuffed toy", "bunny stuffed toy")
        >>> bunny.plain("olis stuffed toy on a beach")
        'bunny stuffed toy on a beach'
        >>> style = Words("rps", "style", "")
        >>> style.plain("rps style of a city skyline")
        'a city skyline'
        >>> Words("whoo", "girl", "girl", "toid outfit").plain("whoo girl, toid outfit, sitting")
        'girl, sitting'
        >>> Words("suru", "robot", "robot, 3d", "3d").plain("suru robot, 3d in the snow")
        'robot, 3d in the snow'
        """
        text = prompt.replace(self.descriptor, self.description)
        text = text.replace(f"{self.trigger} {self.class_word}", self.description)
        if self.subclass_words and self.subclass_words not in self.description:
            text = text.replace(self.subclass_words, "")
        text = re.sub(rf"\b{re.escape(self.trigger)}\b", "", text)
        text = re.sub(r"\s+", " ", re.sub(r"(\s*,)+\s*", ", ", text)).strip(" ,")
        return re.sub(r"^(of|in|on|at|with|by|for|from|to)\s+", "", text)


def concept_table(*folders: Path) -> tuple[Path, dict[str, Any]]:
    """`concepts.toml` of the first folder that has one, and what it says: one table a concept."""
    path = next((f / CONCEPTS for f in folders if (f / CONCEPTS).exists()), folders[0] / CONCEPTS)
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PromptError(
            f"{path} is missing; it names each concept, like "
            '["toys/bunny"] trigger = "olis", class_word = "toy", description = "bunny toy"'
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise PromptError(f"{path} cannot be read as TOML: {error}") from None


def read_words(
    dataset: Path, concepts: Iterable[Concept], prompts: Path | None = None
) -> dict[Concept, Words]:
    """How each concept is named: from the table at the dataset's root, or else in the prompt
    tree; all mistakes at once."""
    path, table = concept_table(dataset, *([prompts] if prompts else []))
    problems, words = [], {}
    for concept in concepts:
        entry = table.get(str(concept))
        if entry is None:
            problems.append(f"no table for {registry.unknown('concept', str(concept), table)}")
            continue
        problems += [
            f"{concept}: " + registry.unknown("key", k, [*WORDS, *COUNTS])
            for k in entry
            if k not in (*WORDS, *COUNTS)
        ]
        missing = [key for key in WORDS[:3] if not isinstance(entry.get(key), str)]
        if missing:
            problems.append(f"{concept}: {', '.join(missing)} must be given as text")
        elif not set(entry) - {*WORDS, *COUNTS}:
            words[concept] = Words(**{key: entry[key] for key in WORDS if key in entry})
    if problems:
        raise PromptError(f"{path}: " + "; ".join(problems))
    return words


def numbers(table: Mapping[str, Any], key: str) -> dict[Concept, int]:
    """Of each concept that has it, a number of the table: its `images`, or their `repeats`."""
    found: dict[Concept, int] = {}
    for name, entry in table.items():
        value = entry.get(key) if isinstance(entry, Mapping) else None
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise PromptError(f"{name}: {key} is {value!r}; a number from 1 is allowed")
        if "/" not in name:
            raise PromptError(f"'{name}' names no concept; category/class[/sub-class] is needed")
        found[Concept(*name.split("/", 2))] = value
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
    folder: Path, concept: Concept, kind: str, words: Words, captions: Sequence[str]
) -> PromptSet | None:
    """The prompts of a concept and type: the nearest `<type>.txt` from the sub-class's folder up
    to the root, else the row's template or the captions. None where the type does not apply."""
    row = TYPES[kind]
    if concept.category in row.not_for:
        return None
    lines = _nearest(folder, concept, f"{kind}.txt")
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
    parts = [part for part in (concept.category, concept.class_name, concept.subclass) if part]
    for depth in range(len(parts), -1, -1):
        path = folder.joinpath(*parts[:depth], name)
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (UnicodeDecodeError, OSError) as error:
            raise PromptError(f"{path} cannot be read as UTF-8 text: {error}") from None
        lines = [line.strip() for line in text.splitlines()]
        lines = [line for line in lines if line and not line.startswith("#")]
        if not lines:
            raise PromptError(
                f"{path} holds no prompt; write one a line, with {{}} for the concept"
            )
        return lines
    return None
