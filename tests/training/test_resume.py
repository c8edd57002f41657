"""A training that is resumed against one that never stopped."""

import pytest
import torch
from torch import nn

from lycoris_bench.adapters.attach import attach
from lycoris_bench.training import run as steps
from lycoris_bench.training.loop import train
from lycoris_bench.training.optimizer import adamw
from lycoris_bench.training.state import State, StateError, restore_optimizer
from tests.support.overlays import Network, run, same


@pytest.mark.parametrize(
    "precision", ["fp32", *(pytest.param(p, marks=pytest.mark.study) for p in ("bf16", "fp16"))]
)
def test_resumed_from_any_state_it_makes_the_same_weights_bit_by_bit(world, training, precision):
    settings = training.model_copy(update={"precision": precision})
    torch.default_generator.manual_seed(1)
    kept, states, losses = run(world, settings, state_seconds=-1.0, identity="me")
    assert len(states) == len(losses) == 8 and list(kept) == [1, 2]
    # after the first step, before an epoch's last, between epochs, and inside the second one
    for done in (1, 3, 4, 6) if precision == "fp32" else (4, 5):
        state = states[done - 1]
        torch.default_generator.manual_seed(done)  # the outer random state must not matter
        lacking = [epoch for epoch in (1, 2) if done < 4 * epoch]
        again, _, rest = run(world, settings, epochs=lacking, resume=state, identity="me")
        for epoch in lacking:
            assert same(again[epoch][0], kept[epoch][0])
            assert again[epoch][1].loss == kept[epoch][1].loss
            assert again[epoch][1].steps == kept[epoch][1].steps == 4 * epoch
        assert rest == losses[done:]


def test_a_state_comes_after_every_epoch_and_after_its_checkpoint(world, training):
    backbone, data, cache = world
    events = []
    network = Network(backbone.unet)
    train(
        backbone, network, data, cache, training, seed=1, epochs=[2, 3], lr=1e-3,
        on_epoch=lambda epoch, *_: events.append(epoch), on_state=lambda _: events.append("state"),
    )  # fmt: skip
    assert events == ["state", 2, "state", 3, "state"]


def test_states_that_do_not_fit_are_refused(world, training):
    _, states, _ = run(world, training, epochs=[1], identity="one")
    with pytest.raises(StateError, match="of other settings"):
        run(world, training, resume=states[0], identity="two")
    with pytest.raises(StateError, match="past epoch 1"):
        run(world, training, resume=states[0], identity="one")
    for data in (states[0][:-10], states[0][:100], b"", b"<html>" * 50):
        with pytest.raises(StateError, match="is broken"):
            run(world, training, resume=data, identity="one")


@pytest.mark.study
def test_the_packages_own_adapters_resume_exactly_too(world, training):
    def network():
        return attach(backbone.unet, backbone.text_encoder, "full", "lora", {"dim": 2}, seed=7)

    backbone, data, cache = world
    kept, states = {}, []
    for resume in (None, 2):
        adapters = network()
        train(
            backbone, adapters, data, cache, training, seed=1, epochs=[1], lr=1e-3,
            on_epoch=lambda _, module, record, key=resume: kept.update({key: module.tensors()}),
            on_state=states.append, state_seconds=-1.0, resume=resume and states[resume],
        )  # fmt: skip
        adapters.detach()
    assert same(kept[None], kept[2])
    assert any(tensor.abs().sum() > 0 for name, tensor in kept[2].items() if "lora_up" in name)


def test_moments_in_a_mapping_and_in_shared_memory_come_back_flat_and_alone():
    """As bitsandbytes has them: some in a mapping of their own, one table for all."""
    table = torch.linspace(-1, 1, 8)
    wrapped = {"state1": torch.arange(4, dtype=torch.uint8), "qmap1": table, "absmax1": table[2:4]}
    moments = {k: {"step": 3, "wrapped": dict(wrapped)} for k in range(2)}
    data = State({"w": torch.ones(2, 3).T}, moments, {"identity": "me"}).to_bytes()
    found = State.from_bytes(data)
    assert found.about == {"identity": "me"} and torch.equal(found.network["w"], torch.ones(3, 2))
    for own in found.optimizer.values():
        assert own["step"] == 3 and same({k: own[k] for k in wrapped}, wrapped)
        assert own["state1"].dtype == torch.uint8


@pytest.mark.filterwarnings("ignore")  # its own
def test_8_bit_moments_resume_exactly(world, training, monkeypatch):
    pytest.importorskip("bitsandbytes")
    monkeypatch.setattr(steps, "available", lambda *_: "adamw8bit")
    kept, states, _ = run(world, training, epochs=[1], state_seconds=-1.0)
    eighth = [m for m in State.from_bytes(states[0]).optimizer.values()
              if m["state1"].dtype == torch.uint8]  # fmt: skip
    assert eighth  # moments of less than 4096 numbers have 32 bits
    again, _, _ = run(world, training, epochs=[1], resume=states[1])
    assert same(again[1][0], kept[1][0])


@pytest.mark.filterwarnings("ignore")
def test_a_step_with_8_bit_moments_waits_for_no_device(monkeypatch):
    theirs = pytest.importorskip("bitsandbytes.optim.optimizer")
    waited = []
    monkeypatch.setattr(theirs, "sync_gpu", waited.append)
    parameter = nn.Parameter(torch.ones(64, 128))
    parameter.grad = torch.ones(64, 128)
    optimizer = adamw([parameter], betas=(0.9, 0.99), weight_decay=0.1, eight_bit=True)
    optimizer.step()
    assert not waited
    theirs.sync_gpu("others still do")
    assert waited


def test_fused_steps_take_moments_for_contiguous():
    """What is stored is contiguous, so parameters must be: the fused step runs through memory."""
    wide = torch.randn(6, 4, 3, 3).contiguous(memory_format=torch.channels_last)
    layer = nn.Sequential(nn.Conv2d(4, 6, 3))
    layer[0].weight.data = wide
    network = attach(layer, layers=["0"], algorithm="full")
    assert all(parameter.is_contiguous() for parameter in network.parameters())
    optimizer = adamw(network.parameters(), betas=(0.9, 0.99), weight_decay=0.0)
    layer(torch.randn(1, 4, 5, 5)).sum().backward()
    optimizer.step()
    state = State(network.state_dict(), optimizer.state_dict()["state"], {})
    again = adamw(network.parameters(), betas=(0.9, 0.99), weight_decay=0.0)
    restore_optimizer(again, State.from_bytes(state.to_bytes()))
    for parameter in network.parameters():
        mine, theirs = optimizer.state[parameter], again.state[parameter]
        assert same(mine, theirs) and mine["exp_avg"].stride() == theirs["exp_avg"].stride()
