"""The loop against a naive one, what it records and leaves behind, and its faults."""

import copy
import pickle
import threading

import pytest
import torch
from torch import nn

from lycoris_bench.data.dataset import scan
from lycoris_bench.models.quick import attention, products
from lycoris_bench.models.quick import step as quick_step
from lycoris_bench.training import loop as loop_module
from lycoris_bench.training import run as steps_module
from lycoris_bench.training.ahead import Ahead
from lycoris_bench.training.buckets import epoch_batches
from lycoris_bench.training.latents import LatentCache
from lycoris_bench.training.loop import Diverged, train
from lycoris_bench.training.optimizer import adamw
from lycoris_bench.training.rng import generator
from tests.support.overlays import Network, run, same


def naive(world, training, seed, lr, steps):
    """The same training written out with torch's plain AdamW and clipping done by hand."""
    backbone, data, cache = copy.deepcopy(world)
    network = Network(backbone.unet, backbone.text_encoder)
    for model in (backbone.unet, backbone.text_encoder):
        model.requires_grad_(False)
    parameters = [p.requires_grad_() for p in network.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=lr, betas=training.betas, weight_decay=training.weight_decay,
        fused=False, foreach=False,
    )  # fmt: skip
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    kept = (1 - betas).cumprod(0)
    losses, epoch, warmup = [], 1, 2  # half of an epoch of 4 steps
    batches = epoch_batches(
        cache.buckets, data.repeats(4), training.batch_size, seed=seed, epoch=epoch
    )
    for step in range(steps):
        batch = batches[step]
        draw = generator(seed, "step", epoch, step)
        x = torch.stack([cache.latents[k] for k in batch])
        noise = torch.randn(x.shape, generator=draw)
        t = torch.randint(1000, (len(batch),), generator=draw)
        dropped = torch.rand(len(batch), generator=draw) < training.caption_dropout
        loss = 0.0
        for k, example in enumerate(batch):
            text = "" if dropped[k] else data.examples[example].caption
            noisy = kept[t[k]].sqrt() * x[k] + (1 - kept[t[k]]).sqrt() * noise[k]
            hidden = backbone.condition([text], max_tokens=training.max_tokens).hidden
            out = backbone.unet(noisy[None], t[k], encoder_hidden_states=hidden).sample[0]
            loss = loss + ((out - noise[k]) ** 2).mean() / len(batch)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        norm = sum((p.grad.double() ** 2).sum() for p in parameters if p.grad is not None) ** 0.5
        for p in parameters:
            if p.grad is not None:
                p.grad *= min(1.0, training.max_grad_norm / (norm.item() + 1e-6))
        optimizer.param_groups[0]["lr"] = lr * min(1, (step + 1) / warmup)
        optimizer.step()
    return losses, network.state_dict()


@pytest.mark.parametrize("norm", [1e3, 0.05])
def test_steps_equal_a_naive_loop(world, training, norm):
    """Warm-up, clipping (at 0.05 it bites), dropout, masks of long captions, AdamW."""
    settings = training.model_copy(update={"max_grad_norm": norm, "caption_dropout": 0.4})
    expected, weights = naive(world, settings, 23, 2e-3, steps=4)
    kept, _, losses = run(world, settings, epochs=[1])
    torch.testing.assert_close([loss for _, _, loss in losses], expected, rtol=1e-4, atol=1e-5)
    for name, weight in kept[1][0].items():
        torch.testing.assert_close(weight, weights[name], rtol=1e-3, atol=3e-5)


@pytest.mark.study
def test_the_loss_falls_when_one_image_is_learned(backbone, tree, training):
    data = scan(tree({"toys/a/1.png": ("olis", (32, 32))}))
    changes = {"images_per_class": 20, "weight_decay": 0.0, "batch_size": 4}
    settings = training.model_copy(update=changes)
    cache = LatentCache.encode(backbone, data, settings)
    network = Network(backbone.unet, kinds=(nn.Linear, nn.Conv2d))
    losses = {}
    train(
        backbone, network, data, cache, settings, seed=1, epochs=[1, 6], lr=1e-2,
        on_epoch=lambda epoch, _, record: losses.update({epoch: record.loss}),
    )  # fmt: skip
    assert losses[6] < 0.5 * losses[1], losses


def test_the_record_counts_what_was_done(world, training):
    kept, _, losses = run(world, training, epochs=[2])
    record = kept[2][1]
    backbone = world[0]
    linear = [
        m
        for model in (backbone.unet, backbone.text_encoder)
        for m in model.modules()
        if type(m) is nn.Linear
    ]
    assert (record.steps, record.images) == (8, 16)
    assert record.parameters == sum(m.weight.numel() for m in linear)
    assert record.loss == pytest.approx(sum(loss for _, _, loss in losses[4:]) / 4)
    assert record.seconds > 0 and record.peak_memory > 2**20
    assert [(done, total) for done, total, _ in losses] == [(k, 8) for k in range(1, 9)]


def test_a_frozen_text_encoder_is_asked_once_a_caption(world, training, monkeypatch):
    backbone, data, cache = world
    settings = training.model_copy(update={"caption_dropout": 0.0})
    asked = []
    original = type(backbone).condition

    def condition(self, prompts, *more):
        asked.extend(prompts)
        return original(self, prompts, *more)

    monkeypatch.setattr(type(backbone), "condition", condition)
    train(
        backbone, Network(backbone.unet), data, cache, settings, seed=1, epochs=[3], lr=1e-3,
        on_epoch=lambda *_: None,
    )  # fmt: skip
    assert sorted(asked) == sorted(["", *(e.caption for e in data.examples)])


