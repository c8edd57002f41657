"""What is compared: images grouped by who drew them and at which step, or by what is asked for; in
each column the same prompts and seeds, so that numbers may be ranked together."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural
from lycoris_bench.messages.printable import printable
from lycoris_bench.messages.suggestions import unknown
from lycoris_bench.samples.found import Notes, Sample, order
from lycoris_bench.study import names
from lycoris_bench.study.drawn import DRAWN
from lycoris_bench.study.records import BASE_CHECKPOINT, Checkpoint, Concept, Configuration

STEP = "step"
Cell = tuple[Concept | None, str]
Key = tuple[Any, ...]
Columns = dict[Checkpoint, list[Sample]]
FIELDS: dict[str, Callable[[Sample], Any]] = {
    "configuration": lambda s: s.configuration,
    "folder": lambda s: s.place.rpartition("/")[0] or None,
    "prompt": lambda s: s.prompt,
    "seed": lambda s: s.seed,
    "index": lambda s: s.index,
    "tool": lambda s: s.tool or None,
    "size": lambda s: f"{s.size[0]}x{s.size[1]}",
}
LONGEST = 80  # characters of a configuration's name


@dataclass(frozen=True)
class Known:
    """What a study file knows of a configuration whose images these are."""

    configurations: Mapping[str, Configuration]

    def of(self, name: str) -> Configuration:
        """Under its own name, without what only a study trains by."""
        found = self.configurations.get(name, Configuration(name, DRAWN))
        return Configuration(name, found.algorithm, found.preset, found.lr, importance=False)


def group(samples: Sequence[Sample], by: str, known: Known, notes: Notes) -> Columns:
    """The columns: a configuration at each step, or a configuration for each value of the field
    `by`; images of the base model are one of their own.

    BenchError: no image has such a field."""
    taken = _names(samples if by == STEP else _by_field(samples, by, notes))
    columns: defaultdict[Checkpoint, list[Sample]] = defaultdict(list)
    for sample, name in taken:
        if sample.is_base:
            columns[BASE_CHECKPOINT].append(sample)
            continue
        moment = (sample.training_seed, sample.step, sample.strength) if by == STEP else ()
        columns[Checkpoint(known.of(name), *moment)].append(sample)
    return {column: sorted(columns[column], key=order) for column in sorted(columns, key=_place)}


def _by_field(samples: Sequence[Sample], by: str, notes: Notes) -> list[Sample]:
    """The samples that have a value of the field, which is their configuration."""

    def value(sample: Sample) -> Any:
        return FIELDS[by](sample) if by in FIELDS else sample.said.get(by)

    others = [s for s in samples if not s.is_base]
    lacking = [s.place for s in others if value(s) is None]
    if len(lacking) == len(others):
        settings = {key for s in others for key, text in s.said.items() if text}
        there = {f for f, of in FIELDS.items() if any(of(s) is not None for s in others)}
        raise BenchError(f"--group: {unknown('field', by, {STEP, *there, *settings})}")
    images = plural(len(lacking), f"image has no '{by}' and is", f"images have no '{by}' and are")
    notes.some("--group", lacking, f"{images} left out")
    return [
        s if s.is_base else replace(s, configuration=str(value(s)))
        for s in samples
        if s.is_base or value(s) is not None
    ]


def _names(samples: Iterable[Sample]) -> list[tuple[Sample, str]]:
    """Each sample with a name for its configuration that a run folder can hold, unlike others but
    for case too."""
    listed = list(samples)
    given = dict.fromkeys(s.configuration for s in listed if not s.is_base)
    made: dict[str, str] = {}
    for name in given:
        shown = printable(" ".join(name.split()) or "images", LONGEST).strip(" .") or "images"
        folded = {unicodedata.normalize("NFC", other).casefold() for other in made.values()}
        fit = next(
            candidate
            for candidate in (shown, *(f"{shown} ({k})" for k in range(2, 2 + 2 * len(given))))
            if not [*names.problems([candidate])]
            and unicodedata.normalize("NFC", candidate).casefold() not in folded
        )
        made[name] = fit
    return [(sample, made.get(sample.configuration, "")) for sample in listed]


def _place(column: Checkpoint) -> tuple[Any, ...]:
    """Columns come by name, training seed, step and strength; the base model first."""
    moment = (column.seed, column.epoch)
    numbers = [-1 if one is None else one for one in moment]
    return (not column.is_base, column.configuration.name, *numbers, column.strength)


# ---- the same images in each column


def align(columns: Columns, notes: Notes) -> tuple[Columns, bool]:
    """The images of each concept and prompt type that every column has: those of the same prompt
    and seed, or, where seeds are not the same, as many of the same prompt. Also: whether by seed.

    A column that lacks more than half of what most columns have is left out whole, with a
    sentence. The base model's images are partners, and are kept as they are."""
    drawn = {column: own for column, own in columns.items() if not column.is_base}
    keyed, by_seed = _keyed(drawn)
    counts = Counter(key for keys in keyed.values() for key in keys)
    usual = {key for key, count in counts.items() if 2 * count >= len(keyed)}
    short = [c for c, keys in keyed.items() if 2 * len(usual & keys.keys()) < len(usual)]
    if len(short) == len(keyed):
        short = []
    for column in short:
        there = len(usual & keyed[column].keys())
        notes.failed[str(column)] = (
            f"it has {there} of the {len(usual)} images that most others have; it is not compared"
        )
    kept = {column: keys for column, keys in keyed.items() if column not in short}
    common = set.intersection(*(set(keys) for keys in kept.values()))
    base = {c: own for c, own in columns.items() if c.is_base}
    if not common:
        notes.warned["columns"] = (
            "no prompt has images in every column, so their numbers cannot be ranked together"
        )
        return {**base, **{column: drawn[column] for column in kept}}, by_seed
    left = [s.place for keys in kept.values() for key, s in keys.items() if key not in common]
    lone = "no counterpart in every column and"
    images = plural(len(left), f"image has {lone} is", f"images have {lone} are")
    notes.some("columns", left, f"{images} left out")
    aligned = {c: [s for key, s in keys.items() if key in common] for c, keys in kept.items()}
    return {**base, **aligned}, by_seed


