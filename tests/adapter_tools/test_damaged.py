"""A damaged file is the same sentence in every command, which names the file and the tensor, and
nothing is written; where the meaning is clear it is read, with the right value."""

import json
import os
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lycoris_bench.adapter_tools.combine import combine
from lycoris_bench.adapter_tools.convert import convert
from lycoris_bench.adapter_tools.inspect import inspect
from lycoris_bench.adapter_tools.merge import merge
from lycoris_bench.adapter_tools.resize import resize
from lycoris_bench.adapter_tools.verify import verify
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from lycoris_bench.cli import exits
from tests.support import tiny_files as tiny

Q = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"  # 32 x 32
K = Q.replace("to_q", "to_k")
CONV = "lora_unet_mid_block_resnets_0_conv1"  # 32 x 32 x 3 x 3
COMMANDS: dict[str, Callable[[Path, Path, str], Any]] = {
    "inspect": lambda file, out, model: inspect(file),
    "inspect with a model": lambda file, out, model: inspect(file, model),
    "verify": lambda file, out, model: verify(model, file, picture=False),
    "merge": lambda file, out, model: merge(model, [file], out),
    "resize": lambda file, out, model: resize(file, out, 2),
    "combine": lambda file, out, model: combine([file, file], out),
    "kohya": lambda file, out, model: convert(file, out, "kohya"),
    "diffusers": lambda file, out, model: convert(file, out, "diffusers", model),
    "portable": lambda file, out, model: convert(file, out, "portable"),
    "full": lambda file, out, model: convert(file, out, "full"),
}


def lora(layer: str = Q, rank: int = 4, **others: Tensor | None) -> dict[str, Tensor]:
    made: dict[str, Tensor | None] = {
        "lora_up.weight": torch.randn(32, rank, generator=torch.Generator().manual_seed(1)),
        "lora_down.weight": torch.randn(rank, 32, generator=torch.Generator().manual_seed(2)),
        "alpha": torch.tensor(2.0),
    }  # fmt: skip
    made |= {name.replace("__", "."): value for name, value in others.items()}
    return {f"{layer}.{key}": value for key, value in made.items() if value is not None}


def loha(**others: Tensor | None) -> dict[str, Tensor]:
    made: dict[str, Tensor | None] = {f"hada_w{k}_a": torch.ones(32, 2) for k in (1, 2)}
    made |= {f"hada_w{k}_b": torch.ones(2, 32) for k in (1, 2)} | others
    return {f"{Q}.{key}": value for key, value in made.items() if value is not None}


def plain(**tensors: Tensor) -> dict[str, Tensor]:
    return {f"{Q}.{name.replace('__', '.')}": value for name, value in tensors.items()}


