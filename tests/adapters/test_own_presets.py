"""A user's own preset: what its table selects, its maps, and its mistakes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lycoris_bench.adapters.algorithms.loha import LoHa
from lycoris_bench.adapters.algorithms.lokr import LoKr
from lycoris_bench.adapters.algorithms.lora import LoRA
from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.merge import Merger
from lycoris_bench.adapters.presets.layers import PRESETS, Preset, targets
from tests.support.pipelines import predict, sd, sdxl
from tests.support.toys import randomise

Models = tuple[nn.Module, nn.Module]


def paths(models: Models, **table: object) -> set[str]:
    return {target.path for target in targets(*models, Preset.from_table(table))}


def linears(model: nn.Module, *parts: str) -> set[str]:
    return {path for path, module in model.named_modules()
            if isinstance(module, nn.Linear) and any(part in path for part in parts)}  # fmt: skip


def test_classes_and_names(models: Models) -> None:
    unet, text = models
    assert paths(models, unet_target_module=["FeedForward"]) == linears(unet, ".ff.")
    assert paths(models, text_encoder_target_module=["CLIPMLP"]) == linears(text, ".mlp.")
    assert paths(models, unet_target_name=["conv_in", "time_embedding"]) == {
        "conv_in", "time_embedding.linear_1", "time_embedding.linear_2",
    }  # fmt: skip
    every = r"(.*\.)?to_[qk]$"
    assert paths(models, unet_target_name=[every]) == linears(unet, "to_q", "to_k")
    assert paths(models, unet_target_name=["*.to_q", "*.to_k"], use_fnmatch=True) == linears(
        unet, "to_q", "to_k"
    )
    assert paths(models, unet_target_module=["FeedForward"], exclude_name=[r"up_blocks"]) == {
        path for path in linears(unet, ".ff.") if not path.startswith("up_blocks")
    }


def test_convolutions_and_norms(models: Models) -> None:
    table = {"unet_target_module": ["ResnetBlock2D"]}
    convolutions = {path for path, module in models[0].named_modules()
                    if ".resnets." in path and isinstance(module, nn.Conv2d)
                    and module.kernel_size == (3, 3)}  # fmt: skip
    norms = {path for path, module in models[0].named_modules()
             if ".resnets." in path and isinstance(module, nn.GroupNorm)}  # fmt: skip
    everything = paths(models, **table)
    assert paths(models, **table, enable_conv=False) == everything - convolutions
    assert paths(models, **table, train_norm=True) == everything | norms
    assert convolutions and norms


MAPPED = {
    "unet_target_module": ["Transformer2DModel"],
    "text_encoder_target_module": ["CLIPMLP"],
    "module_algo_map": {
        "FeedForward": {"algo": "lokr", "factor": 4, "rank_dropout": 0.1},
        "Attention": {"dim": 3},
        "ResnetBlock2D": {"algo": "loha", "dim": 2, "conv_dim": 0},
    },
    "name_algo_map": {
        r"mid_block\.attentions\.0\.transformer_blocks\.0\.attn1": {"dim": 5},
        r"mid_block\..*attn1\.to_q$": {"dim": 1},  # the first that fits holds
    },
}


def test_maps_choose_algorithm_and_options(models: Models) -> None:
    network = attach(*models, Preset.from_table(MAPPED), "lora", {"dim": 2, "dropout": 0.2}, 1)
    kinds = {name: type(one) for name, one in network.adapters.items()}
    ranks = {name: len(one.down) for name, one in network.adapters.items() if type(one) is LoRA}
    for name, kind in kinds.items():
        wanted = LoKr if "_ff_" in name else LoHa if "_resnets_" in name else LoRA
        assert kind is wanted, name
    for name, rank in ranks.items():
        middle = "mid_block" in name and "attn1" in name
        assert rank == (5 if middle else 3 if "_attn" in name else 2), name
    assert {LoKr, LoHa, LoRA} == set(kinds.values())
    assert not [name for name in kinds if name.endswith(("conv1", "conv2"))]  # conv_dim = 0
    for name, one in network.adapters.items():
        held = 0.1 if kinds[name] is LoKr else 0.0
        assert one.limits.dropout == 0.2 and one.limits.rank_dropout == held
    network.detach()
    plain = attach(*models, "attn-mlp", "lora", {"dim": 2}, 1)  # nothing is left behind
    assert {type(one) for one in plain.adapters.values()} == {LoRA}
    assert {len(one.down) for one in plain.adapters.values()} == {2}


@pytest.mark.parametrize("make", [sd, sdxl])
def test_a_file_of_several_algorithms_merges_as_it_was_trained(
    make: Callable[[], tuple[nn.Module, ...]], tmp_path: Path
) -> None:
    """Through a file, with norms, and with both text encoders of SDXL."""
    made = make()
    own = Preset.from_table({**MAPPED, "train_norm": True})
    base = predict(made)
    network = attach(made[0], made[1:], own, "lora", {"dim": 2}, 1).eval()
    randomise(network, size=0.05)
    trained = predict(made)
    network.detach()
    texts = {target.model for target in targets(made[0], made[1:], own)} - {"unet"}
    assert len(texts) == len(made) - 1
    save_file(network.tensors(), tmp_path / "a.safetensors")
    report = Merger(made[0], made[1:]).merge(adapter_file.read(tmp_path / "a.safetensors")[0])
    assert report.algorithms == ("loha", "lokr", "lora", "norm")
    assert report.matched == network.modules_matched and report.unmatched == ()
    assert (trained - base).abs().max() > 0.01
    torch.testing.assert_close(predict(made), trained, rtol=0, atol=1e-5)


def test_options_of_a_map_are_checked_with_the_configuration(models: Models) -> None:
    own = Preset.from_table({"module_algo_map": {"FeedForward": {"factor": 4}}})
    with pytest.raises(ValueError, match=r"the preset's map for down_blocks.*ff.*: unknown option"):
        attach(*models, own, "lora", {}, 1)
    attach(*models, own, "lokr", {}, 1).detach()
    with pytest.raises(ValueError, match=r"a preset of one's own matches no layer of UNet2D"):
        attach(*models, Preset.from_table({"unet_target_module": ["Nothing"]}), "lora", {}, 1)


@pytest.mark.parametrize(("table", "sentences"), [
    ({}, ["a preset without targets trains nothing; give unet_target_module or"]),
    ({"unet_target_modules": ["A"]},
     ["unknown key of a preset 'unet_target_modules'; did you mean 'unet_target_module'?"]),
    ({"enable_conv": "False", "unet_target_name": "conv_in"},
     ["enable_conv is 'False'; true or false is allowed",
      "unet_target_name is 'conv_in'; a list of names is allowed"]),
    ({"unet_target_name": ["*.to_q"]},
     [r"'*.to_q' is no regular expression", "use_fnmatch = true takes patterns with *"]),
    ({"name_algo_map": {"conv_in": {"algo": "lokrr"}, "(": {}, "x": 3}},
     ["name_algo_map.conv_in: unknown algorithm 'lokrr'; did you mean 'lokr'?",
      "name_algo_map.x is 3; a table of options is allowed"]),
    ({"module_algo_map": {"A": {"algo": "lora", "dims": 4}}},
     ["module_algo_map.A: unknown option 'dims'; did you mean 'dim'?"]),
    ({"module_algo_map": ["A"]}, ["module_algo_map is ['A']; a table of tables is allowed"]),
])  # fmt: skip
def test_mistakes_are_told_together(table: dict, sentences: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        Preset.from_table(table)
    assert all(sentence in str(caught.value) for sentence in sentences)


def test_no_table_and_one_that_is_shown() -> None:
    with pytest.raises(ValueError, match="a preset is a table of enable_conv, exclude_name"):
        Preset.from_table(["attn-mlp"])
    assert str(PRESETS["ia3"]).endswith("only for ia3")


def test_locon_is_lora() -> None:
    table = {"name_algo_map": {"conv_in": {"algo": "locon", "dim": 2}}}
    (entry,) = Preset.from_table(table).by_name
    assert entry[1].algorithm == "lora" and entry[1].options == {"dim": 2}
