"""Checkpoints among files and folders of any trainer."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lycoris_bench.evaluation.found import find, whole_checkpoints
from lycoris_bench.evaluation.grouping import trainings
from lycoris_bench.messages.errors import BenchError
from tests.support.trainers import BASE, of_peft, ours


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ours(tmp_path_factory.mktemp("one") / "lora.safetensors")


def laid_out(folder: Path, file: Path, *names: str) -> Path:
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    return folder


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (  # kohya sd-scripts: every n epochs, then the last without a number
            ["dog-000002.safetensors", "dog-000010.safetensors", "dog.safetensors"],
            {"dog": ("epoch", (2, 10, 18), ["dog-000002", "dog-000010", "dog"])},
        ),
        (
            ["dog-step00000500.safetensors", "dog-step00001000.safetensors"],
            {"dog": ("step", (500, 1000), ["dog-step00000500", "dog-step00001000"])},
        ),
        (  # ai-toolkit
            ["dog/dog_000000250.safetensors", "dog/dog.safetensors"],
            {"dog": ("step", (250, 500), ["dog_000000250", "dog"])},
        ),
        (  # diffusers
            [
                "out/checkpoint-500/pytorch_lora_weights.safetensors",
                "out/checkpoint-1000/pytorch_lora_weights.safetensors",
            ],
            {"out": ("step", (500, 1000), ["pytorch_lora_weights"] * 2)},
        ),
        (  # diffusers, at its end: the adapter beside the checkpoints of its training
            [
                "out/checkpoint-500/pytorch_lora_weights.safetensors",
                "out/pytorch_lora_weights.safetensors",
            ],
            {"out": ("step", (500, 1000), ["pytorch_lora_weights"] * 2)},
        ),
        (  # OneTrainer: each name has the time at which it was saved
            [
                "save/2024-01-31_23-59-59-save-500-5-0.safetensors",
                "save/2024-02-01_00-30-00-save-1000-10-0.safetensors",
                "save/dog-2024-02-01_00-30-00-save-1000-10-0.safetensors",
                "save/dog-2024-02-01_01-30-00-save-2000-20-0.safetensors",
            ],
            {
                "save": (
                    "step",
                    (500, 1000),
                    [
                        "2024-01-31_23-59-59-save-500-5-0",
                        "2024-02-01_00-30-00-save-1000-10-0",
                    ],
                ),
                "dog": (
                    "step",
                    (1000, 2000),
                    [
                        "dog-2024-02-01_00-30-00-save-1000-10-0",
                        "dog-2024-02-01_01-30-00-save-2000-20-0",
                    ],
                ),
            },
        ),
        (  # two trainings of one name in folders of their own
            ["a/dog.safetensors", "b/dog.safetensors"],
            {"a-dog": ("epoch", (), ["dog"]), "b-dog": ("epoch", (), ["dog"])},
        ),
        (["a b/Größe 1.safetensors"], {"Größe 1": ("epoch", (), ["Größe 1"])}),
    ],
)
def test_names_of_trainers(
    names: list[str],
    expected: dict[str, tuple[str, tuple[int, ...], list[str]]],
    file: Path,
    tmp_path: Path,
) -> None:
    problems: dict[str, str] = {}
    groups = trainings(find([laid_out(tmp_path / "in", file, *names)], problems), problems)
    assert problems == {}
    assert {g.name: (g.unit, g.moments, [c.path.stem for c in g.checkpoints]) for g in groups} == (
        expected
    )
    last = {"dog.safetensors", "out/pytorch_lora_weights.safetensors", "dog/dog.safetensors"}
    assert [g.guessed for g in groups] == [
        len(moments) > 1 and bool(last & {*names}) for _, moments, _ in expected.values()
    ]


def test_metadata_date_the_last_one(tmp_path: Path) -> None:
    ours(tmp_path / "dog-000010.safetensors", ss_epoch="10")
    ours(tmp_path / "dog.safetensors", ss_epoch="15", ss_seed="42", ss_unet_lr="1e-4")
    [training] = trainings(find([tmp_path], {}), {})
    assert (training.moments, training.guessed) == ((10, 15), False)
    assert training.about.told == {"lr": 1e-4, "seed": 42, "epochs": 15}
    assert (training.about.algorithm, training.about.dim) == ("lora", 2)


def test_what_is_no_checkpoint_is_named_and_the_rest_goes_on(file: Path, tmp_path: Path) -> None:
    laid_out(
        tmp_path, file, "good.safetensors", "good-state/state.safetensors", ".hidden.safetensors"
    )
    (tmp_path / "cut.safetensors").write_bytes(file.read_bytes()[:5000])
    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    (tmp_path / "notes.txt").write_text("hello")
    problems: dict[str, str] = {}
    assert [one.path.stem for one in find([tmp_path], problems)] == ["good"]
    assert {Path(path).name for path in problems} == {"cut.safetensors", "other.safetensors"}
    assert "holds no adapter" in problems[str(tmp_path / "other.safetensors")]
    assert whole_checkpoints(tmp_path) == [
        str(tmp_path / "good.safetensors"), str(tmp_path / "other.safetensors"),
    ]  # fmt: skip


def test_models_are_found_beside_adapters(file: Path, tmp_path: Path) -> None:
    shutil.copytree(BASE, tmp_path / "tuned")
    laid_out(tmp_path, file, "lora.safetensors")
    assert [(one.path.name, one.whole) for one in find([tmp_path], {})] == [
        ("lora.safetensors", False), ("tuned", True),
    ]  # fmt: skip


def test_peft_folders_inside_the_last_are_of_its_training(tmp_path: Path) -> None:
    """As a trainer leaves them that writes PEFT folders: the last, and its checkpoints in it."""
    of_peft(tmp_path / "out")
    of_peft(tmp_path / "out/checkpoint-20", seed=7)
    problems: dict[str, str] = {}
    [training] = trainings(find([tmp_path], problems), problems)
    assert ([one.path.name for one in training.checkpoints], problems) == (
        ["checkpoint-20", "out"], {},
    )  # fmt: skip
    assert (training.name, training.unit, training.moments) == ("out", "step", (20, 40))


def test_what_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="nowhere does not exist; give adapter files"):
        find([tmp_path / "nowhere"], {})
    with pytest.raises(BenchError, match="holds no checkpoint"):
        find([tmp_path], {})
    pickled = tmp_path / "old.ckpt"
    pickled.write_bytes(b"x")
    problems: dict[str, str] = {}
    assert find([pickled], problems) == [] and "is a pickle" in problems[str(pickled)]
    (tmp_path / "optimizer.pt").write_bytes(b"x")  # a trainer's state
    assert find([tmp_path], again := {}) == [] and again == problems


def test_two_of_one_moment_are_named(tmp_path: Path) -> None:
    for name in ("a/dog-000010.safetensors", "a/dog-10epoch.safetensors"):
        ours(tmp_path / name)
    ours(tmp_path / "a/dog-000010/adapter_model.safetensors")
    problems: dict[str, str] = {}
    groups = trainings(find([tmp_path], problems), problems)
    assert sum(len(group.checkpoints) for group in groups) + len(problems) == 3
