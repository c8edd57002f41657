"""Adapters on modules that no preset knows: a vision transformer and a language model."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, safe_open
from torch import Tensor, nn

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.apply import apply_adapter, read_adapter
from lycoris_bench.adapters.attach import AdapterNetwork, attach
from lycoris_bench.adapters.delta import merged_weight
from lycoris_bench.messages.errors import BenchError

OPTIONS: dict[str, dict[str, Any]] = {"boft": {"dim": 12}, "dylora": {"dim": 4}}


def vit() -> nn.Module:
    """timm's own class with random weights, the same every time."""
    import timm

    torch.default_generator.manual_seed(3)
    made: nn.Module = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, embed_dim=32, depth=2, num_heads=2, num_classes=16
    )
    return made


def language_model() -> nn.Module:
    """transformers' Llama in small; its output layer is not that of its input."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.default_generator.manual_seed(3)
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=20, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                    num_attention_heads=2, max_position_embeddings=8)
    )  # fmt: skip


def see(model: nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    logits: Tensor = model(torch.randn(2, 3, 32, 32, generator=generator))
    return logits


def say(model: nn.Module) -> Tensor:
    logits: Tensor = model(torch.arange(16).reshape(2, 8)).logits
    return logits


def trained(network: AdapterNetwork, loss: Callable[[], Tensor]) -> list[float]:
    """Three steps; the losses before each and at the end."""
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return [*losses, loss().item()]


def in_half(network: AdapterNetwork) -> None:
    """The parameters rounded as a file rounds them."""
    for parameter in network.parameters():
        parameter.data = parameter.data.half().float()


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS.entries()))
def test_a_vision_transformer_is_trained_saved_loaded_and_merged(
    algorithm: str, tmp_path: Path
) -> None:
    model = vit()
    before, labels = weights(model), torch.tensor([1, 3])
    base = see(model)
    network = attach(
        model, layers=["Attention", "*.mlp.fc?", "head"], algorithm=algorithm,
        options=OPTIONS.get(algorithm, {}), seed=7,
    )  # fmt: skip
    assert network.modules_matched == 2 * 4 + 1
    assert torch.equal(see(model), base), "an adapter changes nothing at its start"
    losses = trained(network, lambda: nn.functional.cross_entropy(see(model), labels))
    assert losses[-1] < losses[0]
    file, exact = network.save(tmp_path / "vit.safetensors"), network.tensors()
    adapted = see(model.eval()) if network.eval() else None
    network.detach()
    assert torch.equal(see(model), base)
    with apply_adapter(model, exact) as applied:
        assert applied.report.matched == 9 and not applied.report.unmatched
        assert set(applied.report.change) == {"blocks.0", "blocks.1", "head"}
        torch.testing.assert_close(see(model), adapted, rtol=1e-5, atol=1e-6)
    with apply_adapter(model, file):  # which is in half precision
        torch.testing.assert_close(see(model), adapted, rtol=0.02, atol=0.02)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_language_model_is_trained_saved_loaded_and_merged(tmp_path: Path) -> None:
    model, target = language_model(), torch.arange(16).roll(-1)
    network = attach(model, layers=["LlamaAttention", "*.mlp.*"], exclude=["*.gate_proj"],
                     algorithm="lora", options={"dim": 2, "alpha": 4}, seed=1)  # fmt: skip
    assert network.modules_matched == 2 * (4 + 2)
    losses = trained(network, lambda: nn.functional.cross_entropy(say(model).view(16, -1), target))
    assert losses[-1] < losses[0]
    in_half(network)
    adapted = say(model)
    file = network.save(tmp_path / "llama.safetensors")
    network.detach()
    own = load_file(file)
    name = "lycoris_model_layers_1_self_attn_q_proj"
    assert own.keys() >= {f"{name}.{part}" for part in ("lora_up.weight", "alpha")}
    layer = model.model.layers[1].self_attn.q_proj
    up, down = (own[f"{name}.lora_{side}.weight"].float() for side in ("up", "down"))
    by_hand = layer.weight.detach() + 4 / 2 * up @ down
    applied = apply_adapter(model, file)
    torch.testing.assert_close(layer.weight.detach(), by_hand, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(say(model), adapted, rtol=0, atol=1e-5)  # merged is adapted
    assert set(applied.report.change) == {"model.layers.0", "model.layers.1"}
    applied.remove()
    tensors = read_adapter(file)[name]
    torch.testing.assert_close(
        merged_weight(tensors, layer.weight.detach(), 0.5), layer.weight + up @ down
    )  # fmt: skip
    with safe_open(file, "pt") as opened:  # of no family of diffusion models
        assert opened.metadata()["ss_network_args"].startswith('{"algo": "lora"')
        assert not {"ss_base_model_version", "ss_v2"} & opened.metadata().keys()


def test_lycoris_applies_the_file_of_a_vision_transformer(tmp_path: Path) -> None:
    """The library's own wrapper of any module finds the layers by the names written here."""
    from lycoris.wrapper import create_lycoris_from_weights

    model = vit().eval()
    network = attach(model, layers=["Linear"], algorithm="loha", options={"dim": 2}, seed=1)
    for parameter in network.parameters():
        parameter.data += 0.1
    file = network.save(tmp_path / "vit.safetensors")
    network.detach()
    other = copy.deepcopy(model)
    peer, _ = create_lycoris_from_weights(1.0, str(file), other)
    peer.apply_to()
    with apply_adapter(model, file):
        torch.testing.assert_close(see(model), see(other), rtol=1e-4, atol=1e-5)


