"""Views that are set aside before ranking, as the study varies what their numbers depend on."""

import pandas as pd

from lycoris_bench.analysis.columns import GROUP, OVERALL, PROTOCOL, VIEW, trained, words


def comparable(
    metrics: pd.DataFrame, factors: pd.DataFrame
) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """(the table without the views that captions make incomparable, a sentence for each of them).

    Train prompts are a configuration's own captions. Where a study varies captions, text
    similarity on them holds checkpoints against different texts: their fingerprints differ, and
    differ by captions alone. Any other unlike fingerprints stay, to be refused (`unlike.py`)."""
    if "captions" not in factors or factors["captions"].nunique() < 2:
        return metrics, []
    captions = dict(zip(factors["configuration"], factors["captions"], strict=True))
    rows = trained(metrics)
    rows["captions"] = rows["configuration"].map(captions)
    among_all = rows.groupby(GROUP, sort=False, observed=True)["fingerprint"].nunique()
    kinds = [*GROUP, "captions"]
    among_alike = rows.groupby(kinds, sort=False, observed=True)["fingerprint"].nunique()
    alike = among_alike.groupby(level=GROUP, sort=False, observed=True).max() == 1
    alike &= rows.groupby(GROUP, sort=False, observed=True)[PROTOCOL].nunique() == 1
    unlike = among_all[(among_all > 1) & alike.reindex(among_all.index)].reset_index()
    if unlike.empty:
        return metrics, []
    views = unlike[VIEW].drop_duplicates()
    seen = metrics.merge(views, on=VIEW, how="left", indicator=True)["_merge"]
    return metrics[(seen == "left_only").to_numpy()].reset_index(drop=True), [
        {"category": OVERALL, **view, "sentence": _sentence(view)}
        for view in views.to_dict("records")
    ]


def _sentence(view: dict[str, str]) -> str:
    name = words(view["metric"])
    return (
        f"{name[0].upper()}{name[1:]} on {view['prompt_type']} prompts is not ranked: they are "
        "each configuration’s own captions, so images are compared with different texts."
    )
