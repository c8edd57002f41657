"""The documentation is run: what it shows works as shown."""

import re
import shlex
import shutil
import tomllib
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn

import lycoris_bench
from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.delta import changes
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.cli import main
from lycoris_bench.scoring.metrics import METRICS
from lycoris_bench.study.load import parse
from lycoris_bench.study.records import MetricRow
from tests.support.plugin import Load
from tests.support.world import table as tiny_table

DOCS = Path(__file__).parent.parent / "docs"
TOOLS = ("inspect", "verify", "merge", "extract", "resize", "combine", "convert")
ONE = ["--workers", "1"]
# What a test adds to a page's command: no processes, and no timing of this machine.
HERE = {"run": ONE, "train": ONE, "generate": ONE, "score": ONE, "plan": ["--rate", "7,8"]}


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.study
def test_the_tutorial_can_be_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(smaller(blocks("tutorial.md", "toml")[0]))
    commands = [line for block in blocks("tutorial.md", "sh") for line in block.splitlines()]
    assert commands[0] == "lycoris-bench demo"  # minutes long: test_demo.py runs it
    for line in commands[1:]:
        program, *arguments = shlex.split(line)
        assert program == "lycoris-bench"
        here = HERE.get(arguments[0], [])
        assert main.call(main.command(), [*arguments, *here]) == 0, (
            f"{line}: {capsys.readouterr().err}"
        )
    assert (tmp_path / "runs/mine/report/index.html").exists()
    said = capsys.readouterr().out
    assert "mine is valid: 2 configurations, 4 checkpoints" in said
    assert said.count("2/2") == 0 and "trained" in said
    header = (tmp_path / "runs/mine/metrics.csv").read_text().splitlines()[0]
    for column in ("configuration", "seed", "epoch", "metric", "encoder", "value", "better"):
        assert column in header.split(",")


def smaller(study: str) -> str:
    """The page's study with numbers that are a tenth of the work; the demo's are as big as its."""
    for name, number in {
        "resolution": 24, "bucket_min": 16, "bucket_max": 40, "images_per_class": 2, "images": 1,
        "steps": 1, "width": 16, "height": 16,
    }.items():  # fmt: skip
        study, replaced = re.subn(rf"(?m)^{name} = \d+", f"{name} = {number}", study)
        assert replaced == 1, name
    return study


@pytest.mark.study
def test_images_that_exist_already_can_be_scored(
    tmp_path: Path, small_run: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The page's commands, on the small study's images under the names of kohya's trainer, and on
    that study itself in place of the demo."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small_run, "runs/demo")
    shutil.copytree(Path(lycoris_bench.__file__).parent / "miniature/dataset/toys/bunny", "photos")
    drawn = sorted((small_run / "images/lora").rglob("bunny/train/*.png"))
    for folder, steps in (
        ("my lora/sample", (100, 200)),
        ("base-sample", (0,)),
        ("cats in A1111", (0,)),
    ):
        Path(folder).mkdir(parents=True)
        for step, (k, image) in product(steps, enumerate(drawn)):
            name = f"mine_{step:06d}_{k:02d}_20240131235959_{k + 1}"
            Image.open(image).resize((32, 32)).rotate(step).save(f"{folder}/{name}.jpg")
            Path(folder, f"{name}.txt").write_text(f"olis toy --n blurry --l {3 + k}")
    section = (DOCS / "evaluate.md").read_text("utf-8").partition("## Images that exist")[2]
    found = re.findall(
        r"^```sh\n(.*?)^```", section.partition("\n## ")[0], re.MULTILINE | re.DOTALL
    )
    for line in "".join(found).splitlines():
        program, *arguments = shlex.split(line)
        small = ["--encoders", "miniature-image"] if "--encoders" not in arguments else []
        small = [*small, "--device", "cpu"] if arguments[0] == "score" else []
        assert program == "lycoris-bench"
        assert main.call(main.app, [*arguments, *small]) == 0, f"{line}: {capsys.readouterr().err}"
    for run in ("my-lora", "second", "cats-in-A1111", "demo-images"):
        assert Path("runs", run, "report/index.html").exists()


@pytest.mark.study
def test_the_page_of_the_adapter_tool_can_be_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("adapter-tool.md", "python")[0], "adapter-tool.md", "exec"), {})
    lines = [line for block in blocks("adapter-tool.md", "sh") for line in block.splitlines()]
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "lycoris-bench"
        assert main.call(main.command(), arguments) == 0, f"{line}: {capsys.readouterr().err}"
        if "--output" in arguments or "-o" in arguments:
            assert (tmp_path / arguments[arguments.index("-o") + 1]).exists()
    said = capsys.readouterr().out
    assert "96 layers merged. Result: merged" in said and "applied" in said
    assert {arguments.split()[2] for arguments in lines} == set(TOOLS)


