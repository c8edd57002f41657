"""Prompts that name no class are the same for all classes of a category, and so are their images: a
checkpoint draws each once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lycoris_bench.planning.overview import overview
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run.store import Store
from lycoris_bench.stages import drawing
from lycoris_bench.stages.generate import generate
from lycoris_bench.study.records import BASE_CHECKPOINT
from tests.support.world import HERE, tiny


def asked(base: str, concepts: list[str], batch_size: int = 3) -> Plan:
    study = tiny(
        base_model=base, concepts=concepts, epochs=[1],
        sampling={"prompt_types": ["trigger", "agnostic"], "batch_size": batch_size},
    )  # fmt: skip
    return plan(study, limit=0)


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[str, int]]]:
    """The batches that are drawn: prompt and seed of each image."""
    batches: list[list[tuple[str, int]]] = []

    def sample(backbone: Any, prompts: list[str], seeds: list[int], **settings: Any) -> Any:
        batches.append(list(zip(prompts, seeds, strict=True)))
        return whole(backbone, prompts, seeds, **settings)

    whole = drawing.sample
    monkeypatch.setattr(drawing, "sample", sample)
    return batches


def pixels(made: Plan, store: Store) -> dict[str, np.ndarray]:
    found = {}
    for job in made.jobs(BASE_CHECKPOINT):
        with Image.open(store.image(job.image_set, job.k)) as image:
            found[f"{job.image_set.concept} {job.image_set.prompt_type} {job.k}"] = np.array(image)
    return found


def test_each_is_drawn_once_and_lies_in_every_class(
    quick_base: str, tmp_path: Path, sampled: list[list[tuple[str, int]]]
) -> None:
    made, store = asked(quick_base, ["toys/bunny", "toys/lobster", "toys/panda"]), Store(tmp_path)
    assert not generate(made, store, HERE).failed
    jobs = made.jobs(BASE_CHECKPOINT)
    drawn = [one for batch in sampled for one in batch]
    assert len(drawn) == len(set(drawn)) == 3 * 2 + 2 < len(jobs) == 3 * 4
    assert [len(batch) for batch in sampled] == [3, 3, 2]
    found = pixels(made, store)
    for k in range(2):
        same = [found[f"toys/{toy} agnostic {k}"] for toy in ("bunny", "lobster", "panda")]
        assert all(np.array_equal(same[0], other) for other in same[1:])
    # as each class alone draws them
    for toy in ("bunny", "panda"):
        alone = Store(tmp_path / toy)
        single = asked(quick_base, [f"toys/{toy}"])
        generate(single, alone, HERE)
        for name, expected in pixels(single, alone).items():
            assert np.abs(found[name].astype(int) - expected).max() <= 1, name  # other batches


def test_what_one_class_has_lost_is_drawn_again(
    quick_base: str, tmp_path: Path, sampled: list[list[tuple[str, int]]]
) -> None:
    made, store = asked(quick_base, ["toys/bunny", "toys/lobster"]), Store(tmp_path)
    generate(made, store, HERE)
    before = pixels(made, store)
    (lost,) = (
        store.image(job.image_set, job.k)
        for job in made.jobs(BASE_CHECKPOINT)
        if (str(job.image_set.concept), job.image_set.prompt_type, job.k)
        == ("toys/lobster", "agnostic", 1)
    )
    lost.unlink()
    sampled.clear()
    assert generate(made, store, HERE).done == 1
    assert len(sampled) == 1  # the batch that it was drawn in, and none of lobster's own
    after = pixels(made, store)
    assert all(np.array_equal(after[name], image) for name, image in before.items())


def test_a_plan_counts_the_time_of_each_once(quick_base: str, tmp_path: Path) -> None:
    made = asked(quick_base, ["toys/bunny", "toys/lobster", "toys/panda"])
    found = overview(made, Store(tmp_path), [], rate="1,1")
    assert found["images"] == len(made.checkpoints) * 3 * 4
    assert found["seconds_left"]["generate"] == len(made.checkpoints) * (3 * 2 + 2)
