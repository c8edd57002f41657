"""Joins the image sets of all concepts into one, for metrics of a whole checkpoint."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

from lycoris_bench.data.dataset import Example
from lycoris_bench.scoring.metrics.inputs import Item, ScoredSet
from lycoris_bench.study.records import Concept


def all_concepts(sets: Sequence[ScoredSet], examples: Iterable[Example]) -> ScoredSet:
    """The image set of all concepts for one prompt type. Its reference has every dataset image of
    the scored classes, those of sub-class "others" included."""
    classes = {_class(scored) for scored in sets}
    generated = list(chain(*(scored.generated for scored in sets)))
    scored_paths = {path for _, path in generated}
    rest = [e for e in examples if _class(e.concept) in classes and e.path not in scored_paths]
    groups: list[int] = []
    for scored in sets:
        first = max(groups, default=-1) + 1
        groups += [first + group for group in scored.groups]
    return ScoredSet(
        prompt_type=sets[0].prompt_type,
        generated=generated,
        reference=files(rest) if any(scored.reference for scored in sets) else [],
        base=list(chain(*(scored.base for scored in sets))),
        texts=list(chain(*(scored.texts for scored in sets))),
        groups=groups,
        weights=_weights(sets, rest),
    )


def _weights(
    sets: Sequence[ScoredSet], examples: Sequence[Example]
) -> tuple[list[float], list[float]]:
    """The weights of the generated and of the reference images. Classes weigh the same; within a
    class a sub-class weighs as its share of the dataset's images."""
    images = Counter(_name(example.concept) for example in examples)
    of_class = Counter(_class(example.concept) for example in examples)
    of_scored: Counter[tuple[str, str]] = Counter()
    for scored in sets:
        of_scored[_class(scored)] += images[_name(scored)]
    generated = [
        images[_name(scored)] / of_scored[_class(scored)] / len(scored.generated)
        for scored in sets
        for _ in scored.generated
    ]
    return generated, [1 / of_class[_class(example.concept)] for example in examples]


def files(examples: Iterable[Example]) -> list[Item]:
    """(SHA-256, path) of each image of a dataset."""
    return [(example.sha256, example.path) for example in examples]


def _class(of: Concept | ScoredSet) -> tuple[str, str]:
    return of.category, of.class_name


def _name(of: Concept | ScoredSet) -> tuple[str, str, str]:
    return of.category, of.class_name, of.subclass
