"""The sampler against diffusers' own pipeline, and its noise against the rule of the seeds."""

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from lycoris_bench.sampling import unet
from lycoris_bench.sampling.denoise import denoise
from lycoris_bench.sampling.sample import PromptConditioning, initial_noise, sample

SIZE = {"width": 32, "height": 48}


def pipeline(base):
    made = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(base / "vae"),
        text_encoder=CLIPTextModel.from_pretrained(base / "text_encoder"),
        tokenizer=CLIPTokenizer.from_pretrained(base / "tokenizer"),
        unet=UNet2DConditionModel.from_pretrained(base / "unet"),
        scheduler=DDIMScheduler.from_pretrained(base / "scheduler"),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    return made


@pytest.mark.parametrize("guidance", [1.0, 7.0])
def test_images_equal_those_of_the_pipeline(base, backbone, guidance):
    prompts, seeds = ["a red hat", "", "lake"], [5, 6, 7]
    noise = initial_noise(backbone, seeds, **SIZE)
    expected = pipeline(base)(
        prompts, latents=noise, guidance_scale=guidance, num_inference_steps=6, output_type="np",
        **SIZE,
    ).images  # fmt: skip
    with torch.inference_mode():
        text = PromptConditioning(backbone)(prompts)
        latents = denoise(backbone, noise, text, steps=6, guidance=guidance)
        pixels = backbone.pixels(latents).numpy()
    assert abs(pixels - expected).max() < 1e-4
    made = sample(backbone, prompts, seeds, steps=6, guidance=guidance, **SIZE)
    assert made.pixels.shape == (3, 48, 32, 3) and made.finite.all()
    assert abs(made.pixels.astype(int) - (expected * 255).round()).max() <= 1


def test_noise_of_an_image_is_that_of_its_seed_alone(backbone):
    together = initial_noise(backbone, [3, 1, 2], **SIZE)
    for k, seed in enumerate([3, 1, 2]):
        alone = torch.randn((4, 12, 8), generator=torch.Generator().manual_seed(seed))
        assert torch.equal(together[k], alone)


def test_neighbours_in_a_batch_change_nothing(backbone):
    """Also not a neighbour of three chunks: the short prompt's rows are masked."""
    long = "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f"
    settings = {"steps": 4, "guidance": 5.0, **SIZE}
    both = sample(backbone, ["lake", long], [1, 2], **settings)
    for k, (prompt, seed) in enumerate([("lake", 1), (long, 2)]):
        alone = sample(backbone, [prompt], [seed], **settings)
        assert abs(both.pixels[k].astype(int) - alone.pixels[0]).max() <= 1


def test_embeddings_are_made_once_and_the_oldest_go(backbone):
    asked = []

    class Counting:
        led_away_from = backbone.led_away_from

        def condition(self, prompts, clip_skip):
            asked.extend(prompts)
            return backbone.condition(prompts, clip_skip=clip_skip)

    embeddings = PromptConditioning(Counting(), limit=2)
    for prompts in (["a", "a"], ["a"], ["b"], ["a"]):
        hidden = embeddings(prompts).hidden
        expected = backbone.condition([""] * len(prompts) + prompts).hidden
        torch.testing.assert_close(hidden, expected)
    assert asked == ["a", "", "b", "a", ""]


def test_an_image_that_is_not_finite_is_flagged_and_the_others_are_good(backbone, monkeypatch):
    good = sample(backbone, ["a", "b"], [1, 2], steps=2, guidance=3.0, **SIZE)
    original = unet.forward

    def poisoned(*inputs):
        predicted = original(*inputs)
        predicted[1::2] = float("nan")
        return predicted

    monkeypatch.setattr(unet, "forward", poisoned)
    made = sample(backbone, ["a", "b"], [1, 2], steps=2, guidance=3.0, **SIZE)
    assert made.finite.tolist() == [True, False]
    # On some CPUs a number's last digit depends on what stands beside it, here on NaN.
    assert abs(made.pixels[0].astype(int) - good.pixels[0]).max() <= 1
    assert (made.pixels[1] == 0).all()


def test_sides_that_are_no_latents_are_refused(backbone):
    with pytest.raises(ValueError, match="multiples of 4, not 30 x 32"):
        sample(backbone, ["a"], [1], steps=1, guidance=1.0, width=30, height=32)
