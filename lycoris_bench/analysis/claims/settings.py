"""The factors of each configuration as the claims compare them: all that may differ is a column."""

import pandas as pd

from lycoris_bench.analysis.importance import NATIVE

DIM, FACTOR = "dim", "factor"
LABELS = ["lr_level"]  # what another column already says
ADAPTERS = ("lora", "loha", "lokr")
RATES = {5e-6: "native-fast", 1e-6: "native"}  # native's columns of Table 1


def settings(factors: pd.DataFrame) -> pd.DataFrame:
    """factors + `scale` (alpha / dim) and `member` (the column of Table 1, or "").

    Native fine-tuning has the capacity of a default: that it has another than adapters have is
    what its algorithm says. Columns that a study lacks are empty."""
    table = factors.drop(columns=[name for name in LABELS if name in factors]).copy()
    for name in (DIM, "alpha", FACTOR):
        table[name] = table[name].astype("float64") if name in table else float("nan")
    table["scale"] = table["alpha"] / table[DIM]
    table["lr"] = table["lr"].astype("float64")
    table["importance"] = table["importance"].astype(bool)
    table["capacity"] = table["capacity"].replace(NATIVE, 1)
    names = members(factors)
    return table.assign(member=[names.get(c, "") for c in table["configuration"]])


def members(factors: pd.DataFrame) -> dict[str, str]:
    """Configuration -> its column of Table 1.

    Adapters are compared at one rate: the middle one of those that all of them share. Native
    has two columns: the paper's rates, or the highest and the middle of three."""
    rates = {
        algorithm: sorted(set(part["lr"].dropna()))
        for algorithm, part in factors.groupby("algorithm")
    }
    there = [set(rates[name]) for name in ADAPTERS if name in rates]
    shared = sorted(set.intersection(*there)) if there else []
    native = dict(RATES)
    if len(own := rates.get("full", [])) == 3:
        native |= {own[2]: "native-fast", own[1]: "native"}
    found = {}
    for row in factors.itertuples():
        if row.algorithm in ADAPTERS and shared and row.lr == shared[(len(shared) - 1) // 2]:
            found[row.configuration] = row.algorithm
        elif row.algorithm == "full" and row.lr in native:
            found[row.configuration] = native[row.lr]
    return found
