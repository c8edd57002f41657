"""The tables of docs/findings.md, from a run's own analysis.

    python -m benchmarks.findings results/miniature             # prints them
    python -m benchmarks.findings results/miniature --write docs/findings.md [--beside RUN...]

They are, by name: `counts` (what was run), `trust` (Kendall's tau of each metric with the truth,
over all categories), `misled` (configurations that a metric puts too high or too low), `choices`
(what ranks, the mean over classes and cosine similarity gain), `enough` (rank stability and the
smallest difference by images, seeds and classes), `halves` (what one half of the classes foretells
of the other), `errors` (what a difference owes to seeds, classes and images) and `claims` (the
paper's, on the run, on its truth, and on the runs `--beside` it). `--write` puts each between
`<!-- NAME -->` and `<!-- end -->` of the page. `lycoris-bench score RUN` and
`analyze RUN` come first."""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import claims
from benchmarks.sentences import answered
from lycoris_bench import StoredRun, open_run
from lycoris_bench.analysis.columns import CRITERIA, OVERALL
from lycoris_bench.analysis.enough.components import by_images
from lycoris_bench.analysis.enough.curves import curves
from lycoris_bench.analysis.enough.held_out import held_out
from lycoris_bench.analysis.enough.sampled import Sampled
from lycoris_bench.analysis.enough.subsets import sampled
from lycoris_bench.analysis.enough.tables import is_foretold, number
from lycoris_bench.analysis.report import trusted
from lycoris_bench.analysis.trust.judge import TRUST, Trust
from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import fixed, percent, plural
from lycoris_bench.study.records import BASE, REAL

ONE = {"images": ["image"], "seeds": ["seed"], "classes": ["class", "classes"]}
BLOCK = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Prints the tables, or writes them into the page."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--write", type=Path, metavar="PAGE")
    parser.add_argument("--beside", type=Path, nargs="+", default=[], metavar="RUN")
    given = parser.parse_args()
    made = tables(open_run(given.run)) | {"claims": claims.table([given.run, *given.beside])}
    found = {name: "\n".join(lines) for name, lines in made.items()}
    if given.write:
        disk.write(given.write, written(given.write.read_text(encoding="utf-8"), found).encode())
        return
    for name, text in found.items():
        print(f"{name}\n\n{text}\n")


def tables(run: StoredRun) -> dict[str, list[str]]:
    """Each table as lines of Markdown. BenchError: the run has no truth, or no analysis."""
    if missing := [name for name in TRUST if name not in run.tables]:
        raise BenchError(
            f"{run.folder} has no table '{missing[0]}'; it is made by 'lycoris-bench analyze' "
            "where the study asks for metrics of the truth (docs/miniature.md)"
        )
    shown = trusted.shown(Trust(*(run.table(name) for name in TRUST)), [OVERALL])
    parts = sampled(run)
    return {
        "counts": list(counts(run.table("scores"))),
        "trust": list(trust(shown)),
        "misled": list(misled(shown)),
        "choices": list(choices(shown)),
        "enough": list(enough(parts)),
        "halves": list(halves(parts)),
        "errors": list(errors(parts)),
    }


def written(page: str, found: Mapping[str, str]) -> str:
    """The page with each table between its comments. BenchError: it has one that is unknown."""
    names = [name for _, name, _ in BLOCK.findall(page)]
    if unknown := [name for name in names if name not in found]:
        raise BenchError(f"the page has '{unknown[0]}'; allowed are {', '.join(found)}")
    return BLOCK.sub(lambda match: f"{match[1]}{found[match[2]]}\n{match[3]}", page)


def counts(scores: pd.DataFrame) -> Iterator[str]:
    """What was run, in numbers."""
    drawn = scores[~scores["configuration"].isin([BASE, REAL])]
    sets = drawn.drop_duplicates(
        ["configuration", "seed", "epoch", "class", "subclass", "prompt_type"]
    )
    concepts = sets.loc[sets["class"] != "", ["class", "subclass"]]  # prompts may be of none
    numbers = {
        "configurations": drawn["configuration"].nunique(),
        "training seeds": drawn["seed"].nunique(),
        "epochs": drawn["epoch"].nunique(),
        "checkpoints": drawn.groupby(["configuration", "seed", "epoch"]).ngroups,
        "(sub)classes": len(concepts.drop_duplicates()),
        "prompt types": drawn["prompt_type"].nunique(),
        "image sets": len(sets),
        "scores": len(drawn),
    }
    yield from _table(["", "number"], [[name, f"{count:,}"] for name, count in numbers.items()])


