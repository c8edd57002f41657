"""`lycoris-bench adapter ...`: exit statuses, streams, JSON, sentences."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import lycoris_bench
from lycoris_bench.cli import main
from tests.support import tiny_files as tiny

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of which each test has a copy."""
    root, pair = tmp_path_factory.mktemp("made"), tiny.models()
    tiny.folder(root / "base", pair)
    tiny.adapter(root / "a", pair, "lora", "attn-only", dim=2)
    tiny.adapter(root / "dora", pair, "lora", "attn-only", dim=2, dora_wd=True)
    tensors = tiny.lora(16, 16, 2, 1, "lora_transformer_x")
    linear = tiny.lora(64, 16, 2, 1, "lora_unet_time_embedding_linear_1")
    tiny.write(root / "part", tensors | linear)
    tiny.write(root / "other", tensors)
    torch.save({"a": torch.ones(2)}, root / "old.ckpt")
    (root / "cut").write_bytes((root / "a").read_bytes()[:-9])
    save_file({"x": torch.ones(2)}, root / "strange")
    return root


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """base/ and tuned/, a LoRA `a`, a part of whose twin `part` is for another model."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(made, tmp_path, dirs_exist_ok=True))


def call(line: str) -> int:
    return main.call(main.command(), ["adapter", *line.split()])


def test_a_round_through_all_commands(place: Path, capsys: Captured) -> None:
    for line in (
        "inspect a",
        "verify base a --no-picture --strength 0.5",
        "merge base a -o tuned --strength 0.5",
        "extract base tuned -o b --rank 2",
        "resize b -o c --rank 1",
        "combine a b --weight 0.5 --weight 0.5 -o d",
        "convert d -o e --to compvis --model base",
    ):
        assert call(f"{line} --json") == 0, line
        said = capsys.readouterr()
        assert isinstance(json.loads(said.out), dict) and "text" not in json.loads(said.out)
        assert not said.err
        extra = " --force" if "-o" in line else ""
        assert call(line + extra) == 0 and capsys.readouterr().out.count("\n") >= 1
    assert {"b", "c", "d", "e", "tuned"} <= {path.name for path in place.iterdir()}
    assert not list(place.rglob("*.part"))


def test_json_of_a_match_is_the_table(place: Path, capsys: Captured) -> None:
    assert call("verify base a --no-picture --json") == 0
    found = json.loads(capsys.readouterr().out)
    assert sum(row["matched"] for row in found["blocks"]) == found["matched"] == 4 * 8 + 2 * 4
    assert sum(row["untouched"] for row in found["blocks"]) == found["untouched"]
    assert call("verify base a --no-picture") == 0
    assert "matched            40" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("verify base part --no-picture", 1, "part: 1 not in the model: lora_transformer_x"),
        ("verify base other --no-picture", 1, "other: 1 not in the model"),
        ("verify base a", 1, "no picture: base model 'base' is no complete pipeline folder"),
        ("merge base part -o out", 1, "part: 1 not in the model: lora_transformer_x"),
        ("merge base other -o out2", 2, "other matches no layer of base: 1 not in the model"),
        ("merge nowhere a -o out2", 2, "base model 'nowhere' does not exist"),
        ("merge a a -o out2", 2, "a is no single file of a base model"),
        ("merge base a -o base/unet", 2, "lies in, the input"),
        ("merge base a -o dora", 2, "dora is a file, and the result is a folder"),
        ("merge base a dora part -o x --strength 1 --strength 2", 2, "3 adapters and 2 strengths"),
        ("merge base a -o x --strength nan", 2, "--strength is nan; a number from -65504"),
        ("merge old.ckpt a -o x", 2, "old.ckpt is a pickle"),
        ("inspect old.ckpt", 2, "old.ckpt is a pickle, which may run code when opened"),
        ("inspect cut", 2, "cut is cut off or no safetensors file"),
        ("inspect strange", 2, "holds no adapter"),
        ("inspect none", 2, "none cannot be read: No such file or directory"),
        ("resize a -o x", 2, "give one of --rank, --energy and --size"),
        ("resize dora -o x --rank 1", 2, "depends on the base model's weights: give --model"),
        ("combine a -o x --weight 1 --weight 2", 2, "1 file and 2 weights"),
        ("extract base base -o x", 2, "differ in no weight that 'lora' can change"),
        ("extract base base -o x --as lokr --rank 4", 2, "--rank and --energy are for --as lora"),
        ("extract base base -o x --as loha", 2, "'loha' is not one of"),
        ("convert a -o x --to diffusers", 2, "give --model"),
        ("convert a -o x --to webui", 2, "'webui' is not one of"),
        ("inspekt a", 2, "No such command 'inspekt'"),
    ],
)
def test_statuses_and_sentences(
    place: Path, capsys: Captured, line: str, status: int, said: str
) -> None:
    before = {path.name for path in place.iterdir()}
    assert call(line) == status
    output = capsys.readouterr()
    error = " ".join(output.err.replace("│", " ").split())
    assert said in error and "Traceback" not in error
    if status == 2:  # nothing is said on stdout and nothing written
        assert not output.out and {path.name for path in place.iterdir()} == before


def test_help_needs_no_torch() -> None:
    code = "import sys, lycoris_bench.cli.adapter; print('torch' in sys.modules)"
    source = Path(lycoris_bench.__file__).parent.parent
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=source
    )
    assert printed.stdout.strip() == "False"


def test_names_from_files_are_shown_and_not_obeyed(place: Path, capsys: Captured) -> None:
    """Terminal codes and direction marks in names of layers and tensors are written as escapes."""
    name = "lora_unet_\x1b[31mred\u202e"
    save_file(tiny.lora(8, 8, 2, 1, name), place / "x")
    save_file(
        {**tiny.lora(8, 8, 2, 1, "lora_unet_y"), f"{name}.strange": torch.ones(1)}, place / "z"
    )
    for line in ("resize x --rank 1 -o o --layers", "combine x x -o o --force --layers",
                 "convert x --to portable -o o --force --layers", "resize z --rank 1 -o p",
                 "convert x --to kohya -o o --force", "merge base x -o m"):  # fmt: skip
        call(line)
        said = "".join(capsys.readouterr())
        assert "\x1b" not in said and "\u202e" not in said, line
        assert "\\x1b[31m" in said or "--to kohya" in line


def test_a_fault_says_what_was_done_to_which_file(
    place: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No exception's bare text is the message: a KeyError's is its key."""

    def broken(*_: object) -> None:
        raise KeyError("dissimilarity")

    for module in ("merge", "extract", "resize", "combine", "convert", "inspect", "verify"):
        monkeypatch.setattr(f"lycoris_bench.adapter_tools.{module}.{module}", broken)
    for line, doing in (
        ("inspect a", "inspecting a"), ("verify base a", "verifying a"),
        ("merge base a dora -o o", "merging a, dora into base"),
        ("extract base tuned -o o", "extracting the difference of base and tuned"),
        ("resize a --rank 1 -o o", "resizing a"), ("combine a dora -o o", "combining a, dora"),
        ("convert a --to full -o o", "converting a to full"),
    ):  # fmt: skip
        assert call(line) == 1
        said = capsys.readouterr().err
        assert f"error: while {doing}: KeyError: 'dissimilarity'" in said
        assert "report it to the project" in said
