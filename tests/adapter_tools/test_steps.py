"""Every command says how far it is: each of its layers, in each of its passes."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from lycoris_bench.adapter_tools.steps import counted, told
from lycoris_bench.cli import progress
from lycoris_bench.cli.adapter import app
from tests.support import tiny_files as tiny

NAMES = [f"lora_unet_mid_block_attentions_0_transformer_blocks_0_attn{n}_to_q" for n in (1, 2)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, `base` and `tuned`, and two adapters of two layers, `a` and `b`."""
    root = tmp_path_factory.mktemp("files")
    pair = tiny.models()
    tiny.folder(root / "base", pair)
    weights = pair[0].state_dict()
    for name in NAMES[:1]:
        key = next(k for k in weights if f"lora_unet_{k}".replace(".", "_") == f"{name}_weight")
        weights[key] += 1
    tiny.folder(root / "tuned", pair)
    for seed, file in enumerate("ab"):
        save_file(tiny.lora(32, 32, 4, seed, NAMES[0]) |
                  tiny.lora(32, 32, 4, seed + 5, NAMES[1]), root / file)  # fmt: skip
    return root


WRITTEN = {"preparing": 2, "writing": 6, "reading back": 2}
COMMANDS = {
    "resize a --rank 2": {"reading a": 1, "decomposing": 2, "rounding": 2, **WRITTEN},
    "resize a --size 0.0015": {"decomposing": 2, "rounding, try 1": 2, "rounding, try 2": 2},
    "combine a b": {"reading a": 1, "reading b": 1, "adding": 2, **WRITTEN},
    "convert a --to kohya": {"reading a": 1, "checking": 2, **WRITTEN},
    "convert a --to comfyui --model base": {"reading a": 1, "checking": 2, "converting": 2,
                                            **WRITTEN},
    "convert a --to portable": {"reading a": 1, "checking": 2, "converting": 2, "rounding": 2,
                                **WRITTEN},
    "convert a --to full": {"reading a": 1, "checking": 2, **WRITTEN, "writing": 2},
    "convert a --to peft --model base": {"reading a": 1, "checking": 2, "converting": 2,
                                         "reading back": 2},
    "extract base tuned": {"decomposing": 1, "preparing": 1, "writing": 3, "reading back": 1},
    "merge base a": {"reading": 1},
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_all_layers_are_counted_in_every_pass(
    folder: Path, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: Counter[str] = Counter()
    totals: dict[str, int] = {}

    def listen(what: str, steps: int, total: int) -> None:
        done[what] += steps
        totals[what] = total
        assert done[what] <= total

    @contextlib.contextmanager
    def shown() -> Iterator[object]:
        yield listen

    monkeypatch.setattr(progress, "shown", shown)
    monkeypatch.chdir(folder)
    found = CliRunner().invoke(app, [*command.split(), "-o", str(tmp_path / "out")])
    assert found.exit_code == 0, found.output
    for what, total in COMMANDS[command].items():
        assert totals[what] == total, what
        last = what in ("writing",)  # is under way when all is asked for
        assert done[what] == total - last, what
    if command.startswith("merge"):
        file = "diffusion_pytorch_model.safetensors"
        tensors = len(load_file(folder / "base" / "unet" / file))
        assert totals[f"merging unet/{file}"] == tensors and totals["copying"] >= 4
    if command.startswith("extract"):
        assert totals["comparing"] > 100 and done["comparing"] == totals["comparing"]


def test_a_line_comes_while_a_command_is_silent(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.01)
    monkeypatch.setattr(progress.log, "propagate", False)
    monkeypatch.setattr(progress.log, "handlers", [])
    monkeypatch.setattr(progress.logging.getLogger(), "handlers", [])
    with progress.shown() as tell, told(tell):
        for _ in counted(range(3), "adding"):
            while "adding: " not in capsys.readouterr().err:
                pass


def test_nobody_has_to_listen() -> None:
    assert list(counted(iter("ab"), "reading")) == ["a", "b"]