def test_everything_else_is_left_as_it_was(world, training):
    backbone, data, cache = world
    network = Network(backbone.unet)
    backbone.unet.train()
    backbone.vae.decoder.requires_grad_(True)
    modules = [backbone.unet, backbone.text_encoder, backbone.vae, network]

    def look():
        switches = [p.requires_grad for m in modules for p in m.parameters()]
        return switches, [m.training for module in modules for m in module.modules()]

    network.eval()
    weights = {
        name: p.clone() for name, p in backbone.unet.named_parameters() if "delta" not in name
    }
    before, random = look(), torch.random.get_rng_state()
    train(
        backbone, network, data, cache, training, seed=1, epochs=[1], lr=1e-3,
        on_epoch=lambda *_: None,
    )  # fmt: skip
    assert look() == before and torch.equal(torch.random.get_rng_state(), random)
    now = dict(backbone.unet.named_parameters())
    assert all(torch.equal(now[name], weight) for name, weight in weights.items())
    assert all(p.grad is None for m in modules for p in m.parameters())


# ---- faults


def test_a_loss_that_is_no_number_is_diverged(world, training, monkeypatch):
    original = steps_module.mse_loss
    steps = []

    def bad(*values):
        steps.append(1)
        return original(*values) * (float("nan") if len(steps) == 6 else 1.0)

    monkeypatch.setattr(steps_module, "mse_loss", bad)
    with pytest.raises(Diverged, match="the loss is not finite in epoch 2, step 2") as caught:
        run(world, training)
    assert (caught.value.epoch, caught.value.step) == (2, 2)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_gradient_that_overflows_is_diverged(world, training, monkeypatch):
    original = steps_module.mse_loss

    def steep(*values):
        loss = original(*values)
        loss.register_hook(lambda gradient: gradient * float("inf"))
        return loss

    monkeypatch.setattr(steps_module, "mse_loss", steep)
    with pytest.raises(Diverged, match="the gradient is not finite in epoch 1"):
        run(world, training)


def test_a_training_in_fp16_without_a_gradient_that_counts_is_diverged(
    world, training, monkeypatch
):
    """Each of its steps is left out, and its weights would be those of the start."""
    original = steps_module.mse_loss

    def steep(*values):
        loss = original(*values)
        loss.register_hook(lambda gradient: gradient * float("nan"))
        return loss

    monkeypatch.setattr(steps_module, "mse_loss", steep)
    with pytest.raises(Diverged, match="the gradient is not finite in epoch 1, step 4"):
        run(world, training.model_copy(update={"precision": "fp16"}))


def test_inputs_that_are_made_ahead_are_the_same(world, training, monkeypatch):
    settings = training.model_copy(update={"gradient_accumulation": 3})
    plain, _, losses = run(world, settings)
    makers = []
    monkeypatch.setattr(
        steps_module, "Ahead",
        lambda make, threaded: makers.append(Ahead(counted(make), threaded=True)) or makers[-1],
    )  # fmt: skip
    made = []

    def counted(make):
        return lambda key: made.append((key, threading.current_thread().name)) or make(key)

    threaded, _, again = run(world, settings)
    assert same(plain[2][0], threaded[2][0]) and again == losses
    assert len(made) == len({key for key, _ in made}) == 8  # none twice
    ahead = [thread for _, thread in made if thread.startswith("batches")]
    assert len(ahead) == 6  # all but the first of each epoch
    assert not any(t.name.startswith("batches") for t in threading.enumerate())


@pytest.mark.study
def test_states_lie_further_apart_where_they_take_long(world, training, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(loop_module.time, "monotonic", lambda: now[0])
    backbone, data, cache = world
    saved = []

    def step(*_):
        now[0] += 10

    def save(_):
        saved.append(now[0])
        now[0] += 2  # seconds, so 60 lie between

    train(
        backbone, Network(backbone.unet), data, cache, training, seed=1, epochs=[4], lr=1e-3,
        on_epoch=lambda *_: None, on_step=step, on_state=save, state_seconds=15,
    )  # fmt: skip
    assert saved[:3] == [20, 92, 164]


def test_nothing_to_train_is_an_error(world, training):
    with pytest.raises(ValueError, match="no parameter to train"):
        run(world, training, network=nn.Module())
    with pytest.raises(ValueError, match="epochs to keep"):
        run(world, training, epochs=[])


def test_a_missing_bitsandbytes_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes.optim", None)
    with pytest.raises(ValueError, match="pip install bitsandbytes"):
        adamw([nn.Parameter(torch.ones(1))], betas=(0.9, 0.99), weight_decay=0.1, eight_bit=True)


@pytest.mark.study
@pytest.mark.parametrize("recomputed", [False, True])
def test_quick_products_change_last_digits_only(world, training, recomputed, monkeypatch):
    """Also with gradient checkpointing, whose backward pass computes blocks again."""
    settings = training.model_copy(update={"gradient_checkpointing": recomputed})
    with monkeypatch.context() as patch:
        patch.setattr(quick_step, "exact", lambda: False)
        plain = run(world, settings, epochs=[1])[2]
    monkeypatch.setattr(products, "LEAST", 0)
    monkeypatch.setattr(attention, "FEWEST_SCORES", 0)
    quick = run(world, settings, epochs=[1])[2]
    assert quick != plain or not products.exact()
    torch.testing.assert_close(
        [loss for *_, loss in quick], [loss for *_, loss in plain], rtol=2e-6, atol=0
    )