@pytest.mark.study
def test_the_page_on_what_others_made_can_be_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("evaluate.md", "python")[0], "evaluate.md", "exec"), {})
    sizes = ("steps=1", "width=32", "height=32")
    small = [word for size in sizes for word in ("--set", f"sampling.{size}")]
    lines = [line for block in blocks("evaluate.md", "sh") for line in block.splitlines()]
    for line in [line for line in lines if line.split()[1] in ("eval", "watch")]:
        program, *arguments = shlex.split(line)
        assert program == "lycoris-bench"
        here = ["--rate", "1,9"] if "--dry-run" in arguments else ONE
        typed = [*arguments, *small, *here]
        assert main.call(main.command(), typed) == 0, f"{line}: {capsys.readouterr().err}"
    said = capsys.readouterr().out
    assert "may be kept" in said or "Keep " in said  # which, is the pictures' to say
    assert "No test can tell a checkpoint from the base model by 4" in said  # so few are drawn
    assert "Usable strengths" not in said and "best so far" in said
    [given] = [block for block in blocks("evaluate.md", "toml") if "[given.dog]" in block]
    study = parse({**tiny_table(), **tomllib.loads(given)}, tmp_path)
    # the last has no moment of its own
    assert [str(c) for c in study.given] == ["dog/epoch-010", "dog"]
    assert all(Path(file).exists() for file in study.settings.given["dog"].files)


def test_the_python_of_the_adapter_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh LoRA changes nothing, so the merged and the restored model are the loaded one."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(blocks("adapters.md", "python")[0], "adapters.md", "exec"), names)
    report, tensors = names["report"], names["tensors"]
    layers = {name.partition(".")[0] for name in tensors}
    assert report.matched == len(layers) > 0 and not report.unmatched
    assert set(report.change.values()) == {0.0}


def test_the_algorithm_of_the_adapter_page_is_whole(load_plugin: Load, tmp_path: Path) -> None:
    """It is trained for a step, saved and read; ΔW is that of its formula, entry by entry."""
    (tmp_path / "row_gain.py").write_text(blocks("adapters.md", "python")[1], encoding="utf-8")
    load_plugin(tmp_path / "row_gain.py")
    layer = nn.Linear(3, 2)
    model, before = nn.Sequential(layer), layer.weight.detach().clone()
    network = attach(model, layers=["Linear"], algorithm="row-gain", options={"speed": 2})
    assert torch.equal(
        model(torch.ones(1, 3)), nn.functional.linear(torch.ones(3), before, layer.bias)[None]
    )
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    network.save(tmp_path / "row_gain.safetensors")
    tensors, _ = adapter_file.read(tmp_path / "row_gain.safetensors")
    (own,) = adapter_file.by_layer(tensors).values()
    gain = [-0.1 * 2 * float(row.sum()) for row in before]  # one step down d(sum)/dg = 2 · Σ W
    expected = [[2 * gain[o] * float(before[o, i]) for i in range(3)] for o in range(2)]
    torch.testing.assert_close(
        changes(own, before)[0], torch.tensor(expected), rtol=2e-3, atol=1e-5
    )
    with pytest.raises(lycoris_bench.BenchError, match="speed is 0; a number from 0.01 to 100"):
        attach(
            nn.Sequential(nn.Linear(3, 2)),
            layers=["Linear"],
            algorithm="row-gain",
            options={"speed": 0},
        )


