"""Where the truth is known: how far the criteria of the findings can be trusted."""

from lycoris_bench.analysis.columns import OVERALL, judged_in
from lycoris_bench.analysis.findings.judgement import Finding
from lycoris_bench.analysis.findings.wording import some
from lycoris_bench.analysis.trust.judge import Trust
from lycoris_bench.messages.numbers import fixed


def with_trust(findings: Finding, trust: Trust | None) -> Finding:
    """The findings with a sentence on it at their end."""
    said = _sentence(findings, trust) if trust and "categories" in findings else ""
    return {**findings, "sentences": [*findings["sentences"], said]} if said else findings


def _sentence(findings: Finding, trust: Trust) -> str:
    """Kendall's tau of each criterion's metric, as it is seen in the findings, with the truth."""
    overall, rows = findings["categories"][OVERALL], trust.agreements
    rows = rows[(rows["category"] == OVERALL) & rows["tau"].notna()].astype({"asks": str})
    keys = ["asks", "metric", "prompt_type", "encoder", "resize"]
    known = {
        tuple(map(str, key)): tau for *key, tau in rows[[*keys, "tau"]].itertuples(index=False)
    }
    parts = [
        f"{fixed(tau)} in {criterion.heading.lower()}"
        for criterion in judged_in(overall)
        if (tau := known.get((criterion.key, *(overall[criterion.key][k] for k in keys[1:]))))
        is not None
    ]
    if not parts:
        return ""
    return (
        "The truth is known here: these metrics order configurations and epochs, by their means "
        "over seeds and classes, as it does at Kendall’s tau "
        f"{some(parts)} (1 is the same order, 0 is chance)."
    )
