"""Reads a run folder into data frames, and plots fidelity against control.

python read_a_run.py runs/demo
"""

import sys

import matplotlib

matplotlib.use("Agg")  # draws to a file
from matplotlib import pyplot as plt

import lycoris_bench as lb

run = lb.open_run(sys.argv[1] if len(sys.argv) > 1 else "runs/demo")
print(f"{run.study.name} has the tables {', '.join(run.tables)}")
rows = run.table("metrics")  # a row for every number: see its columns
rows = rows[rows["category"] != ""]  # without those of all concepts together

shown = rows[rows["metric"].isin(["image_similarity", "text_similarity"])]
shown = shown[(shown["encoder"] == shown["encoder"].iloc[-1]) & (shown["prompt_type"] == "train")]
means = shown.pivot_table(
    index=["configuration", "epoch"], columns="metric", values="value", dropna=False
).dropna()
print(means.round(4).to_string())

figure, axes = plt.subplots()
for name, points in means.groupby("configuration"):
    axes.plot(points["text_similarity"], points["image_similarity"], "o-", label=name)
axes.set(xlabel="text similarity (control)", ylabel="image similarity (fidelity)")
axes.legend()
figure.savefig("run.png")
