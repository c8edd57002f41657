"""The protocol of a study's images: what the images of all its checkpoints are drawn with alike.
Numbers are ranked together only where the protocols of their images are equal.

What a study compares is no part of it: configuration, captions that it was trained with, seed of
the training, epoch, strength. Nor is anything that says where files lie."""

import json
from functools import cache

from lycoris_bench.files.identity import uid
from lycoris_bench.planning.plan import FORMAT, Plan
from lycoris_bench.study.records import Source

Cell = tuple[str, str, str, str, str]
"""Category, class, sub-class, prompt type and second concept, as in the metric table; of all
concepts together the first three are empty, and the last but of prompts of two concepts."""


def protocols(plan: Plan, source: Source) -> dict[Cell, str]:
    """The protocol of a source's images of each concept and prompt type, as a JSON object; "" for
    real images, which are not drawn. Its keys are those of the study file; base model and prompts
    are hashes of their content.

    Prompts are those of the base model: train prompts of a configuration are its own captions."""
    settings = plan.study.settings
    shared = {
        "sampler": settings.sampling.sampler, **settings.drawing(), "seed": settings.sampling.seed,
        "base_model": plan.drawn_base_uid, "version": FORMAT,
    }  # fmt: skip
    asked: dict[Cell, list[tuple[str, ...]]] = {}
    for prompt_set in plan.prompt_sets:
        concept, kind, second = prompt_set.key
        drawn = prompt_set.prompts[: settings.sampling.images]
        for cell in (
            (concept.category, concept.class_name, concept.subclass, kind, str(second or "")),
            ("", "", "", kind, ""),
        ):
            asked.setdefault(cell, []).append(drawn)
    return {
        cell: json.dumps({**shared, "prompts": uid(prompts)}) if source.is_drawn else ""
        for cell, prompts in asked.items()
    }


def fingerprint(measured: str, protocol: str) -> str:
    """The fingerprint of a score: identity of how it was measured and, where it is known, of the
    protocol of the images, with a hyphen between them."""
    return f"{measured}-{_identity(protocol)}" if protocol else measured


@cache
def _identity(protocol: str) -> str:
    return uid(protocol)
