"""The rate of a step is the schedule that an adapter's metadata names."""

import torch
from diffusers.optimization import get_scheduler

from lycoris_bench.training.optimizer import SCHEDULE, rate


def test_the_schedule_of_that_name_has_these_rates() -> None:
    """diffusers counts a step more: its first rate is 0, and no step is made with it."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    theirs = get_scheduler(SCHEDULE, optimizer, num_warmup_steps=4)
    for step in range(8):
        optimizer.step()
        theirs.step()
        assert theirs.get_last_lr() == [rate(0.5, step, warmup=4)]
