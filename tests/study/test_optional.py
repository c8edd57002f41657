"""Every optional key and every optional thing left out, in pairs: the line still runs, and the
numbers that are left are those of the whole study."""

import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.planning.plan import plan
from lycoris_bench.run.store import Store
from lycoris_bench.stages.run import run as run_all
from lycoris_bench.study.load import Study, parse
from lycoris_bench.study.places import locate
from tests.support.world import HERE, STAGES, table

pytestmark = [pytest.mark.study, pytest.mark.usefixtures("unprinted")]

MINIATURE = locate("package:miniature", Path())
CONCEPTS = ["toys/bunny", "styles/chiaroscuro"]
KEYS = ["class", "prompt_type", "metric", "encoder", "configuration", "strength", "fingerprint"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, quick_base: str) -> Path:
    """Two images of a toy and of a style, a toy of a single image, and a base model."""
    root = tmp_path_factory.mktemp("data")
    shutil.copytree(quick_base, root / "base")
    for part in ("dataset", "heldout"):
        for concept in CONCEPTS:
            shutil.copytree(
                MINIATURE / part / concept, root / part / concept,
                ignore=lambda _, names: [name for name in names if name >= "0003"],
            )  # fmt: skip
    shutil.copy(MINIATURE / "dataset/concepts.toml", root / "dataset")
    one = root / "dataset/toys/tortoise"
    one.mkdir()
    for suffix in (".png", ".txt"):
        shutil.copy(MINIATURE / f"dataset/toys/tortoise/0001{suffix}", one)
    return root


# What a study may leave out, or have only one of, and what the whole study has.
FACTORS: list[tuple[str, Any, Any]] = [
    ("heldout", True, False),
    ("concepts", ["*"], ["toys"]),
    ("seeds", True, False),
    ("style", True, False),
    ("trigger", True, False),
    ("gram", True, False),
    ("text", True, False),
    ("image", True, False),
    ("metrics", [], ["image_similarity", "style_loss", "text_similarity", "centroid_distance"]),
    ("strength", [0.5, 1.0], None),
    ("combine", True, False),
]
# Any two factors meet in all four ways in seven runs: each is there in another four of six runs,
# and in the seventh all are absent (Kleitman and Spencer's design, the smallest there is).
RUNS = list(combinations(range(6), 4))[: len(FACTORS)]
DESIGN = [*([int(run in there) for there in RUNS] for run in range(6)), [0] * 11]
DESIGN.sort(key=lambda row: -row[1])  # all concepts first: other ones are trained on anew


def study(folder: Path, choice: list[int]) -> Study:
    chosen = {
        name: given if there else absent
        for (name, given, absent), there in zip(FACTORS, choice, strict=True)
    }
    kinds = ["train", "alter"] + [kind for kind in ("trigger", "style") if chosen[kind]]
    views = {"gram": "miniature-gram", "text": "miniature-image-text", "image": "miniature-image"}
    encoders = [views[kind] for kind in views if chosen[kind]] or ["miniature-image"]
    changes: dict[str, Any] = {
        "base_model": str(folder / "base"),
        "dataset": str(folder / "dataset"),
        "concepts": chosen["concepts"],
        "epochs": [1],
        "sampling": {"prompt_types": kinds, "images": 2, "steps": 1, "width": 16, "height": 16},
        "scoring": {"encoders": encoders, "metrics": chosen["metrics"]},
        "algorithms": {"lora": {"lr": 2e-3, "dim": 2, "alpha": 1}},
        "heldout": str(folder / "heldout") if chosen["heldout"] else None,
        "seeds": [23] if chosen["seeds"] else None,
    }
    if chosen["strength"]:
        changes["sampling"]["strength"] = chosen["strength"]
    if chosen["combine"]:
        changes["combine"] = {"half": {"adapters": ["lora"], "strengths": [0.25]}}
    wanted = {key: value for key, value in table(**changes).items() if value is not None}
    return parse(wanted)


def test_the_design_has_every_pair_both_there_and_absent() -> None:
    assert len(FACTORS) == 11
    for a in range(11):
        for b in range(a):
            assert {(row[a], row[b]) for row in DESIGN} == {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, pd.DataFrame]:
    store = Store(tmp_path_factory.mktemp("run"))
    return store, rows_of(study(folder, [1] * 11), store, ("train", "generate", "score"))


def rows_of(asked: Study, store: Store, stages: tuple[str, ...] = ()) -> pd.DataFrame:
    """The table that these stages make, or else the whole line as one command."""
    made = plan(asked)
    for name, stage in STAGES.items() if stages else [("run", run_all)]:
        if name in (*stages, "run"):
            outcome = stage(made, store, HERE)
            assert not outcome.failed, (name, outcome.failed)
    found = store.frame(store.table("metrics"))
    assert found is not None
    rows: pd.DataFrame = found[0]
    assert len(rows) and not rows["value"].isna().any()
    return rows


def line(asked: Study, store: Store) -> pd.DataFrame:
    rows = rows_of(asked, store)
    page = store.report.read_text(encoding="utf-8")
    assert "nan" not in page.lower().split("</style>")[-1].replace("&nbsp;", "").split()
    return rows


@pytest.mark.parametrize("choice", DESIGN, ids=lambda row: "".join(map(str, row)))
def test_what_is_left_out_changes_nothing_else(
    folder: Path, whole: tuple[Store, pd.DataFrame], choice: list[int]
) -> None:
    """The numbers that are left are the same; with other concepts, which are trained on, those
    of the base model."""
    store, all_rows = whole
    rows = line(study(folder, choice), store)
    same_training = bool(choice[1])
    own = rows[
        rows["configuration"] != "real" if same_training else rows["configuration"] == "base"
    ]
    both = own.merge(all_rows, on=KEYS, suffixes=("", "_whole"))
    # an image's features differ in their last digits with what else is in its batch
    np.testing.assert_allclose(both["value"], both["value_whole"], rtol=1e-4, atol=1e-6)
    assert len(both)
    if same_training:
        assert len(both) == len(own)
