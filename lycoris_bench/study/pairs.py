"""Which concepts stand together in a prompt: pairs that a study lists, or by a rule."""

from collections.abc import Iterator, Mapping, Sequence

from lycoris_bench.files import disk
from lycoris_bench.messages import suggestions
from lycoris_bench.study.concept_words import PromptError
from lycoris_bench.study.records import Concept
from lycoris_bench.study.wording import STYLE, Words

Pair = tuple[Concept, Concept]
KEY = "sampling.pairs"


def pairs(words: Mapping[Concept, Words], listed: Sequence[tuple[str, str]] = ()) -> list[Pair]:
    """The pairs that are `listed` by name; none listed: each concept, in the order of `words`, with
    the next one of another class, the first coming after the last.

    A style is said first, as in "woodcut of a bunny", and two styles are no pair. PromptError:
    names every mistake of a list, or that the rule finds no pair."""
    if listed:
        return _named(words, listed)
    found = list(dict.fromkeys(_by_rule(words)))
    if not found:
        raise PromptError(
            "prompts of two concepts need concepts of two classes, of which one is no style; "
            "name more in 'concepts', or take \"compose\" out of 'sampling.prompt_types'"
        )
    return found


def _by_rule(words: Mapping[Concept, Words]) -> Iterator[Pair]:
    concepts = list(words)
    styles = {concept for concept, named in words.items() if named.kind == STYLE}
    for place, first in enumerate(concepts):
        for second in (*concepts[place + 1 :], *concepts[:place]):
            if _class(first) != _class(second) and not {first, second} <= styles:
                yield (second, first) if second in styles else (first, second)
                break


def _class(concept: Concept) -> tuple[str, str]:
    return concept.category, concept.class_name


def _named(words: Mapping[Concept, Words], listed: Sequence[tuple[str, str]]) -> list[Pair]:
    names = {str(concept): concept for concept in words}
    problems: list[str] = []
    found: list[Pair] = []
    for pair in listed:
        known = [names.get(disk.composed(name)) for name in pair]
        unknown = [name for name, concept in zip(pair, known, strict=True) if concept is None]
        problems += [suggestions.unknown(f"concept of {KEY}", name, names) for name in unknown]
        first, second = known
        if first is None or second is None:
            continue
        if first == second:
            problems.append(f"'{KEY}' pairs {first} with itself")
        elif (first, second) in found:
            problems.append(f"'{KEY}' has {first} and {second} twice")
        elif words[second].kind == STYLE:
            problems.append(
                f"'{KEY}' pairs two styles, {first} and {second}"
                if words[first].kind == STYLE
                else f"'{KEY}' has the style {second} second; a style is said first: turn it round"
            )
        else:
            found.append((first, second))
    if problems:
        raise PromptError("; ".join(dict.fromkeys(problems)))
    return found
