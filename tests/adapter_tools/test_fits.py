"""What is made for another shape than the model's layer has is refused, whatever is asked for."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lycoris_bench.adapter_tools.combine import combine
from lycoris_bench.adapter_tools.convert import convert
from lycoris_bench.adapter_tools.fits import fits
from lycoris_bench.adapter_tools.merge import merge
from lycoris_bench.adapter_tools.resize import resize
from lycoris_bench.messages.errors import BenchError
from tests.support import tiny_files as tiny

LINEAR, PLAIN = "down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_out_0", (16, 16)
NO_BIAS = "down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_q"
KERNEL, NORM = "down_blocks_0_resnets_0_conv1", "down_blocks_0_resnets_0_norm1"
POINT = "down_blocks_0_attentions_0_proj_in"  # a 1x1 kernel
UP, DOWN, ALPHA = "lora_up.weight", "lora_down.weight", {"alpha": torch.tensor(1.0)}
BLOCKS = "oft_blocks"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.folder(tmp_path_factory.mktemp("model") / "base", tiny.models()))


def ones(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    """Tensors of these shapes; in names `__` stands for a dot."""
    return {name.replace("__", "."): torch.ones(shape) for name, shape in shapes.items()}


def lora(up: tuple[int, ...], down: tuple[int, ...]) -> dict[str, Tensor]:
    return ones(lora_up__weight=up, lora_down__weight=down)


LINEAR_MISFITS = {
    "outputs": lora((15, 4), (4, 16)),
    "inputs": lora((16, 4), (4, 15)),
    "a kernel": lora((16, 4, 1, 1), (4, 16, 3, 3)),
    "loha": ones(hada_w1_a=(16, 2), hada_w1_b=(2, 15), hada_w2_a=(16, 2), hada_w2_b=(2, 15)),
    "lokr": ones(lokr_w1=(5, 4), lokr_w2=(4, 4)),
    "glora": ones(a1__weight=(15, 2), a2__weight=(2, 15), b1__weight=(16, 2), b2__weight=(2, 15)),
    "ia3": {**ones(weight=(15,)), "on_input": torch.tensor(0)},
    "oft": ones(oft_blocks=(5, 8, 8)),
    "boft": ones(oft_blocks=(2, 2, 6, 6)),
    "dora": {**lora((8, 4), (4, 16)), **ones(dora_scale=(1, 16))},
    "difference": ones(diff=(16, 15)),
    "turned": ones(diff=(8, 32)),
    "flat": ones(diff=(256,)),
    "norm": ones(w_norm=(16,), b_norm=(16,)),
    "bias": ones(diff_b=(15,)),
}
OTHERS = [
    (KERNEL, lora((16, 4, 1, 1), (4, 16, 5, 5))),
    (KERNEL, lora((16, 4, 1, 1), (4, 16, 1, 9))),
    (KERNEL, ones(diff=(16, 3, 3, 16))),
    (KERNEL, {**lora((16, 4, 1, 1), (4, 16, 1, 1)), **ones(lora_mid__weight=(4, 4, 2, 2))}),
    (NORM, lora((16, 4), (4, 1))),
    (NORM, ones(w_norm=(15,), b_norm=(15,))),
    (NORM, ones(oft_blocks=(4, 4, 4))),
    (NORM, {**ones(weight=(16,)), "on_input": torch.tensor(0)}),
    (NO_BIAS, ones(diff=(16, 16), diff_b=(16,))),
    (NO_BIAS, {**lora((16, 4), (4, 16)), **ones(diff_b=(16,))}),
    (NO_BIAS, ones(diff_b=(16,))),
]


def written(path: Path, layer: str, tensors: dict[str, Tensor]) -> Path:
    save_file({f"lora_unet_{layer}.{key}": value for key, value in tensors.items()}, path)
    return path


@pytest.mark.parametrize(
    ("layer", "tensors"), [*((LINEAR, one) for one in LINEAR_MISFITS.values()), *OTHERS]
)
def test_no_command_takes_what_does_not_fit_the_model(
    tmp_path: Path, base: str, layer: str, tensors: dict[str, Tensor]
) -> None:
    file, out = written(tmp_path / "a", layer, tensors), tmp_path / "out"
    for command in (
        *(lambda to=to: convert(file, out, to, base)
          for to in ("kohya", "lycoris", "compvis", "comfyui", "diffusers", "peft", "portable",
                     "full")),
        lambda: resize(file, out, rank=2, model=base),
        lambda: combine([file], out, [0.5], model=base),
        lambda: merge(base, [file], out),
    ):  # fmt: skip
        with pytest.raises(
            BenchError, match=f"a: lora_unet_{layer}: .*(\\(\\d+,|has no bias)"
        ) as refused:
            command()
        own = {str(tuple(value.shape)) for value in tensors.values()}
        weights = {LINEAR: "(16, 16)", NO_BIAS: "bias", KERNEL: "(16, 16, 3, 3)", NORM: "(16,)"}
        assert weights[layer] in str(refused.value) or any(one in str(refused.value) for one in own)
        assert "unet.down_blocks.0." in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


FITTING = [
    (LINEAR, lora((16, 4), (4, 16))),
    (LINEAR, lora((16, 4, 1, 1), (4, 16, 1, 1))),  # Stable Diffusion 1's own proj_in were kernels
    (POINT, lora((16, 4), (4, 16))),
    (KERNEL, lora((16, 4, 1, 1), (4, 16, 3, 3))),
    (KERNEL, lora((16, 4), (4, 144))),
    (KERNEL, {**lora((16, 4, 1, 1), (4, 16, 1, 1)), **ones(lora_mid__weight=(4, 4, 3, 3))}),
    (KERNEL, ones(hada_w1_a=(16, 2), hada_w1_b=(2, 144), hada_w2_a=(16, 2), hada_w2_b=(2, 144))),
    (KERNEL, ones(lokr_w1=(4, 4), lokr_w2_a=(4, 2), lokr_w2_b=(2, 36))),
    (KERNEL, ones(oft_blocks=(4, 4, 4), rescale=(16, 1, 1, 1))),
    (KERNEL, ones(oft_blocks=(3, 4, 4, 4))),
    (KERNEL, {**ones(weight=(1, 16, 1, 1)), "on_input": torch.tensor(1)}),
    (KERNEL, ones(a1__weight=(16, 2), a2__weight=(2, 16), b1__weight=(16, 2), b2__weight=(2, 144))),
    (LINEAR, {**lora((16, 4), (4, 16)), **ones(dora_scale=(1, 16))}),
    (LINEAR, ones(diff=(16, 16), diff_b=(16,))),
    (LINEAR, ones(diff_b=(16,))),
    (NORM, ones(w_norm=(16,), b_norm=(16,))),
    (NORM, ones(diff=(16,), diff_b=(16,))),
]
SHAPES = {LINEAR: (16, 16), POINT: (16, 16, 1, 1), KERNEL: (16, 16, 3, 3), NORM: (16,)}


@pytest.mark.parametrize(("layer", "tensors"), FITTING)
def test_every_form_that_readers_take_fits(layer: str, tensors: dict[str, Tensor]) -> None:
    fits(tensors, torch.Size(SHAPES[layer]), torch.Size((16,)))


def test_packed_weights_do_not_tell_their_shape(tmp_path: Path) -> None:
    (tmp_path / "base" / "unet").mkdir(parents=True)
    path = "down_blocks.0.resnets.0.conv1"
    save_file({f"{path}.weight": torch.zeros(1152, 1, dtype=torch.uint8)},
              tmp_path / "base" / "unet" / "a.safetensors")  # fmt: skip
    file = written(tmp_path / "a", KERNEL, lora((16, 4, 1, 1), (4, 16, 3, 3)))
    assert convert(file, tmp_path / "out", "lycoris", str(tmp_path / "base"))["status"] == 0
