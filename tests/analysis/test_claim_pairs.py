"""Pairs never mix factors, and orders and intervals are what textbooks say."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lycoris_bench.analysis.claims import pairs as order
from lycoris_bench.analysis.claims.contrasts import CONTRASTS, members, pairs, settings
from lycoris_bench.analysis.claims.interval import effect, grid
from tests.analysis.conftest import named

CHANGES = {  # what a pair of each contrast may differ in, written out
    "rate": [{"lr"}],
    "capacity": [{"dim", "alpha", "capacity"}, {"factor", "capacity"}, {"capacity"}],
    "attention": [{"preset"}],
    "convolutions": [{"preset"}],
    "alpha-1": [{"alpha", "capacity"}],
    "no-tags": [{"captions"}],
    "adjusted-tags": [{"captions"}],
    "tags-at-all": [{"captions"}],
}
OWN = {"algorithm", "lr", "dim", "alpha", "factor"}  # an algorithm's own


def drawn(seed: int, n: int = 60) -> pd.DataFrame:
    """Configurations at random, most of which differ in several settings."""
    random = np.random.default_rng(seed)
    rows = []
    for k in range(n):
        algorithm = random.choice(["lora", "loha", "lokr", "full"])
        dim = None if algorithm in ("lokr", "full") else int(random.choice([8, 32]))
        rows.append({
            "configuration": f"c{k}",
            "algorithm": algorithm,
            "preset": random.choice(["attn-mlp", "attn-only", "full"]),
            "lr": float(random.choice([5e-6, 1e-6] if algorithm == "full" else [1e-4, 5e-4, 1e-3])),
            "dim": dim,
            "alpha": dim and float(random.choice([1, dim / 2])),
            "factor": int(random.choice([4, 8])) if algorithm == "lokr" else None,
            "options": random.choice(["", "dora_wd True"]),
            "captions": random.choice(["main", "no-tags", "all-tags"]),
            "capacity": 3 if algorithm == "full" else int(random.choice([1, 2])),
            "importance": bool(random.random() < 0.9),
        })  # fmt: skip
    return named(pd.DataFrame(rows))


@pytest.mark.parametrize("seed", range(5))
def test_a_pair_differs_in_one_setting(seed: int) -> None:
    table = drawn(seed, 300)
    known = table.set_index("series").drop(columns="configuration").astype(object)
    known = known.where(known.notna(), None)
    for name, contrast in CONTRASTS.items():
        found = pairs(settings(table), contrast)
        assert name == "epochs" or found
        for low, high in found:
            a, b = known.loc[low], known.loc[high]
            differ = {key for key in known if a[key] != b[key]} - {"importance"}
            if name not in CHANGES:
                native = "full" in (a["algorithm"], b["algorithm"])
                assert "algorithm" in differ and differ <= OWN | ({"capacity"} if native else set())
                continue
            assert any(differ <= allowed for allowed in CHANGES[name]), (name, differ)
            if "dim" in differ:
                assert a["alpha"] / a["dim"] == b["alpha"] / b["dim"]


def test_rates_against_a_naive_search() -> None:
    table = drawn(7, 120)
    rest = [c for c in table if c not in ("configuration", "series", "lr", "importance")]
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    naive = set()
    for a, b in combinations(rows, 2):
        if all(a[c] == b[c] for c in rest) and a["lr"] != b["lr"]:
            low, high = sorted((a, b), key=lambda r: r["lr"])
            between = [c for c in rows if all(c[k] == a[k] for k in rest)
                       and low["lr"] < c["lr"] < high["lr"]]  # fmt: skip
            if not between:
                naive.add((low["configuration"], high["configuration"]))
    assert naive and set(pairs(settings(table), CONTRASTS["rate"])) == naive


def test_table_1_columns_of_a_study_with_other_rates() -> None:
    """Adapters at the middle of the rates they share, native at the middle and highest of three."""
    rates = {"lora": (1, 2, 4), "loha": (2, 4), "lokr": (2, 4, 8), "full": (0.1, 0.2, 0.3)}
    table = pd.DataFrame(
        [(f"{a}{lr}", a, float(lr)) for a, levels in rates.items() for lr in levels],
        columns=["series", "algorithm", "lr"],
    )
    assert members(table) == {
        "lora2": "lora", "loha2": "loha", "lokr2": "lokr",
        "full0.2": "native", "full0.3": "native-fast",
    }  # fmt: skip


def test_a_grid_has_a_row_a_seed_and_a_column_a_class_as_they_come() -> None:
    table = [(24, "b", 1.0), (24, "a", 2.0), (23, "b", 3.0), (24, "b", 4.0), (None, "a", 5.0),
             (25, "c", np.nan)]  # fmt: skip
    rows = pd.DataFrame(table, columns=["seed", "unit", "score"])
    np.testing.assert_array_equal(grid(rows, "score"), [[2.5, 2.0], [3.0, np.nan], [np.nan, 5.0]])


def test_the_interval_of_many_classes_is_students() -> None:
    """One seed and n classes: the textbook's mean ± t s / sqrt(n), but for chance in drawing."""
    cells = np.random.default_rng(2).normal(0.3, 0.1, size=(1, 30))
    mean, low, high = effect(cells)
    half = stats.t.ppf(0.975, 29) * cells.std(ddof=1) / np.sqrt(30)
    assert mean == pytest.approx(cells.mean())
    assert (mean - low, high - mean) == pytest.approx((half, half), rel=0.1)


@pytest.mark.parametrize(("seeds", "classes"), [(3, 8), (1, 6), (3, 1)])
def test_intervals_cover_what_they_should(seeds: int, classes: int) -> None:
    """Seeds and classes with effects of their own, of which the truth is the mean."""
    random = np.random.default_rng(3)
    inside = 0
    for _ in range(200):
        cells = 0.2 + random.normal(0, 0.2, (1, classes)) * (classes > 1)
        cells = cells + random.normal(0, 0.05, (seeds, 1)) + random.normal(0, 0.1, (seeds, classes))
        _, low, high = effect(cells)
        inside += low <= 0.2 <= high
    assert 0.87 <= inside / 200 <= 0.995


def test_missing_cells_are_left_out() -> None:
    cells = np.array([[0.1, np.nan, 0.3], [0.1, 0.2, 0.3]])
    mean, low, high = effect(cells)
    assert mean == pytest.approx(np.nanmean(cells)) and low < mean < high
    one_less = np.delete(cells, 1, axis=1)  # without the class that a seed lacks
    assert effect(one_less)[0] == pytest.approx(0.2)
    assert effect(np.full((3, 4), 0.5)) == pytest.approx((0.5, 0.5, 0.5))


@pytest.mark.parametrize("seed", range(4))
def test_tau_is_scipys(seed: int) -> None:
    random = np.random.default_rng(seed)
    ranks = dict(zip("abcde", random.permutation(5) + 1, strict=True))
    keys = [(s, c) for s in range(3) for c in "xyz"]
    rows = pd.DataFrame(keys, columns=["seed", "unit"])
    for name in ranks:
        rows[name] = random.normal(random.normal(), 0.1, len(rows))
    tau, low, high = order.agreement(rows, ranks)
    means = [rows[name].mean() for name in ranks]
    assert tau == pytest.approx(stats.kendalltau(means, list(ranks.values())).statistic)
    assert -1 <= low <= tau <= high <= 1
