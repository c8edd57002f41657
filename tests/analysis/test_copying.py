"""Who copies: fabricated tables whose answer is known, studies in which nobody does, and which
pairs are chosen."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from benchmarks.copying import false_flags
from lycoris_bench.analysis.columns import OVERALL
from lycoris_bench.analysis.comparing.two_way import two_way
from lycoris_bench.analysis.copying.pairs import pairs_of, worst_of_each
from lycoris_bench.analysis.copying.rates import COPIES, NO_REAL, NOT_SHOWN, copies
from lycoris_bench.analysis.findings.faults import copied
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import Checkpoint, Configuration
from tests.analysis.conftest import row

Rows = Callable[..., pd.DataFrame]
CLASSES = ("bunny", "cat", "dog", "fox", "owl")
REAL_RATES = (0.25, 0.0, 0.125, 0.25, 0.125)


def rates(configuration: str, values: tuple[float, ...], **changes: object) -> list[dict]:
    return [
        row(value, configuration, class_name=name, metric="copy_rate", better="lower", **changes)
        for name, value in zip(CLASSES, values, strict=True)
    ]


def of_all(table: pd.DataFrame | None) -> pd.DataFrame:
    assert table is not None
    rows = table[(table["category"] == OVERALL) & (table["unit"] == "")]
    return rows.set_index(["series", "encoder"])


def test_a_copy_is_flagged_and_an_honest_checkpoint_is_not(table: Rows) -> None:
    frame = table([
        *rates("honest", (0.2, 0.1, 0.0, 0.3, 0.1)), *rates("copier", (1.0, 0.9, 1.0, 0.8, 1.0)),
        *rates("real", REAL_RATES),
    ])  # fmt: skip
    found = of_all(copies(frame))
    assert found["verdict"].to_list() == [NOT_SHOWN, COPIES]
    one = found.loc[("copier", "eye")]
    excess = np.array([[1.0, 0.9, 1.0, 0.8, 1.0]]) - np.array([REAL_RATES])
    expected = two_way(excess)
    assert (one["rate"], one["real"]) == (pytest.approx(0.94), pytest.approx(0.15))
    assert one[["excess", "low", "high"]].to_list() == pytest.approx(
        [expected.mean, expected.low, expected.high]
    )
    assert one["p"] == pytest.approx(2 * expected.p)  # Holm over both
    said = copied(copies(frame), "held-out real images")
    assert said == [
        "copier copies training images: 0.94 of its images is nearer to one than any two of them "
        "are to each other, of held-out real images 0.15 (by eye)."
    ]


def test_prompt_types_count_alike_and_other_encoders_are_apart(table: Rows) -> None:
    frame = table([
        *rates("copier", (1.0,) * 5), *rates("real", REAL_RATES),
        *rates("copier", (0.5,) * 5, prompt_type="train"),
        *rates("real", REAL_RATES, prompt_type="train"),
        *rates("copier", (0.9,) * 5, encoder="sscd"), *rates("real", (0.0,) * 5, encoder="sscd"),
    ])  # fmt: skip
    found = of_all(copies(frame))
    assert found["rate"].to_list() == pytest.approx([0.75, 0.9])
    assert found["verdict"].to_list() == [COPIES, COPIES]
    assert copied(copies(frame), "real images")[0].endswith("(by eye, and so by sscd).")


def test_each_encoder_is_one_more_chance_to_be_wrong(table: Rows) -> None:
    """What one of two encoders finds is said where its p, times two, is small enough."""
    sure, unsure = (1.0, 0.9, 1.0, 0.8, 1.0), (0.6, 0.2, 0.15, 0.6, 0.25)
    real = rates("real", REAL_RATES)
    alone = copies(table([*rates("copier", unsure), *real]))
    (p,) = of_all(alone)["p"]
    assert 0.025 < p <= 0.05 and len(copied(alone, "real images")) == 1
    other = [*rates("copier", (0.1,) * 5, encoder="sscd"),
             *rates("real", REAL_RATES, encoder="sscd")]  # fmt: skip
    assert copied(copies(table([*rates("copier", unsure), *real, *other])), "real images") == []
    (said,) = copied(copies(table([*other, *rates("copier", sure), *real])), "real images")
    assert said.endswith("of real images 0.15 (by eye).")  # though it is the second encoder


def test_without_real_images_nothing_is_said(table: Rows) -> None:
    frame = table(rates("copier", (1.0,) * 5))
    assert of_all(copies(frame))["verdict"].to_list() == [NO_REAL]
    assert copied(copies(frame), "real images") == []
    assert copies(table([row(1.0)])) is None and copied(None, "real images") == []


def test_one_class_is_not_enough_to_say_it(table: Rows) -> None:
    frame = table([*rates("copier", (1.0,) * 5)[:1], *rates("real", REAL_RATES)[:1]])
    assert of_all(copies(frame))["verdict"].to_list() == [NOT_SHOWN]


@pytest.mark.parametrize("size", [(2, 4, 3, 1), (6, 4, 20, 2)])
def test_honest_studies_are_seldom_flagged(size: tuple[int, int, int, int]) -> None:
    """2.5 of 100 at most are promised; of 200 studies 11 or more have a chance of 1 in 100."""
    assert 200 * false_flags(size, 200, seed=5) < 11


def parts(values: list[tuple[str, str, float, float]]) -> pd.DataFrame:
    """Rows of a table of parts: class, image, similarity, quantile."""
    made = []
    for name, image, similarity, quantile in values:
        about = {"category": "toys", "class": name, "subclass": "", "prompt_type": "train",
                 "encoder": "eye", "resize": "crop", "image": image}  # fmt: skip
        for metric, value in (
            ("nearest_similarity", similarity), ("copy_quantile", quantile),
            ("copy_rate", float(quantile == 0.8)),
        ):  # fmt: skip
            near = {"nearest": f"uid-{image}", "among": 4} if "nearest" in metric else {}
            made.append({**about, "metric": metric, "value": value, **near})
    return pd.DataFrame(made)


def test_the_worst_pair_of_a_class_stands_for_it(tmp_path: object) -> None:
    store, checkpoint = Store(str(tmp_path)), Checkpoint(Configuration("lora", "lora"), 1, 2)
    assert pairs_of(store, checkpoint).empty
    place = store.metrics(store.branch(checkpoint), "-images")
    store.put_frame(place, parts([
        ("cat", "0.png", 0.99, 0.6), ("cat", "1.png", 0.91, 0.8), ("cat", "2.png", 0.92, 0.8),
        ("dog", "0.png", 0.95, 0.6), ("fox", "0.png", 0.50, 0.8),
    ]))  # fmt: skip
    found = pairs_of(store, checkpoint)
    assert found[["class", "image"]].to_numpy().tolist() == [
        ["cat", "2.png"], ["cat", "1.png"], ["fox", "0.png"], ["cat", "0.png"], ["dog", "0.png"],
    ]  # fmt: skip
    worst = worst_of_each(found)
    assert worst["nearest"].to_list() == ["uid-2.png", "uid-0.png"]
    assert worst["class"].to_list() == ["cat", "fox"]
