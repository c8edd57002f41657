"""Files that are damaged, hostile or for another model: one sentence, and nothing half applied."""

import json
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file
from torch import Tensor, nn

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.formats.adapter_file import read, to_bytes
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.adapters.matching import AdapterMismatch
from lycoris_bench.adapters.merge import Merger
from lycoris_bench.adapters.presets.layers import Preset
from tests.adapters.test_merge import weights
from tests.adapters.test_names import SD1, SD2, SDXL, unet
from tests.support.toys import toy

LAYER = "lora_unet_down_blocks_0_layer"
UP, DOWN = f"{LAYER}.lora_up.weight", f"{LAYER}.lora_down.weight"


def lora() -> dict[str, Tensor]:
    torch.default_generator.manual_seed(4)
    return {UP: torch.randn(20, 2), DOWN: torch.randn(2, 12)}


def one_sentence(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text and "Traceback" not in text and 20 < len(text) < 600
    return text


@pytest.mark.parametrize("name", ["a.pt", "a.ckpt", "a.bin", "a.safetensors"])
@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_are_refused_with_the_way_out_and_never_run(
    name: str, zipped: bool, tmp_path: Path
) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"x": Trap()}, tmp_path / name, _use_new_zipfile_serialization=zipped)
    with pytest.raises(AdapterFileError, match="is a pickle.*convert it to safetensors") as caught:
        read(tmp_path / name)
    one_sentence(caught.value)
    assert not (tmp_path / "ran").exists()


def test_every_truncation(tmp_path: Path) -> None:
    whole, path = to_bytes(lora(), {"ss_seed": "1"}), tmp_path / "a.safetensors"
    for length in range(0, len(whole), 3):
        path.unlink(missing_ok=True)  # to write over a file takes ten times as long
        path.write_bytes(whole[:length])
        with pytest.raises(AdapterFileError, match="is cut off or no safetensors file") as caught:
            read(path)
        one_sentence(caught.value)


def headed(header: object, data: bytes = b"\0" * 64) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape: list[int], *offsets: int, dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


