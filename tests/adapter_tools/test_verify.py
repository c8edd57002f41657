"""Proof of application: 0 for a file that is applied, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lycoris_bench.adapter_tools.verify import GUIDANCE, STEPS, verify
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.merge import Merger
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.study.places import locate
from tests.support import formulas
from tests.support import tiny_files as tiny

BASE = locate("package:miniature/weights/base", Path())


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone.load(BASE)


@pytest.fixture
def file(tmp_path: Path, backbone: Backbone) -> Path:
    pair = backbone.unet, backbone.text_encoder
    return tiny.adapter(tmp_path / "a.safetensors", pair, "lora", "attn-mlp", dim=4)


def pipeline(pair: Backbone, prompt: str, seed: int) -> np.ndarray:
    """diffusers' own pipeline on the same weights and noise."""
    from diffusers import StableDiffusionPipeline

    made = StableDiffusionPipeline(
        pair.vae, pair.text_encoder, pair.tokenizer, pair.unet, pair.scheduler, None, None,
        requires_safety_checker=False,
    )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    noise = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(seed))
    images = made(prompt, latents=noise, num_inference_steps=STEPS, guidance_scale=GUIDANCE,
                  output_type="np").images  # fmt: skip
    return (images[0] * 255).round()


def test_the_picture_moves_as_in_the_pipeline(file: Path, backbone: Backbone) -> None:
    found = verify(str(BASE), file, 0.8, "a red boat", 5)
    assert found["status"] == 0 and not found["problems"]
    before = pipeline(backbone, "a red boat", 5)
    merger = Merger(backbone.unet, backbone.text_encoder)
    report = merger.merge(adapter_file.read(file)[0], 0.8)
    moved = np.abs(pipeline(backbone, "a red boat", 5) - before)
    merger.restore()
    assert found["picture"]["mean"] == pytest.approx(float(moved.mean()), rel=0.02)
    assert found["picture"]["largest"] == pytest.approx(float(moved.max()), abs=2)
    assert found["matched"] == report.matched
    for row in found["blocks"]:
        name = row["block"]
        if name in report.change:
            assert row["change"] == pytest.approx(report.change[name], rel=1e-3)
        else:
            assert row["matched"] == 0 and row["change"] is None
    assert "applied" in found["text"].splitlines()[-1]


@pytest.mark.parametrize("strength, factor", [(0.0, 1), (1.0, 0)])
def test_nothing_that_changes_does_not_count_as_applied(
    tmp_path: Path, file: Path, strength: float, factor: int
) -> None:
    tensors = adapter_file.read(file)[0]
    made = tiny.write(tmp_path / "0", {name: t * factor for name, t in tensors.items()})
    found = verify(str(BASE), made, strength)
    assert found["problems"] == ["no weight changes: the adapter, or its strength, is 0"]
    assert found["status"] == 1 and found["picture"] is None and "not proven" in found["text"]


def test_a_part_and_another_family_are_status_1(tmp_path: Path, file: Path) -> None:
    tensors = adapter_file.read(file)[0]
    flux = tiny.lora(8, 8, 2, 1, "lora_transformer_single_transformer_blocks_0_proj_mlp")
    part = verify(str(BASE), tiny.write(tmp_path / "part", tensors | flux))
    assert part["status"] == 1 and part["not_in_model"] == 1 and part["picture"] is None
    assert part["matched"] == len(adapter_file.by_layer(tensors))
    assert part["problems"] == ["part: 1 not in the model: lora_transformer_single_transformer_"
                                "blocks_0_proj_mlp"]  # fmt: skip
    other = verify(str(BASE), tiny.write(tmp_path / "flux", flux))
    assert other["status"] == 1 and other["matched"] == 0
    strange = {"lora_unet_conv_in.lora_up.weight": torch.ones(2, 2),
               "lora_unet_conv_in.other": torch.ones(2)}  # fmt: skip
    unknown = verify(str(BASE), tiny.write(tmp_path / "unknown", tensors | strange))
    assert unknown["status"] == 1 and unknown["names"]["unknown_kind"] == ["lora_unet_conv_in"]


