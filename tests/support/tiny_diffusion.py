"""A Stable Diffusion pipeline small enough to be built for each test run, with random weights."""

import json
import string

import pytest
import torch
from PIL import Image

from lycoris_bench.data.dataset import scan
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.study.settings import Training
from lycoris_bench.training.latents import LatentCache


def tokenizer_files(folder):
    """A vocabulary of letters, digits and commas: a token a character, chunks of 14."""
    folder.mkdir(parents=True)
    signs = string.ascii_lowercase + string.digits + ","
    names = [*signs, *(f"{sign}</w>" for sign in signs), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({name: k for k, name in enumerate(names)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    config = {"model_max_length": 16, "tokenizer_class": "CLIPTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return len(names)


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """Folder of the pipeline: 4x4 pixels a latent, prompts of 16 tokens a chunk."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    folder = tmp_path_factory.mktemp("tiny") / "base"
    size = tokenizer_files(folder / "tokenizer")
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        UNet2DConditionModel(
            sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
            cross_attention_dim=16, attention_head_dim=2,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        ).save_pretrained(folder / "unet")  # fmt: skip
        AutoencoderKL(
            block_out_channels=(8, 8, 8), latent_channels=4, norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        ).save_pretrained(folder / "vae")  # fmt: skip
        CLIPTextModel(
            CLIPTextConfig(
                vocab_size=size, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                num_attention_heads=2, max_position_embeddings=16, bos_token_id=size - 2,
                eos_token_id=size - 1, pad_token_id=size - 1,
            )
        ).save_pretrained(folder / "text_encoder")  # fmt: skip
    DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1,
    ).save_pretrained(folder / "scheduler")  # fmt: skip
    return folder


@pytest.fixture
def backbone(base):
    return Backbone.load(base)


@pytest.fixture
def training():
    """Settings of the tiny world: 32x32 pixels, two images a batch."""
    return Training(
        resolution=32, bucket_step=8, bucket_min=16, bucket_max=64, batch_size=2,
        images_per_class=4, warmup_epochs=0.5, max_tokens=28,
    )  # fmt: skip


@pytest.fixture
def tree(tmp_path):
    """Writes a dataset: `tree({"cat/class/1.png": ("caption", size)})` and gives its folder."""

    def write(files):
        for name, (caption, size) in files.items():
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            colour = tuple(hash_byte(f"{name}{k}") for k in range(3))
            Image.new("RGB", size, colour).save(path)
            path.with_suffix(".txt").write_text(caption, encoding="utf-8")
        return tmp_path / "data"

    return write


def hash_byte(text):
    return sum(text.encode()) * 37 % 256


@pytest.fixture
def small_tree(tree):
    """Two classes in two buckets: three square images and a wide one."""
    return tree(
        {
            "toys/bunny/1.png": ("olis toy, red", (40, 40)),
            "toys/bunny/2.png": ("olis toy, on a very long green table", (64, 30)),
            "scenes/lake/1.png": ("wasa lake", (32, 32)),
            "scenes/lake/2.png": ("wasa lake, at night", (33, 32)),
        }
    )


@pytest.fixture
def world(backbone, small_tree, training):
    """Base model, dataset and latents: what a training starts from."""
    data = scan(small_tree)
    return backbone, data, LatentCache.encode(backbone, data, training)