ONES, UP, DOWN = torch.ones, "lora_up__weight", "lora_down__weight"
BAD: dict[str, tuple[dict[str, Tensor], str]] = {
    "no rank": (lora(rank=0), r"'.*down.weight' has the shape \(0, 32\), which holds no number"),
    "no numbers": (plain(diff=ONES(0, 32)), r"diff' has the shape \(0, 32\)"),
    "points": (lora(**{UP: torch.tensor(1.0), DOWN: torch.tensor(1.0)}), r"lora_up.weight \(\) ha"),
    "a row": (lora(**{DOWN: ONES(32)}), r"lora_down.weight \(32,\) has too few sizes"),
    "ranks": (lora(**{UP: ONES(32, 8)}), r"\(32, 8\) and lora_down.weight \(4, 32\) have no rank"),
    "middle": (lora(CONV, lora_mid__weight=ONES(3, 4, 3, 3)), r"lora_mid.weight \(3, 4, 3, 3\)"),
    "half": (lora(**{UP: None}), "'lora_up.weight' is missing"),
    "other half": (lora(**{DOWN: None}), "'lora_down.weight' is missing"),
    "alpha alone": (lora(**{UP: None, DOWN: None}), "has alpha and no more"),
    "middle alone": (plain(lora_mid__weight=ONES(4, 4)), "has lora_mid.weight and no more"),
    "two kinds": ({**lora(), **loha()}, "is of no algorithm: one is missing, or one too many"),
    "alphas": (lora(alpha=ONES(4)), r"alpha' has the shape \(4,\) and the dtype float32; one num"),
    "no alphas": (lora(alpha=ONES(0)), r"alpha' has the shape \(0,\)"),
    "true": (lora(alpha=torch.tensor(True)), "dtype bool; one number is allowed"),
    "nan alpha": (lora(alpha=torch.tensor(torch.nan)), "alpha' holds NaN or an infinity"),
    "inf alpha": (lora(alpha=torch.tensor(torch.inf)), "alpha' holds NaN or an infinity"),
    "nan": (lora(**{UP: torch.full((32, 4), torch.nan)}), "lora_up.weight' holds NaN"),
    "inf": (loha(hada_w2_b=torch.full((2, 32), -torch.inf)), "hada_w2_b' holds NaN or an infinity"),
    "int8": (lora(**{UP: ONES(32, 4, dtype=torch.int8)}), "up.weight' is of int8; floating-point"),
    "bool": (plain(diff=ONES(32, 32, dtype=torch.bool)), "diff' is of bool; floating-point"),
    "magnitude": (lora(dora_scale=ONES(7)), r"dora_scale of shape \(7,\) does not fit"),
    "bias": (lora(diff_b=ONES(31)), r"diff_b of shape \(31,\) does not fit 32 outputs"),
    "loha half": (loha(hada_w2_a=None), "'hada_w2_a' is missing"),
    "loha ranks": (loha(hada_w1_a=ONES(32, 3)), r"hada_w1_a \(32, 3\) and hada_w1_b \(2, 32\)"),
    "loha sizes": (loha(hada_w1_b=ONES(2, 30)), "must be of one shape"),
    "loha core": (loha(hada_t1=ONES(2, 3, 3, 3)), "hada_t1 .* have no rank in common"),
    "lokr half": (plain(lokr_w1=ONES(4, 4)), "'lokr_w2' is missing"),
    "lokr quarter": (plain(lokr_w1=ONES(4, 4), lokr_w2_a=ONES(8, 2)), "'lokr_w2_b' is missing"),
    "lokr both": (plain(lokr_w1=ONES(4, 4), lokr_w2=ONES(8, 8), lokr_w2_a=ONES(8, 2)), "contradic"),
    "glora": (plain(a1__weight=ONES(32, 2), a2__weight=ONES(2, 32), b1__weight=ONES(32, 2),
                    b2__weight=ONES(3, 31)), "have no rank in common"),
    "glora half": (plain(a1__weight=ONES(32, 2), a2__weight=ONES(2, 32)), "'b1.weight' is missing"),
    "oft": (plain(oft_blocks=ONES(4, 8, 7)), "no row of square blocks"),
    "boft": (plain(oft_blocks=ONES(3, 2, 16, 16)), "no stages of square blocks"),
    "glora ranks": (plain(a1__weight=ONES(32, 2), a2__weight=ONES(2, 32), b1__weight=ONES(32, 3),
                          b2__weight=ONES(2, 32)), "have no rank in common"),
    "glora bias": (plain(a1__weight=ONES(32, 2), a2__weight=ONES(2, 32), b1__weight=ONES(32, 2),
                         b2__weight=ONES(2, 32), diff_b=ONES(31)), "does not fit 32 outputs"),
    "flat middle": (lora(lora_mid__weight=ONES(4, 4)), r"lora_mid.weight \(4, 4\) has too few"),
    "loha flat core": (loha(hada_t1=ONES(2, 2)), r"hada_t1 \(2, 2\) has too few sizes"),
    "lokr flat core": (plain(lokr_w1=ONES(4, 4), lokr_w2_a=ONES(2, 8), lokr_w2_b=ONES(2, 8),
                             lokr_t2=ONES(2, 2)), r"lokr_t2 \(2, 2\) has too few sizes"),
    "lokr kernels": (plain(lokr_w1=ONES(4, 4, 3, 3), lokr_w2=ONES(8, 8)), "is no matrix"),
    "half inputs": (lora(dora_scale=ONES(1, 16)), r"dora_scale of shape \(1, 16\) does not fit"),
    "rescale": (plain(oft_blocks=ONES(4, 8, 8), rescale=ONES(31, 1)), "does not fit 32 outputs"),
    "oft bias": (plain(oft_diag=ONES(4, 8, 8), diff_b=ONES(33)), "does not fit 32 outputs"),
    "ia3 flag": (plain(weight=ONES(32), on_input=torch.tensor(2)), "on_input' is 2; 0 or 1 is all"),
    "ia3 matrix": (plain(weight=ONES(8, 4), on_input=torch.tensor(0)), "does not fit 32 channels"),
    "ia3": (plain(on_input=torch.tensor(0)), "'weight' is missing"),
    "norms": (plain(w_norm=ONES(32), b_norm=ONES(31)), "must be of one shape"),
    "packed": (plain(oft_R__weight=ONES(4, 5)), "5 numbers are no block"),
    "two names": ({**lora(), **lora(Q.replace("lora_unet", "lycoris"))}, "under two names, '"),
    "dots": ({**lora(K), **lora(K.replace("lora_unet", "unet"))}, "under two names, '"),
    "text": ({**lora("lora_te_text_model_encoder_layers_0_mlp_fc1"),
              **lora("lora_te1_encoder_layers_0_mlp_fc1")}, "under two names, 'lora_te"),
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.folder(tmp_path_factory.mktemp("base") / "model", tiny.models()))


@pytest.mark.parametrize("fault", BAD)
def test_every_command_says_the_same(fault: str, model: str, tmp_path: Path) -> None:
    tensors, said = BAD[fault]
    good = lora("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_v")
    file, out = tmp_path / "bad.safetensors", tmp_path / "out"
    save_file({**good, **{key: value.contiguous() for key, value in tensors.items()}}, file)
    sentences = set()
    for command in COMMANDS.values():
        with pytest.raises(AdapterFileError, match=said) as caught:
            command(file, out, model)
        sentences.add(str(caught.value))
        assert not out.exists()
    (sentence,) = sentences
    assert sentence.startswith(f"{file}: ") and "\n" not in sentence
    assert next(iter(tensors)).partition(".")[0] in sentence