def test_classes_patterns_and_what_is_left_out() -> None:
    def chosen(*layers: str, **more: Any) -> list[str]:
        network = attach(vit(), layers=layers, algorithm="full", **more)
        return [name.removeprefix("lycoris_") for name in network.adapters]

    assert chosen("Mlp") == [f"blocks_{k}_mlp_fc{part}" for k in (0, 1) for part in (1, 2)]
    assert chosen("*.qkv", "head") == ["blocks_0_attn_qkv", "blocks_1_attn_qkv", "head"]
    assert chosen("head", "*.qkv") == chosen("*.qkv", "head"), "in the module's order"
    assert chosen("Mlp", exclude=["blocks.0.*"]) == ["blocks_1_mlp_fc1", "blocks_1_mlp_fc2"]
    assert chosen("PatchEmbed") == ["patch_embed_proj"], "a convolution"
    assert chosen("Conv2d", "LayerNorm", exclude=["blocks.*"]) == ["patch_embed_proj", "norm"]
    inside = chosen("Block")
    assert "blocks_0_attn_proj" in inside and not any("norm" in name for name in inside)


class Tied(nn.Module):
    """Two layers with one weight, as a language model's ends have."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Embedding(4, 3), nn.Linear(3, 4, bias=False)
        self.last.weight = self.first.weight


class Alike(nn.Module):
    """Two layers that a file cannot tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.a_b = nn.ModuleDict({"b": nn.Linear(2, 2)}), nn.Linear(2, 2)


class Standardised(nn.Linear):
    """A layer that does something else with its weight."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight - self.weight.mean(), self.bias)


@pytest.mark.parametrize(
    ("model", "layers", "said"),
    [
        (vit, ["Atention"], "unknown class of VisionTransformer 'Atention'; did you mean 'Attent"),
        (vit, ["*.fc3"], r"'\*.fc3' fits no layer of VisionTransformer, which has patch_embed.pro"),
        (vit, "Attention", r"unknown preset 'Attention'.*layers=\['Attention'\]"),
        (vit, [], r"lora with layers=\[\] matches no layer of VisionTransformer"),
        (vit, "full", "lora with preset 'full' matches no layer of VisionTransformer"),
        (nn.Identity, ["Linear"], "Identity has no layer that an adapter can change"),
        (Tied, ["Linear"], r"last shares a parameter with first.*exclude=\['last'\]"),
        (lambda: nn.Sequential(Standardised(2, 2)), ["0"], "0 is a Standardised, which has a fo"),
        (lambda: nn.MultiheadAttention(4, 2), ["out*"], "out_proj is computed by the Multihead"),
        (lambda: nn.TransformerEncoderLayer(4, 2, 8), ["linear1"], "computed by the TransformerEn"),
        (Alike, ["Linear"], "a.b is called lycoris_a_b in files, as another layer is"),
    ],
)  # fmt: skip
def test_what_cannot_be_attached(model: Callable[[], nn.Module], layers: Any, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        attach(model(), layers=layers)


def test_names_and_presets_are_not_mixed() -> None:
    with pytest.raises(BenchError, match="class names and patterns choose layers of one module"):
        attach(vit(), vit(), ["Attention"])
    with pytest.raises(BenchError, match="exclude goes with a list"):
        attach(vit(), layers="attn-mlp", exclude=["head"])
