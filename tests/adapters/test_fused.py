"""Names of Black Forest Labs and Stability: each of diffusers' layers gets its rows of ΔW."""

import pytest
import torch
from safetensors.torch import load
from torch import Tensor, nn

from lycoris_bench.adapters.formats.adapter_file import by_layer, to_bytes
from lycoris_bench.adapters.formats.families import family_of, inputs_of
from lycoris_bench.adapters.formats.layouts import canonical
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.matching import AdapterMismatch
from lycoris_bench.adapters.merge import Merger
from tests.adapters.test_names import SD1, unet
from tests.adapters.test_other_models import flux, sd3
from tests.adapters.test_peft_folders import Net
from tests.support.formulas import change

BLOCK, ONE = "transformer_blocks.0.", "single_transformer_blocks.1."
QKV = ("attn.to_q", "attn.to_k", "attn.to_v")
ADDED = ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")
# theirs -> diffusers' layers, one below the other; written from the two programs' sources
FLUX = {
    "double_blocks.0.img_attn.qkv": [BLOCK + q for q in QKV],
    "double_blocks.0.txt_attn.qkv": [BLOCK + q for q in ADDED],
    "double_blocks.0.img_attn.proj": [BLOCK + "attn.to_out.0"],
    "double_blocks.0.txt_attn.proj": [BLOCK + "attn.to_add_out"],
    "double_blocks.0.img_mlp.0": [BLOCK + "ff.net.0.proj"],
    "double_blocks.0.txt_mlp.2": [BLOCK + "ff_context.net.2"],
    "double_blocks.0.img_mod.lin": [BLOCK + "norm1.linear"],
    "double_blocks.0.txt_mod.lin": [BLOCK + "norm1_context.linear"],
    "single_blocks.1.linear1": [ONE + path for path in (*QKV, "proj_mlp")],
    "single_blocks.1.linear2": [ONE + "proj_out"],
    "single_blocks.1.modulation.lin": [ONE + "norm.linear"],
    "img_in": ["x_embedder"], "txt_in": ["context_embedder"],
    "time_in.in_layer": ["time_text_embed.timestep_embedder.linear_1"],
    "vector_in.out_layer": ["time_text_embed.text_embedder.linear_2"],
    "final_layer.linear": ["proj_out"], "final_layer.adaLN_modulation.1": ["norm_out.linear"],
}  # fmt: skip
JOINT, LAST = "joint_blocks.0.", "transformer_blocks.1."
STABILITY = {
    JOINT + "x_block.attn.qkv": [BLOCK + q for q in QKV],
    JOINT + "context_block.attn.qkv": [BLOCK + q for q in ADDED],
    JOINT + "x_block.attn.proj": [BLOCK + "attn.to_out.0"],
    JOINT + "context_block.attn.proj": [BLOCK + "attn.to_add_out"],
    JOINT + "x_block.mlp.fc1": [BLOCK + "ff.net.0.proj"],
    JOINT + "context_block.mlp.fc2": [BLOCK + "ff_context.net.2"],
    JOINT + "x_block.adaLN_modulation.1": [BLOCK + "norm1.linear"],
    JOINT + "context_block.adaLN_modulation.1": [BLOCK + "norm1_context.linear"],
    "joint_blocks.1.context_block.adaLN_modulation.1": [LAST + "norm1_context.linear"],
    "x_embedder.proj": ["pos_embed.proj"], "context_embedder": ["context_embedder"],
    "t_embedder.mlp.0": ["time_text_embed.timestep_embedder.linear_1"],
    "y_embedder.mlp.2": ["time_text_embed.text_embedder.linear_2"],
    "final_layer.linear": ["proj_out"], "final_layer.adaLN_modulation.1": ["norm_out.linear"],
}  # fmt: skip
SWAPPED = ("norm_out.linear", LAST + "norm1_context.linear")  # diffusers has scale before shift


def fused(model: nn.Module, paths: list[str]) -> Tensor:
    """The weight as the other program has it."""
    weights = [model.get_submodule(path).weight.detach() for path in paths]
    if paths[0] in SWAPPED:
        weights = list(weights[0].chunk(2))[::-1]
    return torch.cat(weights)


