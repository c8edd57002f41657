"""The comparison of what others trained, from a run folder's tables."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lycoris_bench.analysis.columns import CRITERIA, VIEW, first_views, seen_as, trained
from lycoris_bench.analysis.image_numbers import image_numbers
from lycoris_bench.analysis.keeping.choice import as_data, choice
from lycoris_bench.analysis.keeping.numbers import Key, Numbers, numbers
from lycoris_bench.analysis.keeping.sentences import sentences
from lycoris_bench.analysis.series import name
from lycoris_bench.run.store import Store
from lycoris_bench.study.load import Study
from lycoris_bench.study.records import PromptSet, Source

SAID = ("unlike", "left_out", "notes")  # what the evaluation knew before anything was drawn
KEY = ("configuration", "moment", "strength")
"""What tells the checkpoints of the result apart, whatever they are called."""


def store_prompts(store: Store, prompt_sets: Iterable[PromptSet]) -> None:
    """Stores how many prompts each concept and prompt type has, for later analyses of the folder
    without its prompts."""
    counts: dict[str, dict[str, int]] = {}
    for asked in prompt_sets:
        counts.setdefault(str(asked.concept), {})[asked.prompt_type] = len(asked.prompts)
    store.write_json(store.prompt_counts, counts)


def kept(
    store: Store, table: pd.DataFrame, study: Study, sources: Iterable[Source]
) -> dict[str, Any] | None:
    """What is found of the checkpoints that others trained: `choice.as_data`, with `sentences`;
    None where a study has others than those."""
    given = {c.name: c.files[0].unit for c in study.configurations if c.files}
    if not given or len(given) < len(study.configurations):
        return None
    views = first_views(trained(table))
    rows = seen_as(views, table)
    asked = pd.DataFrame(
        [
            {**view._asdict(), "prompt_type": criterion.prompt_type}
            for criterion in CRITERIA
            for view in views.itertuples(index=False)
            if view.metric == criterion.metric
        ],
        columns=VIEW,
    )
    images = image_numbers(store, sources, asked, without=True)
    found = numbers(images, rows, _counts(store))
    names = _names(found, given)
    chosen = choice(found)
    windows = {key[:2]: name(key[0], 1.0, False, given[key[0]], key[1]) for key in names}
    stored = store.read_json(store.evaluated)
    said = stored if isinstance(stored, dict) else {}
    files = _files(study)
    data = as_data(found, chosen, names)
    for key, row in zip(names, data["checkpoints"], strict=True):
        row |= dict(zip(KEY, key, strict=True), file=files.get(key[:2], ""))
    return {
        **data,
        **{kind: said.get(kind, []) for kind in SAID},
        "sentences": sentences(found, chosen, names, windows),
    }


def _files(study: Study) -> dict[tuple[str, int | None], str]:
    """Which file or folder each checkpoint is, below the folder that all of them lie in."""
    given = [(c.name, file.moment, file.path) for c in study.configurations for file in c.files]
    parents = {str(Path(path).parent) for *_, path in given}
    try:
        above = os.path.commonpath(parents)
    except ValueError:  # of two drives, or relative ones beside absolute ones
        above = ""
    return {
        (name, moment): Path(os.path.relpath(path, above) if above else path).as_posix()
        for name, moment, path in given
    }


def _counts(store: Store) -> dict[tuple[str, str], int]:
    stored = store.read_json(store.prompt_counts)
    if not isinstance(stored, Mapping):
        return {}
    return {
        (concept, prompt_type): int(count)
        for concept, counts in stored.items()
        for prompt_type, count in counts.items()
    }


def _names(found: Iterable[Numbers], units: Mapping[str, str]) -> dict[Key, str]:
    """What each checkpoint is called, as its series is."""
    keys = list(dict.fromkeys(key for one in found for key in one.keys))
    alone = len({key[:2] for key in keys}) == 1 < len(keys)
    return {key: name(key[0], key[2], alone, units.get(key[0], ""), key[1]) for key in keys}
