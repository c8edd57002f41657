"""Attention of small heads against torch's own: values, gradients, masks, and who gets it."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch.nn import functional as F

from lycoris_bench.models import attention

SIZES = [(256, 256, 12), (64, 33, 18), (16, 5, 8)]


def inputs(queries: int, keys: int, width: int) -> list[torch.Tensor]:
    torch.default_generator.manual_seed(0)
    sizes = [(12, length, width) for length in (queries, keys, keys)]
    return [(2 * torch.randn(size)).requires_grad_() for size in sizes]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("masked", [False, True])
def test_values_and_gradients_are_those_of_float64(size, masked):
    given = inputs(*size)
    mask = None
    if masked:
        mask = torch.zeros(12, 1, size[1])
        mask[::3, :, -2:] = -10000.0
    exact = [value.detach().double().requires_grad_() for value in given]
    wanted = F.scaled_dot_product_attention(*exact, None if mask is None else mask.double())
    found = attention._Attention.apply(*given, mask, size[2] ** -0.5)
    weights = torch.randn_like(found)
    (found * weights).sum().backward()
    (wanted * weights).sum().backward()
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(given, exact, strict=True):
        torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=1e-3, atol=1e-4)


def test_only_what_enters_is_kept_for_the_backward_pass():
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()), lambda t: t):
        attention._Attention.apply(*inputs(256, 256, 12), None, 1.0)
    assert sum(kept) == 3 * 12 * 256 * 12


def unet() -> UNet2DConditionModel:
    torch.default_generator.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8, block_out_channels=(16, 32), layers_per_block=1, cross_attention_dim=12,
        attention_head_dim=2, norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip


def test_a_denoiser_predicts_the_same_and_is_left_as_it_was():
    model, x, text = unet(), torch.randn(2, 4, 8, 8), torch.randn(2, 9, 12)
    mask = torch.arange(9) < torch.tensor([[9], [5]])
    before = model.attn_processors
    for told in (None, mask):
        how = {"encoder_hidden_states": text, "encoder_attention_mask": told}
        plain = model(x, 7, **how).sample
        with attention.for_small_heads(model):
            assert all(isinstance(p, attention.Processor) for p in model.attn_processors.values())
            quick = model(x, 7, **how).sample
        torch.testing.assert_close(quick, plain, rtol=1e-4, atol=1e-5)
        assert all(p is before[name] for name, p in model.attn_processors.items())


@pytest.mark.parametrize("case", ["bf16", "long"])
def test_other_inputs_go_to_torchs_own(case, monkeypatch):
    model, x = unet(), torch.randn(1, 4, 8, 8)
    text = torch.randn(1, 9, 12)
    monkeypatch.setattr(attention._Attention, "apply", lambda *_: pytest.fail("not for these"))
    monkeypatch.setattr(attention, "LONGEST", 8 if case == "long" else 1024)
    enabled = case == "bf16"
    with attention.for_small_heads(model), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
        assert torch.isfinite(model(x, 7, encoder_hidden_states=text).sample).all()


def test_attention_with_more_parts_keeps_its_own():
    normed = Attention(16, heads=2, dim_head=8, qk_norm="layer_norm", processor=AttnProcessor2_0())
    grouped = Attention(16, heads=2, dim_head=8, norm_num_groups=4, residual_connection=True)
    for module in (normed, grouped):
        own = module.processor
        with attention.for_small_heads(module):
            assert module.processor is own
