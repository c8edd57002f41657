"""Study files: the grid they mean, and every mistake at once with what is allowed."""

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lycoris_bench.study.load import StudyError, load, parse
from lycoris_bench.study.places import locate

CONFIGS = locate("package:configs", Path())
GOOD: dict[str, Any] = {
    "name": "mine",
    "base_model": "base",
    "dataset": "data",
    "prompts": "prompts",
    "epochs": [1, 2],
    "algorithms": {"lora": {"lr": 1e-3, "dim": 8, "alpha": 4, "vary": [{"dim": 16}, {"lr": 1e-4}]}},
}


def mistakes(change: Any) -> list[str]:
    table = copy.deepcopy(GOOD)
    change(table)
    with pytest.raises(StudyError) as error:
        parse(table)
    return error.value.problems


def test_the_grid_is_a_default_and_its_variations() -> None:
    study = parse(GOOD)
    assert [c.name for c in study.configurations] == ["lora", "lora-dim16", "lora-lr0.0001"]
    assert study.configurations[1].keywords == {"dim": 16, "alpha": 4}
    assert study.configurations[1].preset == "attn-mlp"
    assert [str(c) for c in study.checkpoints][:3] == [
        "base", "lora/seed-23/epoch-001", "lora/seed-23/epoch-002",
    ]  # fmt: skip


def test_the_paper_mirrored_is_234_checkpoints() -> None:
    study = load(CONFIGS / "miniature.toml")
    assert len(study.configurations) == 26
    assert len(study.checkpoints) == 1 + 234
    assert len({c.uid for c in study.configurations}) == 26
    kept = [c for c in study.configurations if c.importance]
    assert len(kept) * 3 * 3 == 207


