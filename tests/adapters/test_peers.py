"""The same tensors in other people's implementations give the same outputs.

Only the forward pass of lycoris-lora is asked: its LoHa and LoKr merges multiply by alpha/dim
twice (4.1.3). What it cannot run is in test_peer_defects.py."""

import logging
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.merge import Merger
from tests.support.forms import BUILT_IN
from tests.support.toys import LAYERS, predict, randomise, toy

Models = tuple[nn.Module, nn.Module]
Batch = tuple[Tensor, Tensor, Tensor]
LAYER = "lora_unet_down_blocks_0_layer"
NAMES = {"dim": "lora_dim", "dora_wd": "weight_decompose", "wd_on_output": "wd_on_out"}


def peer(algorithm: str, layer: nn.Module, options: dict[str, Any]) -> nn.Module:
    """A module of lycoris-lora over the layer, in its default forward mode."""
    warnings.simplefilter("ignore")
    modules = pytest.importorskip("lycoris.modules", reason="lycoris-lora is not installed")
    logging.getLogger("LyCORIS").setLevel(logging.ERROR)
    kinds = {
        "lora": modules.locon.LoConModule, "loha": modules.loha.LohaModule,
        "lokr": modules.lokr.LokrModule, "full": modules.full.FullModule,
        "glora": modules.glora.GLoRAModule, "ia3": modules.ia3.IA3Module,
        "diag-oft": modules.diag_oft.DiagOFTModule, "boft": modules.boft.ButterflyOFTModule,
        "dylora": modules.dylora.DyLoraModule,
    }  # fmt: skip
    defaults = {"lokr": {"dim": 10000}}.get(algorithm, {})
    chosen = {**defaults, "wd_on_output": False, **options}  # its default is the output axis
    made = kinds[algorithm](LAYER, layer, 1.0, **{NAMES.get(k, k): v for k, v in chosen.items()})
    made.apply_to()
    return made.eval()


def cannot(algorithm: str, options: dict[str, Any], layer: str) -> bool:
    """What lycoris-lora gets wrong: GLoRA and (IA)³ on grouped convolutions have as many inputs
    as all groups together, DyLoRA's ratio is another, LoKr of whole blocks takes rs_lora's."""
    grouped = algorithm == "glora" or options.get("train_on_input")
    whole = algorithm == "lokr" and options.get("rs_lora") and "dim" not in options
    return bool(algorithm == "dylora" or (layer == "grouped" and grouped) or whole)


@pytest.mark.parametrize(("algorithm", "options", "layer"), [
    pytest.param(algorithm, options, layer, id=f"{algorithm}{k}-{layer}")
    for algorithm, forms in BUILT_IN.items()
    for k, options in enumerate(forms)
    for layer in LAYERS
    if not cannot(algorithm, options, layer)
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
    if "alpha" in theirs and not (algorithm == "glora" and "rs_lora" in options):  # saved raw
        assert float(theirs["alpha"]) == pytest.approx(float(tensors["alpha"]))
    other.load_state_dict(tensors)
    torch.testing.assert_close(model(x), ours, rtol=1e-4, atol=1e-5)
    assert (ours - base).abs().max() > 1e-3


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
