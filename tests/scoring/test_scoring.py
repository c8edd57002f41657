"""Scores of a small run against loops over the stored images, one image and one pair at a time."""

import itertools
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import sqrtm

from lycoris_bench.data.images import read_image
from lycoris_bench.planning import scored_with
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run.store import Store
from lycoris_bench.scoring import encoders, feature_pass, gram_features
from lycoris_bench.scoring.embeddings import Embedder
from lycoris_bench.scoring.image_sets import GENERATED, image_sets
from lycoris_bench.stages.score import score_one
from lycoris_bench.study.concept_words import read_words
from lycoris_bench.study.records import BASE_CHECKPOINT, REAL_IMAGES, Concept
from tests.support.world import HERE, run, tiny

STYLE = Concept("styles", "chiaroscuro")
TOY = Concept("toys", "bunny")
PAIRED = ("style", "agnostic")
IMAGE, GRAM = "miniature-image", "miniature-gram"
STUDY: dict[str, Any] = {
    "concepts": [str(STYLE), str(TOY), "toys/lobster"],
    "epochs": [1],
    "sampling": {
        "prompt_types": ["train", "trigger", "alter", "style", "agnostic"],
        "images": 3,
        "steps": 1,
    },
    "algorithms": {"lora": {"lr": 5e-2, "dim": 4, "alpha": 4}},
}


@pytest.fixture(scope="module")
def asked(quick_base: str) -> Plan:
    return plan(tiny(**STUDY, base_model=quick_base))


@pytest.fixture(scope="module")
def store(asked: Plan, tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("scored"))
    outcomes = run(asked, made, ("train", "generate", "score"))
    assert not any(outcome.failed for outcome in outcomes.values()), outcomes
    return made


@pytest.fixture(scope="module")
def rows(store: Store) -> pd.DataFrame:
    return store.frame(store.table("metrics"))[0]


def seen(spec: str, paths: list[Path]) -> list:
    """Float64 features of each image, encoded alone: vectors, or a list of Gram matrices."""
    encoder = encoders.load(spec)
    found = []
    for path in paths:
        out = encoder.encode([encoder.prepare(read_image(path))])
        grams = [layer[0].double().numpy() for layer in out] if isinstance(out, list) else None
        found.append(grams or out[0].double().numpy())
    return found


def paths_of(asked: Plan, store: Store, checkpoint, concept: Concept, kind: str) -> list[Path]:
    jobs = [j for j in asked.jobs(checkpoint) if j.image_set.concept == concept]
    return [store.image(j.image_set, j.k) for j in jobs if j.image_set.prompt_type == kind]


def value(rows: pd.DataFrame, configuration: str, **where: str) -> float:
    for name, wanted in {"configuration": configuration, **where}.items():
        rows = rows[rows[name] == wanted]
    return rows["value"].item()


def squared(first: list, second: list) -> float:
    """Squared distance of two images' Gram matrices, over all layers."""
    return sum(float(((a - b) ** 2).sum()) for a, b in zip(first, second, strict=True))


def test_similarity_variance_and_dissimilarity(asked: Plan, store: Store, rows: pd.DataFrame):
    drawn = seen(IMAGE, paths_of(asked, store, asked.checkpoints[1], TOY, "trigger"))
    real = seen(IMAGE, [example.path for example in asked.data.of(TOY)])
    units = [[z / np.linalg.norm(z) for z in side] for side in (drawn, real)]
    about = {"class": "bunny", "prompt_type": "trigger", "encoder": IMAGE}
    cosines = [a @ b for a, b in itertools.product(*units)]
    found = value(rows, "lora", metric="image_similarity", **about)
    assert found == pytest.approx(np.mean(cosines), abs=1e-5)
    own = [1 - a @ b for a, b in itertools.product(units[0], units[0])]
    assert value(rows, "lora", metric="dissimilarity", **about) == pytest.approx(
        np.mean(own), abs=1e-5
    )
    spread = [float(((a - b) ** 2).sum()) / 2 for a, b in itertools.product(drawn, drawn)]
    assert value(rows, "lora", metric="variance", **about) == pytest.approx(
        np.mean(spread), rel=1e-4
    )


