"""A family in one file outside the package goes through everything that base models go through."""

import copy
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.formats.families import family_of, inputs_of, stated
from lycoris_bench.adapters.merge import AdapterMismatch, Merger
from lycoris_bench.data.dataset import scan
from lycoris_bench.models.backbone import Backbone, BackboneError, fingerprint
from lycoris_bench.models.families import FAMILIES
from lycoris_bench.models.hub import weight_files
from lycoris_bench.models.outline import outline
from lycoris_bench.planning.plan import plan
from lycoris_bench.run.store import Store
from lycoris_bench.sampling.denoise import denoise
from lycoris_bench.sampling.sample import PromptConditioning, initial_noise, sample
from lycoris_bench.training.buckets import epoch_batches
from lycoris_bench.training.latents import LatentCache
from lycoris_bench.training.loop import train
from lycoris_bench.training.rng import generator
from tests.support.world import run, tiny

FILE = Path(__file__).parents[1] / "support" / "plugins" / "letter_diffusion.py"
SIZE = {"width": 32, "height": 32}
SCALE, SHIFT = 0.7, 0.25


@pytest.fixture
def plugin(load_plugin):
    return load_plugin(FILE)


@pytest.fixture
def folder(plugin, tmp_path):
    """The folder of such a model, with random weights."""
    made = tmp_path / "letters"
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(3)
        UNet2DConditionModel(
            sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
            cross_attention_dim=24, attention_head_dim=2,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        ).save_pretrained(made / "unet")  # fmt: skip
        AutoencoderKL(
            block_out_channels=(8, 8, 8), latent_channels=4, norm_num_groups=4,
            scaling_factor=SCALE, shift_factor=SHIFT,
            down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        ).save_pretrained(made / "vae")  # fmt: skip
        plugin.Letters().save_pretrained(made / "text_encoder")
    DDIMScheduler(
        beta_schedule="scaled_linear", prediction_type="sample", clip_sample=False, steps_offset=1,
        set_alpha_to_one=False,
    ).save_pretrained(made / "scheduler")  # fmt: skip
    return made


@pytest.fixture
def letters(folder):
    return Backbone.load(folder)


def kept(betas=(0.0001, 0.02)):
    """abar of each timestep."""
    first, last = (beta**0.5 for beta in betas)
    return (1 - torch.linspace(first, last, 1000) ** 2).cumprod(0)


def test_its_folder_is_read_and_no_other_is_taken_for_it(letters, folder, base):
    assert letters.family.name == "Letter Diffusion"
    assert Backbone.load(base).family.name == "Stable Diffusion 1"
    assert {file.parent.name for file in weight_files(folder)} == {"unet", "vae", "text_encoder"}
    shapes = outline(str(folder))
    assert shapes.unet.device.type == "meta" and len(shapes.text_encoders) == 1


def test_without_the_file_one_sentence_says_what_the_folder_lacks(folder, monkeypatch):
    monkeypatch.setenv("LYCORIS_BENCH_PLUGINS", "")
    with pytest.raises(BackboneError, match="folder: for Stable Diffusion 1 it has no tokenizer"):
        Backbone.load(folder)


