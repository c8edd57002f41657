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
            {"dog": ("epoch", (2, 10), ["dog-000002", "dog-000010", "dog"])},
        ),
        (
            ["dog-step00000500.safetensors", "dog-step00001000.safetensors"],
            {"dog": ("step", (500, 1000), ["dog-step00000500", "dog-step00001000"])},
        ),
        (  # ai-toolkit
            ["dog/dog_000000250.safetensors", "dog/dog.safetensors"],
            {"dog-dog": ("step", (250,), ["dog_000000250", "dog"])},
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
            {"out": ("step", (500,), ["pytorch_lora_weights"] * 2)},
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
                "save-dog": (
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
        (["a b/Größe 1.safetensors"], {"a b-Größe 1": ("epoch", (), ["Größe 1"])}),
    ],
)
def test_names_of_trainers(
    names: list[str],
    expected: dict[str, tuple[str, tuple[int, ...], list[str]]],
    file: Path,
    tmp_path: Path,
) -> None:
    problems: dict[str, str] = {}
    found = find([laid_out(tmp_path / "in", file, *names)], problems)
    groups = trainings(found, problems, tmp_path / "in/run")
    assert problems == {}
    assert {g.name: (g.unit, g.moments, [c.path.stem for c in g.checkpoints]) for g in groups} == (
        expected
    )
    guessed = {
        ("dog.safetensors", "dog-000002.safetensors"): 18,
        ("out/pytorch_lora_weights.safetensors",): 1000,
        ("dog/dog.safetensors",): 500,
    }
    wanted = next((at for last, at in guessed.items() if {*last} <= {*names}), None)
    assert [(g.last, g.guessed) for g in groups] == [(wanted, wanted is not None)] * len(groups)


def test_metadata_date_the_last_one(tmp_path: Path) -> None:
    ours(tmp_path / "dog-000010.safetensors", ss_epoch="10")
    ours(tmp_path / "dog.safetensors", ss_epoch="15", ss_seed="42", ss_unet_lr="1e-4")
    [training] = trainings(find([tmp_path], {}), {}, tmp_path / "run")
    assert (training.moments, training.last, training.guessed) == ((10,), 15, False)
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
    assert [*whole_checkpoints(tmp_path)] == [
        str(tmp_path / "good.safetensors"), str(tmp_path / "other.safetensors"),
    ]  # fmt: skip


UNET = "model.diffusion_model.input_blocks.0.0.weight"
VAE = "first_stage_model.encoder.conv_in.weight"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            [UNET],
            "holds a U-Net without a text encoder that is known here and a VAE; whole",
        ),
        ([UNET, VAE], "holds a U-Net without a text encoder that is known here; whole models"),
        (["vae.encoder.conv_in.weight"], "holds a whole model under diffusers' names in one file"),
        (["encoder.conv_in.weight"], "holds a VAE, and no adapter; whole models are read as"),
        (["text_model.embeddings.token_embedding.weight"], "holds a text encoder, and no adapter"),
        (["emb_params"], "holds no adapter of"),
    ],
)
def test_files_of_parts_of_models_are_called_what_they_are(
    names: list[str], said: str, tmp_path: Path
) -> None:
    save_file({name: torch.zeros(2) for name in names}, tmp_path / "part.safetensors")
    problems: dict[str, str] = {}
    assert not find([tmp_path / "part.safetensors"], problems)
    assert next(iter(problems.values())).startswith(said)


def test_a_model_that_is_cut_short_is_named_before_anything_is_drawn(tmp_path: Path) -> None:
    text = "cond_stage_model.transformer.text_model.x"
    save_file({name: torch.zeros(99) for name in (UNET, VAE, text)}, tmp_path / "whole.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((tmp_path / "whole.safetensors").read_bytes()[:-9])
    problems: dict[str, str] = {}
    assert [one.path.stem for one in find([tmp_path], problems)] == ["whole"]
    assert problems == {
        str(cut): "is shorter than its header says: it was cut, or is still being written"
    }


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
    [training] = trainings(find([tmp_path], problems), problems, tmp_path / "run")
    assert ([one.path.name for one in training.checkpoints], problems) == (
        ["checkpoint-20", "out"], {},
    )  # fmt: skip
    assert (training.name, training.unit, training.moments) == ("out", "step", (20,))
    assert (training.last, training.guessed) == (40, True)


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
    groups = trainings(find([tmp_path], problems), problems, tmp_path / "run")
    assert sum(len(group.checkpoints) for group in groups) + len(problems) == 3


NEIGHBOURS = (
    "dog.safetensors", "b/dog.safetensors", "cat/cat_000000250.safetensors", "base.safetensors",
    "a-b/dog.safetensors", "x/a/b/dog-000010.safetensors",
)  # fmt: skip


def test_a_name_is_of_its_own_path_whatever_else_is_evaluated(file: Path, tmp_path: Path) -> None:
    laid_out(tmp_path, file, "a/dog.safetensors", *NEIGHBOURS)

    def named(*files: str) -> dict[str, str]:
        problems: dict[str, str] = {}
        groups = trainings(find([tmp_path / f for f in files], problems), problems, tmp_path / "r")
        assert not problems
        return {str(g.checkpoints[0].path.relative_to(tmp_path)): g.name for g in groups}

    alone = {name: named(name)[name] for name in ("a/dog.safetensors", *NEIGHBOURS)}
    assert alone == {
        "a/dog.safetensors": "a-dog", "dog.safetensors": "dog", "b/dog.safetensors": "b-dog",
        "cat/cat_000000250.safetensors": "cat-cat", "a-b/dog.safetensors": "a-b-dog",
        "x/a/b/dog-000010.safetensors": "x-a-b-dog", "base.safetensors": "given-base",
    }  # fmt: skip
    assert named(*alone) == alone and named(*reversed(alone)) == alone
    for left_out in alone:
        assert named(*(name for name in alone if name != left_out)) == {
            name: own for name, own in alone.items() if name != left_out
        }


def test_a_name_that_another_has_is_said_and_the_rest_goes_on(file: Path, tmp_path: Path) -> None:
    laid_out(tmp_path, file, "a/b-dog.safetensors", "a-b/dog.safetensors", "a/DOG.safetensors",
             "a/dog.safetensors")  # fmt: skip
    problems: dict[str, str] = {}
    groups = trainings(find([tmp_path], problems), problems, tmp_path / "run")
    assert len({g.name.casefold() for g in groups}) == len(groups) == 2
    assert len(problems) == 2 and all("cannot be named" in said for said in problems.values())


def test_long_paths_have_short_names_of_their_own(file: Path, tmp_path: Path) -> None:
    deep = [f"{c}{'x' * 50}/{'y' * 50}/dog.safetensors" for c in "ab"]
    laid_out(tmp_path, file, *deep)
    groups = trainings(find([tmp_path], {}), {}, tmp_path / "run")
    assert len({g.name for g in groups}) == 2
    assert all(len(g.name) == 80 and g.name.endswith("y-dog") for g in groups)