def test_style_loss_of_pairs_and_of_all_pairs(asked: Plan, store: Store, rows: pd.DataFrame):
    sides = [seen(GRAM, paths_of(asked, store, c, TOY, "style")) for c in asked.checkpoints]
    expected = np.mean([squared(a, b) for a, b in zip(*sides, strict=True)])
    found = value(rows, "lora", metric="style_loss", prompt_type="style", **{"class": "bunny"})
    assert found == pytest.approx(expected, rel=1e-4)
    drawn = seen(GRAM, paths_of(asked, store, asked.checkpoints[1], STYLE, "alter"))
    real = seen(GRAM, [example.path for example in asked.data.of(STYLE)])
    expected = np.mean([squared(a, b) for a, b in itertools.product(drawn, real)])
    where = {"metric": "style_loss", "class": STYLE.class_name}
    assert value(rows, "lora", prompt_type="alter", **where) == pytest.approx(expected, rel=1e-4)
    style_loss = rows[(rows["metric"] == "style_loss") & (rows["prompt_type"] != "agnostic")]
    pairs = set(zip(style_loss["category"], style_loss["prompt_type"], strict=True))
    assert pairs == {("toys", "style")} | {("styles", k) for k in ("train", "trigger", "alter")}


@pytest.mark.parametrize(
    ("named", "kinds"),
    [
        ("style_loss", {"train", "trigger", "alter", "style", "agnostic"}),
        ("style_loss_to_dataset", {"train", "trigger", "alter"}),
    ],
)
def test_a_metric_is_named_as_in_the_table_or_by_its_module(
    asked: Plan, store: Store, rows: pd.DataFrame, tmp_path: Path, named: str, kinds: set[str]
):
    base = asked.study.settings.base_model
    asked = plan(tiny(**STUDY, base_model=base, scoring={"metrics": [named]}))
    (tmp_path / "images").symlink_to(store.root / "images")
    fresh = Store(tmp_path)
    score_one(asked, fresh, asked.checkpoints[1], HERE.device)
    found = fresh.frame(fresh.metrics(fresh.branch(asked.checkpoints[1])))[0]
    assert set(found["metric"]) == {"style_loss"} and set(found["prompt_type"]) == kinds
    both = found.merge(rows, on=[c for c in rows if c != "value"], suffixes=("", "_all"))
    assert len(both) == len(found) and (both["value"] == both["value_all"]).all()


def test_frechet_distance_of_the_checkpoint(asked: Plan, store: Store, rows: pd.DataFrame):
    """Three classes without sub-classes: each counts a third on both sides."""
    checkpoint, concepts = asked.checkpoints[1], asked.data.concepts
    drawn = [seen(IMAGE, paths_of(asked, store, checkpoint, c, "train")) for c in concepts]
    real = [seen(IMAGE, [example.path for example in asked.data.of(c)]) for c in concepts]
    fits = []
    for side in (drawn, real):
        weights = np.concatenate([np.full(len(part), 1 / len(part)) for part in side])
        every = np.concatenate(side)
        covariance = np.cov(every, rowvar=False, aweights=weights)
        fits.append((np.average(every, axis=0, weights=weights), covariance))
    (mean, s), (other, r) = fits
    tiny_ridge = 1e-10 * np.eye(len(s))
    root = sqrtm((s + tiny_ridge) @ (r + tiny_ridge)).real
    expected = ((mean - other) ** 2).sum() + np.trace(s + r - 2 * root)
    found = value(rows, "lora", metric="frechet_distance", encoder=IMAGE)
    assert found == pytest.approx(expected, rel=1e-3)


