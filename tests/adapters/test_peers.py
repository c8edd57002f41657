"""The same tensors in other people's implementations give the same outputs.

Only the forward pass of lycoris-lora is asked: its LoHa and LoKr merges multiply by alpha/dim
twice (4.1.3)."""

import logging
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lycoris_bench.adapters.merge import Merger
from lycoris_bench.adapters.network import attach

from .toys import LAYERS, predict, randomise, toy

Models = tuple[nn.Module, nn.Module]
Batch = tuple[Tensor, Tensor, Tensor]
LAYER = "lora_unet_down_blocks_0_layer"


def peer(algorithm: str, layer: nn.Module, options: dict[str, Any]) -> nn.Module:
    """A module of lycoris-lora over the layer, in its default forward mode."""
    warnings.simplefilter("ignore")
    modules = pytest.importorskip("lycoris.modules", reason="lycoris-lora is not installed")
    logging.getLogger("LyCORIS").setLevel(logging.ERROR)
    kinds = {
        "lora": modules.locon.LoConModule, "loha": modules.loha.LohaModule,
        "lokr": modules.lokr.LokrModule, "full": modules.full.FullModule,
    }  # fmt: skip
    names = {"lora_dim" if key == "dim" else key: value for key, value in options.items()}
    made = kinds[algorithm](LAYER, layer, 1.0, **names)
    made.apply_to()
    return made


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("algorithm", "options"), [
    ("lora", {"dim": 3, "alpha": 2}), ("loha", {"dim": 3, "alpha": 2}),
    ("lokr", {"dim": 10000, "alpha": 1, "factor": 4}),
    ("lokr", {"dim": 2, "alpha": 1, "factor": 2}),
    ("lokr", {"dim": 1, "alpha": 2, "factor": -1, "decompose_both": True}),
    ("full", {}),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_lycoris_reads_and_runs_what_is_written_here(
    layer: str, algorithm: str, options: dict[str, Any]
) -> None:
    model, x = toy(layer)
    network = attach(model, None, "full", algorithm, options, seed=3)
    randomise(network)
    tensors = {key.partition(".")[2]: value for key, value in network.tensors().items()}
    ours = model(x)
    network.detach()
    base = model(x)

    other = peer(algorithm, model.layer, options)
    theirs = other.state_dict()
    assert {k: v.shape for k, v in theirs.items()} == {k: v.shape for k, v in tensors.items()}
    assert all(torch.equal(tensors[k], v) for k, v in theirs.items() if k == "alpha")
    other.load_state_dict(tensors)
    torch.testing.assert_close(model(x), ours, rtol=1e-4, atol=1e-5)
    assert (ours - base).abs().max() > 0.01


@pytest.mark.filterwarnings("ignore")
def test_diffusers_loads_plain_lora_exactly(models: Models, batch: Batch) -> None:
    """The pipeline's own loader, with every layer of the full preset but the norms."""
    pytest.importorskip("peft", reason="peft is not installed")
    from diffusers import StableDiffusionPipeline

    network = attach(*models, "full", "lora", {"dim": 4, "alpha": 2}, seed=1)
    randomise(network, size=0.05)
    network.detach()
    tensors = {
        key: v for key, v in network.tensors().items() if "_norm" not in key.partition(".")[2]
    }
    base = predict(models, batch)
    merger = Merger(*models)
    merger.merge(tensors)
    ours = predict(models, batch)
    merger.restore()

    unet, text_encoder = models
    state, alphas = StableDiffusionPipeline.lora_state_dict(dict(tensors))
    StableDiffusionPipeline.load_lora_into_unet(state, alphas, unet, adapter_name="a")
    StableDiffusionPipeline.load_lora_into_text_encoder(
        state, alphas, text_encoder, prefix="text_encoder", adapter_name="a"
    )
    theirs = predict(models, batch)
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)
    assert (ours - base).abs().max() > 0.01