def trust(shown: Mapping[str, Any]) -> Iterator[str]:
    """Tau and its interval by question, the most trusted metric first."""
    rows = []
    for question in shown["questions"]:
        known = sorted(question["rows"], key=lambda row: -row["cells"][0]["tau"])
        for row in known:
            cell = row["cells"][0]
            rows.append([
                question["truth"].heading.partition(":")[0], row["metric"], row["encoder"],
                row["prompt_type"], fixed(cell["tau"], signed=True),
                f"{fixed(cell['tau_low'], signed=True)} to {fixed(cell['tau_high'], signed=True)}",
            ])  # fmt: skip
    yield from _table(["asked", "metric", "encoder", "prompts", "tau", "95 % interval"], rows)


def misled(shown: Mapping[str, Any]) -> Iterator[str]:
    """Where a configuration stands by the metric and in truth."""
    rows = [
        [row["name"], row["question"], row["view"], fixed(row["position"]), fixed(row["true"]),
         fixed(row["too_high"], signed=True), row["sure"]]
        for row in shown["misled"]
    ]  # fmt: skip
    headings = ["configuration", "of", "by", "metric", "truth", "too high by", "surely wrong"]
    yield from _table(headings, rows)


def choices(shown: Mapping[str, Any]) -> Iterator[str]:
    """How often a choice of the paper surely helps and hurts."""
    rows = [
        [row["choice"], row["question"], fixed(row["gain"], signed=True),
         *(str(row[name]) for name in ("helps", "hurts", "of"))]
        for row in shown["choices"]
    ]  # fmt: skip
    headings = ["choice", "asked", "median gain of tau", "surely helps", "surely hurts", "of"]
    yield from _table(headings, rows)


def enough(found: Mapping[str, Sampled]) -> Iterator[str]:
    """By each criterion: how alike a part of the run orders the configurations, and the smallest
    difference of a pair named before that a study with so many finds 4 times in 5."""
    rows = [
        [criterion.heading, plural(point.count, *ONE[axis]), number(point.tau),
         number(point.tau_true), number(point.difference)
         + (", foretold" if is_foretold(axis, point, scores) else "")]
        for criterion in CRITERIA if (scores := found.get(criterion.key))
        for axis, points in curves(scores).items() if len(points) > 1
        for point in points
    ]  # fmt: skip
    headings = ["by", "with", "order as of all", "order as in truth", "smallest difference"]
    yield from _table(headings, rows)


def errors(found: Mapping[str, Sampled]) -> Iterator[str]:
    """What a difference of two configurations owes to each source, ± of its mean."""
    rows = []
    for criterion in CRITERIA:
        if (scores := found.get(criterion.key)) and (noise := by_images(scores)):
            parts, seeds, classes = noise.at(scores.images), scores.seeds, scores.classes
            variances = (
                parts.of_seeds / seeds if seeds > 1 else float("nan"),
                parts.of_classes / classes, parts.residual / (seeds * classes),
                max(noise.shared, 0.0) / scores.images,
            )  # fmt: skip
            rows.append([criterion.heading, *(fixed(float(v) ** 0.5) for v in variances)])
    sources = ["seeds", "classes", "seeds by classes", "noise of images that all classes share"]
    yield from _table(["± of a difference by", *sources], rows)


def halves(found: Mapping[str, Sampled]) -> Iterator[str]:
    """Of the pairs of configurations, the share that half of the classes tells apart."""
    checked = {
        criterion.heading: half for criterion in CRITERIA
        if (scores := found.get(criterion.key)) and (half := held_out(scores.whole))
    }  # fmt: skip
    rows = [
        [heading, str(half.classes), str(half.pairs), percent(half.foretold), percent(half.found)]
        for heading, half in checked.items()
    ]
    yield from _table(["by", "classes", "pairs", "foretold", "found"], rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    sys.exit(answered(main))