def test_the_frechet_distance_says_on_how_many_images_it_rests(asked: Plan, store: Store):
    """Dataset images that each count a third of 1 / n: 9 / sum of 1 / n of them, in all."""
    sizes = [len(asked.data.of(concept)) for concept in asked.data.concepts]
    dataset = round(9 / sum(1 / n for n in sizes))
    said = scored_with.images(store, [REAL_IMAGES, *asked.checkpoints])
    assert said.keys() == {
        f"frechet_distance, {name}, letterbox" for name in (IMAGE, "miniature-image-text")
    }
    sentence = said[f"frechet_distance, {IMAGE}, letterbox"]
    assert sentence.startswith(f"9 drawn and {dataset} dataset images, effectively, in 128 dimen")
    assert "so few drawn and dataset images have a singular covariance, or nearly, " in sentence
    unweighted = scored_with.images(store, [REAL_IMAGES])
    assert unweighted == {}  # real images have no such number


def test_where_nothing_asks_for_a_concept_being_like_it_is_a_fault(rows: pd.DataFrame):
    part = rows[rows["prompt_type"] == "agnostic"]
    better = part.groupby("metric")["better"].agg(set).to_dict()
    assert better == {
        "image_similarity": {"lower"}, "centroid_distance": {"higher"},
        "text_similarity": {"higher"}, "style_loss": {"lower"},
    }  # fmt: skip
    assert "real" not in set(part["configuration"])
    base = part[(part["configuration"] == "base") & (part["metric"] == "style_loss")]
    assert len(base) == 3 and (base["value"] == 0).all()


def test_agnostic_prompts_never_name_a_concept(asked: Plan):
    words = read_words(Path(asked.study.settings.dataset), asked.data.concepts)
    prompts = {
        j.prompt for j in asked.jobs(BASE_CHECKPOINT) if j.image_set.prompt_type == "agnostic"
    }
    assert len(prompts) > 3
    for prompt in prompts:
        assert "{}" not in prompt
        assert not {word.trigger for word in words.values()} & set(re.findall(r"\w+", prompt))


def test_an_image_is_decoded_once_for_all_encoders(
    asked: Plan, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Base images, which only the style loss needs, are read with their pairs."""
    read: Counter[str] = Counter()

    def counted(path):
        read[str(path)] += 1
        return read_image(path)

    monkeypatch.setattr(feature_pass, "read_image", counted)
    monkeypatch.setattr(gram_features, "read_image", counted)
    monkeypatch.setattr(gram_features, "_known", {})
    monkeypatch.setattr(gram_features, "held", gram_features.Held(0))
    (tmp_path / "images").symlink_to(store.root / "images")
    fresh, checkpoint = Store(tmp_path), asked.checkpoints[1]
    score_one(asked, fresh, checkpoint, HERE.device)
    base = [j for j in asked.jobs(BASE_CHECKPOINT) if j.image_set.prompt_type in PAIRED]
    jobs = [*asked.jobs(checkpoint), *base]
    uid_of = {str(fresh.image(job.image_set, job.k)): job.uid for job in jobs}
    uid_of |= {str(example.path): example.sha256 for example in asked.data.examples}
    times: Counter[str] = Counter()  # by content: two concepts may ask for the same image
    for path, count in read.items():
        times[uid_of[path]] += count
    assert set(times) == set(uid_of.values())
    assert set(times.values()) == {1}


def test_held_out_images_of_other_concepts_are_not_encoded(asked: Plan, store: Store):
    assert asked.heldout and len(asked.heldout.concepts) > 3
    items = image_sets(asked, store, REAL_IMAGES).collection(GENERATED).items
    own = [example for concept in asked.data.concepts for example in asked.heldout.of(concept)]
    assert {path for _, path in items} == {example.path for example in own}


def test_reading_ahead_changes_nothing(asked: Plan, store: Store, tmp_path: Path):
    items = image_sets(asked, store, asked.checkpoints[1]).collection(GENERATED).items
    made = []
    for threads in (0, 4):
        fresh, encoder = Store(tmp_path / str(threads)), feature_pass.shared_encoder(IMAGE, "cpu")
        embedder = Embedder(fresh, Path("x"), encoder, items, 7)
        assert feature_pass.feature_pass(items, [embedder], threads) == len(dict(items))
        made.append(embedder.features)
        again = Embedder(fresh, Path("x"), encoder, items, 7)
        assert not again.pending and list(again.features) == list(embedder.features)
    for uid, row in made[0].items():
        np.testing.assert_array_equal(row, made[1][uid])
