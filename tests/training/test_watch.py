"""Numbers that are looked at a step later: what is recorded, and what has diverged."""

import math

import pytest
import torch

from lycoris_bench.training.cost import Meter
from lycoris_bench.training.watch import HALVINGS, Diverged, Watch

NAN = float("nan")


def watch(late: int = 0, scaled: bool = False) -> Watch:
    made = Watch(Meter(), torch.device("cpu"), scaled)
    made.late = late
    return made


def step(of: Watch, number: int, loss: float = 1.0, norm: float = 1.0) -> None:
    of.saw(1, number, [torch.tensor(loss), torch.tensor(2.0)], [0.75, 0.25], torch.tensor(norm))
    of.meter.steps += 1


def test_a_late_look_records_what_an_early_one_does():
    early, late = watch(), watch(late=1)
    for number in range(5):
        step(early, number, loss=0.1 * number)
        step(late, number, loss=0.1 * number)
        assert late.meter.loss_steps == max(0, early.meter.loss_steps - 1)
    late.all()
    assert late.meter == early.meter and late.meter.loss_steps == 5
    losses = [torch.tensor(0.1 * n).item() for n in range(5)]
    assert late.meter.loss_sum == pytest.approx(sum(0.75 * v + 0.5 for v in losses), rel=1e-12)


@pytest.mark.parametrize(("numbers", "what"), [((NAN, 1.0), "loss"), ((1.0, math.inf), "gradient")])
def test_the_step_that_diverged_is_named_though_another_has_begun(numbers, what):
    late = watch(late=1)
    step(late, 1)
    step(late, 2, *numbers)
    with pytest.raises(Diverged, match=f"the {what} is not finite in epoch 1, step 2"):
        step(late, 3)
    at_the_end = watch(late=1)
    step(at_the_end, 7, *numbers)
    with pytest.raises(Diverged, match="epoch 1, step 7"):
        at_the_end.all()


def test_steps_that_overflow_in_fp16_are_left_out_but_not_for_ever():
    some = watch(scaled=True)
    for number in range(3 * HALVINGS):
        step(some, number, norm=math.inf if number % 3 else 1.0)
    some.ended(1, number)  # the scale adapts
    first = watch(scaled=True)
    for number in range(HALVINGS):
        step(first, number, norm=NAN)
    with pytest.raises(Diverged, match="gradient"):  # a short training, all of whose steps are
        first.ended(1, HALVINGS)
    with pytest.raises(Diverged, match="gradient"):
        step(first, HALVINGS, norm=NAN)
