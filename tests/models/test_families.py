"""SD 1.5, 2.1 and XL, narrowed: drawn against diffusers' own pipelines, and trained two steps."""

import copy

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.merge import Merger
from lycoris_bench.data.dataset import scan
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.models.families.sdxl import FRAME, SUMMARY, frame
from lycoris_bench.sampling.denoise import denoise
from lycoris_bench.sampling.sample import PromptConditioning, initial_noise, sample
from lycoris_bench.study.settings import Training
from lycoris_bench.training.caption_embeddings import Captions
from lycoris_bench.training.latents import LatentCache
from lycoris_bench.training.loop import train
from tests.support import families
from tests.support.copies import copied

FAMILIES = ("sd15", "sd2", "sdxl")
SIZE = {"width": 64, "height": 96}
PROMPTS, SEEDS = ["a red hat on the table", "a lake"], [5, 6]
TRAINING = Training(
    resolution=64, bucket_step=32, bucket_min=32, bucket_max=96, batch_size=4, images_per_class=2,
    warmup_epochs=0,
)  # fmt: skip


def pipeline(family):
    """diffusers' pipeline of the same folder, loaded by its own means."""
    base = families.folder(family)
    parts = {
        "vae": AutoencoderKL.from_pretrained(base / "vae"),
        "unet": UNet2DConditionModel.from_pretrained(base / "unet"),
        "scheduler": DDIMScheduler.from_pretrained(base / "scheduler"),
        "text_encoder": CLIPTextModel.from_pretrained(base / "text_encoder"),
        "tokenizer": CLIPTokenizer.from_pretrained(base / "tokenizer"),
    }
    if family == "sdxl":
        second = base / "text_encoder_2"
        made = StableDiffusionXLPipeline(
            text_encoder_2=CLIPTextModelWithProjection.from_pretrained(second),
            tokenizer_2=CLIPTokenizer.from_pretrained(base / "tokenizer_2"),
            add_watermarker=False, **parts,
        )  # fmt: skip
    else:
        made = StableDiffusionPipeline(
            safety_checker=None, feature_extractor=None, requires_safety_checker=False, **parts
        )
    made.set_progress_bar_config(disable=True)
    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_images_equal_those_of_the_familys_pipeline(family):
    backbone = families.backbone(family)
    noise = initial_noise(backbone, SEEDS, **SIZE)
    expected = pipeline(family)(
        PROMPTS, latents=noise, guidance_scale=7.0, num_inference_steps=2, output_type="np", **SIZE
    ).images
    with torch.inference_mode():
        text = PromptConditioning(backbone)(PROMPTS)
        own = (SIZE["width"], SIZE["height"])
        text = backbone.framed(text, [(own, own)] * 4)
        pixels = backbone.pixels(denoise(backbone, noise, text, steps=2, guidance=7.0)).numpy()
    assert expected.std() > 0.05
    assert abs(pixels - expected).max() < 2e-5
    made = sample(backbone, PROMPTS, SEEDS, steps=2, guidance=7.0, **SIZE)
    assert abs(made.pixels.astype(int) - (expected * 255).round()).max() <= 1


def test_sizes_are_told_exactly_where_the_text_is_in_half_precision():
    """bf16 has 8 bits, and the U-Net makes waves of the sizes: 3 pixels are another phase."""
    backbone = families.backbone("sdxl")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        text = backbone.framed(backbone.condition(["a"]), [((1999, 1365), (1024, 1023))])
    told = text.added["time_ids"]
    assert text.added["text_embeds"].dtype == torch.bfloat16 and told.dtype == torch.float32
    assert told.tolist() == [[1365, 1999, 0, 237, 1023, 1024]]