def made(kind: str, weight: Tensor, seed: int) -> dict[str, Tensor]:
    torch.default_generator.manual_seed(seed)
    (o, i), r = (len(weight), weight[0].numel()), 2
    down = torch.randn(r, *weight.shape[1:])
    match kind:
        case "lora":
            return {"lora_up.weight": torch.randn(o, r), "lora_down.weight": down,
                    "alpha": torch.tensor(1.0)}  # fmt: skip
        case "dora":
            return {**made("lora", weight, seed), "dora_scale": torch.rand(o, 1) + 0.5}
        case "loha":
            a, b = ("hada_w1_a", "hada_w2_a"), ("hada_w1_b", "hada_w2_b")
            return {name: torch.randn(o, r) for name in a} | {n: torch.randn(r, i) for n in b}
        case "lokr":
            return {"lokr_w1": torch.randn(o // 4, 2), "lokr_w2_a": torch.randn(4, r),
                    "lokr_w2_b": torch.randn(r, i // 2)}  # fmt: skip
        case "lokr across":
            return {"lokr_w1": torch.randn(2, 2), "lokr_w2_a": torch.randn(o // 2, r),
                    "lokr_w2_b": torch.randn(r, i // 2), "alpha": torch.tensor(1.0)}  # fmt: skip
        case "glora":
            return {"a1.weight": torch.randn(i, r), "a2.weight": torch.randn(r, i),
                    "b1.weight": torch.randn(o, r), "b2.weight": torch.randn(r, i)}  # fmt: skip
        case "oft_in":
            return {"oft_in.weight": torch.linalg.qr(torch.randn(i // 4, 4, 4))[0]}
    return {"diff": torch.randn(weight.shape)}


KINDS = ("lora", "dora", "loha", "lokr", "lokr across", "glora", "oft_in", "full")
STARTS = ("lora_unet_", "diffusion_model.", "transformer.", "")


@pytest.mark.parametrize(("kind", "start"), [*((k, STARTS[0]) for k in KINDS),
                                             *(("lora", s) for s in STARTS[1:])])  # fmt: skip
@pytest.mark.parametrize(("make", "names"), [(flux, FLUX), (sd3, STABILITY)])
def test_every_layer_moves_by_its_rows(make: type, names: dict, kind: str, start: str) -> None:
    torch.default_generator.manual_seed(0)
    model, tensors, wanted = make(), {}, {}
    for k, (theirs, paths) in enumerate(names.items()):
        weight = fused(model, paths)
        if kind not in ("lora", "full") and weight.dim() > 2:
            continue
        own = made(kind, weight, k)
        name = start + (theirs.replace(".", "_") if start.endswith("_") else theirs)
        tensors |= {f"{name}.{key}": value for key, value in own.items()}
        moved = change(own, weight)
        if paths[0] in SWAPPED:
            moved = torch.cat(moved.chunk(2)[::-1])
        sizes = [len(model.get_submodule(path).weight) for path in paths]
        wanted |= dict(zip(paths, moved.split(sizes), strict=True))
    before = {path: p.detach().clone() for path, p in model.named_parameters()}
    report = Merger(model).merge(tensors)
    assert report.matched == len(wanted) and report.unmatched == ()
    for path, expected in wanted.items():
        moved = model.get_submodule(path).weight.detach().double() - before[f"{path}.weight"]
        torch.testing.assert_close(moved, expected, rtol=1e-4, atol=2e-5 * expected.abs().max())
    found = canonical(tensors)
    assert canonical(found).keys() == found.keys()
    halves = {key: v.half() if v.is_floating_point() else v for key, v in found.items()}
    written = load(to_bytes(halves, {}))  # though q, k and v share a factor
    assert all(torch.equal(written[key], value) for key, value in halves.items())


def test_diffusers_divides_plain_lora_in_the_same_way() -> None:
    """Its converter of kohya's files has the same layers with the same factors."""
    convert = pytest.importorskip("diffusers.loaders.lora_conversion_utils")
    torch.default_generator.manual_seed(0)
    h = 3072  # its converter has the sizes of Flux in it
    sizes = {"double_blocks_0_img_attn_qkv": 3 * h, "double_blocks_0_txt_attn_qkv": 3 * h,
             "double_blocks_0_img_mlp_0": 4 * h, "single_blocks_0_linear1": 7 * h}  # fmt: skip
    tensors = {}
    for name, size in sizes.items():
        tensors[f"lora_unet_{name}.lora_up.weight"] = torch.randn(size, 1)
        tensors[f"lora_unet_{name}.lora_down.weight"] = torch.randn(1, h)
        tensors[f"lora_unet_{name}.alpha"] = torch.tensor(1.0)
    theirs = canonical(convert._convert_kohya_flux_lora_to_diffusers(dict(tensors)))
    ours = by_layer(tensors)
    assert {f"lora_{name}" for name in by_layer(theirs)} == set(ours)
    for name, own in ours.items():
        for key in ("lora_up.weight", "lora_down.weight"):
            assert torch.equal(own[key], theirs[f"{name.removeprefix('lora_')}.{key}"])


@pytest.mark.parametrize(("tensors", "reason"), [
    ({"lokr_w1": torch.ones(2, 1), "lokr_w2": torch.ones(12, 8)}, "a LoKr whose blocks of 12 out"),
    ({"lora_up.weight": torch.ones(24, 1), "lora_down.weight": torch.ones(1, 8),
      "dora_scale": torch.ones(1, 8)}, "a DoRA of inputs cannot be divided"),
    ({"oft_blocks": torch.ones(6, 4, 4)}, "diag-oft cannot be divided"),
    ({"lora_up.weight": torch.ones(25, 1), "lora_down.weight": torch.ones(1, 8)}, "25 outputs"),
    ({"lora_up.weight": torch.ones(24, 1)}, "'lora_down.weight' is missing"),
])  # fmt: skip
def test_what_cannot_be_divided_is_refused_by_name(tensors: dict, reason: str) -> None:
    name = "lora_unet_double_blocks_3_img_attn_qkv"
    with pytest.raises(AdapterFileError, match=f"{name}.*{reason}|{reason}.*{name}"):
        by_layer({f"{name}.{key}": value for key, value in tensors.items()})


def test_families_by_these_names() -> None:
    """A Flux file of double blocks alone is told from SD 3 by its width."""

    def file(name: str, width: int) -> dict[str, Tensor]:
        up, down = (3 * width, 1), (1, width)
        return {f"{name}.lora_up.weight": torch.ones(up, device="meta"),
                f"{name}.lora_down.weight": torch.ones(down, device="meta")}  # fmt: skip

    def family(tensors: dict[str, Tensor]) -> str:
        return family_of({name: inputs_of(own) for name, own in by_layer(tensors).items()})

    double = file("diffusion_model.double_blocks.0.txt_attn.qkv", 3072)
    assert family(double) == "Flux" and family(canonical(double)) == "Flux"
    joint = file("lora_unet_joint_blocks_0_context_block_attn_qkv", 1536)
    assert family(joint) == "Stable Diffusion 3"
    with pytest.raises(AdapterMismatch, match="is for Flux and the model is Stable Diffusion 1"):
        Merger(unet(SD1)).merge(double)
    with pytest.raises(AdapterMismatch, match="matches no layer"):
        Merger(Net()).merge(double)
