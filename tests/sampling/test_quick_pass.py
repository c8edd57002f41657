"""The quick forward pass against diffusers' own, of every family, with and without a mask."""

import pytest
import torch

from lycoris_bench.adapters.attach import attach
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.models.conditioning import stacked
from lycoris_bench.sampling import unet
from lycoris_bench.sampling.attention import Keys, attend
from lycoris_bench.sampling.denoise import guided, quick
from lycoris_bench.sampling.sample import PromptConditioning, initial_noise
from tests.support import families
from tests.support.copies import copied

LONG = "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f" * 3
FAMILIES = ("sd15", "sd2", "sdxl")


def both_ways(backbone, prompts, size, guidance):
    """(quick, plain) predictions of a batch at one step."""
    text = PromptConditioning(backbone)(prompts)
    text = backbone.framed(text, [((size, size), (size, size))] * 2 * len(prompts))
    noise = initial_noise(backbone, range(len(prompts)), size, size)
    with torch.inference_mode():
        return [
            guided(backbone, text, guidance, plain)(noise, torch.tensor(501))
            for plain in (False, True)
        ]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("prompts", "guidance"), [(["a red hat", "lake"], 1.0), (["lake", LONG], 7.0), (["one"], 7.0)]
)
def test_predictions_equal_those_of_diffusers(family, guidance, prompts):
    backbone = families.backbone(family)
    assert quick(backbone)
    mine, plain = both_ways(backbone, prompts, 64, guidance)
    assert plain.std() > 0.1
    torch.testing.assert_close(mine, plain, rtol=0, atol=3e-5 * float(plain.abs().max()))


@pytest.mark.parametrize("family", FAMILIES)
def test_sizes_that_do_not_halve_evenly(family):
    """Skips of odd sides: upsampling goes to the size of the next skip."""
    mine, plain = both_ways(families.backbone(family), ["a"], 72, 7.0)
    torch.testing.assert_close(mine, plain, rtol=0, atol=3e-5 * float(plain.abs().max()))


def test_bfloat16_is_no_less_exact_than_diffusers(base, backbone):
    half = Backbone.load(base, dtype=torch.bfloat16)
    half.unet.to(memory_format=torch.channels_last)
    exact = both_ways(backbone, ["a red hat", "lake"] * 4, 64, 1.0)[1]
    mine, plain = both_ways(half, ["a red hat", "lake"] * 4, 64, 1.0)
    errors = [float((p - exact).square().mean().sqrt() / exact.std()) for p in (mine, plain)]
    assert errors[0] < 1.3 * errors[1] < 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [0.5, 4.0, 60.0])
def test_attention_by_exponentials(dtype, masked, size):
    """Against a plain softmax in float64, also where scores are so large that the shift by the
    largest score, which is left out, would be missed."""
    torch.default_generator.manual_seed(3)
    q, k, v = (torch.randn(3, length, 4 * 12) for length in (40, 30, 30))
    q, k, v = ((size * q).to(dtype), k.to(dtype), v.to(dtype))
    mask = None
    if masked:
        mask = (torch.tensor([30, 7, 1])[:, None] <= torch.arange(30)).to(dtype) * -10000.0
        mask = mask[:, None, None]
    found = attend(q, 4, Keys.of(k, v, 4, mask)).double()
    heads = [x.double().unflatten(-1, (4, 12)).transpose(1, 2) for x in (q, k, v)]
    scores = heads[0] @ heads[1].transpose(2, 3) / 12**0.5 + (0 if mask is None else mask.double())
    expected = (scores.softmax(-1) @ heads[2]).transpose(1, 2).flatten(2)
    error = (found - expected).abs().max() / expected.abs().max()
    rounding = {torch.float32: 1e-5, torch.bfloat16: 0.02 * (1 + size)}[dtype]
    assert error < rounding


def test_a_network_that_is_changed_is_computed_by_its_own_forward_pass(base):
    backbone = copied(families.backbone("sd15"))
    network = attach(backbone.unet, None, "attn-only", "lora", {}, seed=1)
    assert not quick(backbone)
    network.detach()
    assert quick(backbone)
    hook = backbone.unet.conv_in.register_forward_hook(lambda *_: None)
    assert not quick(backbone)
    hook.remove()
    backbone.unet.config["class_embed_type"] = "timestep"
    assert not unet.known(backbone.unet)


def test_a_batch_is_drawn_as_one_row_is(backbone):
    """Rows of one batch share nothing but the step."""
    prompts = ["a red hat", "lake", "a dog"]
    together = both_ways(backbone, prompts, 32, 5.0)[0]
    noise = initial_noise(backbone, range(3), 32, 32)
    for k, prompt in enumerate(prompts):
        with torch.inference_mode():
            text = stacked([backbone.condition([text]) for text in ("", prompt)])
            alone = guided(backbone, text, 5.0)(noise[k : k + 1], torch.tensor(501))
        torch.testing.assert_close(alone[0], together[k], rtol=0, atol=2e-4)
