"""Every claim against a table of scores: holds, does not, unclear, or cannot be tested here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from lycoris_bench.analysis.claims import differences
from lycoris_bench.analysis.claims.claims import CLAIMS, ORDERS, Claim, Order
from lycoris_bench.analysis.claims.contrasts import CONTRASTS, EPOCHS, pairs, settings
from lycoris_bench.analysis.claims.families import family
from lycoris_bench.analysis.claims.grid import Grids, grids
from lycoris_bench.analysis.claims.significance import (
    ClaimTest,
    Least,
    estimates,
    of_claim,
    of_order,
    signs,
)
from lycoris_bench.analysis.columns import OVERALL, ordered, words
from lycoris_bench.analysis.compare import ALPHA
from lycoris_bench.analysis.comparing.mean_squares import Noise
from lycoris_bench.analysis.comparing.pairs import weight_of
from lycoris_bench.analysis.comparing.two_way import complete, two_way

HOLDS, NOT, UNCLEAR, UNTESTED = "holds", "does not", "unclear", "cannot be tested here"
INSTEAD = {"trigger": ("alter", "train")}  # what a table without trigger prompts is asked
DRAWS = 200
ONE_SEED = "one seed: training noise is not measured"
ONE_CLASS = "one class: how much classes differ is not measured"
Verdict = dict[str, Any]
Pairs = Sequence[tuple[str, str]]
Noises = Mapping[tuple[str, str], Noise | None]  # of a difference of two configurations, by view
Said = TypeVar("Said", Claim, Order)


@dataclass(frozen=True)
class Case:
    """A claim in a category: its record, and its test where it can be tested."""

    record: Verdict
    test: ClaimTest | None = None


def judge(scores: pd.DataFrame, factors: pd.DataFrame) -> dict[str, Any]:
    """`verdicts`, a record per claim and category (OVERALL first), and the families they were
    tested in: `overall`, and the exploratory `categories` (see `families.Family`).

    A record has id, sentence, section, metric, prompt_type, category, exploratory, verdict; where
    it cannot be tested its reason; where there are differences their numbers of pairs, seeds and
    classes, and effect, low, high (of the score; 95 %, of this claim alone) and value (the mean
    difference of the metric itself), in place of which an order has tau, members and
    `comparisons`, their pairs; where it was tested p and p_adjusted. A claim has what is expected:
    more, less or little.

    scores: ranked rows of the main views; factors: one row per configuration."""
    return judged(grids(scores), settings(factors))


def judged(seen: Grids, table: pd.DataFrame, draws: int = DRAWS) -> dict[str, Any]:
    """The same of arrays. table: as of `contrasts.settings`; draws: of exchanged sides."""
    matches = {name: pairs(table, contrast) for name, contrast in CONTRASTS.items()}
    dealt = signs(draws, len(seen.categories))
    noise = {view: differences.noise_of(grid) for view, grid in seen.scores.items()}
    cases = [case for claim in CLAIMS for case in _claims(claim, seen, matches, noise, dealt)]
    cases += [case for claim in ORDERS for case in _orders(claim, seen, table, noise, dealt)]
    families = {}
    for name, exploratory in (("overall", False), ("categories", True)):
        tested = [c for c in cases if c.test and c.record["exploratory"] == exploratory]
        tests = [case.test for case in tested if case.test]
        families[name] = family(tests)
        for case, test, p in zip(tested, tests, families[name].p_adjusted, strict=True):
            verdict = (HOLDS if test.agrees[0] else NOT) if p <= ALPHA else UNCLEAR
            case.record.update(verdict=verdict, p=float(test.p[0]), p_adjusted=p)
    return {
        "verdicts": [case.record for case in cases],
        **{name: made.record() for name, made in families.items()},
    }


def _claims(
    claim: Claim, seen: Grids, matches: Mapping[str, Pairs], noise: Noises, dealt: np.ndarray
) -> Iterator[Case]:
    claim = as_asked(claim, seen)
    view = (claim.metric, claim.prompt_type)
    contrast, asked = CONTRASTS[claim.contrast], matches[claim.contrast]
    known = [pair for pair in asked if set(pair) <= set(seen.series)]

    def changes(grid: np.ndarray) -> np.ndarray:
        if claim.contrast == EPOCHS:
            return differences.over_epochs(grid, len(seen.epochs))
        return differences.between(grid, seen.series, known)

    if claim.contrast == EPOCHS:
        none = "only one epoch was scored"
    elif asked:
        none = "no such pair was trained with the same seed to the same epoch"
    else:
        none = f"no two configurations differ in {contrast.what} alone"
    said_of = [claim.said_of(category) for category in seen.categories]
    for category, columns in _categories(seen, view, np.array(said_of, dtype=bool)):
        about = _about(claim, category) | {"expected": claim.expected}
        if not len(columns):
            yield Case(about | {"reason": _no_scores(claim, seen)})
            continue
        scores, values = (changes(of[view][..., columns]) for of in (seen.scores, seen.values))
        cells = differences.cells(scores)
        seeds, classes = _complete(cells)
        if not len(seeds):
            yield Case(about | {"reason": none})
            continue
        cells = cells[np.ix_(seeds, classes)]
        shared = ~np.isnan(scores[:, seeds][..., classes]).all(axis=(1, 2, 3))
        if claim.contrast == EPOCHS:
            steps = np.diff(seen.scores[view][:, :, : len(seen.epochs)], axis=2)
            series = shared.reshape(len(seen.series), -1).any(axis=1).sum()
            # a step has half the variance that the difference of two has
            least = _least(differences.noise_of(steps), cells, 1 / (2 * series))
        else:
            used = [pair for pair, there in zip(known, shared, strict=True) if there]
            least = _least(noise[view], cells, weight_of(used))
        _, stderr, df = estimates(cells, np.ones((1, cells.shape[1])), least)[:, 0].tolist()
        estimate = replace(two_way(cells), stderr=stderr, df=df)
        about |= {
            "pairs": int(shared.sum()), "seeds": len(seeds), "classes": len(classes),
            "effect": estimate.mean,
            "value": float(np.nanmean(differences.cells(values)[np.ix_(seeds, classes)])),
        }  # fmt: skip
        if estimate.reason == "":
            about |= {"low": estimate.low, "high": estimate.high}
        if reason := _too_few(cells):
            yield Case(about | {"reason": reason})
        else:
            yield Case(about, of_claim(cells, dealt[:, columns[classes]], claim.expected, least))


def _orders(
    claim: Order, seen: Grids, table: pd.DataFrame, noise: Noises, dealt: np.ndarray
) -> Iterator[Case]:
    claim = as_asked(claim, seen)
    view = (claim.metric, claim.prompt_type)
    members = {}
    if view in seen.scores:
        members = dict(differences.of_members(seen.scores[view], seen.series, table))
    best_first = sorted(members, key=lambda name: -claim.ranks[name])
    stated = list(combinations(best_first, 2))
    for category, columns in _categories(seen, view, np.ones(len(seen.categories), dtype=bool)):
        about = _about(claim, category)
        if not len(columns):
            yield Case(about | {"reason": _no_scores(claim, seen)})
            continue
        grid = [differences.cells((members[a] - members[b])[..., columns]) for a, b in stated]
        seeds, classes = _complete(grid[0]) if len(members) > 2 else (np.empty(0), np.empty(0))
        if not len(seeds):
            reason = "fewer than three of the algorithms were trained alike"
            yield Case(about | {"reason": reason})
            continue
        cells = np.stack(grid)[:, seeds][..., classes]
        about |= {"pairs": len(stated), "seeds": len(seeds), "classes": len(classes)}
        means = cells.mean(axis=(1, 2))
        about |= {"tau": float(np.sign(means).mean()), "members": best_first}
        if reason := _too_few(cells[0]):
            yield Case(about | {"reason": reason})
            continue
        contexts = next(iter(members.values()))[:, seeds][..., columns[classes]]
        alike = int((~np.isnan(contexts)).any(axis=(1, 2, 3)).sum())
        least = _least(noise[view], cells[0], 1 / alike)
        test, p = of_order(cells, dealt[:, columns[classes]], least)
        comparisons = [
            {"better": a, "worse": b, "effect": float(mean), "p": float(of_pair)}
            for (a, b), mean, of_pair in zip(stated, means, p, strict=True)
        ]
        about |= {
            "comparisons": comparisons,
            "confirmed": int(((p <= ALPHA) & (means > 0)).sum()),
            "contradicted": int(((p <= ALPHA) & (means < 0)).sum()),
        }
        yield Case(about, test)


def as_asked(claim: Said, seen: Grids) -> Said:
    """The claim about prompts that the table has.

    Published means lack the Vendi score on trigger prompts: where the claim's own prompts are
    missing the next best are taken, and the record names them."""
    asked = (claim.prompt_type, *INSTEAD.get(claim.prompt_type, ()))
    there = (kind for kind in asked if (claim.metric, kind) in seen.scores)
    return replace(claim, prompt_type=next(there, claim.prompt_type))


def _categories(
    seen: Grids, view: tuple[str, str], said_of: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """(category, its classes that the view has and the claim is said of), OVERALL first."""
    grid = seen.scores.get(view)
    there = said_of & (False if grid is None else ~np.isnan(grid).all(axis=(0, 1, 2)))
    yield OVERALL, np.flatnonzero(there)
    for category in ordered(seen.categories[there]):
        if category:
            yield category, np.flatnonzero(there & (seen.categories == category))


def _complete(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Seeds and classes between which no cell is missing, most of them."""
    some = np.flatnonzero(~np.isnan(cells).all(axis=0))
    seeds, classes = complete(~np.isnan(cells[:, some]))
    return seeds, some[classes]


