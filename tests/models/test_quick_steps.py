"""Training steps by quick products against the libraries' own: values, gradients, and what is left
behind."""

import math

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch.nn import functional as F

from lycoris_bench.adapters.attach import attach
from lycoris_bench.models.quick import attention, products, step
from lycoris_bench.models.quick.step import quick_steps
from tests.support import families
from tests.support.copies import copied


@pytest.fixture
def everything(monkeypatch):
    """Also products that are so small that torch's own are faster."""
    monkeypatch.setattr(products, "LEAST", 0)
    monkeypatch.setattr(attention, "FEWEST_SCORES", 0)


def gradients(output, inputs):
    """Of a sum with random weights, the same for each output of this shape."""
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(5))
    return torch.autograd.grad((output * weights.to(output)).sum(), inputs)


def close(found, expected, error=1e-5):
    """Differences against the largest number of the tensor."""
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape
        assert (mine - theirs).abs().max() <= error * theirs.abs().max()


@pytest.mark.parametrize("masked", [None, "keys", "causal"])
@pytest.mark.parametrize("sizes", [(40, 30, 12), (7, 40, 5), (64, 64, 18)])
@pytest.mark.parametrize("block", [1 << 10, 1 << 18])
def test_attention_has_the_values_and_gradients_of_float64(
    everything, monkeypatch, sizes, masked, block
):
    monkeypatch.setattr(attention, "MOST_SCORES", block)
    torch.default_generator.manual_seed(3)
    queries, keys, d = sizes
    given = [torch.randn(3, x, 4, d).transpose(1, 2) for x in (queries, keys, keys)]
    mask = None
    if masked == "keys":
        mask = (torch.tensor([keys, 3, 1])[:, None] <= torch.arange(keys)) * -10000.0
        mask = mask[:, None, None].expand(3, 4, 1, keys)
    if masked == "causal":
        mask = torch.full((queries, keys), -math.inf).triu(1)[None, None]
    given = [x.requires_grad_() for x in given]
    exact = [x.detach().double().requires_grad_() for x in given]
    scores = exact[0] @ exact[1].mT / math.sqrt(d) + (0 if mask is None else mask.double())
    expected = scores.softmax(-1) @ exact[2]
    found = attention.attention(*given, mask, d**-0.5)
    close([found], [expected], 2e-6)
    close(gradients(found, given), gradients(expected, exact))


@pytest.mark.parametrize("size", [30.0, 300.0])
def test_scores_whose_exponentials_leave_the_range_of_fp32(everything, size):
    """torch's own kernel has as large an error: a digit of a score is a factor of its weight."""
    torch.default_generator.manual_seed(3)
    given = [torch.randn(2, 4, 20, 8) for _ in range(3)]
    given[0] *= size
    given = [x.requires_grad_() for x in given]
    exact = [x.detach().double().requires_grad_() for x in given]
    expected = (exact[0] @ exact[1].mT / math.sqrt(8)).softmax(-1) @ exact[2]
    found = attention.attention(*given, None, 8**-0.5)
    close([found], [expected], 1e-6 * size)
    close(gradients(found, given), gradients(expected, exact), 1e-5 * size)


def test_attention_keeps_no_scores_for_the_backward_pass(everything):
    kept = []
    q, k, v = (torch.randn(3, 4, 256, 12, requires_grad=True) for _ in range(3))
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()), lambda t: t):
        attention.attention(q, k, v, None, 1.0)
    assert sum(kept) < 5 * q.numel()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("learns", [True, False])
def test_linear_layers(everything, bias, learns):
    torch.default_generator.manual_seed(3)
    x, w = torch.randn(5, 40, 30, requires_grad=True), torch.randn(20, 30, requires_grad=learns)
    b = torch.randn(20, requires_grad=learns) if bias else None
    given = [t for t in (x, w, b) if t is not None and t.requires_grad]
    exact = {id(t): t.detach().double().requires_grad_() for t in (x, w, b) if t is not None}
    expected = F.linear(*(None if t is None else exact[id(t)] for t in (x, w, b)))
    with products.quick_products():
        found = products.linear(x, w, b)
    assert (type(found.grad_fn).__name__ == "_LinearBackward") == products.exact()
    close([found], [expected], 2e-6)
    close(gradients(found, given), gradients(expected, [exact[id(t)] for t in given]), 2e-6)


def prediction(backbone, size=64):
    """The prediction for fixed latents, with the gradient that its loss gives each parameter."""
    draw = torch.Generator().manual_seed(2)
    side = size // backbone.vae_scale
    noisy = torch.randn(2, backbone.vae.config.latent_channels, side, side, generator=draw)
    text = backbone.framed(backbone.condition(["a red hat", "x " * 40]), [((64, 64),) * 2] * 2)
    return backbone.predict(noisy, torch.tensor([501, 20]), text)


@pytest.mark.parametrize(("family", "algorithm"), [
    ("sd15", "lora"),  # neither asks for the other
    pytest.param("sd2", "lokr", marks=pytest.mark.study),
    pytest.param("sdxl", "full", marks=pytest.mark.study),
])  # fmt: skip
def test_a_model_with_adapters_predicts_and_learns_the_same(everything, family, algorithm):
    backbone = copied(families.backbone(family))
    network = attach(backbone.unet, backbone.text_encoders, "full", algorithm, {}, seed=1)
    learned = list(network.parameters())
    for k, parameter in enumerate(learned):
        with torch.no_grad():  # not at the start, where half of the gradients are 0
            parameter += 0.02 * torch.randn(
                parameter.shape, generator=torch.Generator().manual_seed(k)
            )
    plain = prediction(backbone)
    expected = torch.autograd.grad(plain.square().mean(), learned, allow_unused=True)
    before = [dict(vars(m)) for m in backbone.unet.modules()]
    with quick_steps([backbone.unet, *backbone.text_encoders]):
        quick = prediction(backbone)
        found = torch.autograd.grad(quick.square().mean(), learned, allow_unused=True)
    assert [dict(vars(m)) for m in backbone.unet.modules()] == before
    assert not torch.equal(quick, plain) or not products.exact()
    close([quick], [plain], 2e-5)
    largest = max(float(g.abs().max()) for g in expected if g is not None)
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            assert (mine - theirs).abs().max() <= 1e-5 * largest


def test_nothing_changes_where_products_would_be_less_exact(monkeypatch):
    """As on CPUs with units for bfloat16 matrices."""
    backbone = families.backbone("sd15")
    before = [dict(vars(m)) for m in backbone.unet.modules()]
    monkeypatch.setattr(step, "exact", lambda: False)
    with quick_steps([backbone.unet]):
        assert [dict(vars(m)) for m in backbone.unet.modules()] == before


@pytest.mark.parametrize(
    "more", [{"qk_norm": "layer_norm"}, {"norm_num_groups": 4}, {"residual_connection": True}]
)
def test_attention_of_another_kind_keeps_its_own(more):
    layer = Attention(16, heads=2, dim_head=8, processor=AttnProcessor2_0(), **more)
    own = layer.processor
    with quick_steps([layer]):
        assert layer.processor is own
    assert layer.processor is own


def test_the_precision_of_products_is_left_as_it_was(everything):
    torch.set_float32_matmul_precision("high")
    try:
        with quick_steps([]), pytest.raises(ZeroDivisionError):
            q = torch.randn(1, 1, 4, 4, requires_grad=True)
            attention.attention(q, q, q, None, 0.5).sum().backward()
            raise ZeroDivisionError
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
