"""What goes wrong in lycoris-lora 4.1.3, one test a defect: ours does what the mathematics says.

Names and loading (its defects 2, 3, 8: files it cannot reload, presets, arguments as text) are
tested with presets and layouts; here is what it computes."""

import pytest
import torch
from torch import Tensor, nn

from lycoris_bench.adapters import merged_bias, merged_weight
from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.attach import AdapterNetwork, attach
from tests.adapters.test_formulas import moved, relative
from tests.adapters.test_peers import peer
from tests.support import formulas
from tests.support.toys import Toy, randomise, toy

ALL = ALGORITHMS.entries()


def detached(algorithm: str, options: dict, shape: tuple[int, ...] = (20, 12)) -> tuple:
    adapter, weight = moved(algorithm, options, shape)
    return {name: value.detach() for name, value in adapter.tensors().items()}, weight


def attached(
    algorithm: str, options: dict, layer: str = "linear"
) -> tuple[Toy, Tensor, AdapterNetwork]:
    model, x = toy(layer)
    network = attach(model, None, "full", algorithm, options, seed=3)
    randomise(network)
    return model, x, network.eval()


@pytest.mark.parametrize("algorithm", ["loha", "lokr"])
def test_1_alpha_over_dim_is_applied_once(algorithm: str) -> None:
    """Its merge of LoHa and LoKr multiplies by alpha/dim twice and leaves use_scalar out."""
    options = {"dim": 4, "alpha": 2, **({"factor": 2} if algorithm == "lokr" else {})}
    tensors, weight = detached(algorithm, {**options, "use_scalar": True})
    change = merged_weight(tensors, weight) - weight
    assert relative(change, formulas.change(tensors, weight)) < 1e-5
    doubled = merged_weight({**tensors, "alpha": tensors["alpha"] * 2}, weight) - weight
    torch.testing.assert_close(doubled, 2 * change, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_1_its_own_merge_is_indeed_off() -> None:
    """If this fails, lycoris-lora has been mended, and its merge can be a peer."""
    model, _, network = attached("loha", {"dim": 4, "alpha": 2})
    tensors = {key.partition(".")[2]: value for key, value in network.tensors().items()}
    network.detach()
    other = peer("loha", model.layer, {"dim": 4, "alpha": 2})
    other.load_state_dict(tensors)
    theirs = other.get_diff_weight()[0].detach()
    assert relative(theirs, formulas.change(tensors, model.layer.weight)) > 0.4


@pytest.mark.parametrize(("algorithm", "options"), [
    ("lora", {"dim": 3, "dora_wd": True}), ("lokr", {"dim": 1, "use_tucker": True, "factor": 2}),
    ("lokr", {"factor": 4, "unbalanced_factorization": True}), ("ia3", {}),
    ("ia3", {"train_on_input": True}), ("dylora", {"dim": 4}),
])  # fmt: skip
def test_2_what_it_writes_and_cannot_read_is_read_here(algorithm: str, options: dict) -> None:
    """Input-axis DoRA, LoKr in Tucker or unbalanced form, (IA)³, DyLoRA of convolutions."""
    tensors, weight = detached(algorithm, options, (20, 12, 3, 3))
    if algorithm == "dylora":  # it writes a matrix
        tensors["lora_up.weight"] = tensors["lora_up.weight"].flatten(1)
    found = merged_weight(tensors, weight) - weight
    assert relative(found, formulas.change(tensors, weight)) < 1e-5


@pytest.mark.parametrize("on_output", [False, True])
def test_4_dora_at_strength_0_is_the_base(on_output: bool) -> None:
    """Its ΔW keeps full strength however small the multiplier; only the magnitude follows."""
    options = {"dim": 3, "dora_wd": True, "wd_on_output": on_output}
    tensors, weight = detached("lora", options)
    assert torch.equal(merged_weight(tensors, weight, 0.0), weight)
    whole, half = (merged_weight(tensors, weight, s) - weight for s in (1.0, 0.5))
    torch.testing.assert_close(half, whole / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("algorithm", ["diag-oft", "boft", "ia3"])
def test_5_the_bias_stays(algorithm: str) -> None:
    """Its bypass turns or scales the layer's output, with the bias in it."""
    options = {} if algorithm == "ia3" else {"dim": 10}
    model, _, network = attached(algorithm, options)
    (adapter,) = network.adapters.values()
    weight, bias = adapter(model.layer.weight, model.layer.bias)
    assert not torch.equal(weight, model.layer.weight) and bias is model.layer.bias
    tensors = {key.partition(".")[2]: value for key, value in network.tensors().items()}
    assert merged_bias(tensors, model.layer.bias) is model.layer.bias
    zero = torch.zeros(1, 12)
    torch.testing.assert_close(model(zero)[0], model.layer.bias)


@pytest.mark.parametrize("algorithm", ["diag-oft", "boft"])
def test_5_rescale_and_strength_act_on_the_whole_difference(algorithm: str) -> None:
    """Its Diag-OFT scales (R - I)·W but not the rescale; its BOFT interpolates each stage."""
    tensors, weight = detached(algorithm, {"dim": 10, "rescaled": True})
    whole = merged_weight(tensors, weight) - weight
    for strength in (0.25, 0.5, -1.0):
        part = merged_weight(tensors, weight, strength) - weight
        torch.testing.assert_close(part, strength * whole, rtol=1e-4, atol=1e-6)


def test_6_dylora_has_one_ratio_and_draws_nothing_in_use() -> None:
    """Its ratio is alpha over the number of blocks, and it draws a rank in eval too."""
    model, x, network = attached("dylora", {"dim": 8, "alpha": 4, "block_size": 4})
    tensors = {key.partition(".")[2]: value for key, value in network.tensors().items()}
    up, down = (tensors[f"lora_{k}.weight"].double() for k in ("up", "down"))
    expected = x.double() @ (model.layer.weight.double() + 0.5 * up @ down).T + model.layer.bias
    for _ in range(5):
        torch.testing.assert_close(model(x).double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("algorithm", ["lora", "loha", "lokr", "glora"])
def test_7_groups_and_dilation(algorithm: str) -> None:
    """Its LoKr bypass is wrong for groups; its LoRA bypass raises for groups and dilation."""
    options = {"dim": 2, **({"factor": 2} if algorithm == "lokr" else {})}
    for layer in ("grouped", "conv1d"):
        model, x, network = attached(algorithm, options, layer)
        tensors = {key.partition(".")[2]: value for key, value in network.tensors().items()}
        exact = model.layer.weight.double() + formulas.change(tensors, model.layer.weight)
        ours = model(x)
        network.detach()
        assert isinstance(model.layer, nn.Conv1d | nn.Conv2d)
        theirs = model.layer.double()._conv_forward(x.double(), exact, model.layer.bias)
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("algorithm", [a for a in ALL if "conv_dim" in ALL[a].options()])
def test_8_conv_dim_0_turns_kernels_off(algorithm: str) -> None:
    """As a number its 0 falls back to the linear dim."""
    with pytest.raises(ValueError, match="matches no layer"):
        attach(toy("conv3x3")[0], None, "full", algorithm, {"conv_dim": 0}, seed=1)
    assert attach(toy("conv1x1")[0], None, "full", algorithm, {"conv_dim": 0}, seed=1)


def test_8_the_text_false_is_not_true() -> None:
    """Its decompose_both takes "False" for true."""
    with pytest.raises(ValueError, match="decompose_both is 'False'; true or false"):
        ALL["lokr"].check(decompose_both="False")


@pytest.mark.parametrize("algorithm", ["glora", "lokr"])
def test_9_rank_dropout_keeps_with_1_minus_p(algorithm: str) -> None:
    """Its GLoRA and norms keep with p; its LoKr mask is on the CPU whatever the layer is."""
    options = {"rank_dropout": 0.1, **({"dim": 2} if algorithm == "glora" else {"factor": 2})}
    model, _, network = attached(algorithm, options)
    network.train()
    (adapter,) = network.adapters.values()
    torch.default_generator.manual_seed(0)
    kept = [
        ((adapter(model.layer.weight)[0] - model.layer.weight).abs().sum(1) > 0).float().mean()
        for _ in range(100)
    ]
    assert float(torch.stack(kept).mean()) == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("options", [{"factor": 4}, {"factor": 4, "dim": 64}])
def test_rs_lora_of_two_whole_blocks_has_a_ratio_of_1(options: dict) -> None:
    """It trains with √dim, while every reader, itself among them, takes 1."""
    plain, weight = detached("lokr", options)
    rooted, _ = detached("lokr", {**options, "rs_lora": True})
    assert torch.equal(merged_weight(plain, weight), merged_weight(rooted, weight))
    assert relative(merged_weight(rooted, weight) - weight, formulas.change(rooted, weight)) < 1e-5


def test_glora_with_rs_lora_is_stored_as_it_was_trained() -> None:
    """It stores the plain alpha, so that its own reader's change is √dim times too small."""
    tensors, weight = detached("glora", {"dim": 4, "alpha": 2, "rs_lora": True})
    assert float(tensors["alpha"]) / 4 == pytest.approx(2 / 4**0.5)
    assert (
        relative(merged_weight(tensors, weight) - weight, formulas.change(tensors, weight)) < 1e-5
    )