def test_another_shape_and_numbers_that_are_not_finite(tmp_path: Path, file: Path) -> None:
    wrong = adapter_file.read(file)[0] | tiny.lora(5, 7, 2, 1, "lora_unet_time_embedding_linear_1")
    found = verify(str(BASE), tiny.write(tmp_path / "wrong", wrong))
    assert found["status"] == 1 and "time_embedding_linear_1" in found["problems"][0]
    tensors = {key: value.clone() for key, value in adapter_file.read(file)[0].items()}
    key = next(key for key in tensors if key.endswith("lora_up.weight"))
    tensors[key][:] = float("nan")
    from safetensors.torch import save_file

    save_file(tensors, tmp_path / "nan.safetensors")
    with pytest.raises(adapter_file.AdapterFileError, match=f"nan.safetensors: '{key}' holds NaN"):
        verify(str(BASE), tmp_path / "nan.safetensors", picture=False)


def test_without_a_picture_a_single_file_will_do(tmp_path: Path) -> None:
    pair = tiny.models()
    base = tiny.single_file(tmp_path / "base.safetensors", pair)
    file = tiny.adapter(tmp_path / "a", pair, "loha", "full", dim=2)
    found = verify(str(base), file, picture=False)
    assert found["status"] == 0 and found["picture"] is None and found["untouched"] > 0
    drawn = verify(str(tiny.folder(tmp_path / "folder", pair)), file)
    assert drawn["status"] == 1 and "--no-picture compares weights alone" in drawn["problems"][0]


@pytest.mark.parametrize("strength", [float("nan"), float("inf"), -float("inf"), 1e39, -1e39])
def test_a_strength_that_is_no_fp32_number_is_refused(file: Path, strength: float) -> None:
    with pytest.raises(BenchError, match=r"--strength is .*; .* is allowed, such as 0\.8"):
        verify(str(BASE), file, strength, picture=False)


def test_a_seed_that_is_too_large_and_a_prompt_that_is_no_text(file: Path) -> None:
    for seed in (-1, 2**63, 2**70, 10**400):
        with pytest.raises(BenchError, match="--seed is .*; a whole number from 0 to"):
            verify(str(BASE), file, seed=seed)
    with pytest.raises(BenchError, match=r"--prompt is no UTF-8 text: 'a\\udcffb'"):
        verify(str(BASE), file, prompt="a\udcffb")


def test_what_leaves_the_range_of_the_models_dtype_is_not_proven(tmp_path: Path) -> None:
    """|ΔW| is 3 everywhere: at 21 800 the sum is within fp16's 65 504, at 21 900 it is not."""
    from safetensors.torch import save_file

    unet, text = tiny.models()
    tiny.folder(tmp_path / "half", (unet.half(), text.half()))
    tiny.folder(tmp_path / "single", (unet.float(), text.float()))
    name = "lora_unet_time_embedding_linear_1"
    shape = unet.state_dict()["time_embedding.linear_1.weight"].shape
    tensors = {f"{name}.diff": torch.full(shape, 3.0), f"{name}.diff_b": torch.ones(shape[0])}
    save_file(tensors, tmp_path / "a.safetensors")

    def status(model: str, strength: float, adapter: str = "a.safetensors") -> tuple[int, list]:
        found = verify(str(tmp_path / model), tmp_path / adapter, strength, picture=False)
        assert (found["text"].splitlines()[-1] == "applied") == (found["status"] == 0)
        return found["status"], found["problems"]

    assert status("half", 21_800) == (0, []) == status("single", 21_900)
    bad, (problem,) = status("half", 21_900)
    assert bad == 1 and problem == (
        f"{name}: at strength 21900 its weight leaves the range of the model's float16"
    )
    save_file({f"{name}.diff_b": torch.full(shape[:1], 2.0)}, tmp_path / "bias.safetensors")
    assert status("half", 30_000, "bias.safetensors") == (0, [])
    bad, (problem,) = status("half", 40_000, "bias.safetensors")
    assert bad == 1 and "its bias leaves the range of the model's float16" in problem
    save_file({"lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.diff_b":
               torch.ones(32)}, tmp_path / "none.safetensors")  # fmt: skip
    bad, (problem,) = status("single", 1, "none.safetensors")
    assert bad == 1 and "a bias update (diff_b) but this layer has no bias" in problem