def _least(noise: Noise | None, cells: np.ndarray, weight: float) -> Least:
    """What the pairs of the study let the mean of cells vary by, `weight` times as noisy as one."""
    seeds, classes = cells.shape
    return Least(*noise.of(seeds, classes, weight)) if noise else Least()


def _too_few(cells: np.ndarray) -> str:
    """Why nothing is said of settings in general: one training, or one class, is all there is."""
    seeds, classes = cells.shape
    return ONE_SEED if seeds == 1 else ONE_CLASS if classes == 1 else ""


def _no_scores(claim: Claim | Order, seen: Grids) -> str:
    if (claim.metric, claim.prompt_type) in seen.scores:
        return "the paper does not say it of the categories that were scored"
    return f"no scores of {words(claim.metric)} on {claim.prompt_type} prompts"


def _about(claim: Claim | Order, category: str) -> Verdict:
    return {
        "id": claim.id, "sentence": claim.sentence, "section": claim.section,
        "metric": claim.metric, "prompt_type": claim.prompt_type, "category": category,
        "exploratory": category != OVERALL, "verdict": UNTESTED,
    }  # fmt: skip


def said(verdicts: Sequence[Verdict], category: str) -> list[Verdict]:
    """Those of a category."""
    return [verdict for verdict in verdicts if verdict["category"] == category]
