"""The smallest differences of scores that a planned study can show, and what more seeds, classes or
images would buy: per criterion, from the noise of the published caption study or of an earlier run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lycoris_bench.analysis.columns import CRITERIA, Criterion
from lycoris_bench.analysis.comparing.mean_squares import Components
from lycoris_bench.analysis.comparing.permutation import least_p
from lycoris_bench.analysis.comparing.power import CAPTION_STUDY, smallest_difference
from lycoris_bench.analysis.earlier_noise import EarlierNoise, noise_of_run
from lycoris_bench.messages.numbers import fixed, plural
from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.plan import Plan

POWER, ALPHA = 0.8, 0.05
FEW = 7  # blocks: of fewer the range test of `compare` tells any two apart in .43 to .74, not .8
HALF, TWICE = "half_the_images", "twice_the_images"
PUBLISHED = EarlierNoise("those of the paper's caption study", CAPTION_STUDY)


@dataclass(frozen=True)
class Size:
    """How many configurations, each at each strength, a study compares, by how many seeds and
    classes."""

    configurations: int
    seeds: int
    classes: int

    def shows(self, components: Components) -> dict[str, float | None]:
        """The smallest difference of `any` two configurations, as findings compare them, and of two
        that were `named` before, as claims do. None: no difference, as scores are at most 1 apart.
        """
        pairs = self.configurations * (self.configurations - 1) // 2
        can = least_p(self.configurations, max(self.seeds, self.classes)) <= ALPHA
        found = {
            name: smallest_difference(
                components, self.seeds, self.classes, POWER, ALPHA, count, self.configurations
            )
            for name, count in (("any", pairs), ("named", 1))
        }
        return {
            name: value if value <= 1 and (can or name == "named") else None
            for name, value in found.items()
        }


def power(plan: Plan, earlier: Path | None = None) -> dict[str, Any]:
    """What the study can show in 4 cases of 5, as data and as text.

    earlier: a run folder whose noise the study is taken to have, else the published study's.
    `differences`: per criterion that the study has, see `Size.shows`; `unknown`: criteria of which
    nothing can be said, with the reason. StoreError, BenchError: the run says nothing of noise."""
    noise = PUBLISHED if earlier is None else noise_of_run(earlier)
    drawn = [checkpoint for checkpoint in plan.checkpoints if not checkpoint.is_base]
    configurations = len({(c.configuration.name, c.strength) for c in drawn})
    seeds = len({c.seed for c in drawn if c.seed is not None}) or 1
    classes = {c: count for c in CRITERIA if (count := classes_of(plan, c))}
    sizes = {c: Size(configurations, seeds, count) for c, count in classes.items()}
    known = {c: size for c, size in sizes.items() if c.key in noise.components}
    result: dict[str, Any] = {
        "power": POWER,
        "noise_of": noise.source,
        "configurations": configurations,
        "seeds": seeds,
        "training_noise": seeds > 1 and not noise.one_seed,
        "differences": {},
        "unknown": {},
    }
    if configurations > 1:
        images = plan.study.settings.sampling.images
        result["differences"] = {
            c.key: _shows(size, noise, c.key, images) for c, size in known.items()
        }
        result["unknown"] = {c.key: noise.unknown[c.key] for c in sizes if c not in known}
    return {**result, "text": "\n".join(_lines(result, noise))}


def classes_of(plan: Plan, criterion: Criterion) -> int:
    """How many classes a study scores by a criterion; 0: its metrics, encoders or prompts lack
    it."""
    settings = plan.study.settings
    specs = settings.scoring.encoders
    metrics = [m for spec in specs for m in scored_rows.suiting(plan.study, spec)]
    kind = criterion.prompt_type
    suiting = [
        metric
        for metric in [*metrics, *scored_rows.without_encoder(plan.study)]
        if metric.called == criterion.metric and kind in (metric.prompt_types or (kind,))
    ]
    if criterion.key == "diversity" and settings.sampling.images < 2:
        return 0
    return len(
        {
            (prompt_set.concept.category, prompt_set.concept.class_name)
            for prompt_set in plan.prompt_sets
            for metric in suiting
            if prompt_set.prompt_type == kind
            and (not metric.kinds or plan.kinds.get(prompt_set.concept, "") in metric.kinds)
        }
    )


def _shows(size: Size, noise: EarlierNoise, key: str, images: int) -> dict[str, Any]:
    """Of the study as it is, with one seed more, with twice the classes and, where the noise of
    images is known, with half and twice the images. Where the noise is of one seed, nothing is
    known of other seeds."""
    components, configurations = noise.components[key], size.configurations
    seeds = 1 if noise.one_seed else size.seeds
    as_it_is = Size(configurations, seeds, size.classes)
    larger = {
        "one_more_seed": Size(configurations, seeds + 1, size.classes),
        "twice_the_classes": Size(configurations, seeds, 2 * size.classes),
    }
    if noise.one_seed:
        del larger["one_more_seed"]
    of_images = {}
    if by_images := noise.by_images.get(key):
        components = by_images.at(images)
        counts = {HALF: images // 2, TWICE: 2 * images}
        of_images = {
            name: {"images": count, **as_it_is.shows(by_images.at(count))}
            for name, count in counts.items()
            if count >= by_images.least
        }
    return {
        "classes": size.classes,
        **as_it_is.shows(components),
        **{name: other.shows(components) for name, other in larger.items()},
        **of_images,
    }


def _lines(result: Mapping[str, Any], noise: EarlierNoise) -> list[str]:
    configurations, seeds = result["configurations"], result["seeds"]
    if configurations < 2:
        return ["can show     no difference: there are no two configurations to compare"]
    if not result["differences"] and not result["unknown"]:
        names = ", ".join(criterion.key for criterion in CRITERIA)
        return [f"can show     not known: the study has none of the criteria {names}"]
    lines = [
        f"can show     with {plural(seeds, 'seed')} and {configurations} configurations, the "
        "smallest difference of score that is found 4 times in 5:"
    ]
    for key, row in result["differences"].items():
        classes = row["classes"]
        said = [
            f"{_said(row['any'])} of any two, {_said(row['named'])} of two named before, by "
            f"{plural(classes, 'class', 'classes')}"
        ]
        for name, larger in (
            ("one_more_seed", f"{seeds + 1} seeds"),
            ("twice_the_classes", f"{2 * classes} classes"),
        ):
            if name in row:
                said.append(f"with {larger} {_both(row[name])}")
        said += _of_images(row)
        lines.append(f"{key:<12} {'; '.join(said)}")
    lines += [f"{key:<12} not known: {reason}" for key, reason in result["unknown"].items()]
    if any(max(seeds, row["classes"]) < FEW for row in result["differences"].values()):
        lines.append(f"{'':<12} (of any two, by fewer than {FEW} classes only 2 or 3 times in 4)")
    return [*lines, f"{'':<12} if scores are as noisy as {noise.source}{_but(noise, seeds)}"]


def _of_images(row: Mapping[str, Any]) -> list[str]:
    """The clause on half and twice the images, if there is one."""
    known = [row[name] for name in (HALF, TWICE) if name in row]
    if not known:
        return []
    first, *more = known
    said = [f"with {plural(first['images'], 'image')} {_both(first)}"]
    return [", ".join([*said, *(f"with {other['images']} {_both(other)}" for other in more)])]


def _both(shown: Mapping[str, Any]) -> str:
    return f"{_said(shown['any'])} and {_said(shown['named'])}"


def _but(noise: EarlierNoise, seeds: int) -> str:
    """What is not in the numbers."""
    if noise.one_seed:
        return ", which has 1 seed: between checkpoints; training noise is not known"
    if seeds == 1:
        return "; between these checkpoints: with 1 seed training noise is not measured"
    return ""


def _said(difference: float | None) -> str:
    return "none" if difference is None else fixed(difference)
