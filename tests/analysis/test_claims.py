"""Claims on tables whose effects are known: what is put in comes out, and nothing else."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.claims.claims import CLAIMS, ORDERS, TABLE
from lycoris_bench.analysis.claims.table import shown
from lycoris_bench.analysis.claims.verdicts import judge
from lycoris_bench.analysis.columns import OVERALL
from lycoris_bench.analysis.ranks import rank_scores
from lycoris_bench.analysis.report.page import environment
from tests.analysis.conftest import named, row
from tests.analysis.test_report import Page

CONFIGURATIONS = [  # name, algorithm, preset, lr, dim, alpha, factor, capacity, importance
    ("lora", "lora", "attn-mlp", 1e-3, 8, 4, None, 1, True),
    ("lora-slow", "lora", "attn-mlp", 1e-4, 8, 4, None, 1, True),
    ("lora-attn-only", "lora", "attn-only", 1e-3, 8, 4, None, 1, True),
    ("lora-full", "lora", "full", 1e-3, 8, 4, None, 1, True),
    ("lora-large", "lora", "attn-mlp", 1e-3, 32, 16, None, 2, True),
    ("lora-alpha1", "lora", "attn-mlp", 1e-3, 32, 1, None, 1, False),
    ("loha", "loha", "attn-mlp", 1e-3, 4, 2, None, 1, True),
    ("lokr", "lokr", "attn-mlp", 1e-3, None, None, 8, 1, True),
]
COLUMNS = ["configuration", "algorithm", "preset", "lr", "dim", "alpha", "factor", "capacity",
           "importance"]  # fmt: skip
FACTORS = named(pd.DataFrame(CONFIGURATIONS, columns=COLUMNS))
VIEWS = (("image_similarity", "trigger"), ("text_similarity", "alter"), ("vendi", "trigger"))
Effect = Callable[[str, int], float]


def scores(
    effect: Effect, noise: float = 0.0, seeds: int = 3, category: str = "styles",
    views: tuple[tuple[str, str], ...] = VIEWS, epochs: tuple[int, ...] = (10, 30, 50),
) -> pd.DataFrame:  # fmt: skip
    """A table whose score is an effect of configuration and epoch, what is common to a class or a
    seed (which must cancel), and noise."""
    random = np.random.default_rng(1)
    rows = []
    for name in FACTORS["configuration"]:
        record = row(0.0, name, category=category)
        for seed in range(seeds):
            for epoch in epochs:
                for k in range(4):
                    common = 3.0 * k + 0.5 * seed
                    for metric, kind in views:
                        value = effect(name, epoch) + common + noise * random.normal()
                        about = {"seed": seed, "epoch": epoch, "class": f"c{k}"}
                        about |= {"metric": metric, "prompt_type": kind}
                        rows.append({**record, **about, "value": value, "score": value})
    return named(pd.DataFrame(rows))


def judged(table: pd.DataFrame, category: str = OVERALL) -> dict[str, Any]:
    found = judge(table, FACTORS)
    json.dumps(found, allow_nan=False)  # plain values only
    return {one["id"]: one for one in found if one["category"] == category}


def test_known_effects_come_out_with_their_verdicts() -> None:
    """Expected by hand: 0.01 an epoch is +0.2 a step of 20; each setting moves what it says."""
    moved = {"lora-slow": -0.3, "lora-attn-only": -0.2, "lora-full": 0.02, "lora-large": 0.4,
             "lora-alpha1": -0.1, "loha": -0.25, "lokr": 0.15}  # fmt: skip
    found = judged(scores(lambda name, epoch: epoch / 100 + moved.get(name, 0.0)))
    effects = {
        "epochs": 0.2, "rate": 0.3, "attention": -0.2, "convolutions": 0.02, "capacity": 0.4,
        "alpha-1": -0.1 - 0.4, "loha": -0.25, "lokr": 0.15,
    }  # fmt: skip
    for name, expected in effects.items():
        one = found[f"{name}-fidelity"]
        assert one["effect"] == pytest.approx(expected) == one["value"]
        assert one["low"] == pytest.approx(expected) == one["high"]  # pairing removes the rest
        assert one["verdict"] == "holds", name
    for name in ("epochs", "rate", "capacity", "attention", "alpha-1", "loha", "lokr"):
        assert found[f"{name}-control"]["verdict"] == "does not"  # it moves as fidelity does here
    assert found["epochs-fidelity"]["n"] == 8 * 3 * 4 * 2
    assert found["rate-fidelity"]["n"] == 3 * 4 * 3
    assert found["order-fidelity"]["effect"] == 1  # lokr, lora, loha
    assert found["order-control"]["effect"] == -1


def test_noise_is_unclear_and_a_large_change_is_not_little() -> None:
    found = judged(scores(lambda name, epoch: 0.0, noise=1.0))
    assert found["rate-fidelity"]["verdict"] == "unclear"
    assert found["convolutions-fidelity"]["verdict"] == "unclear"
    found = judged(scores(lambda name, epoch: 0.5 * (name == "lora-full")))
    assert found["convolutions-fidelity"]["verdict"] == "does not"


def test_few_images_have_a_claim_of_their_own() -> None:
    table = pd.concat([
        scores(lambda name, epoch: epoch / 100, category="styles"),
        scores(lambda name, epoch: -epoch / 50, category="toys"),
    ])  # fmt: skip
    found = {(one["id"], one["category"]): one for one in judge(table, FACTORS)}
    assert found["epochs-fidelity", OVERALL]["effect"] == pytest.approx(0.2)  # of styles alone
    assert found["overtraining", OVERALL]["effect"] == pytest.approx(-0.4)
    assert found["overtraining", "toys"]["verdict"] == "holds"
    assert ("epochs-fidelity", "toys") not in found and ("overtraining", "styles") not in found
    assert found["epochs-control", OVERALL]["effect"] == pytest.approx((0.2 - 0.4) / 2)


def test_what_cannot_be_tested_says_why() -> None:
    def flat(name: str, epoch: int) -> float:
        return 0.0

    reasons = {k: v.get("reason") for k, v in judged(scores(flat, epochs=(10,))).items()}
    assert reasons["epochs-fidelity"] == "only one epoch was scored"
    assert reasons["epochs-preservation"] == "no scores of style loss on style prompts"
    assert reasons["no-tags-control"] == (
        "no two configurations differ in captions (main against no-tags) alone"
    )
    assert reasons["overtraining"] == "no scores of image similarity on trigger prompts"
    few = scores(flat, seeds=2)
    reasons = {k: v.get("reason") for k, v in judged(few[few["class"] < "c2"]).items()}
    assert reasons["rate-control"] == (
        "2 seeds and 2 classes: at least 3 of one of them are needed"
    )
    apart = scores(flat)
    apart = apart[(apart["configuration"] != "lora-slow") | (apart["seed"] == 9)]
    assert "the same seed" in judged(apart)["rate-fidelity"]["reason"]


def test_without_trigger_prompts_the_record_names_what_was_looked_at() -> None:
    found = judged(scores(lambda name, epoch: epoch / 100, views=(("vendi", "alter"),)))
    assert found["epochs-diversity"]["prompt_type"] == "alter"
    found = judged(scores(lambda name, epoch: epoch / 100, views=(("style_loss", "alter"),)))
    assert "reason" in found["epochs-preservation"]  # that is another question


def test_lower_is_better_turns_once(study: pd.DataFrame, factors: pd.DataFrame) -> None:
    """The world of conftest: each epoch raises fidelity and the raw style loss."""
    found = {o["id"]: o for o in judge(rank_scores(study), factors) if o["category"] == OVERALL}
    assert found["epochs-preservation"]["verdict"] == "holds"
    assert found["epochs-preservation"]["effect"] < 0 < found["epochs-preservation"]["value"]


def test_the_section_shows_every_cell_and_no_section_is_shown_without_any() -> None:
    hostile = "<b>toys</b>"
    table = pd.concat([
        scores(lambda name, epoch: epoch / 100),
        scores(lambda name, epoch: epoch / 100, category=hostile),
    ])  # fmt: skip
    made = shown(judge(table, FACTORS))
    assert made["categories"] == [OVERALL, "styles", hostile]
    page = Page(environment().get_template("claims.html.j2").render(claims=made))
    rows = [tag for tag, about in page.tags if tag == "tr"]
    assert len(rows) == 1 + len(made["rows"])
    text = " ".join(page.texts)
    assert "holds" in text and "does not" in text and hostile in text
    assert "No two configurations differ in captions (main against no-tags) alone" in text
    nothing = shown(judge(table.assign(metric="variance"), FACTORS))
    assert nothing["rows"] == [] and len(nothing["untested"]) > 0


def test_the_list_says_what_table_1_says() -> None:
    ids = [claim.id for claim in (*CLAIMS, *ORDERS)]
    assert len(set(ids)) == len(ids)
    expected = {claim.id: claim.expected for claim in CLAIMS if claim.section == "Table 1"}
    assert expected == {
        "loha-fidelity": "less", "loha-control": "more", "loha-diversity": "more",
        "lokr-fidelity": "more", "lokr-control": "less", "lokr-diversity": "less",
        "native-fast-fidelity": "more", "native-fast-control": "more",
        "native-fast-diversity": "less", "native-fidelity": "less", "native-control": "more",
        "native-diversity": "more",
    }  # fmt: skip
    assert all(sorted(ranks) == [1, 2, 3, 4, 5] for ranks in TABLE.values())
