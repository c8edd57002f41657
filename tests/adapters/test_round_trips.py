"""Files through the real packages, both ways: diffusers and lycoris-lora."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.formats import adapter_file, write
from lycoris_bench.adapters.merge import Merger
from lycoris_bench.adapters.presets.layers import Preset, directory, models
from tests.support.pipelines import Models, pipeline, predict, sd, sdxl
from tests.support.toys import randomise, toy

pytestmark = pytest.mark.filterwarnings("ignore")
every_model = pytest.mark.parametrize("make", [sd, sdxl])


def trained(made: Models, algorithm: str = "lora", preset: str = "full") -> dict[str, Tensor]:
    """A random adapter without norms, rounded to half precision as its file is."""
    network = attach(made[0], made[1:], preset, algorithm, {}, seed=1)
    randomise(network, size=0.05)
    network.detach()
    return {
        key: value.half().float()
        for key, value in network.tensors().items()
        if not key.endswith(("w_norm", "b_norm"))
    }


def merged(make: Callable[[], Models], tensors: dict[str, Tensor]) -> Tensor:
    """What the model predicts with the adapter merged here."""
    made = make()
    Merger(made[0], made[1:]).merge(tensors)
    return predict(made)


def close(found: Tensor, wanted: Tensor, base: Tensor) -> None:
    assert (wanted - base).abs().max() > 0.02
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-5)


@every_model
@pytest.mark.parametrize("layout", ["kohya", "diffusers", "compvis"])
def test_diffusers_loads_what_is_written_here(
    make: Callable[[], Models], layout: str, tmp_path: Path
) -> None:
    """Convolutions, linear layers and both text encoders, through `load_lora_weights`."""
    if make is sd and layout == "compvis":
        pytest.skip("diffusers maps CompVis's names for SDXL alone")
    made = make()
    base, tensors = predict(made), trained(made)
    where = directory(models(made[0], made[1:]))
    written = write.renamed(tensors, layout, where)
    assert adapter_file.layout_of(written) == layout
    path = tmp_path / "adapter.safetensors"
    path.write_bytes(adapter_file.to_bytes(written, {}))
    pipeline(made).load_lora_weights(str(path))
    theirs = predict(made)
    close(theirs, merged(make, tensors), base)
    close(merged(make, adapter_file.read(path)[0]), theirs, base)


def test_ranks_and_alphas_that_differ_between_layers(tmp_path: Path) -> None:
    """In diffusers' names, as its reader of kohya's gives some layers the alpha of others."""
    own = Preset.from_table({
        "unet_target_module": ["Transformer2DModel"],
        "module_algo_map": {"FeedForward": {"dim": 3, "alpha": 1}, "Attention": {"dim": 5}},
        # without an out_proj diffusers cannot tell what a text encoder's names are
        "text_encoder_target_module": ["CLIPMLP", "CLIPAttention"],
    })  # fmt: skip
    made = sd()
    network = attach(made[0], made[1], own, "lora", {"dim": 2, "alpha": 3}, seed=1)
    randomise(network, size=0.1)
    network.detach()
    tensors, base = network.tensors(), predict(made)
    written = write.renamed(tensors, "diffusers", directory(models(made[0], made[1])))
    save_file({key: value.contiguous() for key, value in written.items()}, tmp_path / "a.st")
    pipeline(made).load_lora_weights(load_file(tmp_path / "a.st"))
    close(predict(made), merged(sd, tensors), base)


@every_model
@pytest.mark.parametrize("dora", [False, True])
def test_what_diffusers_saves_is_read_here(
    make: Callable[[], Models], dora: bool, tmp_path: Path
) -> None:
    """With ratios that only its metadata say: rank and alpha patterns, rs_lora."""
    peft = pytest.importorskip("peft")
    from diffusers.training_utils import _collate_lora_metadata
    from diffusers.utils import convert_state_dict_to_diffusers

    made = make()
    base = predict(made)
    torch.default_generator.manual_seed(4)
    options = {"use_dora": dora, "init_lora_weights": False, "use_rslora": not dora}
    made[0].add_adapter(
        peft.LoraConfig(
            r=3, lora_alpha=5, target_modules=["to_q", "conv1", "proj_in", "ff.net.2"],
            rank_pattern={"conv1": 2}, alpha_pattern={"proj_in": 1.5}, **options,
        )
    )  # fmt: skip
    for text in made[1:]:
        config = peft.LoraConfig(r=2, lora_alpha=3, target_modules=["q_proj"], **options)
        peft.inject_adapter_in_model(config, text)
    pipe = pipeline(made)
    names = ("unet", "text_encoder", "text_encoder_2")[: len(made)]
    tensors = {
        f"{name}_lora_layers": convert_state_dict_to_diffusers(peft.get_peft_model_state_dict(one))
        for name, one in zip(names, made, strict=True)
    }
    pipe.save_lora_weights(
        tmp_path, **tensors, **_collate_lora_metadata(dict(zip(names, made, strict=True)))
    )
    found, about = adapter_file.read(tmp_path / "pytorch_lora_weights.safetensors")
    assert json.loads(about["lora_adapter_metadata"])["unet.r"] == 3
    close(merged(make, found), predict(made), base)


def test_names_that_diffusers_wrote_in_2023() -> None:
    """Attention processors and `lora_linear_layer`: the same layers as today's names."""
    made = sd()
    path = "mid_block.attentions.0.transformer_blocks.0.attn1"
    here = "text_model.encoder.layers.0.self_attn"
    text = f"text_encoder.{here}"
    pairs = {
        f"unet.{path}.processor.to_q_lora": f"unet.{path}.to_q",
        f"unet.{path}.processor.to_out_lora": f"unet.{path}.to_out.0",
        f"unet.{path}.to_k.lora": f"unet.{path}.to_k",
        f"{text}.to_v_lora": f"{text}.v_proj",
        f"{text}.k_proj.lora_linear_layer": f"{text}.k_proj",
    }
    torch.default_generator.manual_seed(3)
    old, new = {}, {}
    for before, after in pairs.items():
        for side, letter, shape in (("down", "A", (2, 32)), ("up", "B", (32, 2))):
            if before.startswith(text):
                shape = tuple(min(size, 16) for size in shape)
            value = torch.randn(shape)
            old[f"{before}.{side}.weight"] = new[f"{after}.lora_{letter}.weight"] = value
    base = predict(made)
    close(merged(sd, old), merged(sd, new), base)
    pipe = pipeline(made)
    pipe.load_lora_weights(new)
    close(merged(sd, old), predict(made), base)


