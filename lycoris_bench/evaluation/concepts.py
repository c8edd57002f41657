"""What the concepts of an evaluation are called: by a table beside the images, else as the user or
the checkpoint's own metadata say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lycoris_bench.evaluation.found import Found
from lycoris_bench.evaluation.prompts import kind_of
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.study.concept_words import CONCEPTS, read_words
from lycoris_bench.study.records import Concept
from lycoris_bench.study.wording import Words


@dataclass(frozen=True)
class Called:
    """What a user says of the one concept that checkpoints were taught; None: nothing."""

    trigger: str | None = None
    class_word: str | None = None
    description: str | None = None

    @property
    def said(self) -> bool:
        return any(value is not None for value in vars(self).values())


def words_of(
    concepts: Sequence[Concept], images: Path, called: Called, found: Iterable[Found], tree: Path
) -> dict[Concept, Words]:
    """How each concept is named. BenchError: nothing says it, or it is said of several at once."""
    if (images / CONCEPTS).exists() and not called.said:
        return read_words(images, concepts)
    told = {trigger for one in found if isinstance(trigger := one.about.told.get("trigger"), str)}
    trigger = called.trigger
    if trigger is None and len(told) == 1:
        trigger = told.pop()
    if not (trigger or called.class_word):
        raise BenchError(
            "nothing says what the checkpoints call their concept: give --trigger WORD, "
            f"--class-word WORD, or both, or put a {CONCEPTS} beside the images"
        )
    if len(concepts) > 1:
        names = ", ".join(map(str, concepts[:3])) + ", ..." * (len(concepts) > 3)
        raise BenchError(
            f"--trigger and --class-word name one concept, and there are {len(concepts)} "
            f"({names}); name each in a {CONCEPTS} beside the images, or give --images the folder "
            "of one"
        )
    class_word = called.class_word or ""
    description = class_word if called.description is None else called.description
    kind = kind_of(class_word or description, tree)
    return {concepts[0]: Words(trigger or "", class_word, description, kind=kind)}