def test_the_table_of_the_analysis_page_is_analyzed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LoRA is above LoHa in each of the four cells: of ranks 1 to 4 its two seeds have the upper
    half, (2/3 + 1) / 2."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(blocks("analysis.md", "python")[0], "analysis.md", "exec"), names)
    means = names["made"].scores.groupby("configuration")["score"].mean()
    assert means.to_dict() == pytest.approx({"lora": 5 / 6, "loha": 1 / 6})
    assert set(names["made"].references["configuration"]) == {"base", "real"}
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_analysis_page_lists_the_columns_of_the_metric_table() -> None:
    page = (DOCS / "analysis.md").read_text(encoding="utf-8")
    rows = page.partition("| column | what it holds |\n|---|---|\n")[2].partition("\n\n")[0]
    listed = [
        name for row in rows.splitlines() for name in re.findall("`(.*?)`", row.split("|")[1])
    ]
    assert listed == MetricRow.columns()


def test_the_metric_of_the_plugin_page_is_whole(load_plugin: Load, tmp_path: Path) -> None:
    (tmp_path / "brightness_of_features.py").write_text(blocks("plugins.md", "python")[0])
    load_plugin(tmp_path / "brightness_of_features.py")
    assert METRICS.get("brightness_of_features")(np.array([[1.0, -2.0], [0.0, 5.0]])) == 2.0


def test_command_help_in_the_docs_is_the_programs() -> None:
    written = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert written == command_page(), "docs/commands.md is stale: run python tests/test_docs.py"


def command_page() -> str:
    """docs/commands.md: its words before the first command, then the help of every command."""
    preamble = (
        (DOCS / "commands.md").read_text(encoding="utf-8").partition("\n## lycoris-bench\n")[0]
    )
    parts = [preamble]
    program = CliRunner(env={"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"})
    command = main.command()
    names = ["", *command.commands]
    for group in ("adapter", "export"):
        names += [f"{group} {name}" for name in command.commands[group].commands]
    for name in names:
        said = program.invoke(command, [*name.split(), "-h"], prog_name="lycoris-bench").stdout
        lines = [line.rstrip() for line in said.strip().splitlines()]
        parts.append(
            f"## lycoris-bench {name}".rstrip() + "\n\n```\n" + "\n".join(lines) + "\n```\n"
        )
    return "\n".join(parts)


def test_every_test_that_a_page_names_exists() -> None:
    """The table of who reads what refers to what shows it."""
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", (DOCS / "adapters.md").read_text("utf-8"))
    assert len(named) > 15
    tests = Path(__file__).parent
    for file, function in named:
        texts = [path.read_text(encoding="utf-8") for path in tests.rglob(file)]
        assert any(f"def {function}(" in text for text in texts), f"{file}::{function}"


def test_every_folder_that_contributors_are_sent_to_exists() -> None:
    text = (DOCS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    folders = re.findall(r"`([a-z_/]+)/`", text)
    assert len(set(folders)) > 15
    places = (DOCS.parent, Path(lycoris_bench.__file__).parent)
    assert [f for f in folders if not any((p / f).is_dir() for p in places)] == []


def test_the_presets_of_the_adapter_page_are_valid() -> None:
    """Its TOML, as parts of a study."""
    from lycoris_bench.study.load import parse

    own, combined = (tomllib.loads(block) for block in blocks("adapters.md", "toml"))
    parse({
        "name": "page", "base_model": "b", "dataset": "d", "prompts": "p", "epochs": [1],
        "algorithms": {"lora": {"lr": 1e-3, "preset": "queries"}}, **own, **combined,
    })  # fmt: skip


def test_the_prior_preservation_of_the_data_page_is_valid() -> None:
    """A part of a study, which is trained without it where it is left out."""
    from lycoris_bench.study.load import parse

    block, some = (b for b in blocks("data.md", "toml") if "prior_preservation" in b)
    study = {
        "name": "page", "base_model": "b", "dataset": "d", "prompts": "p", "epochs": [1],
        "algorithms": {"lora": {"lr": 1e-3}},
    }  # fmt: skip
    given = parse({**study, **tomllib.loads(block)}).settings.training.prior_preservation
    assert given and (given.weight, given.images) == (1.0, 200) == (type(given)().weight, 200)
    assert parse(study).settings.training.prior_preservation is None
    both = parse({**study, **tomllib.loads(block), **tomllib.loads(some)})
    assert {c.name: c.prior_preservation for c in both.own.values()} == {
        "lora": False, "held": True,
    }  # fmt: skip


if __name__ == "__main__":
    (DOCS / "commands.md").write_text(command_page(), encoding="utf-8")