FORMS = [
    ("lora", {"dim": 3, "alpha": 2}),
    ("lora", {"dim": 3, "alpha": 2, "use_tucker": True}),
    ("loha", {"dim": 3, "alpha": 2}),
    ("loha", {"dim": 3, "use_tucker": True}),
    ("lokr", {"dim": 2, "alpha": 1, "factor": 2}),
    ("lokr", {"factor": 4}),
    ("full", {}),
    ("glora", {"dim": 3, "alpha": 2}),
    ("diag-oft", {"dim": 5}),
    ("boft", {"dim": 10}),
    ("lora", {"dora_wd": True, "wd_on_output": True}),
    ("dylora", {}),
    ("diag-oft", {"dim": 5, "constraint": 0.01}),
    ("diag-oft", {"dim": 5, "rescaled": True}),
    ("boft", {"dim": 10, "rescaled": True}),
]
UNREAD = [  # its own files, which lycoris-lora 4.1.3 cannot load
    ("lora", {"dora_wd": True}), ("loha", {"dora_wd": True}), ("ia3", {}),
    ("lokr", {"dim": 1, "factor": 4, "use_tucker": True}),
    ("lokr", {"factor": 4, "unbalanced_factorization": True}),
]  # fmt: skip


@pytest.mark.parametrize(("algorithm", "options"), FORMS)
def through_lycoris(layer: str, algorithm: str, options: dict, path: Path) -> Tensor:
    """Writes a file in lycoris-lora's names; what the trained toy puts out, as merged here."""
    model, x = toy(layer)
    base = model(x)
    network = attach(model, None, "full", algorithm, options, seed=3).eval()
    randomise(network, size=0.2)
    trained = model(x)
    network.detach()
    own = write.renamed(network.tensors(), "lycoris", directory(models(model)))
    save_file({key: value.contiguous() for key, value in own.items()}, path)
    Merger(model).merge(adapter_file.read(path)[0])
    assert (trained - base).abs().max() > 0.01
    torch.testing.assert_close(model(x), trained, rtol=1e-5, atol=1e-5)
    return trained


def by_lycoris(layer: str, path: Path) -> Tensor:
    lycoris = pytest.importorskip("lycoris", reason="lycoris-lora is not installed")
    model, x = toy(layer)
    network, _ = lycoris.create_lycoris_from_weights(1.0, str(path), model)
    network.apply_to()
    return model(x)


@pytest.mark.parametrize(("algorithm", "options"), FORMS)
@pytest.mark.parametrize("layer", ["linear", "conv3x3"])
def test_lycoris_loads_the_file(layer: str, algorithm: str, options: dict, tmp_path: Path) -> None:
    """Its own loader, in its own names; the forward pass, as its merges are wrong."""
    ours = through_lycoris(layer, algorithm, options, tmp_path / "a.safetensors")
    theirs = by_lycoris(layer, tmp_path / "a.safetensors")
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("algorithm", "options"), UNREAD)
def test_what_lycoris_cannot_load_is_read_here(
    algorithm: str, options: dict, tmp_path: Path
) -> None:
    through_lycoris("conv3x3", algorithm, options, tmp_path / "a.safetensors")
    with pytest.raises((RuntimeError, TypeError, AttributeError)):
        by_lycoris("conv3x3", tmp_path / "a.safetensors")
