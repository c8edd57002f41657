"""The training loop: its rate, and that resuming changes nothing."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from lycoris_bench.miniature.pretraining.fitting import Schedule, fit, generators, rate_at

SCHEDULE = Schedule(steps=20, rate=0.1, seed=3, ema=0.9, warm_up=0.5, save_every=10)


def test_rate_rises_linearly_and_falls_as_a_cosine():
    assert [rate_at(k, SCHEDULE) for k in (0, 4, 9)] == pytest.approx([0.01, 0.05, 0.1])
    assert rate_at(10, SCHEDULE) == pytest.approx(0.1)
    assert rate_at(15, SCHEDULE) == pytest.approx(0.1 * (0.01 + 0.99 * 0.5))
    assert rate_at(20, SCHEDULE) == pytest.approx(0.001)


def _fit(work, schedule, stop_after=None):
    torch.manual_seed(0)
    model = nn.Linear(3, 1)

    def loss_of(step):
        if step == stop_after:
            raise KeyboardInterrupt
        x = torch.randn(8, 3, generator=generators(schedule.seed, step)[1])
        return ((model(x)[:, 0] - x @ torch.tensor([1.0, -2.0, 0.5])) ** 2).mean()

    return fit("toy", model, loss_of, schedule, work)


def test_a_resumed_run_equals_an_unbroken_one(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = _fit(whole, SCHEDULE)
    with pytest.raises(KeyboardInterrupt):
        _fit(broken, SCHEDULE, stop_after=13)
    again = _fit(broken, SCHEDULE)
    assert torch.equal(expected.weight, again.weight)
    longer = _fit(whole, replace(SCHEDULE, steps=400))
    torch.testing.assert_close(longer.weight[0], torch.tensor([1.0, -2.0, 0.5]), atol=0.05, rtol=0)