def _keyed(columns: Columns) -> tuple[dict[Checkpoint, dict[Key, Sample]], bool]:
    """The images of each column by what they have in common with those of others."""
    known = all(s.seed is not None for own in columns.values() for s in own)
    keyed = {column: _keys(own, True) for column, own in columns.items()}
    if known and set.intersection(*(set(keys) for keys in keyed.values())):
        return keyed, True
    return {column: _keys(own, False) for column, own in columns.items()}, False


def _keys(samples: Sequence[Sample], by_seed: bool) -> dict[Key, Sample]:
    """Concept, prompt type, prompt, seed and the how-manieth of these."""
    seen: Counter[Key] = Counter()
    keys: dict[Key, Sample] = {}
    for sample in samples:
        noise = (sample.seed,) if by_seed else ()
        key: Key = (sample.concept, sample.prompt_type, sample.prompt, *noise)
        keys[*key, seen[key]] = sample
        seen[key] += 1
    return keys


def partners(samples: Iterable[Sample], base: Iterable[Sample]) -> dict[str, Sample]:
    """Place of each image -> the base model's of the same prompt and seed, in its concept and
    prompt type where the base model has some there. Images without either have none."""
    exact: dict[Key, Sample] = {}
    loose: dict[Key, Sample] = {}
    for one in base:
        if one.prompt is not None and one.seed is not None:
            pair: Key = (one.prompt, one.seed)
            exact.setdefault((one.concept, one.prompt_type, *pair), one)
            loose.setdefault(pair, one)
    found: dict[str, Sample] = {}
    for sample in samples:
        pair = (sample.prompt, sample.seed)
        partner = exact.get((sample.concept, sample.prompt_type, *pair)) or loose.get(pair)
        if partner:
            found[sample.place] = partner
    return found