@pytest.mark.study
@pytest.mark.parametrize("family", FAMILIES)
def test_two_steps_of_training_reach_every_text_encoder_and_the_images(family, small_tree):
    backbone = copied(families.backbone(family))
    data = scan(small_tree)
    cache = LatentCache.encode(backbone, data, TRAINING)
    network = attach(backbone.unet, backbone.text_encoders, "full", "lora", {"dim": 2}, seed=1)
    first = network.tensors()
    losses, saved = [], {}
    train(
        backbone, network, data, cache, TRAINING, seed=1, epochs=[1], lr=1e-3,
        on_epoch=lambda *_: saved.update(network.tensors()),
        on_step=lambda done, total, loss: losses.append(loss),
    )  # fmt: skip
    network.detach()
    assert len(losses) >= 2 and all(0 < loss < 10 for loss in losses)
    moved = {name for name, tensor in saved.items() if not torch.equal(tensor, first[name])}
    prefixes = {name.split("_")[1] for name in moved}
    texts = {"te1", "te2"} if family == "sdxl" else {"te"}
    assert prefixes == {"unet", *texts}
    merged = copied(backbone)
    report = Merger(merged.unet, merged.text_encoders).merge(saved, 20.0)
    assert report.matched == network.modules_matched and not report.unmatched
    with_it, without = (sample(b, ["a lake"], [3], steps=2, guidance=3.0, **SIZE)
                        for b in (merged, backbone))  # fmt: skip
    assert (with_it.pixels != without.pixels).any()


def test_sdxl_is_told_size_and_crop_of_each_image(small_tree, monkeypatch):
    """Height before width; the crop in pixels of the image as resized to cover its bucket."""
    backbone = copied(families.backbone("sdxl"))
    data = scan(small_tree)
    cache = LatentCache.encode(backbone, data, TRAINING)
    told = {}
    original = Backbone.predict

    def predict(self, noisy, timesteps, text):
        summary = text.added[SUMMARY]
        told.update({tuple(row.int().tolist()): summary.shape for row in text.added[FRAME]})
        return original(self, noisy, timesteps, text)

    monkeypatch.setattr(Backbone, "predict", predict)
    network = attach(backbone.unet, backbone.text_encoders, "attn-only", "lora", {"dim": 1}, seed=1)
    train(
        backbone, network, data, cache, TRAINING, seed=1, epochs=[1], lr=1e-3,
        on_epoch=lambda *_: None,
    )  # fmt: skip
    expected = {frame(example.size, bucket) for example, bucket in
                zip(data.examples, cache.buckets, strict=True)}  # fmt: skip
    assert set(told) == expected
    assert (40, 40, 0, 0, 64, 64) in expected and len(expected) == 4
    assert all(shape[1] == 128 for shape in told.values())


def test_remembered_captions_of_sdxl_are_those_embedded_together():
    """Frozen text encoders are asked once a caption; long ones beside short ones are masked."""
    backbone = families.backbone("sdxl")
    batch = ["a lake", ", ".join(["a tag of five words"] * 20), "a lake", ""]
    with torch.no_grad():
        captions = Captions(backbone, 150, 1)
        assert not captions.trained
        captions(batch[1:])
        found, expected = captions(batch), backbone.condition(batch, 150)
    assert found.hidden.shape == (4, 2 * 77, 64 + 128)
    assert found.added[SUMMARY].shape == (4, 128)
    assert torch.equal(found.mask, expected.mask)
    assert found.mask.sum(1).tolist() == [77, 154, 77, 77]
    torch.testing.assert_close(found.added[SUMMARY], expected.added[SUMMARY])
    torch.testing.assert_close(found.hidden[found.mask], expected.hidden[expected.mask])


def test_sdxl_guides_away_from_zeros_only_where_its_folder_says_so(tmp_path):
    backbone = families.backbone("sdxl")
    with torch.no_grad():
        text = PromptConditioning(backbone)(["a lake"])
        assert not text.hidden[0].any() and not text.added[SUMMARY][0].any()
        assert text.hidden[1].any()
        backbone = copy.copy(backbone)
        object.__setattr__(backbone, "zero_empty", False)
        text = PromptConditioning(backbone)(["a lake"])
        assert torch.equal(text.hidden[0], backbone.condition([""]).hidden[0])


def test_the_velocity_is_what_sd2_learns():
    """v = sqrt(abar) noise - sqrt(1 - abar) x."""
    backbone = families.backbone("sd2")
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    kept = (1 - betas).cumprod(0)[[10, 900]].view(2, 1, 1, 1)
    x, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    expected = (kept.sqrt() * noise - (1 - kept).sqrt() * x).float()
    torch.testing.assert_close(backbone.target(x, noise, torch.tensor([10, 900])), expected)