@pytest.mark.parametrize(("dtype", "largest"), [
    (torch.float8_e4m3fn, 448), (torch.float8_e5m2, 57344), (torch.bfloat16, None),
    (torch.float64, None),
])  # fmt: skip
def test_models_of_every_dtype(dtype: torch.dtype, largest: float | None, tmp_path: Path) -> None:
    """|ΔW| / |W| of the weights as they are stored, in float64."""
    pair = tiny.models()
    options = {"lora": {"dim": 4}, "full": {}, "diag-oft": {"dim": 4}, "ia3": {}}
    files = {algorithm: tiny.adapter(tmp_path / algorithm, pair, algorithm, "attn-mlp", **given)
             for algorithm, given in options.items()}  # fmt: skip
    base = tiny.folder(tmp_path / "base", (pair[0].to(dtype), pair[1]))
    state = pair[0].state_dict()
    for algorithm, path in files.items():
        found = verify(str(base), path, 0.5, picture=False)
        assert found["status"] == 0 and found["problems"] == []
        moved = whole = 0.0
        for name, own in adapter_file.by_layer(adapter_file.read(path)[0]).items():
            if name.startswith("lora_unet_mid_block"):
                places = {f"lora_unet_{key.replace('.', '_')}": key for key in state}
                weight = state[places[f"{name}_weight"]].double()
                moved += float(formulas.change(own, weight).square().sum()) / 4
                whole += float(weight.square().sum())
        rows = {row["block"]: row["change"] for row in found["blocks"]}
        assert rows["unet.mid_block"] == pytest.approx((moved / whole) ** 0.5, rel=1e-4)
        if largest and algorithm == "full":
            name = "lora_unet_mid_block_attentions_0_proj_in"
            shape = state["mid_block.attentions.0.proj_in.weight"].shape
            beyond = tiny.write(tmp_path / "b", {f"{name}.diff": torch.full(shape, largest * 0.9)})
            assert verify(str(base), beyond, picture=False)["status"] == 0
            (problem,) = verify(str(base), beyond, 1.5, picture=False)["problems"]
            kind = str(dtype).removeprefix("torch.")
            assert problem.endswith(
                f"at strength 1.5 its weight leaves the range of the model's {kind}"
            )


def test_a_quantized_weight_takes_no_change(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    pair = tiny.models()
    path = tiny.adapter(tmp_path / "a", pair, "lora", "attn-mlp", dim=4)
    base = tiny.folder(tmp_path / "base", pair)
    place = base / "unet" / "diffusion_pytorch_model.safetensors"
    key = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    save_file({**load_file(place), key: torch.ones(32, 32, dtype=torch.int8)}, place)
    (problem,) = verify(str(base), path, picture=False)["problems"]
    assert problem.endswith("attn1_to_q: its weight is stored as int8 in the model, which takes no "
                            "change")  # fmt: skip


def test_names_from_files_are_shown_as_escapes(tmp_path: Path, file: Path) -> None:
    strange = {f"lora_unet_\x1b[2Jx_{k}.diff": torch.ones(2, 2) for k in range(12)}
    found = verify(str(BASE), tiny.write(tmp_path / "a", adapter_file.read(file)[0] | strange))
    said = [found["text"], *found["problems"]]
    assert found["status"] == 1 and all("\x1b" not in text for text in said)
    assert "lora_unet_\\x1b[2Jx_0, lora_unet_\\x1b[2Jx_1" in found["text"]
    assert found["names"]["not_in_model"][2:4] == [f"lora_unet_\x1b[2Jx_{k}" for k in (2, 3)]
