"""What do the paper's claims come to, run by run, and on the truth where it is known?

`python -m benchmarks.claims RUN...` prints a table in Markdown from the runs' findings.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.sentences import answered
from lycoris_bench import open_run
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import fixed

WORDS = {"cannot be tested here": "–"}


def columns(runs: Sequence[Path]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """By heading the verdicts over all categories, by claim."""
    found = {}
    for folder in runs:
        run = open_run(folder)
        name = run.study.name
        if name in found:  # as of two runs of one study
            name = str(folder)
        found[name] = _overall(run.findings["claims"])
        if truth := run.findings.get("claims_in_truth"):
            found[f"{name}, in truth"] = _overall(truth)
    return found


def _overall(claims: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {one["id"]: one for one in claims["verdicts"] if not one["exploratory"]}


def cell(verdict: Mapping[str, Any] | None) -> str:
    """Verdict, effect and interval."""
    if verdict is None or "pairs" not in verdict:
        return "–"
    said = WORDS.get(verdict["verdict"], verdict["verdict"])
    if "tau" in verdict:
        return f"{said}; tau {fixed(verdict['tau'], signed=True)}"
    ends = f" ({fixed(verdict['low'], signed=True)} to {fixed(verdict['high'], signed=True)})"
    return f"{said}; {fixed(verdict['effect'], signed=True)}{ends if 'low' in verdict else ''}"


def table(runs: Sequence[Path]) -> list[str]:
    """Claim by claim, in Markdown. BenchError: none can be tested in these runs."""
    found = columns(runs)
    first, *_ = found.values()
    rows = []
    for name, verdict in first.items():
        cells = [cell(verdicts.get(name)) for verdicts in found.values()]
        if set(cells) != {"–"}:
            rows.append(f"| {verdict['sentence']} | {' | '.join(cells)} |")
    if not rows:
        raise BenchError(f"{' and '.join(found)}: no claim of the paper can be tested there")
    return [f"| claim | {' | '.join(found)} |", f"|---|{'---|' * len(found)}", *rows]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    print(*table(parser.parse_args().runs), sep="\n")


if __name__ == "__main__":
    sys.exit(answered(main))