def test_text_latents_and_target_are_its_own(letters):
    text = letters.condition(["abc", ""])
    table, mix = letters.text_encoder.letters.weight, letters.text_encoder.mix
    expected = torch.tanh(table[[32, 97, 98, 99]] @ mix.weight.T + mix.bias)
    torch.testing.assert_close(text.hidden[0], expected)
    assert text.mask.tolist() == [[True] * 4, [True] + [False] * 3]
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    latents = letters.latents(images)
    mean = letters.vae.quant_conv(letters.vae.encoder(images)).chunk(2, 1)[0]
    torch.testing.assert_close(latents, SCALE * (mean - SHIFT))
    decoded = letters.vae.decode(mean, return_dict=False)[0]
    torch.testing.assert_close(
        letters.pixels(latents), (decoded / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    )
    assert letters.target(latents, torch.zeros_like(latents), torch.tensor([1, 2])) is latents


def naive_loss(letters, data, cache, settings):
    """Of the first step, before the adapter has changed anything."""
    batch = epoch_batches(
        cache.buckets, data.repeats(4), settings.batch_size, seed=1, epoch=1
    )[0]  # fmt: skip
    draw = generator(1, "step", 1, 0)
    x = torch.stack([cache.latents[k] for k in batch])
    noise = torch.randn(x.shape, generator=draw)
    t = torch.randint(1000, (len(batch),), generator=draw)
    dropped = torch.rand(len(batch), generator=draw) < settings.caption_dropout
    loss = 0.0
    for k, example in enumerate(batch):
        caption = "" if dropped[k] else data.examples[example].caption
        noisy = kept()[t[k]].sqrt() * x[k] + (1 - kept()[t[k]]).sqrt() * noise[k]
        ids = torch.tensor([list(f" {caption}".encode()[:29])])
        out = letters.unet(noisy[None], t[k], letters.text_encoder(ids)).sample[0]
        loss += ((out - x[k]) ** 2).mean().item() / len(batch)
    return loss


def test_it_is_trained_merged_and_drawn(letters, small_tree, training):
    training = training.model_copy(update={"gradient_checkpointing": True})
    data = scan(small_tree)
    cache = LatentCache.encode(letters, data, training)
    expected = naive_loss(letters, data, cache, training)
    network = attach(letters.unet, letters.text_encoders, "full", "lora", {"dim": 2}, seed=1)
    losses, saved = [], {}
    train(
        letters, network, data, cache, training, seed=1, epochs=[1], lr=5e-2,
        on_epoch=lambda *_: saved.update(network.tensors()), on_step=lambda *s: losses.append(s[2]),
    )  # fmt: skip
    network.detach()
    assert len(losses) >= 3 and losses[0] == pytest.approx(expected, rel=1e-5)
    assert saved["lora_te_mix.lora_up.weight"].any()  # starts at zero
    layers = {name: inputs_of(found) for name, found in adapter_file.by_layer(saved).items()}
    assert family_of(layers) == "Letter Diffusion"

    merged = copy.deepcopy(letters)
    report = Merger(merged.unet, merged.text_encoders).merge(saved)
    assert report.matched == network.modules_matched and not report.unmatched
    images = [sample(b, ["ab"], [3], steps=2, guidance=3.0, **SIZE) for b in (letters, merged)]
    assert (images[0].pixels != images[1].pixels).any()
    foreign = {name: torch.ones(2, 768) for name in ("lora_unet_x_attn2_to_k.lora_down.weight",)}
    foreign["lora_unet_x_attn2_to_k.lora_up.weight"] = torch.ones(8, 2)
    with pytest.raises(AdapterMismatch, match="for Stable Diffusion 1 and the model is Letter"):
        Merger(letters.unet, letters.text_encoders).merge(foreign)


@torch.no_grad()
def test_drawing_is_ddim_on_predicted_images(letters):
    noise, alpha = initial_noise(letters, [5], **SIZE), kept()
    x = noise
    texts = [letters.text_encoder(torch.tensor([list(text)])) for text in (b" ", b" ab")]
    for t in (501, 1):
        empty, full = (letters.unet(x, t, text).sample for text in texts)
        image = empty + 3.0 * (full - empty)
        direction = (x - alpha[t].sqrt() * image) / (1 - alpha[t]).sqrt()
        before = alpha[max(t - 500, 0)]
        x = before.sqrt() * image + (1 - before).sqrt() * direction
    text = PromptConditioning(letters)(["ab"])
    found = denoise(letters, noise, text, steps=2, guidance=3.0)
    torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-5)


def test_a_study_of_it_is_planned_trained_and_drawn(folder, tmp_path):
    study = tiny(
        base_model=str(folder), concepts=["toys/bunny"], epochs=[1],
        algorithms={"lora": {"lr": 1e-3, "dim": 2}},
        sampling={"images": 1, "prompt_types": ["train"]},
    )  # fmt: skip
    asked, store = plan(study), Store(tmp_path / "run")
    outcomes = run(asked, store, ("train", "generate"))
    assert not any(outcome.failed for outcome in outcomes.values()), outcomes
    tensors, metadata = adapter_file.read(store.checkpoint(asked.trained[0]))
    assert stated(metadata) == "Letter Diffusion"
    assert "lora_te_mix.lora_up.weight" in tensors
    assert asked.base_uid == fingerprint(folder)


def test_its_identity_is_its_files_and_its_revision(folder, base, monkeypatch):
    uids = {fingerprint(base), fingerprint(folder)}
    monkeypatch.setattr(FAMILIES.get("letter-diffusion"), "revision", "2")
    uids.add(fingerprint(folder))
    weights = next((folder / "text_encoder").glob("*.safetensors"))
    save_file({name: t + 1 for name, t in load_file(weights).items()}, weights)
    uids.add(fingerprint(folder))
    assert len(uids) == 4