def test_the_demo_has_at_least_twelve_checkpoints_of_four_algorithms() -> None:
    study = load(CONFIGS / "demo.toml")
    assert len(study.checkpoints) - 1 >= 12
    assert {c.algorithm for c in study.configurations} == {"lora", "loha", "lokr", "full"}
    assert set(study.settings.sampling.prompt_types) == {"train", "trigger", "alter", "style"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.update(seedz=[1]), "unknown key 'seedz'; did you mean 'seeds'?"),
        (lambda t: t.update(training={"batchsize": 2}), "did you mean 'training.batch_size'?"),
        (lambda t: t["algorithms"].update(lorra={"lr": 1e-3}), "unknown algorithm 'lorra'; did"),
        (lambda t: t["algorithms"]["lora"].update(rank=8), "unknown key 'algorithms.lora.rank'"),
        (lambda t: t["algorithms"]["lora"].update(preset="attn"), "unknown preset 'attn'; did you"),
        (lambda t: t.update(scoring={"metrics": ["vendy"]}), "unknown metric 'vendy'; did you"),
        (lambda t: t.update(scoring={"encoders": ["dinov2"]}), "did you mean 'dinov2-l'?"),
        (lambda t: t.update(scoring={"encoders": ["vgg19:cropp"]}), "did you mean 'crop'?"),
        (lambda t: t.update(sampling={"prompt_types": ["tain"]}), "did you mean 'train'?"),
        (lambda t: t["algorithms"]["lora"].update(lr=0), "lr' is 0: a learning rate above 0"),
        (lambda t: t["algorithms"]["lora"].update(lr=2.0), "at most 1"),
        (lambda t: t["algorithms"]["lora"].update(lr="fast"), "'fast'"),
        (lambda t: t["algorithms"]["lora"].update(dim=0), "dim"),
        (lambda t: t["algorithms"]["lora"].update(dim=-3), "-3"),
        (lambda t: t.update(epochs=[0]), "'epochs.0' is 0"),
        (lambda t: t.update(epochs=[]), "'epochs' is []"),
        (lambda t: t.update(epochs=[2, 1]), "[2, 1]: at least one"),
        (lambda t: t.update(seeds=[1, 1]), "[1, 1]"),
        (lambda t: t.update(training={"resolution": 0}), "'training.resolution' is 0"),
        (lambda t: t.update(training={"resolution": 64}), "between bucket_min 320"),
        (lambda t: t.update(sampling={"guidance": float("nan")}), "guidance"),
        (lambda t: t.pop("dataset"), "'dataset' is missing"),
        (lambda t: t.update(name="a/b"), "'name' is 'a/b'"),
        (lambda t: t["algorithms"]["lora"]["vary"].append({"dim": 16}), "are the same"),
        (lambda t: t["algorithms"]["lora"]["vary"].append({"dim": 8}), "are the same"),
        (lambda t: t["algorithms"]["lora"].update(vary=3), "must be a list of tables"),
        (lambda t: t.update(algorithms={}), "'algorithms', 'combine' or 'given' is needed"),
        (lambda t: t["algorithms"]["lora"]["vary"].append({"name": "base", "dim": 3}), "'base' is"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_with_a_suggestion(change: Any, said: str) -> None:
    problems = mistakes(change)
    assert len(problems) == 1, problems
    assert said in problems[0]


def test_every_mistake_is_reported_at_once() -> None:
    def change(table: dict[str, Any]) -> None:
        table["seedz"] = [1]
        table["epochs"] = [0]
        table["algorithms"]["lohaa"] = {"lr": 1e-3}
        table["algorithms"]["lora"]["dimm"] = 3
        table["scoring"] = {"metrics": ["vendy"]}
        del table["prompts"]

    problems = mistakes(change)
    for word in ("seedz", "epochs.0", "lohaa", "dimm", "prompts"):
        assert any(word in problem for problem in problems), word


def test_overrides_and_relative_paths(tmp_path: Path) -> None:
    text = (CONFIGS / "demo.toml").read_text().replace("package:miniature/dataset", "../data")
    (tmp_path / "studies").mkdir()
    file = tmp_path / "studies/mine.toml"
    file.write_text(text)
    overrides = ["training.batch_size=2", "seeds=[1, 2]", "name=other", "algorithms.lora.lr=0.01"]
    study = load(file, overrides)
    assert Path(study.settings.dataset).resolve() == (tmp_path / "data").resolve()
    assert study.settings.training.batch_size == 2
    assert (study.name, study.settings.seeds) == ("other", (1, 2))
    assert study.configurations[0].lr == 0.01
    with pytest.raises(StudyError, match="not of the form"):
        load(file, ["training.batch_size"])
    with pytest.raises(StudyError, match="'name' is not a table"):
        load(file, ["name.first=2"])
    with pytest.raises(StudyError, match="^mine.toml with --set: unknown key 'nosuch'"):
        load(file, ["nosuch.key=3"])  # the file itself has no mistake


def test_the_resolved_copy_is_the_same_study(tmp_path: Path) -> None:
    study = load(CONFIGS / "demo.toml")
    (tmp_path / "study.toml").write_text(study.toml())
    assert load(tmp_path / "study.toml") == study
    assert tomllib.loads(study.toml())["sampling"]["seed"] == 1000


@pytest.mark.parametrize("content", [None, b"name = ", b"\xff\xfe\x00", b"n = " + b"9" * 5000])
def test_a_missing_or_broken_file(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "s.toml").write_bytes(content)
    with pytest.raises(
        StudyError, match="no such study file|cannot be read as TOML|is not UTF-16-LE"
    ):
        load(tmp_path / "s.toml")


def test_what_only_the_analysis_uses_trains_nothing_again() -> None:
    table = copy.deepcopy(GOOD)
    table["algorithms"]["lora"].update(capacity=2, importance=False)
    before, after = parse(GOOD).configurations[0], parse(table).configurations[0]
    assert before.uid == after.uid and after.capacity == 2 and not after.importance


def test_paths_of_a_shipped_study_are_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`package:configs/paper.toml` wants a dataset: it lies where the command is typed."""
    monkeypatch.chdir(tmp_path)
    assert load("package:configs/paper.toml").settings.dataset == str(tmp_path / "dataset")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/mine.toml").write_text((CONFIGS / "paper.toml").read_text())
    assert load("sub/mine.toml").settings.dataset == str(tmp_path / "sub/dataset")
