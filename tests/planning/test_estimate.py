"""`plan` and `--dry-run`: what they cost themselves, what they rest on, what they miss."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch

from lycoris_bench.cli import main
from lycoris_bench.models import outline
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.planning import pace, time_and_disk, trial
from lycoris_bench.planning.pace import Pace, grown, sizes, timings
from lycoris_bench.planning.plan import plan
from lycoris_bench.run.cards import Card
from lycoris_bench.run.store import Store
from tests.support.world import table, tiny

Captured = pytest.CaptureFixture[str]
STAGES = ("train", "generate", "score", "analyze", "run")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.chdir(tmp_path)

    def write(**changes: object) -> str:
        (tmp_path / "tiny.toml").write_text(tomli_w.dumps(table(**changes)))
        return "tiny.toml"

    return write


def call(*arguments: str) -> int:
    return main.call(main.command(), list(arguments))


def test_sizes_grow_to_the_whole() -> None:
    for width, height in ((512, 512), (768, 512), (1024, 320), (64, 64), (40, 4096), (8, 8)):
        found = list(sizes(width, height))
        assert found[-1] == (width, height)
        assert all(side % 64 == 0 for size in found[:-1] for side in size)
        assert sorted(w * h for w, h in found) == [w * h for w, h in found]


@pytest.mark.parametrize("seconds", [1e-4, 0.01, 0.3, 1.0, 30.0])
@pytest.mark.parametrize("attention", [0.0, 0.01, 0.3])
def test_passes_stop_at_the_budget_and_the_rest_grows(seconds: float, attention: float) -> None:
    """A machine on which a pass of 64 x 64 takes `seconds`, and one of n times its pixels
    n (1 - attention) + n^2 attention times as long."""
    spent: list[float] = []

    def taken(w: int, h: int) -> float:
        n = w * h / 64**2
        return seconds * (n * (1 - attention) + n * n * attention)

    def timed(w: int, h: int) -> float:
        spent.append(taken(w, h))
        return spent[-1]

    found = timings(timed, sizes(1024, 1024), 6.0)
    assert sum(spent) <= max(12.0, seconds)
    if len(found) > 1 or not attention:
        assert grown(found, 1024**2) == pytest.approx(taken(1024, 1024))


def test_noise_in_small_sizes_makes_no_large_one_cheap() -> None:
    """Overheads make small passes slow a pixel: then the larger alone counts."""
    assert grown({(64, 64): 1.0, (128, 128): 2.0}, 256**2) == 8.0


def test_a_slow_first_pass_does_not_count_where_there_is_time() -> None:
    times = iter([2.5, 1.0])
    assert timings(lambda w, h: next(times), [(64, 64)], 6.0) == {(64, 64): 1.0}


@pytest.mark.parametrize(("precision", "budget", "rows"), [("fp32", 0.0, 1), ("bf16", 1e9, 3)])
def test_what_is_timed_is_one_image_or_a_batch_in_the_precision_of_sampling(
    precision: str, budget: float, rows: int, monkeypatch: pytest.MonkeyPatch, quick_base: str
) -> None:
    seen: list[tuple[torch.Size, torch.dtype]] = []
    honest = pace.guided

    def watched(backbone: Backbone, *about: Any) -> Any:
        predict = honest(backbone, *about)

        def seeing(noisy: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            seen.append((noisy.shape, backbone.dtype))
            return predict(noisy, t)

        return seeing

    monkeypatch.setattr(pace, "guided", watched)
    monkeypatch.setattr(time_and_disk, "BUDGET", budget)
    monkeypatch.setattr(time_and_disk, "LONGEST", 0.0)  # no trial
    sampling = {"precision": precision, "width": 128, "height": 64, "batch_size": 3}
    training = {"resolution": 48, "batch_size": 3}
    asked = plan(tiny(base_model=quick_base, sampling=sampling, training=training))
    rate = time_and_disk.measured(asked, Store("nowhere"), "cpu")
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    assert {(shape[0], dtype) for shape, dtype in seen} == {(1, kind), (rows, kind)}
    assert {tuple(shape[2:]) for shape, _ in seen} == {(16, 32), (12, 12)}
    assert f"of {rows} x 128 x 64 pixels in {precision}" in rate.source


def test_the_rate_is_the_arithmetic_of_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """50 guided steps of two passes and a decoding; forward and backward of 8 images."""
    asked_of: list[tuple[object, ...]] = []

    def known(
        name: str, device: str, precision: str, width: int, height: int, batch: int, budget: float
    ) -> Pace:
        asked_of.append((name, precision, width, height, budget))
        return Pace(0.5 if width == 64 else 0.25, 2.0, width, height)

    monkeypatch.setattr(time_and_disk, "_pace", known)
    monkeypatch.setattr(time_and_disk, "LONGEST", 0.0)  # no trial
    sampling = {"steps": 50, "guidance": 4.0, "width": 64, "height": 64, "base_model": "a/b"}
    asked = plan(tiny(sampling=sampling, training={"batch_size": 8}), absent=[])
    rate = time_and_disk.measured(asked, Store("nowhere"), "cpu")
    assert rate.images == pytest.approx(1 / (100 * 0.5 + 2.0))
    assert rate.steps == pytest.approx(1 / (3 * 0.25 * 8))
    assert [name for name, *_ in asked_of] == [asked.base_model, asked.study.settings.base_model]
    assert sum(budget for *_, budget in asked_of) == pace.BUDGET
    alone = plan(tiny(sampling={**sampling, "guidance": 1.0}), absent=[])
    assert time_and_disk.measured(alone, Store("nowhere"), "cpu").images == pytest.approx(1 / 27)


def test_a_trial_does_the_study_s_own_work(
    monkeypatch: pytest.MonkeyPatch, quick_base: str
) -> None:
    """Steps of both algorithms on its buckets and captions, a batch of its images in all its steps,
    its encoders; then nothing is left attached."""
    seen: list[tuple[int, ...]] = []
    predict = Backbone.predict

    def watched(self: Backbone, noisy: torch.Tensor, *rest: object) -> torch.Tensor:
        seen.append(tuple(noisy.shape))
        return predict(self, noisy, *rest)

    monkeypatch.setattr(Backbone, "predict", watched)
    asked = plan(tiny(base_model=quick_base, sampling={"steps": 3, "batch_size": 5}))
    found = trial.seconds_a_step(asked, "cpu")
    assert set(found) == {"lora", "lokr"} and all(seconds > 0 for seconds in found.values())
    assert {shape[0] for shape in seen} <= {1, 2, 3, 4} and len(seen) == 2 * (1 + trial.TIMED)
    assert not [name for name, _ in Backbone.load(asked.base_model).unet.named_modules()
                if "parametriz" in name]  # fmt: skip
    drawn: list[tuple[int, int]] = []
    honest = trial.sample

    def counted(backbone: Backbone, prompts: list[str], *rest: Any, **how: Any) -> Any:
        drawn.append((len(prompts), how["steps"]))
        return honest(backbone, prompts, *rest, **how)

    monkeypatch.setattr(trial, "sample", counted)
    assert trial.seconds_an_image(asked, "cpu", torch.float32) > 0
    assert drawn == [(5, 1), (5, 3)]
    drawn.clear()  # "auto" times the batch that its trial finds, and here so few images need none
    asked = plan(tiny(base_model=quick_base, sampling={"steps": 3}))
    assert trial.seconds_an_image(asked, "cpu", torch.float32) > 0
    assert drawn == [(8, 1), (8, 3)]
    assert (trial.seconds_a_scored_image(asked, "cpu") or 0) > 0


def test_what_is_slow_or_missing_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "LARGEST", 0)
    missing = tiny(scoring={"encoders": ["dinov2-l", "miniature-image"]})
    assert trial.seconds_a_scored_image(plan(missing), "cpu") is None


@pytest.mark.parametrize("costs", [True, False])
def test_the_rate_of_a_trial_is_weighted_by_the_steps_of_each_algorithm(
    costs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lora is trained twice as often as lokr; of checkpoints that are trained the cost counts."""
    monkeypatch.setattr(time_and_disk, "_pace", lambda *_: Pace(1e-6, 1e-6, 64, 64))
    monkeypatch.setattr(trial, "seconds_a_step", lambda *_: {"lora": 1.0, "lokr": 4.0})
    monkeypatch.setattr(trial, "seconds_an_image", lambda *_: 0.5)
    monkeypatch.setattr(trial, "seconds_a_scored_image", lambda *_: 0.25)
    algorithms = {
        "lora": {"lr": 2e-3, "dim": 4, "alpha": 2, "vary": [{"dim": 2}]},
        "lokr": {"lr": 2e-3, "factor": 4},
    }
    asked, store = plan(tiny(algorithms=algorithms)), Store(tmp_path)
    if costs:
        card = Card(asked.checkpoint_uid(asked.trained[0]), "done", cost={"seconds": 9, "steps": 3})
        store.put_checkpoint(asked.trained[0], b"weights", card)
    rate = time_and_disk.measured(asked, store, "cpu")
    assert (rate.images, rate.scored) == (2.0, 4.0)
    assert rate.steps == pytest.approx(1 / 3 if costs else 1 / 2)
    assert "a trial in fp32" in rate.source


