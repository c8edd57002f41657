"""Sentences on what no configuration should do: copy training images, and show the concept though
nothing asks for it. They are said where it is beyond the error that the rule keeps, else not at
all."""

from collections.abc import Sequence

import pandas as pd

from lycoris_bench.analysis.columns import OVERALL, UNASKED, ordered, words
from lycoris_bench.analysis.copying.rates import COPIES
from lycoris_bench.analysis.findings.judgement import Finding
from lycoris_bench.analysis.findings.wording import some
from lycoris_bench.analysis.leak import FIDELITY
from lycoris_bench.messages.numbers import fixed


def with_faults(
    findings: Finding, copies: pd.DataFrame | None, leaks: pd.DataFrame | None, ceiling: str
) -> Finding:
    """The findings with the sentences of this module at their end."""
    lines = [*findings["sentences"], *copied(copies, ceiling), *leaked(leaks)]
    return {**findings, "sentences": lines}


def copied(copies: pd.DataFrame | None, ceiling: str) -> list[str]:
    """Who copies, by the first encoder, and by which others. ceiling: the name of real images."""
    if copies is None:
        return []
    rows = copies[(copies["category"] == OVERALL) & (copies["verdict"] == COPIES)]
    main = rows[rows["encoder"] == copies["encoder"].iloc[0]].drop_duplicates("series")
    if main.empty:
        return []
    names = list(main["series"])
    others = [
        encoder
        for encoder in ordered(rows["encoder"])
        if encoder != main["encoder"].iloc[0]
        and {*names} <= {*rows[rows["encoder"] == encoder]["series"]}
    ]
    also = f", and so by {some(others)}" if others else ""
    verb, whose = ("copies", "its") if len(names) == 1 else ("copy", "their")
    return [
        f"{some(names)} {verb} training images: {_range(main['rate'])} of {whose} images is nearer "
        f"to one than any two of them are to each other, of {ceiling} {_range(main['real'])} (by "
        f"{main['encoder'].iloc[0]}{also})."
    ]


def leaked(leaks: pd.DataFrame | None) -> list[str]:
    """Who shows the concept without being asked, a sentence a prompt type."""
    if leaks is None:
        return []
    rows = leaks[(leaks["category"] == OVERALL) & (leaks["metric"] == FIDELITY) & leaks["sure"]]
    rows = rows[rows["leak"].notna()]
    lines = []
    for kind in UNASKED:
        found = rows[rows["prompt_type"] == kind]
        if len(found):
            names = list(found["series"])
            verb, its, it = ("leaks", "its", "it") if len(names) == 1 else ("leak", "their", "they")
            verb2 = "draws" if len(names) == 1 else "draw"
            lines.append(
                f"{some(names)} {verb}: without {its} trigger, on {kind} prompts, {it} {verb2} "
                f"{_range(found['leak'])} of the likeness that it adds ({words(FIDELITY)} by "
                f"{found['encoder'].iloc[0]}; 0 is the base model)."
            )
    return lines


def _range(values: Sequence[float] | pd.Series) -> str:
    low, high = fixed(min(values)), fixed(max(values))
    return low if low == high else f"{low} to {high}"
