"""Claims on tables whose effects are known: what is put in comes out, and nothing else."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lycoris_bench.analysis.claims.claims import CLAIMS, ORDERS, TABLE
from lycoris_bench.analysis.claims.table import shown
from lycoris_bench.analysis.claims.verdicts import judge, said
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
    return {verdict["id"]: verdict for verdict in said(found["verdicts"], category)}


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
        verdict = found[f"{name}-fidelity"]
        assert verdict["effect"] == pytest.approx(expected) == verdict["value"]
        assert verdict["low"] == pytest.approx(expected) == verdict["high"]  # pairs cancel the rest
        assert verdict["verdict"] == "holds", name
    for name in ("epochs", "rate", "capacity", "attention", "alpha-1", "loha", "lokr"):
        assert found[f"{name}-control"]["verdict"] == "does not"  # it moves as fidelity does here
    counts = {name: [found[name][key] for key in ("pairs", "seeds", "classes")]
              for name in ("epochs-fidelity", "rate-fidelity", "order-fidelity")}  # fmt: skip
    assert counts["epochs-fidelity"] == [8 * 2, 3, 4]  # configurations x steps of epochs
    assert counts["rate-fidelity"] == [1, 3, 4] and counts["order-fidelity"] == [3, 3, 4]
    order = found["order-fidelity"]
    assert order["members"] == ["lokr", "lora", "loha"] and order["verdict"] == "holds"
    assert (order["tau"], order["confirmed"], order["contradicted"]) == (1, 3, 0)
    order = found["order-control"]
    assert (order["tau"], order["confirmed"], order["contradicted"]) == (-1, 0, 3)
    assert order["verdict"] == "does not"


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
    verdicts = judge(table, FACTORS)["verdicts"]
    found = {(verdict["id"], verdict["category"]): verdict for verdict in verdicts}
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
    assert reasons["overtraining"] == (
        "the paper does not say it of the categories that were scored"
    )
    apart = scores(flat)
    apart = apart[(apart["configuration"] != "lora-slow") | (apart["seed"] == 9)]
    assert "the same seed" in judged(apart)["rate-fidelity"]["reason"]


def test_one_training_or_one_class_says_nothing_of_a_setting() -> None:
    """What is measured is shown, with the interval between these checkpoints."""
    table = scores(lambda name, epoch: epoch / 100 - 0.3 * (name == "lora-slow"), noise=0.01)
    for part, reason in (
        (table[table["seed"] == 1], "one seed: training noise is not measured"),
        (table[table["class"] == "c1"], "one class: how much classes differ is not measured"),
    ):
        found = judged(part)
        rate, order = found["rate-fidelity"], found["order-fidelity"]
        assert rate["verdict"] == order["verdict"] == "cannot be tested here"
        assert rate["reason"] == order["reason"] == reason
        assert rate["low"] < rate["effect"] < rate["high"] and "p" not in rate
        assert rate["effect"] == pytest.approx(0.3, abs=0.01)
    made = shown(judge(table[table["seed"] == 1], FACTORS))
    rate = next(row for row in made["rows"] if "learning rate raises" in row["sentence"])
    assert rate["cells"][0]["verdict"] == "no verdict" and rate["cells"][0]["amount"] == (
        "1 pair, 1 seed, 4 classes"
    )
    assert any(reason in line for line in made["summary"] for reason in ["one seed"])
    effects = [row["cells"][0] for row in made["rows"]]
    assert f", {len(effects)} have an effect without a verdict and " in made["summary"][0]
    untested = sum(len(sentences) for _, sentences in made["untested"])
    assert f"and {untested} cannot be tested here." in made["summary"][0]
    assert {cell["verdict"] for cell in effects} == {"no verdict", "no verdict, the other way"}
    for verdict in said(judge(table[table["seed"] == 1], FACTORS)["verdicts"], OVERALL):
        if verdict.get("expected") in ("more", "less") and "effect" in verdict:
            row = next(row for row in made["rows"] if row["id"] == verdict["id"])
            other = (verdict["effect"] > 0) != (verdict["expected"] == "more")
            if verdict["effect"]:
                assert row["cells"][0]["verdict"].endswith("the other way") == other
    few = table[(table["seed"] < 2) & (table["class"] < "c2")]  # two of both are enough
    assert judged(few)["rate-fidelity"]["verdict"] != "cannot be tested here"


def test_without_trigger_prompts_the_record_names_what_was_looked_at() -> None:
    found = judged(scores(lambda name, epoch: epoch / 100, views=(("vendi", "alter"),)))
    assert found["epochs-diversity"]["prompt_type"] == "alter"
    found = judged(scores(lambda name, epoch: epoch / 100, views=(("style_loss", "alter"),)))
    assert "reason" in found["epochs-preservation"]  # that is another question


def test_lower_is_better_turns_once(study: pd.DataFrame, factors: pd.DataFrame) -> None:
    """The world of conftest: each epoch raises fidelity and the raw style loss."""
    verdicts = said(judge(rank_scores(study), factors)["verdicts"], OVERALL)
    found = {verdict["id"]: verdict for verdict in verdicts}
    assert found["epochs-preservation"]["p"] < 0.1
    assert found["epochs-preservation"]["effect"] < 0 < found["epochs-preservation"]["value"]


def test_a_verdict_is_given_for_what_is_left_after_the_others() -> None:
    """One of 28 tests: its own interval leaves out 0, and that is unclear among the others."""
    table = scores(lambda name, epoch: 0.2 * (name == "lora-large"), noise=0.1)
    found = judge(table, FACTORS)
    verdict = next(v for v in said(found["verdicts"], OVERALL) if v["id"] == "capacity-fidelity")
    assert verdict["low"] > 0 and verdict["p"] < 0.05 < verdict["p_adjusted"]
    assert verdict["verdict"] == "unclear"


def test_the_section_shows_every_cell_and_no_section_is_shown_without_any() -> None:
    hostile = "<b>toys</b>"
    table = pd.concat([
        scores(lambda name, epoch: epoch / 100),
        scores(lambda name, epoch: epoch / 100, category=hostile),
    ])  # fmt: skip
    found = judge(table, FACTORS)
    made = shown(found)
    assert made["categories"] == ["styles", hostile]
    page = Page(environment().get_template("claims.html.j2").render(claims=made))
    rows = [tag for tag, about in page.tags if tag == "tr"]
    assert len(rows) == 1 + len(made["rows"]) + 1 + len(made["exploratory"])
    text = " ".join(page.texts)
    assert "holds" in text and "does not" in text and hostile in text
    assert "16 pairs, 3 seeds, 8 classes" in text and "3 of 3 pairs confirmed" not in text
    assert "No two configurations differ in captions (main against no-tags) alone" in text
    overall = [v["verdict"] for v in said(found["verdicts"], OVERALL)]
    line = f"{overall.count('holds')} hold, {overall.count('does not')} do not"
    assert line in made["summary"][0]
    alone = shown(judge(table[table["category"] == "styles"], FACTORS))
    assert alone["over"] == "styles" and alone["exploratory"] == alone["exploratory_summary"] == []
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
