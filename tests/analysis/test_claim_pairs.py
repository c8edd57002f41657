"""Pairs never mix factors, and differences are those of a naive merge."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.claims import differences
from lycoris_bench.analysis.claims.contrasts import CONTRASTS, members, pairs, settings
from lycoris_bench.analysis.claims.grid import grids
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


def scored(seed: int = 0, missing: float = 0.2) -> pd.DataFrame:
    """Ranked rows of three series, some without a seed or an epoch, some cells missing."""
    random = np.random.default_rng(seed)
    keys = [
        (name, s, e, *concept)
        for name in "abc"
        for s in (24, 23, None)
        for e in (30, 10, 50, None)
        for concept in (("toys", "x", "1"), ("toys", "x", "2"), ("styles", "x", ""), ("", "", ""))
    ]
    rows = pd.DataFrame(keys, columns=["series", "seed", "epoch", "category", "class", "subclass"])
    rows = rows[random.random(len(rows)) > missing].astype({"seed": "Int64", "epoch": "Int64"})
    rows = rows.assign(metric="vendi", prompt_type="alter")
    return rows.assign(score=random.random(len(rows)), value=random.random(len(rows)))


VIEW = ("vendi", "alter")
CELL = ["seed", "epoch", "category", "class"]


def means(rows: pd.DataFrame) -> pd.DataFrame:
    """Of the sub-classes of a class."""
    return rows.groupby(["series", *CELL], dropna=False)["score"].mean().reset_index()


def test_a_grid_has_the_mean_of_each_class() -> None:
    rows = scored()
    seen = grids(rows)
    assert (seen.epochs, list(seen.series)) == ([10, 30, 50], ["a", "b", "c"])
    assert sorted(seen.categories) == ["", "styles", "toys"]
    grid = seen.scores[VIEW]
    assert grid.shape == (3, 3, 4, 3) and (~np.isnan(grid)).sum() == len(means(rows))
    seeds = list(dict.fromkeys(rows["seed"].astype("object").where(rows["seed"].notna(), None)))
    for row in means(rows).itertuples():
        seed = seeds.index(None if pd.isna(row.seed) else row.seed)
        epoch = 3 if pd.isna(row.epoch) else seen.epochs.index(row.epoch)
        column = list(seen.categories).index(row.category)
        assert grid["abc".index(row.series), seed, epoch, column] == pytest.approx(row.score)


def test_differences_are_those_of_a_merge() -> None:
    rows = scored(1)
    seen = grids(rows)
    sides = means(rows)
    merged = sides[sides["series"] == "a"].merge(sides[sides["series"] == "c"], on=CELL)
    naive = sorted(merged["score_y"] - merged["score_x"])
    found = differences.between(seen.scores[VIEW], seen.series, [("a", "c")])
    assert found.shape[0] == 1
    np.testing.assert_allclose(sorted(found[~np.isnan(found)]), naive)


def test_steps_of_epochs_are_those_of_a_merge() -> None:
    rows = scored(2)
    seen = grids(rows)
    later = means(rows).assign(epoch=means(rows)["epoch"].map({30: 10, 50: 30}).astype("Int64"))
    kept = ["series", *CELL]
    merged = means(rows).dropna(subset="epoch").merge(later.dropna(subset="epoch"), on=kept)
    found = differences.over_epochs(seen.scores[VIEW], 3)
    assert found.shape == (6, 3, 1, 3)  # 3 series x 2 steps
    naive = sorted(merged["score_y"] - merged["score_x"])
    np.testing.assert_allclose(sorted(found[~np.isnan(found)]), naive)


def test_a_cell_is_the_mean_over_pairs_and_epochs() -> None:
    changes = np.array([1.0, 2.0, np.nan, 4.0, 5.0, 6.0]).reshape(3, 1, 2, 1)
    np.testing.assert_allclose(differences.cells(changes), [[18 / 5]])
    assert np.isnan(differences.cells(changes[:0])).all()


def test_members_are_compared_in_a_context_that_all_of_them_have() -> None:
    """Two LoRA of one context are averaged; where LoHa lacks a cell, nobody has it."""
    about = {"alpha": 4.0, "dim": 8, "capacity": 1, "importance": True, "lr": 1e-3}
    table = named(pd.DataFrame([
        {"configuration": name, "algorithm": algorithm, "preset": preset, **about, "dim": dim}
        for name, algorithm, preset, dim in (
            ("lora", "lora", "full", 8), ("lora16", "lora", "full", 16),
            ("loha", "loha", "full", 4), ("lokr", "lokr", "full", None),
            ("alone", "lora", "attn-only", 8), ("unscored", "lora", "full", 8),
        )
    ]))  # fmt: skip
    series = ["lora", "lora16", "loha", "lokr", "alone"]
    grid = np.arange(5.0).reshape(5, 1, 1, 1) * np.ones((5, 2, 1, 3))
    grid[2, 1, 0, 2] = np.nan
    found = differences.of_members(grid, series, settings(table))
    assert set(found) == {"lora", "loha", "lokr"}
    for name, value in (("lora", 0.5), ("loha", 2.0), ("lokr", 3.0)):
        cells = differences.cells(found[name])
        assert np.isnan(cells[1, 2]) and np.nanmin(cells) == np.nanmax(cells) == value
