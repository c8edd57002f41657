"""What a training may ask for beyond the paper's: accumulation, recomputation, half precision."""

import contextlib
import os

import pytest
import torch
from torch import nn

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.merge import Merger
from lycoris_bench.data.dataset import scan
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.sampling.prepared import optimize_for_inference
from lycoris_bench.sampling.sample import sample
from lycoris_bench.training import loop
from lycoris_bench.training.buckets import steps_per_epoch
from lycoris_bench.training.latents import LatentCache
from lycoris_bench.training.loop import train
from lycoris_bench.training.modes import (
    frozen_in,
    gradient_checkpointing,
    repeatable,
    trainable_only,
)
from lycoris_bench.training.rng import generator
from lycoris_bench.training.run import TrainingRun
from tests.support.copies import copied
from tests.support.overlays import run, same


def squares(backbone, tree, training, count=4):
    """A world of one bucket, without caption dropout."""
    files = {f"toys/a/{k}.png": (f"olis {k}", (32, 32)) for k in range(count)}
    data = scan(tree(files))
    settings = training.model_copy(update={"images_per_class": count, "caption_dropout": 0.0})
    return (backbone, data, LatentCache.encode(backbone, data, settings)), settings


def test_the_gradient_of_a_group_is_that_of_one_large_batch(backbone, tree, training):
    """Three images in batches of two and one: each image counts the same."""
    world, settings = squares(backbone, tree, training, count=3)
    settings = settings.model_copy(update={"gradient_accumulation": 2})
    network = attach(backbone.unet, None, "full", "lora", {"dim": 2}, seed=7)
    parameters = list(network.parameters())
    for parameter in parameters:  # no longer at the start, where half of the gradients are 0
        nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(1))
    steps = TrainingRun(*world[:1], network, *world[1:], settings, 1, 1e-3, parameters)
    (group,) = steps.groups(1)
    assert [len(batch) for batch in sorted(group, key=len)] == [1, 2]
    for place, batch in enumerate(group):
        steps.accumulate((1, place, tuple(batch)), len(batch) / 3)
    found = [p.grad.clone() for p in parameters]
    total = 0.0
    for place, batch in enumerate(group):
        draw = generator(1, "step", 1, place)
        x = world[2].batch(batch)
        noise = torch.randn(x.shape, generator=draw)
        t = torch.randint(1000, (len(batch),), generator=draw)
        text = backbone.condition([world[1].examples[k].caption for k in batch], 28)
        out = backbone.predict(backbone.add_noise(x, noise, t), t, text)
        total = total + ((out - noise) ** 2).mean((1, 2, 3)).sum()
    expected = torch.autograd.grad(total / 3, parameters)
    network.detach()
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-7)


def test_accumulated_steps_are_counted_as_steps(world, training):
    settings = training.model_copy(update={"gradient_accumulation": 3})
    kept, states, losses = run(world, settings, identity="me", state_seconds=-1.0)
    assert steps_per_epoch(world[1], settings) == 2  # of 4 batches
    assert [(done, total) for done, total, _ in losses] == [(k, 4) for k in range(1, 5)]
    assert (kept[2][1].steps, kept[2][1].images) == (4, 16)
    again, _, rest = run(world, settings, resume=states[0], identity="me")
    assert same(again[2][0], kept[2][0]) and rest == losses[1:]


def trained(world, settings, algorithm="lora", options=None, preset="full"):
    """The adapter after an epoch on U-Net and text encoder: a step in each of two buckets."""
    backbone, data, cache = world
    settings = settings.model_copy(update={"images_per_class": 2})
    backbone = copied(backbone)
    network = attach(backbone.unet, backbone.text_encoders, preset, algorithm,
                     options or {"dim": 2}, seed=7)  # fmt: skip
    kept = {}
    train(
        backbone, network, data, cache, settings, seed=1, epochs=[1], lr=1e-2,
        on_epoch=lambda *_: kept.update(network.tensors()),
    )  # fmt: skip
    network.detach()
    return kept


PLAIN = {}


def plainly_trained(world, settings):
    """`trained` with nothing but its settings, once for each: every test's `world` is the same."""
    key = settings.model_dump_json()
    if key not in PLAIN:
        PLAIN[key] = trained(world, settings)
    return PLAIN[key]


@pytest.mark.study
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_recomputing_changes_no_weight(world, training, precision):
    """With dropout in the adapters, which must fall as it fell the first time."""
    settings = training.model_copy(update={"precision": precision})
    options = {"dim": 2, "rank_dropout": 0.5}
    plain = trained(world, settings, options=options)
    again = trained(
        world, settings.model_copy(update={"gradient_checkpointing": True}), options=options
    )
    assert plain.keys() == again.keys()
    for name, tensor in plain.items():
        torch.testing.assert_close(again[name], tensor, rtol=1e-5, atol=1e-6)
    other = plainly_trained(world, settings)
    assert any(not torch.equal(other[name], tensor) for name, tensor in plain.items())


