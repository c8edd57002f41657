"""The tests' one Stable Diffusion, of the real classes: small enough to be built by each test."""

import functools
import json
import string
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.support.copies import twin

Models = tuple[nn.Module, nn.Module]
SIGNS = string.ascii_lowercase + string.digits + ","
VOCABULARY = [*SIGNS, *(f"{sign}</w>" for sign in SIGNS), "<|startoftext|>", "<|endoftext|>"]
TOKENS = 16  # a chunk of a prompt, start and end included: a token a character
UNET: dict[str, Any] = {
    "sample_size": 8, "block_out_channels": (16, 32), "layers_per_block": 1,
    "cross_attention_dim": 16, "attention_head_dim": 4, "norm_num_groups": 8,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}  # fmt: skip
TEXT: dict[str, Any] = {
    "vocab_size": len(VOCABULARY), "hidden_size": 16, "intermediate_size": 32, "projection_dim": 16,
    "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": TOKENS,
    "bos_token_id": len(VOCABULARY) - 2, "eos_token_id": len(VOCABULARY) - 1,
    "pad_token_id": len(VOCABULARY) - 1,
}  # fmt: skip


def models(seed: int = 1) -> Models:
    """The U-Net (0.2 M parameters) and the text encoder, the same every time."""
    unet, text_encoder, randomness = _models(seed)
    torch.default_generator.set_state(randomness)  # as it is when they have just been made
    return twin(unet), twin(text_encoder)


@functools.cache
def _models(seed: int) -> tuple[nn.Module, nn.Module, Tensor]:
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.default_generator.manual_seed(seed)
    unet = UNet2DConditionModel(**UNET).eval()
    text_encoder = CLIPTextModel(CLIPTextConfig(**TEXT)).eval()
    return unet, text_encoder, torch.default_generator.get_state()


def save(folder: Path) -> Path:
    """The whole pipeline in a new folder: 4 x 4 pixels a latent."""
    from diffusers import AutoencoderKL, DDIMScheduler

    with torch.random.fork_rng([]):
        unet, text_encoder = models(seed=0)
        vae = AutoencoderKL(
            block_out_channels=(8, 8, 8), latent_channels=4, norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        )  # fmt: skip
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1,
    )  # fmt: skip
    parts = {"unet": unet, "text_encoder": text_encoder, "vae": vae, "scheduler": scheduler}
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    save_tokenizer(folder / "tokenizer")
    return folder


def save_tokenizer(folder: Path) -> None:
    folder.mkdir(parents=True)
    vocabulary = {name: k for k, name in enumerate(VOCABULARY)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    config = {"model_max_length": TOKENS, "tokenizer_class": "CLIPTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
