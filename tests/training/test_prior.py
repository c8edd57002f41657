"""Prior preservation against a loop that is written out, resumed, and left out."""

import copy
from collections import Counter

import pytest
import torch

from lycoris_bench.adapters.attach import attach
from lycoris_bench.data.dataset import Dataset, Example, scan
from lycoris_bench.study.records import Concept
from lycoris_bench.training import run as steps
from lycoris_bench.training.buckets import epoch_batches
from lycoris_bench.training.latents import LatentCache
from lycoris_bench.training.loop import train
from lycoris_bench.training.prior import ClassBatches, Prior
from lycoris_bench.training.rng import generator, shuffled
from tests.support.overlays import Network, run, same
from tests.support.tiny_diffusion import write

TOY, PLACE = Concept("toy", ""), Concept("place", "")
CLASSES = {Concept("toys", "bunny"): TOY, Concept("scenes", "lake"): PLACE}


@pytest.fixture
def prior(world, training, tmp_path):
    """Three images of each class word, captioned with their prompt."""
    words = {Concept("x", "toy"): TOY, Concept("x", "place"): PLACE}
    files = {f"x/{word}/{k}.png": (f"a {word}", (32, 32)) for word in ("toy", "place")
             for k in range(3)}  # fmt: skip
    found = scan(write(tmp_path / "class", files))
    examples = [
        Example(e.path, e.caption, words[e.concept], e.size, e.sha256) for e in found.examples
    ]
    data = Dataset(tuple(examples))
    return Prior(data, LatentCache.encode(world[0], data, training), 0.7, CLASSES)


def naive(world, prior, training, seed, lr, epochs):
    """The loss of DreamBooth written out: each batch, as many images of the classes, AdamW."""
    backbone, data, cache = copy.deepcopy(world)
    network = Network(backbone.unet, backbone.text_encoder)
    for model in (backbone.unet, backbone.text_encoder):
        model.requires_grad_(False)
    parameters = [p.requires_grad_() for p in network.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=lr, betas=training.betas, weight_decay=training.weight_decay,
    )  # fmt: skip
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    kept = (1 - betas).cumprod(0)

    def loss_of(latents, captions, draw):
        noise = torch.randn(latents.shape, generator=draw)
        t = torch.randint(1000, (len(latents),), generator=draw)
        dropped = torch.rand(len(latents), generator=draw) < training.caption_dropout
        texts = ["" if drop else text for text, drop in zip(captions, dropped, strict=True)]
        share = kept[t].reshape(-1, 1, 1, 1)
        hidden = backbone.condition(texts, max_tokens=training.max_tokens).hidden
        noisy = share.sqrt() * latents + (1 - share).sqrt() * noise
        out = backbone.unet(noisy, t, encoder_hidden_states=hidden).sample
        return ((out - noise) ** 2).mean()

    of_class = {kind: [k for k, e in enumerate(prior.data.examples) if e.concept == kind]
                for kind in (TOY, PLACE)}  # fmt: skip
    shown = Counter()  # of each class, from the first step on
    losses = []
    for epoch in range(1, epochs + 1):
        batches = epoch_batches(
            cache.buckets, data.repeats(4), training.batch_size, seed=seed, epoch=epoch
        )
        for step, batch in enumerate(batches):
            beside = []
            for k in batch:
                kind = CLASSES[data.examples[k].concept]
                turn, place = divmod(shown[kind], 3)
                beside.append(shuffled(of_class[kind], seed, "class", str(kind), turn)[place])
                shown[kind] += 1
            own = loss_of(
                torch.stack([cache.latents[k] for k in batch]),
                [data.examples[k].caption for k in batch],
                generator(seed, "step", epoch, step),
            )
            held = loss_of(
                torch.stack([prior.latents.latents[k] for k in beside]),
                [prior.data.examples[k].caption for k in beside],
                generator(seed, "class step", epoch, step),
            )
            loss = own + 0.7 * held
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, training.max_grad_norm)
            optimizer.param_groups[0]["lr"] = lr * min(1, len(losses) / 2)  # half of 4 steps
            optimizer.step()
    return losses, network.state_dict()


@pytest.mark.study
def test_steps_equal_a_loop_that_is_written_out(world, training, prior):
    settings = training.model_copy(update={"caption_dropout": 0.4})
    expected, weights = naive(world, prior, settings, 23, 1e-5, epochs=2)
    kept, _, losses = run(world, settings, lr=1e-5, prior=prior)
    torch.testing.assert_close([loss for _, _, loss in losses], expected, rtol=1e-6, atol=1e-6)
    for name, weight in kept[2][0].items():
        torch.testing.assert_close(weight, weights[name], rtol=0, atol=1e-6)
    assert max(float(weight.abs().max()) for weight in kept[2][0].values()) > 2e-5
    assert kept[2][1].images == 2 * 16  # 8 steps of two batches