def test_recomputing_keeps_fewer_activations_and_leaves_no_trace(backbone):
    kept = []

    def count(tensor):
        kept.append(tensor.numel())
        return tensor

    def forward(wanted):
        kept.clear()
        with (
            gradient_checkpointing(backbone, wanted),
            torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor),
        ):
            text = backbone.condition(["a hat"])
            backbone.predict(torch.randn(1, 4, 8, 8), torch.tensor([5]), text).sum()
        return sum(kept)

    network = attach(backbone.unet, backbone.text_encoders, "full", "lora", {"dim": 2}, seed=7)
    modes = [m.training for m in backbone.unet.modules()]
    plain, less = forward(False), forward(True)
    network.detach()
    assert less < plain / 2
    assert [m.training for m in backbone.unet.modules()] == modes
    assert not backbone.unet.is_gradient_checkpointing
    assert not any(getattr(m, "gradient_checkpointing", False)
                   for m in backbone.text_encoder.modules())  # fmt: skip


@pytest.mark.study
@pytest.mark.parametrize("preset", ["full", "unet-transformer-only"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_frozen_layers_held_in_half_precision_change_no_bit(world, training, precision, preset):
    """Also of a text encoder that no adapter changes. Autocast rounds them in each step to what
    they are held in; afterwards they are as before."""
    settings = training.model_copy(update={"precision": precision})
    backbone = world[0]
    before = {n: p.clone() for n, p in backbone.unet.named_parameters()}
    held = trained(world, settings, preset=preset)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "frozen_in", lambda *_: contextlib.nullcontext())
        plain = trained(world, settings, preset=preset)
    assert same(held, plain)
    network = attach(backbone.unet, None, "attn-mlp", "lora", {"dim": 2}, seed=7)
    frozen, adapted = backbone.unet.conv_in, backbone.unet.mid_block.attentions[0].proj_in
    with trainable_only(network, backbone), frozen_in(backbone, torch.bfloat16):
        assert frozen.weight.dtype == frozen.bias.dtype == torch.bfloat16
        assert adapted.weight.dtype == backbone.unet.conv_norm_out.weight.dtype == torch.float32
    network.detach()
    assert same(before, dict(backbone.unet.named_parameters()))


def test_repeatable_algorithms_are_asked_for_and_then_no_longer(world, training, monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    plain = plainly_trained(world, training)
    with repeatable():
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.backends.cudnn.deterministic
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert same(trained(world, training), plain)  # no operation of a step lacks one
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    with repeatable(False):
        assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.study
def test_bf16_trains_to_nearly_the_same_weights(world, training):
    """Autocast computes in bf16 (3 digits); adapters and moments stay in fp32."""
    plain = plainly_trained(world, training)
    half = plainly_trained(world, training.model_copy(update={"precision": "bf16"}))
    differences, sizes = [], []
    for name, tensor in plain.items():
        assert half[name].dtype == torch.float32
        differences.append((half[name] - tensor).norm())
        sizes.append(tensor.norm())
    ratio = torch.stack(differences).norm() / torch.stack(sizes).norm()
    assert 1e-6 < ratio < 0.1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_weights_draw_nearly_the_same_images(base, backbone, dtype):
    how = {"steps": 4, "guidance": 3.0, "width": 32, "height": 32}
    half = Backbone.load(base, dtype=dtype)
    assert half.unet.conv_in.weight.dtype == dtype
    images = [sample(b, ["a hat", "lake"], [1, 2], **how) for b in (backbone, half)]
    assert images[1].finite.all()
    difference = images[0].pixels.astype(int) - images[1].pixels
    assert 0 < abs(difference).max() <= 12


@pytest.mark.slow
def test_a_compiled_unet_draws_the_same_images_after_every_merge(base, backbone):
    compiled = optimize_for_inference(Backbone.load(base), compiled=True)
    network = attach(backbone.unet, None, "full", "full", {}, seed=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    tensors = network.tensors()
    network.detach()
    mergers = [Merger(b.unet, b.text_encoders) for b in (backbone, compiled)]
    how = {"steps": 3, "guidance": 3.0, "width": 32, "height": 32}
    torch._dynamo.utils.counters.clear()
    seen = []
    for strength in (0.0, 1.0, 0.5):
        for merger in mergers:
            merger.merge(tensors, strength)
        pair = [sample(b, ["a hat", "lake"], [1, 2], **how).pixels for b in (backbone, compiled)]
        assert abs(pair[0].astype(int) - pair[1]).max() <= 1
        seen.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert seen[0] >= 1 and seen[0] == seen[-1]  # nothing is compiled again
