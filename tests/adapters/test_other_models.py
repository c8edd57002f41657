"""Presets on SD2, SDXL, SD3 and Flux, against walks of their own and published counts."""

from collections import Counter

import pytest
import torch
from torch import nn

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.merge import Merger
from lycoris_bench.adapters.presets.layers import layers, targets
from tests.adapters.test_names import SD2, SDXL, unet
from tests.support.toys import randomise


def clip(kind: str, width: int, depth: int) -> nn.Module:
    import transformers

    config = transformers.CLIPTextConfig(
        vocab_size=64, hidden_size=width, intermediate_size=4 * width, projection_dim=width,
        num_hidden_layers=depth, num_attention_heads=width // 64,
    )  # fmt: skip
    with torch.device("meta"):
        return getattr(transformers, kind)(config)


def by_model(found: list) -> dict[str, int]:
    return dict(Counter(target.model for target in found))


def linear(module: nn.Module) -> bool:
    one = isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)
    return isinstance(module, nn.Linear) or one


def test_sdxl() -> None:
    """attn-mlp has the 722 and 72 + 192 modules that kohya's trainer prints for SDXL."""
    models = unet(SDXL), (clip("CLIPTextModel", 768, 12),
                          clip("CLIPTextModelWithProjection", 1280, 32))  # fmt: skip
    found = targets(*models, "attn-mlp")
    assert by_model(found) == {"unet": 722, "text_encoder": 72, "text_encoder_2": 192}
    assert {target.name.split("_text_model_")[0] for target in found if target.model != "unet"} == {
        "lora_te1", "lora_te2",
    }  # fmt: skip
    assert len({target.name for target in found}) == len(found)

    heads = ("to_q", "to_k", "to_v", "to_out.0")
    walk = [path for path, _ in models[0].named_modules() if path.endswith(heads)]
    assert len(walk) == 70 * 2 * 4  # 70 transformer blocks of two attentions
    only = targets(*models, "attn-only")
    assert [target.path for target in only if target.model == "unet"] == walk
    assert by_model(only) == {"unet": 560, "text_encoder": 48, "text_encoder_2": 128}
    blocks = [path for path, module in models[0].named_modules()
              if "attentions." in path and linear(module)]  # fmt: skip
    assert [target.path for target in found if target.model == "unet"] == blocks
    full = [t for t in targets(*models, "full") if t.model == "unet" and not t.is_norm]
    every = [path for path, module in models[0].named_modules()
             if isinstance(module, nn.Linear | nn.Conv2d)]  # fmt: skip
    outside = {"add_embedding.linear_1", "add_embedding.linear_2"}
    assert {target.path for target in full} == set(every) - outside
    assert by_model(targets(models[0], None, "attn-mlp")) == {"unet": 722}


def test_sd2() -> None:
    text = clip("CLIPTextModel", 1024, 23)
    found = targets(unet(SD2), text, "attn-mlp")
    assert by_model(found) == {"unet": 192, "text_encoder": 23 * 6}
    assert any(target.name.startswith("lora_te_text_model_") for target in found)


def sd3() -> nn.Module:
    from diffusers import SD3Transformer2DModel

    return SD3Transformer2DModel(
        sample_size=8, patch_size=1, in_channels=4, num_layers=2, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=16, caption_projection_dim=16,
        pooled_projection_dim=16, out_channels=4,
    ).eval()  # fmt: skip


def flux() -> nn.Module:
    from diffusers import FluxTransformer2DModel

    return FluxTransformer2DModel(
        patch_size=1, in_channels=4, num_layers=1, num_single_layers=2, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32,
        axes_dims_rope=[4, 4, 8],
    ).eval()  # fmt: skip


# attn-only: q, k, v, out twice in a joint block (the last SD3 block has no second out), three in
# a single one. attn-mlp: all linear layers of the blocks.
@pytest.mark.parametrize(("make", "heads"), [(sd3, 8 + 7), (flux, 8 + 2 * 3)])
def test_transformers(make: type[nn.Module], heads: int) -> None:
    torch.default_generator.manual_seed(0)
    model = make()
    only = targets(model, None, "attn-only")
    assert len(only) == heads and by_model(only) == {"transformer": heads}
    assert all(".attn." in target.path for target in only)
    inside = [path for path, module in model.named_modules()
              if "transformer_blocks." in path and linear(module)]  # fmt: skip
    assert [target.path for target in targets(model, None, "attn-mlp")] == inside
    linears = [path for path, module in model.named_modules() if linear(module)]
    full = [target.path for target in targets(model, None, "full") if not target.is_norm]
    assert set(full) == set(linears) - {"pos_embed.proj"}
    assert {target.block.rpartition(".")[0] for target in only} <= {
        "transformer.transformer_blocks", "transformer.single_transformer_blocks",
    }  # fmt: skip


@pytest.mark.parametrize("make", [sd3, flux])
def test_a_transformer_is_trained_and_merged(make: type[nn.Module]) -> None:
    torch.default_generator.manual_seed(0)
    model = make()
    network = attach(model, None, "attn-mlp", "lokr", {"factor": 4}, seed=1)
    randomise(network, size=0.05)
    network.detach()
    assert all(key.startswith("lora_transformer_") for key in network.tensors())
    before = {path: p.detach().clone() for path, p in model.named_parameters()}
    report = Merger(model).merge(network.tensors())
    assert report.matched == network.modules_matched and report.unmatched == ()
    changed = {path.removesuffix(".weight") for path, p in model.named_parameters()
               if not torch.equal(p, before[path])}  # fmt: skip
    assert changed == {target.path for target in targets(model, None, "attn-mlp")}


def test_every_layer_of_three_text_encoders_has_one_name() -> None:
    texts = [clip("CLIPTextModelWithProjection", 128, 2), None, clip("CLIPTextModel", 64, 2)]
    found = layers(sd3(), texts)
    assert set(by_model(found)) == {"transformer", "text_encoder", "text_encoder_3"}
    assert len({target.name for target in found}) == len(found)
    with pytest.raises(ValueError, match="4 text encoders are given; at most 3"):
        layers(sd3(), [*texts, texts[0]])
