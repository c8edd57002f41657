"""`lycoris-bench export ...`: exit statuses, streams, files."""

import json
from pathlib import Path

import pytest
import yaml

from lycoris_bench.cli import main

Captured = pytest.CaptureFixture[str]


def call(*arguments: object) -> int:
    return main.call(main.command(), ["export", *map(str, arguments)])


def test_a_card_is_printed_or_written(small_run: Path, tmp_path: Path, capsys: Captured) -> None:
    assert call("card", small_run, "lora") == 0
    printed = capsys.readouterr().out
    [model] = yaml.safe_load(printed.strip("-\n"))["model-index"]
    assert model["name"] == "small lora"
    assert call("card", small_run, "--out", tmp_path / "card.yaml") == 0
    assert (tmp_path / "card.yaml").read_text() == printed
    assert call("card", small_run, "-o", tmp_path / "card.yaml") == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert call("card", small_run, "nobody") == 2
    assert "error: unknown configuration 'nobody'" in capsys.readouterr().err


def test_a_table_is_printed_or_written(small_run: Path, tmp_path: Path, capsys: Captured) -> None:
    assert call("csv", small_run) == 0
    said = capsys.readouterr()
    assert said.out.startswith("Folder,") and said.err.startswith("warning: the authors have no")
    assert call("csv", small_run, "--out", tmp_path / "out") == 0
    assert (tmp_path / "out/metrics.csv").read_text() == said.out
    assert (tmp_path / "out/config_mapping.csv").read_text().startswith("Config,Algo,Preset,")
    assert call("csv", tmp_path) == 2


def test_a_leaderboard_is_written(small_run: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "board"
    assert call("leaderboard", small_run, "--out", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["runs"] == [small_run.name]
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "leaderboard.json"]
    # a run that is listed apart is named, and the status says so
    other = json.loads((out / "leaderboard.json").read_text())
    for term in other["runs"][0]["terms"]:
        term["n"] += 1
    (tmp_path / "other.json").write_text(json.dumps(other))
    assert call("leaderboard", small_run, tmp_path / "other.json", "-o", tmp_path / "two") == 1
    assert "as these differ: n, images of a set" in capsys.readouterr().out
    assert call("leaderboard", tmp_path / "nowhere", "-o", tmp_path / "three") == 2
    assert not (tmp_path / "three").exists()
