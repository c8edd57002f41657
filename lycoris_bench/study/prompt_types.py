"""The types of prompts (paper 4.1, D.3), the table of concepts, and how images are shared."""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural
from lycoris_bench.study.concept_words import PLACE, PromptError
from lycoris_bench.study.records import Concept, PromptSet
from lycoris_bench.study.wording import STYLE, Words, tidied, too_long

MOST_PROMPTS = 100_000  # of a file
TEXT = ".txt"  # of a file of prompts
_OTHER_PLACE = re.compile(r"\{[^{}]+\}|\[\s*trigger\s*\]", re.IGNORECASE)
_SHOWN = 5  # of many mistakes in a file


@dataclass(frozen=True)
class PromptType:
    """One row of the table: where prompts come from, and how their images are judged.

    `template` is the prompt used where no file gives one (None: the class's own captions).
    `per_prompt` measures diversity per prompt instead of over the set. `compared_with` is what
    the images are compared with: the concept's dataset images, the base model's, or both.
    Concepts of the kinds `not_for` have no such prompts. `expects_no_concept`: nothing asks for
    the concept, so being like the dataset is a fault (4.1). `drawn_elsewhere`: of images that exist
    already, which no study asks for. `without_trigger`: {} is the class word alone, and where no
    file gives prompts, they are those of this type. `of_pairs`: a prompt names two concepts
    (pairs.py)."""

    name: str
    template: str | None
    file_required: bool
    per_prompt: bool
    compared_with: tuple[str, ...]
    not_for: tuple[str, ...] = ()
    expects_no_concept: bool = False
    drawn_elsewhere: bool = False
    without_trigger: str = ""
    of_pairs: bool = False


BY_CAPTIONS = "train"  # the type whose prompts are the captions of the training images
GIVEN = "given"
TYPES = {
    row.name: row
    for row in (
        PromptType(BY_CAPTIONS, None, False, False, ("reference",)),
        PromptType("trigger", "{}", False, False, ("reference",)),
        PromptType("alter", None, True, True, ("reference",)),
        PromptType("style", None, True, False, ("base",), not_for=(STYLE,)),
        PromptType("agnostic", None, True, True, ("reference", "base"), expects_no_concept=True),
        PromptType(GIVEN, None, False, True, ("reference", "base"), drawn_elsewhere=True),
        PromptType(
            "class-word",
            None,
            True,
            True,
            ("reference", "base"),
            expects_no_concept=True,
            without_trigger="alter",
        ),
        PromptType("unrelated", None, True, True, ("reference", "base"), expects_no_concept=True),
        PromptType("compose", "{} and {}", False, True, ("reference",), of_pairs=True),
    )
}


ASKED_FOR = [name for name, row in TYPES.items() if not row.drawn_elsewhere]
"""The types that a study may name in `sampling.prompt_types`."""


def of_pairs(kinds: Sequence[str]) -> bool:
    """Whether there are such prompt types and the prompts of all of them name two concepts."""
    return bool(kinds) and all(kind in TYPES and TYPES[kind].of_pairs for kind in kinds)


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
    prompt_type: str,
    words: Words,
    captions: Sequence[str],
    extension: str = "",
    second: tuple[Concept, Words] | None = None,
) -> PromptSet | None:
    """The prompts of a concept and type: the nearest `<type>.txt` from the sub-class's folder up
    to the root, else the row's template or the captions. None where the type does not apply.

    `captions` are those that a configuration is trained with. Where they have an `extension` of
    their own, a tree's `train.txt` is of other captions: `train.no-tags.txt` is of theirs.
    `second` is the other concept, of a type whose prompts name two; the file is the first's."""
    row = TYPES[prompt_type]
    if words.kind in row.not_for:
        return None
    named = words.class_word if row.without_trigger else words.descriptor
    if not named or (row.without_trigger and not words.trigger):
        return None  # nothing but the trigger, or the class word alone, names the concept
    suffix = extension if row.template is None and not row.file_required else ""
    lines = _nearest(folder, concept, f"{prompt_type}{suffix}{TEXT}", row)
    if lines is None and row.without_trigger:
        lines = _nearest(folder, concept, f"{row.without_trigger}{TEXT}", row)
    if lines is None:
        if row.file_required:
            raise PromptError(
                f"no {prompt_type}.txt for {concept} in {folder}; write one, a prompt a line, "
                "with {} for the concept"
            )
        lines = [row.template] if row.template else list(dict.fromkeys(captions))
    names = [named, second[1].descriptor] if second else [named]
    prompts = tuple(_filled(line, names) for line in lines)
    if problem := next(filter(None, map(too_long, prompts)), None):
        raise PromptError(f"a {prompt_type} prompt of {concept}, with its words in it, {problem}")
    if second:
        described = [words.description, second[1].description]
        plain = [_filled(line, described) for line in lines]
        return PromptSet(
            concept, prompt_type, prompts, tuple(map(tidied, plain, prompts)), second[0]
        )
    of_template = [PLACE.search(line) is not None for line in lines]
    return PromptSet(concept, prompt_type, prompts, tuple(map(words.plain, prompts, of_template)))


def _filled(line: str, names: Sequence[str]) -> str:
    """The line with the names in its places, in turn."""
    turns = itertools.cycle(names)
    return PLACE.sub(lambda _: next(turns), line)


def _nearest(folder: Path, concept: Concept, name: str, row: PromptType) -> list[str] | None:
    places = [folder]
    for part in (concept.category, concept.class_name, concept.subclass):
        places += [disk.named(places[-1], part)] if part else []
    for place in reversed(places):
        try:
            return prompt_lines(place / name, row)
        except disk.NoSuchFile:
            continue
        except disk.FileError as error:
            raise PromptError(str(error)) from None
    return None


def prompt_lines(path: Path, row: PromptType, prompt_of: Callable[[str], str] = str) -> list[str]:
    """The prompts of a file, one a line, without empty lines and comments (#); `prompt_of` a line,
    where that has more. PromptError: all that is wrong with them."""
    lines = [
        (number, prompt_of(line))
        for number, line in enumerate(disk.read_lines(path), 1)
        if line and not line.startswith("#")
    ]
    if not lines:
        places = "two {} for the concepts" if row.of_pairs else "{} for the concept"
        raise PromptError(f"{path} holds no prompt; write one a line, with {places}")
    if len(lines) > MOST_PROMPTS:
        raise PromptError(
            f"{path} has {len(lines):,} prompts; at most {MOST_PROMPTS:,} are allowed"
        )
    wrong = [f"line {number} {m}" for number, line in lines if (m := _mistake(line, row))]
    if wrong:
        more = [f"and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        raise PromptError(f"{path}: " + "; ".join(wrong[:_SHOWN] + more))
    return [line for _, line in lines]


def _mistake(line: str, row: PromptType) -> str | None:
    """What is wrong with a prompt, as the rest of a sentence."""
    if not line:
        return "has options and no prompt"
    if place := _OTHER_PLACE.search(PLACE.sub("", line)):
        return f"holds {place[0][:40]}; only {{}} and [trigger] stand for the concept"
    if row.of_pairs and (places := len(PLACE.findall(line))) != 2:
        found = plural(places, "place")
        return f"has {found} for concepts; exactly two {{}} are needed, like '{{}} and {{}}'"
    return too_long(line)