@pytest.mark.parametrize(("changes", "ratio"), [
    ({}, 0.5), ({"alpha": torch.tensor([2.0])}, 0.5), ({"alpha": ONES(1, 1)}, 0.25),
    ({"alpha": torch.tensor(2)}, 0.5), ({"alpha": torch.tensor(0)}, 1.0),
    ({"alpha": torch.tensor(0.0)}, 1.0), ({"alpha": torch.tensor(-2.0)}, -0.5),
    ({"alpha": None}, 1.0), ({"alpha": torch.tensor(2.0, dtype=torch.float64)}, 0.5),
    ({UP: lora()[f"{Q}.lora_up.weight"].double()}, 0.5),
    ({UP: lora()[f"{Q}.lora_up.weight"].to(torch.float8_e4m3fn)}, None),
])  # fmt: skip
def test_what_has_a_clear_meaning_is_read(
    changes: dict, ratio: float | None, model: str, tmp_path: Path
) -> None:
    tensors = lora(**changes)
    save_file(tensors, tmp_path / "a.safetensors")
    up, down = (tensors[f"{Q}.lora_{side}.weight"].double() for side in ("up", "down"))
    wanted = float((0.5 if ratio is None else ratio) * torch.linalg.matrix_norm(up @ down))
    (row,) = inspect(tmp_path / "a.safetensors", layers=True)["layers"]
    assert row["norm"] == pytest.approx(abs(wanted), rel=1e-6)
    assert verify(model, tmp_path / "a.safetensors", picture=False)["status"] == 0
    merge(model, [tmp_path / "a.safetensors"], tmp_path / "out")
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    weights = "unet/diffusion_pytorch_model.safetensors"
    old, new = (
        adapter_file.open_file(Path(root) / weights)[0][name] for root in (model, tmp_path / "out")
    )
    scale = 0.5 if ratio is None else ratio
    torch.testing.assert_close(new.double() - old, scale * up @ down, rtol=1e-5, atol=1e-5)


def test_textual_embeddings_are_told_and_left_out_by_all(model: str, tmp_path: Path) -> None:
    extra = {f"bundle_emb.{name}.string_to_param.*": ONES(2, 16) for name in ("tok", "cat")}
    save_file({**lora(), **extra}, tmp_path / "a.safetensors")
    save_file(lora(), tmp_path / "b.safetensors")
    for name, command in COMMANDS.items():
        with pytest.warns(UserWarning, match=r"left out, as they change no weight: cat, tok"):
            found = command(tmp_path / "a.safetensors", tmp_path / f"a {name}", model)
        assert not found.get("status") and not found.get("problems")
        same = command(tmp_path / "b.safetensors", tmp_path / f"b {name}", model)
        assert same["text"].count("\n") == found["text"].count("\n")


def headed(header: bytes, numbers: bytes = b"\0" * 64) -> bytes:
    return struct.pack("<Q", len(header)) + header + numbers


@pytest.mark.parametrize(("metadata", "said"), [
    ({"ss_epoch": 5}, r"its metadata 'ss_epoch' is 5, and texts alone .* \"5\" in quotes"),
    ({"a": "b", "c": None}, "its metadata 'c' is null"), ({"c": {"d": 1}}, "'c' is"),
    (["a"], "its metadata is no object of names and texts"), ("text", "no object of names"),
])  # fmt: skip
def test_metadata_that_is_no_text_is_named(metadata: Any, said: str, tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]}
    header = json.dumps({"__metadata__": metadata, f"{Q}.diff": entry}).encode()
    (tmp_path / "a").write_bytes(headed(header))
    with pytest.raises(AdapterFileError, match=said) as caught:
        adapter_file.read(tmp_path / "a")
    assert "cut off" not in str(caught.value)
    (tmp_path / "a").write_bytes(headed(b'{"__metadata__":' + b"[" * 100_000))
    with pytest.raises(AdapterFileError, match="cut off or no safetensors file"):
        adapter_file.read(tmp_path / "a")


def test_what_is_no_plain_file_is_said_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder.safetensors").mkdir()
    peft = tmp_path / "peft"
    peft.mkdir()
    os.mkfifo(peft / "adapter_config.json")
    for place, said in ((tmp_path / "pipe", "is a pipe"), (Path("/dev/zero"), "is a device"),
                        (tmp_path / "folder.safetensors", "a folder without adapter_config"),
                        (peft, r"adapter_config.json is a pipe"), (tmp_path / "none", "No such"),
                        (tmp_path / ("x" * 300), "name too long"), (Path("a\0b"), "no file name"),
                        (tmp_path / "pipe" / "below", "cannot be read")):  # fmt: skip
        with pytest.raises(AdapterFileError, match=said):
            adapter_file.read(place)


def test_a_warning_is_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    def command(*_: Any, **__: Any) -> int:
        warnings.simplefilter("always")
        warnings.warn("left\x1b out", stacklevel=1)
        return 1

    assert exits.call(command, []) == 1
    assert capsys.readouterr().err == "warning: left\\x1b out\n"
