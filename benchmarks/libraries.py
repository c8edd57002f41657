"""What do vendi-score and shap cost, against a few lines of NumPy and CatBoost's own call?

    python benchmarks/libraries.py [--sets 1000] [--images 100] [--width 1024] [--rounds 5]

Vendi scores of random sets: the metric, which calls vendi-score; one eigendecomposition of the
kernel in NumPy, with one thread of BLAS and with as many as it takes; and vendi-score called as
its page shows it. SHAP values of one view: a table of the paper's factors, every configuration
with 3 seeds and 3 epochs, and random scores; `shap.TreeExplainer`, and CatBoost asked directly.
Medians over the rounds, the ways alternated; the largest relative difference of a result from the
first way's stands beside them."""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from lycoris_bench.analysis import importance, regression, run_tables
from lycoris_bench.scoring.metrics.vendi import vendi
from lycoris_bench.study import load as studies

Ways = dict[str, Callable[[], np.ndarray]]


def with_numpy(z: np.ndarray) -> float:
    """exp of the entropy of the n x n kernel's eigenvalues."""
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    share = np.linalg.eigvalsh(z @ z.T / len(z))
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def vendi_ways(sets: int, images: int, width: int) -> Ways:
    """Four ways to the Vendi scores of the same sets."""
    from vendi_score.vendi import score_X

    rng = np.random.default_rng(0)
    one = np.zeros(images, int)
    features = rng.normal(loc=0.3, size=(sets, images, width))

    def held() -> np.ndarray:
        with threadpool_limits(1, user_api="blas"):
            return np.array([with_numpy(z) for z in features])

    return {
        "the metric": lambda: np.array([vendi(z, one) for z in features]),
        "NumPy, one thread": held,
        "NumPy, its threads": lambda: np.array([with_numpy(z) for z in features]),
        "vendi-score, its threads": lambda: np.array([score_X(z) for z in features]),
    }


def shap_ways() -> Ways:
    """TreeExplainer and CatBoost's own call, on one fitted model."""
    import shap

    known = run_tables.factors(studies.load("package:configs/paper.toml").configurations)
    runs = pd.DataFrame({"seed": [1, 2, 3]}).merge(pd.DataFrame({"epoch": [10, 30, 50]}), "cross")
    rows = known.merge(runs, "cross")
    rows["score"] = np.random.default_rng(0).normal(rows["epoch"] / 50)
    features = importance.varying(rows)
    model, data = regression.fit(rows, features), regression.pool(rows, features)
    print(f"SHAP values of {len(rows)} checkpoints, {len(features)} factors")
    return {
        "shap.TreeExplainer": lambda: shap.TreeExplainer(model).shap_values(data),
        "CatBoost": lambda: model.get_feature_importance(data, "ShapValues", thread_count=1)[
            :, :-1
        ],
        "(fitting the model)": lambda: regression.fit(rows, features).predict(data),
    }


def compare(ways: Ways, rounds: int) -> None:
    """Prints a line a way."""
    found = {name: way() for name, way in ways.items()}  # warm
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    first = next(iter(found.values()))
    for name, times in seconds.items():
        same = found[name].shape == first.shape
        worst = f"{np.abs(found[name] - first).max() / np.abs(first).max():.0e}" if same else ""
        print(f"  {name:<26} {statistics.median(times):8.3f} s   {worst}")


def main() -> None:
    """Prints both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)  # vendi-score's `score_X` warns each time
    print(f"Vendi scores of {given.sets} sets of {given.images} x {given.width}")
    compare(vendi_ways(given.sets, given.images, given.width), given.rounds)
    compare(shap_ways(), given.rounds)


if __name__ == "__main__":
    main()
