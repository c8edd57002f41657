"""Which hyper-parameter moves a score (paper 5.3, D.6): CatBoost and its SHAP values.

Nothing is attributed where the data cannot say it: too few checkpoints, or two factors that
always change together, give a sentence instead of numbers."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from catboost import CatBoostRegressor, Pool

from lycoris_bench.analysis.columns import CHECKPOINT, VIEW, explained, ordered

FACTORS = ["algorithm", "preset", "epoch", "capacity", "lr_level", "captions", "strength"]
CATEGORICAL = ["algorithm", "preset", "captions"]
NATIVE = 3  # the capacity of fine-tuning without an adapter
MIN_ROWS = 20
FOLDS = 5
Refusal = dict[str, str]


def explain(checkpoints: pd.DataFrame, factors: pd.DataFrame) -> tuple[pd.DataFrame, list[Refusal]]:
    """SHAP values of the checkpoints' scores, per category, metric and prompt type.

    checkpoints: `aggregation.by_checkpoint`, one row a checkpoint, category and view. Explained
    is what the paper explains, through each metric's first encoder and resizing: a view costs
    six models, and a whole grid of them minutes. factors: a row per configuration.
    -> long frame (category, view, checkpoint, feature, feature_value, shap, base_value, r2,
    r2_cv); and what was refused, with its sentence. For native fine-tuning the SHAP value of
    capacity is part of algorithm's, as it has no other capacity (so it has no row of its own);
    the values of a checkpoint plus base_value are the model's prediction."""
    used = factors[factors["importance"].astype(bool)]
    known = used[["configuration", *(f for f in FACTORS if f in used and f not in CHECKPOINT)]]
    rows = checkpoints.merge(known, on="configuration")
    first = checkpoints.drop_duplicates("metric")[["metric", "encoder", "resize"]]
    pairs = pd.DataFrame(explained(checkpoints), columns=["metric", "prompt_type"])
    rows = rows.merge(first, on=list(first)).merge(pairs, on=list(pairs))
    asked, refused = [], []
    for target, part in rows.groupby(["category", *VIEW], sort=False):
        names = dict(zip(["category", *VIEW], target, strict=True))
        part = part.reset_index(drop=True)
        features = varying(part)
        if sentence := refusal(part, features):
            refused.append({**names, "sentence": sentence})
            continue
        asked.append((part, features))
    with ThreadPoolExecutor(_cores()) as threads:  # CatBoost lets go of the interpreter's lock
        frames = list(threads.map(_explained, asked))  # and each model has one thread: same bits
    if not frames:
        return _unpacked(
            pd.DataFrame(columns=["category", *VIEW, *CHECKPOINT, *FIT, "parts"])
        ), refused
    return _unpacked(pd.concat(frames, ignore_index=True)), refused


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
            f"There {'is' if len(rows) == 1 else 'are'} {len(rows)} checkpoint"
            f"{'s' * (len(rows) != 1)}, too few to say what moves this score: "
            f"at least {MIN_ROWS} are needed."
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


def fit(rows: pd.DataFrame, features: list[str]) -> CatBoostRegressor:
    """The authors' regressor: 300 iterations, rate 0.1, everything else CatBoost's default."""
    model = CatBoostRegressor(
        iterations=300, learning_rate=0.1, random_seed=123,
        thread_count=1, allow_writing_files=False, verbose=False,
    )  # fmt: skip
    return model.fit(pool(rows, features))


def pool(rows: pd.DataFrame, features: list[str]) -> Pool:
    """Factors and scores as CatBoost takes them: categories as text, numbers as numbers."""
    table = rows[features].copy()
    categorical = [name for name in features if name in CATEGORICAL]
    for name in features:
        table[name] = table[name].astype(str if name in categorical else "float64")
    return Pool(table, rows["score"], cat_features=categorical)


def r2(truth: pd.Series, predicted: np.ndarray) -> float:
    """1 - sum (y - p)^2 / sum (y - mean y)^2; absent (nan) where y does not vary."""
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1 - float(((truth - predicted) ** 2).sum()) / spread if spread else float("nan")


def r2_cross_validated(rows: pd.DataFrame, features: list[str]) -> float:
    """R2 of predictions for configurations that the model has not seen: whole configurations
    are held out, dealt to five folds in turn, so that seeds and epochs of one never leak."""
    fold = rows["configuration"].map(
        {c: k % FOLDS for k, c in enumerate(ordered(rows["configuration"]))}
    )
    predicted = np.empty(len(rows))
    for k in sorted(set(fold)):
        inside, outside = rows[fold != k], rows[fold == k]
        if inside["score"].nunique() > 1:
            predicted[fold == k] = fit(inside, features).predict(pool(outside, features))
        else:
            predicted[fold == k] = inside["score"].iloc[0]
    return r2(rows["score"], predicted)


FIT = ["base_value", "r2", "r2_cv"]
PART = ["feature", "feature_value", "shap"]


def _explained(asked: tuple[pd.DataFrame, list[str]]) -> pd.DataFrame:
    rows, features = asked
    keys = rows[["category", *VIEW, *CHECKPOINT]]
    return keys.join(_explain(rows, features)).explode("parts", ignore_index=True)


def _explain(rows: pd.DataFrame, features: list[str]) -> pd.DataFrame:
    """Per checkpoint: base value, both R2 and `parts`, its list of (feature, value, shap)."""
    model, data = fit(rows, features), pool(rows, features)
    shap = model.get_feature_importance(data, type="ShapValues", thread_count=1)
    parts = [
        _native_is_an_algorithm(
            [(f, rows[f].iloc[i], float(s)) for f, s in zip(features, shap[i], strict=False)]
        )
        for i in range(len(rows))
    ]
    scores = {
        "r2": r2(rows["score"], model.predict(data)),
        "r2_cv": r2_cross_validated(rows, features),
    }
    return pd.DataFrame({"base_value": shap[:, -1], **scores, "parts": parts}, index=rows.index)


def _native_is_an_algorithm(
    parts: list[tuple[str, object, float]],
) -> list[tuple[str, object, float]]:
    capacity = next((shap for f, value, shap in parts if f == "capacity" and value == NATIVE), None)
    if capacity is None or all(f != "algorithm" for f, _, _ in parts):
        return parts
    return [
        (f, value, shap + capacity if f == "algorithm" else shap)
        for f, value, shap in parts
        if f != "capacity"
    ]


def _unpacked(frame: pd.DataFrame) -> pd.DataFrame:
    parts = pd.DataFrame(frame["parts"].tolist(), columns=PART, index=frame.index)
    parts["feature_value"] = parts["feature_value"].astype(str)
    wide = frame.drop(columns="parts").join(parts)
    return wide[["category", *VIEW, *CHECKPOINT, *PART, *FIT]].astype({"shap": "float64"})