@pytest.mark.parametrize("stage", STAGES)
def test_a_dry_run_draws_and_loads_nothing(
    stage: str, study: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def drawn(*_: object, **__: object) -> None:
        raise AssertionError("a dry run made something")

    monkeypatch.setattr(Backbone, "load", drawn)
    monkeypatch.setattr(pace, "pace", drawn)
    assert call(stage, study(), "--dry-run", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rate"] is None and found["seconds_left"] is None
    assert (found["steps_left"], found["images"]) == (4 * found["steps_per_epoch"], 80)
    assert call(stage, study(), "--dry-run", "--rate", "2,4", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["seconds_left"] == {"train": found["steps_left"] / 2, "generate": 80 / 4}
    assert call(stage, study(), "--dry-run") == 0
    assert "time left    not measured: 'lycoris-bench plan' meas" in capsys.readouterr().out
    assert not Path("runs").exists()


def test_a_rate_goes_with_a_dry_run(study: Callable[..., str], capsys: Captured) -> None:
    assert call("train", study(), "--rate", "7,8") == 2
    assert "--rate goes with --dry-run" in capsys.readouterr().err
    assert call("train", study(), "--dry-run", "--rate", "nan,inf") == 2
    assert call("train", study(), "--dry-run", "--rate", "1e-300,1") == 2
    assert "two numbers above 0 are needed" in capsys.readouterr().err


def test_parameters_are_counted_on_shapes_and_are_those_of_the_loaded_model() -> None:
    from lycoris_bench.adapters.attach import attach

    asked = plan(tiny())
    backbone = Backbone.load(asked.base_model)
    network = attach(backbone.unet, backbone.text_encoders, "attn-mlp", "lora", {"dim": 4}, 0)
    shapes = outline.outline(asked.base_model)
    assert shapes is not None and shapes.unet.device.type == "meta"
    found = time_and_disk.parameters(asked)
    assert found is not None and found["lora"] == network.parameter_count
    names = {name: tuple(p.shape) for name, p in shapes.unet.named_parameters()}
    network.detach()
    assert names == {name: tuple(p.shape) for name, p in backbone.unet.named_parameters()}


def test_ls_lists_what_is_stored_where_the_dataset_is_not(
    study: Callable[..., str], tmp_path: Path, capsys: Captured
) -> None:
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "concepts.toml").write_text(
        '["toys/bunny"]\ntrigger="t"\nclass_word="w"\ndescription="d"\nimages=3\n'
    )
    asked = plan(tiny())
    (first, *_) = asked.trained
    card = Card(asked.checkpoint_uid(first), "done", cost={"seconds": 1.0, "steps": 1})
    Store("runs/tiny").describe(asked.study.toml(), {})
    Store("runs/tiny").put_checkpoint(first, b"weights", card)
    absent = {
        "dataset": str(tmp_path / "none"), "prompts": str(prompts), "concepts": ["*"],
        "sampling": {"prompt_types": ["train", "trigger"]},
    }  # fmt: skip
    assert call("plan", study(**absent), "--rate", "7,8") == 0
    assert call("ls", study(**absent)) == 0
    said = capsys.readouterr().out
    assert "missing: dataset" in said and "there is no such folder" in said
    assert any(line.split()[:2] == [str(first), "unknown"] for line in said.splitlines())
    assert call("ls", study(**absent), "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["missing"]) == 1


LIBRARIES = [
    ({"tensorboard": True}, "tensorboard", "needs TensorBoard"),
    ({"optimizer": "adamw8bit"}, "bitsandbytes.optim", "needs bitsandbytes"),
]


@pytest.mark.parametrize(("training", "module", "said"), LIBRARIES)
def test_a_library_that_training_lacks_is_said_before_any_work(
    training: dict[str, object], module: str, said: str, study: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch, capsys: Captured,
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("lycoris_bench.run.environment.device", lambda wanted="auto": "cuda")
    file = study(training=training)
    assert call("train", file) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not Path("runs").exists()
    for command, status in (("validate", 1), ("plan --rate 7,8", 0), ("generate --dry-run", 0)):
        name, *options = command.split()
        assert call(name, file, *options) == status
        lines = [line for line in capsys.readouterr().out.splitlines() if "missing" in line]
        assert len(lines) == 1 and said in lines[0] and "install" in lines[0]


@pytest.mark.parametrize(("training", "module", "said"), LIBRARIES)
def test_what_is_not_used_is_not_missed(
    training: dict[str, object], module: str, said: str, study: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch, capsys: Captured,
) -> None:  # fmt: skip
    """8-bit moments are for CUDA; and what only adds up adapters trains nothing."""
    monkeypatch.setitem(sys.modules, module, None)
    assert call("validate", study()) == 0
    assert call("validate", study(training={"optimizer": "adamw8bit"})) == 0
    from safetensors.torch import save_file

    name = "lora_unet_mid_block_attentions_0_proj_in"
    half = {"lora_down.weight": torch.zeros(1, 96), "lora_up.weight": torch.zeros(96, 1)}
    save_file({f"{name}.{end}": value for end, value in half.items()}, "a.safetensors")
    added = {"algorithms": {}, "combine": {"x": {"adapters": ["a.safetensors"]}}}
    monkeypatch.setattr("lycoris_bench.run.environment.device", lambda wanted="auto": "cuda")
    assert call("validate", study(training=training, **added)) == 0
    assert said not in capsys.readouterr().out
