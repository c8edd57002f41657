"""The shipped base model is a small but real Stable Diffusion folder."""

import json

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open

from lycoris_bench.miniature.networks import WEIGHTS
from lycoris_bench.miniature.pretraining.evaluate import generate


def test_folder_is_a_stable_diffusion_pipeline(base):
    assert isinstance(base, StableDiffusionPipeline)
    assert [type(b).__name__ for b in base.unet.down_blocks] == [
        "CrossAttnDownBlock2D",
        "CrossAttnDownBlock2D",
        "DownBlock2D",
    ]
    assert type(base.unet.mid_block).__name__ == "UNetMidBlock2DCrossAttn"
    assert [type(b).__name__ for b in base.unet.up_blocks] == [
        "UpBlock2D",
        "CrossAttnUpBlock2D",
        "CrossAttnUpBlock2D",
    ]
    attention = base.unet.down_blocks[0].attentions[0]
    assert attention.proj_in.weight.shape[2:] == (1, 1)


def test_noise_schedule_is_that_of_stable_diffusion(base):
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    expected = torch.from_numpy(np.cumprod(1 - betas)).float()
    torch.testing.assert_close(base.scheduler.alphas_cumprod, expected, atol=1e-6, rtol=1e-4)
    assert base.scheduler.config.steps_offset == 1 and not base.scheduler.config.clip_sample


def test_weights_are_float16_and_at_most_15_megabytes():
    files = [f for f in WEIGHTS.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) <= 15e6
    for file in files:
        if file.suffix == ".safetensors":
            with safe_open(file, "pt") as weights:
                kinds = {weights.get_tensor(k).dtype for k in weights.keys()}  # noqa: SIM118
            assert kinds <= {torch.float16, torch.int64}, file


def test_text_length_and_special_tokens(base):
    config = json.loads((WEIGHTS / "base" / "text_encoder" / "config.json").read_text())
    assert base.tokenizer.model_max_length == config["max_position_embeddings"] == 32
    assert base.tokenizer.eos_token_id == base.tokenizer.pad_token_id == config["eos_token_id"]
    ids = base.tokenizer("a red boat", padding="max_length", truncation=True).input_ids
    assert len(ids) == 32 and ids[0] == base.tokenizer.bos_token_id and ids[-1] == ids[4]


def test_unknown_words_fall_back_to_characters(base):
    assert base.tokenizer.tokenize("red qx7") == ["red", "q", "x", "7</w>"] or (
        base.tokenizer.tokenize("red qx7") == ["red", "q", "x</w>", "7</w>"]
    )


def test_pictures_depend_on_prompt_and_seed_not_on_the_batch(base):
    prompts = ["a red boat on the left, on a beach, photo", "a blue cat in a city, comic"]
    both = generate(base, prompts, first_seed=4, steps=3)
    alone = generate(base, prompts[1:], first_seed=5, steps=3)
    difference = np.abs(np.asarray(both[1], float) - np.asarray(alone[0], float))
    assert both[0].size == (64, 64) and difference.max() <= 2
    other = generate(base, prompts[:1], first_seed=5, steps=3)
    assert np.abs(np.asarray(other[0], float) - np.asarray(both[0], float)).max() > 10