def test_a_step_of_several_batches_is_one_of_all_their_images(world, training, prior, monkeypatch):
    """The gradient of two accumulated batches is that of the mean over both and both priors."""
    backbone, data, cache = world
    lone = prior.data.examples[0]
    one = Prior(
        Dataset((lone,)), LatentCache(prior.latents.latents[:1], prior.latents.buckets[:1]), 0.7,
        dict.fromkeys(CLASSES, lone.concept),
    )  # fmt: skip
    alike = {"images_per_class": 1, "caption_dropout": 0.0}
    large = training.model_copy(update={**alike, "batch_size": 3})
    small = training.model_copy(update={**alike, "batch_size": 1, "gradient_accumulation": 3})

    def alone(self, key, *rest):
        own, beside = made(self, key)
        t = torch.full_like(own.timesteps, 300)
        noise = torch.ones_like(own.latents)
        return tuple(given._replace(timesteps=t, noise=noise) for given in (own, beside))

    made = steps.TrainingRun.made
    monkeypatch.setattr(steps.TrainingRun, "made", alone)
    square = Dataset(tuple(e for e in data.examples if e.size != (64, 30)))
    kept = [k for k, e in enumerate(data.examples) if e.size != (64, 30)]
    latents = LatentCache([cache.latents[k] for k in kept], tuple(cache.buckets[k] for k in kept))
    found = [run((backbone, square, latents), s, epochs=[1], prior=one) for s in (large, small)]
    (_, _, [(_, _, first)]), (_, _, [(_, _, second)]) = found
    assert first == pytest.approx(second, rel=1e-5)


@pytest.mark.study
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_resumed_from_any_state_it_makes_the_same_weights_bit_by_bit(
    world, training, prior, precision
):
    settings = training.model_copy(update={"precision": precision})
    kept, states, losses = run(world, settings, prior=prior, state_seconds=-1.0)
    for done in (1, 4, 6):
        lacking = [epoch for epoch in (1, 2) if done < 4 * epoch]
        again, _, rest = run(world, settings, epochs=lacking, resume=states[done - 1], prior=prior)
        assert same(again[2][0], kept[2][0]) and rest == losses[done:]


@pytest.mark.study
def test_a_weight_of_nearly_nothing_is_a_training_without_it(world, training, prior):
    """The draws of the training images are not moved by those of the class images."""
    without, _, losses = run(world, training)
    tiny = Prior(prior.data, prior.latents, 1e-12, prior.classes)
    held, _, beside = run(world, training, prior=tiny)
    assert [loss for *_, loss in beside] == pytest.approx([loss for *_, loss in losses], abs=1e-6)
    for name, weight in held[2][0].items():
        torch.testing.assert_close(weight, without[2][0][name], rtol=0, atol=2e-4)


def test_dropout_leaves_out_the_adapters_that_it_leaves_out_of_the_batch(
    world, training, prior, monkeypatch
):
    """With a single adapter a loss has a gradient or has none, together with the one beside it."""
    backbone, data, cache = world
    network = attach(
        backbone.unet, layers=["conv_in"], algorithm="lora",
        options={"dim": 2, "module_dropout": 0.5}, seed=7,
    )  # fmt: skip
    seen, loss_of = [], steps.TrainingRun.loss

    def loss(self, given):
        value = loss_of(self, given)
        seen.append(value.requires_grad)
        return value

    monkeypatch.setattr(steps.TrainingRun, "loss", loss)
    train(
        backbone, network, data, cache, training, seed=1, epochs=[4], lr=1e-3, prior=prior,
        on_epoch=lambda *_: None,
    )  # fmt: skip
    assert seen[::2] == seen[1::2] and set(seen) == {True, False} and len(seen) == 32


def test_each_class_image_is_shown_as_often_as_another(prior, world):
    _, data, cache = world

    def batches(epoch):
        return epoch_batches(cache.buckets, [3] * 4, 2, seed=5, epoch=epoch)

    beside, shown = ClassBatches(prior, data, batches, 5), Counter()
    for epoch in range(1, 5):
        for place, batch in enumerate(batches(epoch)):
            chosen = beside(epoch, place)
            kinds = [prior.data.examples[k].concept for k in chosen]
            assert kinds == [CLASSES[data.examples[k].concept] for k in batch]
            shown.update(chosen)
    assert set(shown.values()) == {8}  # 4 epochs of 6 images of each class, of 3 images
    assert ClassBatches(prior, data, batches, 5)(3, 1) == beside(3, 1)  # of counters alone
