"""How the images of all concepts count where one number is of a whole checkpoint."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lycoris_bench.data.dataset import Dataset, Example
from lycoris_bench.planning.plan import plan
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.image_sets import DrawnSets, image_sets
from lycoris_bench.scoring.metrics import METRICS
from lycoris_bench.scoring.scorer import without_number
from lycoris_bench.study.records import BASE_CHECKPOINT, REAL_IMAGES, Concept, PromptSet
from tests.support.world import TABLE, tiny


def made(counts: dict[tuple[str, str], int], drawn: list[Concept], images: int) -> DrawnSets:
    """Image sets over a dataset of so many images of each (class, sub-class)."""
    examples = tuple(
        Example(Path(f"{cls}{sub}{k}"), "", Concept("c", cls, sub), (8, 8), f"{cls}{sub}{k}")
        for (cls, sub), number in counts.items()
        for k in range(number)
    )
    sets = [PromptSet(concept, "train", ("a",), ("a",)) for concept in drawn]
    jobs = [
        SimpleNamespace(image_set=one, k=k, uid=f"{one.concept} {k}", text="a", group=0)
        for one in sets
        for k in range(images)
    ]
    plan = SimpleNamespace(
        data=Dataset(examples), prompt_sets=sets, jobs=lambda _: jobs, kinds={},
        is_taught_all=lambda _: True,
    )  # fmt: skip
    store = SimpleNamespace(image=lambda image_set, k: Path(str(k)))
    return DrawnSets(plan, store, BASE_CHECKPOINT)


def test_weights_by_hand() -> None:
    """Class a: sub-classes of 3 and 1 images, and 2 others that are not drawn; class b: 2 images;
    class z: not drawn at all. Four images are drawn of each set."""
    counts = {("a", "x"): 3, ("a", "y"): 1, ("a", "others"): 2, ("b", ""): 2, ("z", ""): 9}
    drawn = [Concept("c", "a", "x"), Concept("c", "a", "y"), Concept("c", "b")]
    (whole,) = made(counts, drawn, 4).whole
    generated, reference = whole.weights
    np.testing.assert_allclose(generated, [3 / 16] * 4 + [1 / 16] * 4 + [1 / 4] * 4)
    np.testing.assert_allclose(reference, [1 / 6] * 6 + [1 / 2] * 2)
    assert [item[0] for item in whole.generated] == [
        f"{concept} {k}" for concept in drawn for k in range(4)
    ]
    assert whole.groups == [0] * 4 + [1] * 4 + [2] * 4  # no group holds two concepts
    names = [item[0] for item in whole.reference]
    assert names == ["ax0", "ax1", "ax2", "ay0", "aothers0", "aothers1", "b0", "b1"]


def test_one_image_has_no_distribution() -> None:
    metric, one = METRICS.get("frechet_distance"), [Concept("c", "a")]
    there = made({("a", ""): 2}, one, 2)
    assert there.of(metric) == there.whole and len(there.whole) == 1
    assert made({("a", ""): 1}, one, 2).of(metric) == []
    assert made({("a", ""): 2}, one, 1).of(metric) == []


@pytest.mark.parametrize("heldout", [True, False])
def test_real_images_have_numbers_that_do_not_depend_on_their_number(heldout: bool) -> None:
    """What a perfect generator would not score is no ceiling: tests/metrics/test_ceiling.py."""
    asked = plan(
        tiny(concepts=["toys/bunny", "styles/*"], heldout=TABLE["heldout"] if heldout else None)
    )
    real = image_sets(asked, Store("nowhere"), REAL_IMAGES)
    found = {name for name, metric in METRICS.entries().items() if real.of(metric)}
    assert found == {
        "image_similarity", "style_loss_to_dataset", "concept_shown", "variety",
        "nearest_similarity", "copy_quantile", "copy_rate", "image_quality",
    }  # fmt: skip
    for scored in real.single:
        assert not set(scored.reference) & set(scored.generated)


@pytest.mark.parametrize(
    ("metric", "changed", "lacking"),
    [
        ("request_shown", {"sampling": {"prompt_types": ["train"]}}, "prompts of alter or style"),
        (
            "base_kept",
            {"sampling": {"prompt_types": ["train"]}},
            "prompts whose images are compared with the base model's",
        ),
        ("variety", {"sampling": {"images": 1}}, "sampling.images of 2 or more"),
        ("style_loss_to_dataset", {"concepts": ["toys/bunny"]}, "concepts of kind style"),
    ],
)
def test_what_a_metric_lacks_is_named_and_nothing_else(
    metric: str, changed: dict[str, Any], lacking: str
) -> None:
    asked = {"concepts": ["toys/bunny", "styles/*"], "scoring": {"metrics": [metric]}}
    [problem] = without_number(plan(tiny(**{**asked, **changed})), Store("nowhere"))
    assert problem == (
        f"metric '{metric}' can give no number in this study: it needs {lacking}; "
        "leave it out of 'scoring.metrics'"
    )
