"""A training that is resumed against one that never stopped."""

import pytest
import torch

from lycoris_bench.adapters.attach import attach
from lycoris_bench.training.loop import train
from lycoris_bench.training.state import StateError
from tests.support.overlays import Network, run, same


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
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
