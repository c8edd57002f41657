"""Batch size "auto": what a trial decides from the seconds of a step, and when there is none."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lycoris_bench.models.backbone import Backbone
from lycoris_bench.planning.plan import plan
from lycoris_bench.run.store import Store
from lycoris_bench.sampling import batch_size
from lycoris_bench.sampling.sample import PromptConditioning
from lycoris_bench.stages import drawing
from lycoris_bench.study.load import StudyError
from lycoris_bench.study.records import BASE_CHECKPOINT
from lycoris_bench.study.settings import Sampling
from tests.support.world import HERE, STAGES, tiny

FULL = math.inf  # seconds of a step that memory does not suffice for


@pytest.mark.parametrize(("seconds", "found", "asked"), [
    ([0.2, 0.3, 0.5, 1], 32, 4),  # 40, 53, 64, 64 images a second
    ([1, 1, 1, 1, 1], 64, 4),  # no size above the largest is asked for
    ([1, 2, 1], 8, 2),
    ([1, 1.90], 16, 3), ([1, 1.91], 8, 2),  # 5 % more
    ([1, 1.5, FULL], 16, 3), ([FULL], 8, 1),
    ([2.1], 8, 1), ([1.5, 2.1], 16, 2),  # slow
])  # fmt: skip
def test_a_size_is_doubled_while_that_gives_more_images_a_second(seconds, found, asked):
    sizes: list[int] = []

    def step(images: int) -> float:
        sizes.append(images)
        return [*seconds, FULL][len(sizes) - 1]

    assert batch_size.fastest(step, 64) == found
    assert sizes == [8, 16, 32, 64][:asked]


def settled(backbone: Any, left: int, images: int = 64, **sampling: Any) -> int:
    asked = Sampling(**{"steps": 25, "width": 32, "height": 32, "batch_size": "auto"} | sampling)
    embeddings = PromptConditioning(backbone)
    return batch_size.settled(asked, backbone, embeddings, ["a"] * images, uid="m", left=left)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes that are timed, in a process that has tried none; any step takes a second."""
    sizes: list[int] = []

    def second(self: object, images: int) -> float:
        sizes.append(images)
        return 1.0

    monkeypatch.setattr(batch_size, "_tried", {})
    monkeypatch.setattr(batch_size._Step, "seconds", second)
    return sizes


def test_a_trial_is_made_once_and_only_where_it_pays(backbone, timed):
    assert settled(backbone, 10_000, batch_size=5) == 5
    assert settled(backbone, 127) == settled(backbone, 10_000, images=15) == 8
    assert not timed
    assert settled(backbone, 10_000) == settled(backbone, 20_000) == 64
    assert timed == [8, 16, 32, 64]
    assert settled(backbone, 10_000, images=40) == 32  # never more than there are images


def test_a_compiled_model_is_not_tried(backbone, timed, monkeypatch):
    monkeypatch.setattr(batch_size, "compiled", lambda backbone: True)
    assert (settled(backbone, 10_000), timed) == (8, [])


def test_a_step_is_the_denoiser_s_on_the_whole_batch(backbone, monkeypatch):
    """Its memory may not suffice; other errors are the caller's."""
    seen, honest = [], batch_size.guided
    step = batch_size._Step(
        Sampling(width=32, height=48, batch_size="auto"),
        backbone,
        PromptConditioning(backbone),
        ["a", "b"] * 8,
    )

    def watched(*inputs: Any) -> Any:
        predict = honest(*inputs)
        return lambda noise, t: seen.append(tuple(noise.shape)) or predict(noise, t)

    monkeypatch.setattr(batch_size, "guided", watched)
    assert 0 < step.seconds(16) < FULL
    assert seen == [(16, 4, 12, 8)] * batch_size.STEPS

    def fails(error: Exception) -> Any:
        def guided(*_: object) -> Any:
            raise error

        return guided

    monkeypatch.setattr(batch_size, "guided", fails(torch.OutOfMemoryError("CUDA")))
    assert step.seconds(8) == FULL
    monkeypatch.setattr(batch_size, "guided", fails(RuntimeError("shapes")))
    with pytest.raises(RuntimeError, match="shapes"):
        step.seconds(8)


def test_a_slow_first_step_is_not_repeated_on_a_cpu(backbone, monkeypatch):
    """Seconds of a made-up clock: the model takes three of them."""
    now = [0.0]

    def guided(*_: object) -> Any:
        def predict(noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            now[0] += 3.0
            return noise

        return predict

    step = batch_size._Step(
        Sampling(batch_size="auto"), backbone, PromptConditioning(backbone), ["a"] * 16
    )
    step.clock = lambda: now[0]
    monkeypatch.setattr(batch_size, "guided", guided)
    assert (batch_size.fastest(step.seconds, 64), now) == (8, [3.0])


def test_a_run_with_auto_has_the_images_of_a_run_with_a_number(
    tmp_path, timed, monkeypatch, quick_base
):
    """Under the same uids, each within a grey level as halves of a batch are."""
    monkeypatch.setattr(batch_size, "SHARE", 10.0)
    batches, honest = [], drawing.sample

    def counted(backbone: Backbone, prompts: list[str], *rest: Any, **how: Any) -> Any:
        batches.append(len(prompts))
        return honest(backbone, prompts, *rest, **how)

    monkeypatch.setattr(drawing, "sample", counted)
    found: list[dict[str, np.ndarray]] = []
    for name, size in (("auto", "auto"), ("number", 5)):
        asked = plan(tiny(base_model=quick_base, sampling={"batch_size": size}))
        store = Store(tmp_path / name)
        STAGES["generate"](asked, store, HERE)  # of base: the others are not trained
        jobs = asked.jobs(BASE_CHECKPOINT)
        paths = {job.uid: store.image(job.image_set, job.k) for job in jobs}
        found.append({uid: np.asarray(Image.open(path)) for uid, path in paths.items()})
    assert batches == [16, 5, 5, 5, 1] and timed == [8, 16]
    auto, number = found
    assert auto.keys() == number.keys() and len(auto) == 16
    for uid, pixels in auto.items():
        assert abs(pixels.astype(int) - number[uid]).max() <= 1


def test_another_word_is_refused():
    with pytest.raises(StudyError, match="'many': a whole number or \"auto\" is needed"):
        tiny(sampling={"batch_size": "many"})
    with pytest.raises(StudyError, match="'sampling.batch_size' is 0: 1 or more is needed"):
        tiny(sampling={"batch_size": 0})
    assert batch_size.least(tiny().settings.sampling) == batch_size.FIRST
    assert batch_size.least(tiny(sampling={"batch_size": 3}).settings.sampling) == 3
