"""Sentences on what no configuration should do: copy training images, and show the concept though
nothing asks for it. They are said where it is beyond the error that the rule keeps, else not at
all."""

from collections.abc import Sequence

import pandas as pd

from lycoris_bench.analysis.columns import OVERALL, UNASKED, words
from lycoris_bench.analysis.compare import ALPHA
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
    """Who copies by any encoder, the p-values times the number of encoders and resizings that were
    asked: one that is made for finding copies sees what one of meaning does not. ceiling: the name
    of real images."""
    if copies is None:
        return []
    rows = copies[(copies["category"] == OVERALL) & (copies["unit"] == "")]
    looks = list(rows.groupby(["encoder", "resize"], sort=False))
    sure = {
        look[0]: found
        for look, part in reversed(looks)  # an encoder's first resizing stands for it
        if len(found := part[(part["verdict"] == COPIES) & (part["p"] * len(looks) <= ALPHA)])
    }
    lines, said = [], set[str]()
    for encoder, part in reversed(sure.items()):
        new = part[~part["series"].isin(said)]
        if new.empty:
            continue
        names = list(new["series"])
        said |= {*names}
        others = [
            other
            for other, found in reversed(sure.items())
            if other != encoder and {*names} <= {*found["series"]}
        ]
        also = f", and so by {some(others)}" if others else ""
        verb, whose = ("copies", "its") if len(names) == 1 else ("copy", "their")
        lines.append(
            f"{some(names)} {verb} training images: {_range(new['rate'])} of {whose} images is "
            f"nearer to one than any two of them are to each other, of {ceiling} "
            f"{_range(new['real'])} (by {encoder}{also})."
        )
    return lines


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
