"""Which hyper-parameter moves a score (paper 5.3, D.6): CatBoost and its SHAP values.

Nothing is attributed where the data cannot say it: too few checkpoints, or two factors that
always change together, give a sentence instead of numbers."""

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from catboost import CatBoostRegressor

from lycoris_bench.analysis.columns import CHECKPOINT, SERIES, VIEW, explained, first_views, seen_as
from lycoris_bench.analysis.regression import CATEGORICAL, PRIOR, cross_validated, fit, pool, r2
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural

if TYPE_CHECKING:
    import shap  # takes seconds to import: in `_shap`, when it is needed

FACTORS = ["algorithm", "preset", "epoch", "capacity", "lr_level", "captions", PRIOR, "strength"]
LABELS = {"lr_level": "rate level", PRIOR: "prior preservation"}
NATIVE = 3  # the capacity of fine-tuning without an adapter
MIN_ROWS = 20

COLUMNS = ["category", *VIEW, *CHECKPOINT]
R2 = ["r2", "r2_cv", "r2_cv_low", "r2_cv_high"]
COLUMNS += ["feature", "feature_value", "shap", "base_value", *R2]

Refusal = dict[str, str]


def explain(checkpoints: pd.DataFrame, factors: pd.DataFrame) -> tuple[pd.DataFrame, list[Refusal]]:
    """SHAP values of the checkpoints' scores, per category, metric and prompt type.

    checkpoints: `aggregation.by_checkpoint`, one row a checkpoint, category and view. Explained
    is what the paper explains, through each metric's first encoder and resizing: a view costs
    six models, and a whole grid of them minutes. factors: a row per configuration.
    -> long frame (category, view, checkpoint, feature, feature_value, shap, base_value, r2, and
    `cross_validated`'s r2_cv, r2_cv_low, r2_cv_high); and what was refused or is a guess, with its
    sentence. For native fine-tuning the SHAP value of
    capacity is part of algorithm's, as it has no other capacity (so it has no row of its own);
    the values of a checkpoint plus base_value are the model's prediction."""
    used = factors[factors["importance"].astype(bool)]
    known = used[[SERIES, *(f for f in FACTORS if f in used and f not in CHECKPOINT)]]
    rows = checkpoints.merge(known, on=SERIES)
    pairs = pd.DataFrame(explained(checkpoints), columns=["metric", "prompt_type"])
    rows = seen_as(first_views(checkpoints), rows).merge(pairs, on=list(pairs))
    asked, refused = [], []
    for target, part in rows.groupby(["category", *VIEW], sort=False):
        names = dict(zip(["category", *VIEW], target, strict=True))
        part = part.reset_index(drop=True)
        features = varying(part)
        if sentence := refusal(part, features):
            refused.append({**names, "sentence": sentence})
            continue
        refused += [{**names, "sentence": sentence} for sentence in never_together(part, features)]
        asked.append((part, features))
    if not asked:
        return pd.DataFrame(columns=COLUMNS).astype(
            {"feature_value": str, "shap": "float64", "seed": "Int64", "epoch": "Int64"}
        ), refused
    with ThreadPoolExecutor(_cores()) as threads:  # CatBoost lets go of the interpreter's lock
        models = list(threads.map(_fitted, asked))  # and each model has one thread: same bits
    # One after the other: shap does not promise to be safe in threads, and CatBoost explains a
    # model with all cores.
    frames = [_explain(*view, *model) for view, model in zip(asked, models, strict=True)]
    return pd.concat(frames, ignore_index=True), refused


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def varying(rows: pd.DataFrame) -> list[str]:
    """The factors that take more than one value. Capacity counts among adapters only: that
    native fine-tuning has another is what algorithm already says."""
    adapters = rows[rows["capacity"] != NATIVE] if "capacity" in rows else rows
    return [
        name
        for name in FACTORS
        if name in rows and (adapters if name == "capacity" else rows)[name].nunique() > 1
    ]


def refusal(rows: pd.DataFrame, features: list[str]) -> str | None:
    """Why nothing can be attributed, as a sentence; None where it can."""
    if len(rows) < MIN_ROWS:
        return (
            f"There {'is' if len(rows) == 1 else 'are'} {plural(len(rows), 'checkpoint')}, too few "
            f"to say what moves this score: at least {MIN_ROWS} are needed."
        )
    if len(features) < 2:
        fixed = ", ".join(name for name in FACTORS if name not in features)
        return f"Fewer than two factors vary ({fixed} do not), so there is nothing to divide up."
    if rows["score"].nunique() < 2:
        return "All checkpoints have the same score: there is nothing to explain."
    for a, b in confounded(rows, features):
        return (
            f"The factors {a} and {b} are confounded: whenever {a} is the same, so is {b}; "
            "no data can tell their effects apart until they vary independently."
        )
    return None