@pytest.mark.parametrize("content", [
    headed({UP: entry([4], 0, 16)}, b""),  # no data
    headed({UP: entry([4], 0, 1 << 40)}),  # beyond the end
    headed({UP: entry([5], 0, 16)}),  # other shape than length
    headed({UP: entry([4], 0, 16), DOWN: entry([4], 8, 24)}),  # one over the other
    headed({UP: entry([4], 16, 0)}),
    headed({UP: entry([4], -16, 0)}),
    headed({UP: entry([4], 0, 16, dtype="F99")}),
    headed({UP: {"dtype": "F32"}}),
    headed({UP: entry([2**40, 2**40], 0, 64)}),
    headed([1, 2]), headed(b"{"), headed(b"\xff\xfe"), headed(b"{" * 500),
    struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", 2**33) + b"{}" * 10,
    b"{}" * 40, b"\0" * 100, b"GIF89a" + b"\0" * 50,
])  # fmt: skip
def test_headers_that_lie(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(AdapterFileError) as caught:
        read(path)
    one_sentence(caught.value)


def test_an_empty_file_and_one_without_tensors(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"")
    with pytest.raises(AdapterFileError, match="is cut off"):
        read(path)
    path.write_bytes(save({}))
    with pytest.raises(AdapterFileError, match="holds no adapter.*it has no tensors$"):
        read(path)
    path.write_bytes(save({"a.b": torch.ones(2)}))
    with pytest.raises(AdapterFileError, match="first tensor is 'a.b'; one of a plug-in needs"):
        read(path)


def change(name: str, value: Tensor | None) -> Callable[[dict[str, Tensor]], None]:
    def apply(tensors: dict[str, Tensor]) -> None:
        if value is None:
            del tensors[name]
        else:
            tensors[name] = value

    return apply


FAULTS = {
    "another output": (change(UP, torch.ones(21, 2)), rf"{LAYER}: .*shape \(21, 12\) does not fit"),
    "another rank": (change(UP, torch.ones(20, 3)), r"lora_up\.weight \(20, 3\)"),
    "another input": (change(DOWN, torch.ones(2, 13)), r"lora_down|\(20, 13\)"),
    "a scalar": (change(DOWN, torch.tensor(1.0)), r"lora_down\.weight \(\)"),
    "no rank": (change(DOWN, torch.ones(0, 12)), "lora_down"),
    "half of it": (change(DOWN, None), "'lora_down.weight' is missing"),
    "long alpha": (change(f"{LAYER}.alpha", torch.ones(2)), "alpha"),
    "nan": (change(UP, torch.full((20, 2), torch.nan)), rf"'{UP}' holds NaN or an infinity"),
    "inf": (change(DOWN, torch.full((2, 12), torch.inf)), rf"'{DOWN}' holds NaN or an inf"),
    "nan alpha": (change(f"{LAYER}.alpha", torch.tensor(torch.nan)), r"alpha' holds NaN"),
    "unknown tensor": (change(f"{LAYER}.lora_extra", torch.ones(1)), "matches no layer"),
    "two names": (change("lycoris_down_blocks_0_layer.diff", torch.ones(20, 12)),
                  f"under two names: '{LAYER}'"),
    "twice": (change("lora_unet_down_blocks_0_layer.lora_A.weight", torch.ones(2, 12)),
              "is there twice"),
    "foreign bias": (change(f"{LAYER}.diff_b", torch.ones(3)), r"bias update has shape \(3,\) but"),
    "magnitude": (change(f"{LAYER}.dora_scale", torch.ones(7)), r"dora_scale.*\(7,\)"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_in_a_layer_are_named_and_leave_the_base(fault: str, tmp_path: Path) -> None:
    spoil, reason = FAULTS[fault]
    model, _ = toy("linear")
    base, merger, tensors = weights(model), Merger(model), lora()
    merger.merge(tensors)
    spoil(tensors)
    save_file({key: value.contiguous() for key, value in tensors.items()}, tmp_path / "a.st")
    with pytest.raises((AdapterMismatch, AdapterFileError), match=reason) as caught:
        try:
            found, _ = read(tmp_path / "a.st")
        except AdapterFileError:
            merger.merge(tensors)  # the tensors themselves are refused too
            raise AssertionError from None
        merger.merge(found)
    one_sentence(caught.value)
    assert weights(model) == base


def test_an_unknown_tensor_of_a_dotted_name_keeps_its_layer_out() -> None:
    """Not a layer `unet` of its own beside one that is applied without it."""
    model, _ = toy("linear")
    dotted = {f"unet.down_blocks.0.layer.{key.partition('.')[2]}": v for key, v in lora().items()}
    Merger(model).merge(dotted)
    assert weights(model) != weights(toy("linear")[0])
    other, _ = toy("linear")
    base = weights(other)
    with pytest.raises(AdapterMismatch, match="matches no layer"):
        Merger(other).merge({**dotted, "unet.down_blocks.0.layer.lora_gate.weight": torch.ones(1)})
    assert weights(other) == base


def test_a_name_without_end_is_refused_unread(tmp_path: Path) -> None:
    name = "lora_unet_" + "a_" * 100_000
    save_file({f"{name}.lora_up.weight": torch.ones(2, 1)}, tmp_path / "a")
    with pytest.raises(AdapterFileError, match=r"a name of 200,025 letters; up to 2,000") as caught:
        read(tmp_path / "a")
    one_sentence(caught.value)


def flux_file() -> dict[str, Tensor]:
    name = "lora_unet_double_blocks_0_img_attn_qkv"
    return {f"{name}.lora_up.weight": torch.ones(9216, 1, device="meta"),
            f"{name}.lora_down.weight": torch.ones(1, 3072, device="meta")}  # fmt: skip


def sd3_file() -> dict[str, Tensor]:
    name = "transformer.transformer_blocks.0.attn.add_q_proj"
    return {f"{name}.lora_B.weight": torch.ones(1536, 1, device="meta"),
            f"{name}.lora_A.weight": torch.ones(1, 1536, device="meta")}  # fmt: skip


@cache
def model(number: int) -> nn.Module:
    """The U-Net of a family, which no test changes."""
    return unet(SHAPES[number])


def trained(number: int, algorithm: str) -> dict[str, Tensor]:
    some = Preset(unet_names=(r"down_blocks\.2.*attn2\.to_[kv]$",))
    network = attach(model(number), None, some, algorithm, {}, seed=0)
    network.detach()
    return network.tensors()


NAMES = {1: "Stable Diffusion 1", 2: "Stable Diffusion 2", 3: "Stable Diffusion XL"}
SHAPES = {1: SD1, 2: SD2, 3: SDXL}


@pytest.mark.parametrize("algorithm", ["lora", "loha", "lokr", "full", "glora"])
@pytest.mark.parametrize(("adapter", "base"), [(3, 1), (1, 3), (2, 1)])
def test_an_adapter_of_another_family_says_so(adapter: int, base: int, algorithm: str) -> None:
    """By the width of the text, though most names of SD1 and SDXL are the same."""
    tensors = trained(adapter, algorithm)
    reason = f"the adapter is for {NAMES[adapter]} and the model is {NAMES[base]}: it has lora_un"
    with pytest.raises(AdapterMismatch, match=reason) as caught:
        Merger(model(base)).merge(tensors)
    one_sentence(caught.value)


@pytest.mark.parametrize(("make", "name"), [
    (flux_file, "Flux"), (sd3_file, "Stable Diffusion 3"),
])  # fmt: skip
def test_an_adapter_of_a_transformer_says_so(make: Callable, name: str) -> None:
    with pytest.raises(AdapterMismatch, match=f"is for {name} and the model is Stable Diff.* 1"):
        Merger(unet(SD1)).merge(make())


def test_a_second_text_encoder_is_sdxls() -> None:
    """Its layers are not those of a model's only one, though their paths are the same."""
    from lycoris_bench.adapters.formats.families import family_of, version_of
    from lycoris_bench.adapters.formats.layer_names import Directory

    layer = "text_model_encoder_layers_0_mlp_fc1"
    only = Directory({"text_encoder": ["encoder.layers.0.mlp.fc1"]})
    assert only.find(f"lora_te1_{layer}") == only.find(f"lora_te_{layer}") is not None
    assert only.find(f"lora_te2_{layer}") is None
    assert family_of({f"lora_te2_{layer}": 1280}) == "Stable Diffusion XL"
    cross = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    versions = {768: "sd_v1", 1024: "sd_v2", 2048: "sdxl_base_v1-0", 16: "sd_v1"}
    assert {w: version_of(family_of({cross: w})) for w in versions} == versions
    joint = "lora_transformer_transformer_blocks_0_attn_add_q_proj"
    assert version_of(family_of({joint: 1536})) == "sd3"
