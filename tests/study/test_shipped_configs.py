"""The shipped studies as they are read: what their comments tell to type works as written, and
overrides of base model, dataset, sizes and encoders are enough to run them elsewhere."""

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lycoris_bench.cli import main
from lycoris_bench.data.captioning.tagger import Tagger
from lycoris_bench.run.outcome import STAGES
from lycoris_bench.study.load import load
from lycoris_bench.study.places import locate

Captured = pytest.CaptureFixture[str]
CONFIGS = sorted(locate("package:configs", Path()).glob("*.toml"))
SMALL = {
    "base_model": "package:miniature/weights/base",
    "scoring.encoders": '["miniature-image", "miniature-image-text", "miniature-gram"]',
    "training.resolution": 64, "training.bucket_step": 8, "training.bucket_min": 40,
    "training.bucket_max": 96, "sampling.width": 64, "sampling.height": 64,
}  # fmt: skip


def commands(config: Path) -> list[list[str]]:
    """The commands in its comments; what they lead to stands three spaces behind them."""
    found = re.findall(r"^# +(lycoris-bench .*?)(?:   .*)?$", config.read_text(), re.MULTILINE)
    return [shlex.split(line)[1:] for line in found]


def overrides(dataset: Path) -> list[str]:
    return [f"dataset={dataset}", *(f"{key}={value}" for key, value in SMALL.items())]


class Seer:
    """A tagger that sees the same in every image."""

    def tags(self, images: Sequence[Any], threshold: float) -> list[list[str]]:
        return [["outdoors", "solo"] for _ in images]


def test_every_command_in_a_comment_works_as_it_is_written(
    shaped: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    """In a folder with `dataset` and `configs`, as their reader has it. The captions they write
    are all that the caption study needs."""
    work = shaped.parent
    shaped.rename(work / "dataset")
    (work / "configs").symlink_to(CONFIGS[0].parent)
    for caption in (work / "dataset").rglob("*.txt"):
        caption.unlink()
    monkeypatch.chdir(work)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(work / "hub"))
    monkeypatch.setattr(Tagger, "load", lambda *_: Seer())
    monkeypatch.setattr(
        "lycoris_bench.planning.time_and_disk.disk_bytes", lambda plan: (0, None, None)
    )  # slow
    found = {config.stem: commands(config) for config in CONFIGS}
    assert {name: len(lines) for name, lines in found.items() if lines} == {
        "paper": 2, "captions": 3,
    }  # fmt: skip
    for lines in found.values():
        for line in sorted(lines):  # `caption` goes before `plan`, which needs captions
            assert main.call(main.command(), line) == 0, f"{line}: {capsys.readouterr().err}"
    capsys.readouterr()
    written = {path.suffix for path in (work / "dataset").rglob("1.*")}
    assert written == {".png", ".txt", ".all-tags", ".no-tags"}
    study = str(locate("package:configs/captions.toml", Path()))
    small = [part for text in overrides(work / "dataset") for part in ("--set", text)]
    assert main.call(main.command(), ["validate", study, *small]) == 0, capsys.readouterr()


@pytest.mark.study
@pytest.mark.parametrize(("name", "checkpoints"), [("paper", 234), ("captions", 108)])
def test_the_papers_studies_are_planned_by_overrides_alone(
    name: str, checkpoints: int, shaped: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: Captured,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for image in shaped.rglob("*.png"):
        for extension in (".no-tags", ".all-tags"):
            image.with_suffix(extension).write_text(f"{extension} caption")
    study = f"package:configs/{name}.toml"
    small = [part for text in overrides(shaped) for part in ("--set", text)]
    assert main.call(main.command(), ["validate", study, *small]) == 0
    said = capsys.readouterr().out
    assert f"{checkpoints} checkpoints, 43 training images of 43 concepts" in said
    for command in ("plan --rate 7,8", *(f"{s} --dry-run" for s in STAGES)):
        assert main.call(main.command(), [*command.split(), study, *small, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["checkpoints"], found["images_per_checkpoint"]) == (checkpoints, 14_900)
        assert not found["missing"] and not found["downloads"]
    assert found["images_of_checkpoints"] == checkpoints * 14_900
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_study_reads_back_as_itself(config: Path, tmp_path: Path) -> None:
    study = load(config)
    (tmp_path / "study.toml").write_text(study.toml())
    assert load(tmp_path / "study.toml") == study
    assert 'prompts = "package:prompts/' in study.toml()  # not where this machine has it