def confounded(rows: pd.DataFrame, features: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs (a, b) where the value of a decides that of b."""
    for a in features:
        for b in features:
            part = rows[rows["capacity"] != NATIVE] if "capacity" in (a, b) else rows
            if a != b and (part.groupby(a)[b].nunique() <= 1).all():
                yield a, b


def never_together(rows: pd.DataFrame, features: list[str]) -> list[str]:
    """A sentence for each factor that some algorithm lacks a value of: what the model says of an
    algorithm there is a guess from the others."""
    lines = []
    for name in features if "algorithm" in features else ():
        part = rows[rows["capacity"] != NATIVE] if name == "capacity" else rows
        counts = pd.crosstab(part["algorithm"], part[name])
        absent = [
            f"{algorithm} with {LABELS.get(name, name)} {value}"
            for algorithm in counts.index for value in counts.columns
            if name != "algorithm" and counts.loc[algorithm, value] == 0
        ]  # fmt: skip
        if absent:
            shown = ", ".join(absent[:4]) + (f" and {len(absent) - 4} more" if absent[4:] else "")
            lines.append(f"No checkpoint was trained as {shown}: effects there are a guess.")
    return lines


def _fitted(view: tuple[pd.DataFrame, list[str]]) -> tuple[CatBoostRegressor, dict[str, float]]:
    """A view's model with its R2 on the rows that were fitted, and cross-validated."""
    rows, features = view
    model = fit(rows, features)
    fitted = r2(rows["score"], model.predict(pool(rows, features)))
    return model, dict(zip(R2, (fitted, *cross_validated(rows, features)), strict=True))


def _shap() -> Any:
    """The module shap, which builds its colour maps, once when imported, by methods that
    matplotlib 3.11 deprecates. `catch_warnings` would not be safe here, in a thread."""
    deprecated = "The set_(bad|over|under) function"
    warnings.filterwarnings("ignore", deprecated, PendingDeprecationWarning, "shap")
    import shap

    return shap


def _explain(
    rows: pd.DataFrame, features: list[str], model: CatBoostRegressor, fits: dict[str, float]
) -> pd.DataFrame:
    """The SHAP values of one view, one row a checkpoint and factor, factors changing fastest."""
    explainer = _shap().TreeExplainer(model)
    distinct = rows.drop_duplicates(features)  # seeds differ in no factor, and have equal values
    alike = rows.groupby(features, sort=False, dropna=False).ngroup().to_numpy()
    found = explainer.shap_values(pool(distinct, features))
    values = pd.DataFrame(found[alike], columns=features, index=rows.index)
    if {"algorithm", "capacity"} <= set(features):
        native = rows["capacity"] == NATIVE
        values.loc[native, "algorithm"] += values.loc[native, "capacity"]
        values.loc[native, "capacity"] = np.nan
    table = rows.loc[rows.index.repeat(len(features))].assign(
        feature=features * len(rows),
        feature_value=rows[features].astype(str).to_numpy().ravel(),
        shap=values.to_numpy().ravel(),
        base_value=explainer.expected_value,
        **fits,
    )
    return table.loc[table["shap"].notna(), COLUMNS]


def explanation(view: pd.DataFrame) -> "shap.Explanation":
    """The rows of one category and view of `explain`'s table, as shap's own plots take them.

    values [checkpoints, factors], base_values [checkpoints], feature_names, and data of the
    values' shape: texts for categorical factors, else numbers. Checkpoints are in the table's
    order. Native fine-tuning has no capacity: NaN in data, 0 in values. BenchError: the rows are
    of several views, or there are none."""
    if (views := len(view[["category", *VIEW]].drop_duplicates())) != 1:
        raise BenchError(
            f"the table has {views} combinations of category, {', '.join(VIEW)}; "
            "an explanation is of one: select its rows"
        )
    checkpoint = view.groupby(CHECKPOINT, sort=False, dropna=False).ngroup().rename("checkpoint")
    cells = view.set_index([checkpoint, "feature"])
    features = [name for name in FACTORS if name in set(view["feature"])]
    values = cells["shap"].unstack()[features].fillna(0)
    data = cells["feature_value"].unstack()[features].astype(object)
    for name in set(features) - set(CATEGORICAL):
        data[name] = pd.to_numeric(data[name], errors="coerce")  # NaN: without an epoch
    base = view["base_value"].groupby(checkpoint).first()
    return _shap().Explanation(
        values.to_numpy(), base.to_numpy(), data.to_numpy(), feature_names=features
    )
