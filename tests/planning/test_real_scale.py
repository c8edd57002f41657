"""Stable Diffusion 1.5's architecture, narrowed and with random weights, through all stages; and
what the options of a large training do to a study."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from lycoris_bench.files.identity import uid
from lycoris_bench.planning.plan import plan
from lycoris_bench.run.store import Store
from lycoris_bench.study import settings as tables
from lycoris_bench.study.load import Study
from tests.support import families
from tests.support.world import HERE, STAGES, run, tiny

pytestmark = pytest.mark.usefixtures("undrawn")

TRAINING = {
    "resolution": 64, "bucket_min": 48, "bucket_max": 80, "max_tokens": 150, "clip_skip": 2,
    "precision": "bf16", "optimizer": "adamw8bit", "gradient_checkpointing": True,
    "gradient_accumulation": 2, "cache_latents": True, "batch_size": 4, "images_per_class": 4,
}  # fmt: skip


def study(**training: object) -> Study:
    return tiny(
        base_model=str(families.folder("sd15")), training={**TRAINING, **training}, epochs=[1],
        concepts=["toys/bunny"], scoring={"encoders": ["miniature-image"]},
        sampling={
            "width": 64, "height": 64, "prompt_types": ["train", "alter"], "images": 1, "steps": 1,
        },
        algorithms={"lora": {"lr": 1e-3, "dim": 4, "vary": [{"preset": "full"}]}},
    )  # fmt: skip


@pytest.mark.study
def test_all_stages_run_on_the_real_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LYCORIS_BENCH_CACHE", str(tmp_path / "cache"))
    asked, store = plan(study()), Store(tmp_path / "run")
    outcomes = run(asked, store)
    assert not any(outcome.failed for outcome in outcomes.values()), outcomes
    assert outcomes["train"].warnings == {
        "optimizer": "adamw8bit needs CUDA; on cpu plain AdamW is used, and each checkpoint's "
        "card says so"
    }
    rows = store.frame(store.table("metrics"))[0]
    names = {configuration.name for configuration in asked.study.configurations}
    assert set(rows["configuration"]) == {"base", "real", *names}
    assert not rows["value"].isna().any()
    # A text encoder has 12 layers of 6 matrices; a U-Net 16 transformers of 12, proj_in and
    # proj_out included, and 390 layers in all, as counted from the authors' files.
    for checkpoint, layers in zip(asked.trained, (192 + 72, 390 + 72), strict=True):
        card = store.card(checkpoint)
        assert card is not None and card.optimizer == "adamw"
        assert card.cost["steps"] == asked.steps(1) == -(-len_batches(asked) // 2)
        with safe_open(store.checkpoint(checkpoint), "pt") as file:
            told = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        assert told["ss_optimizer"] == "adamw"
        assert len({key.partition(".")[0] for key in tensors}) == layers
        assert all(tensor.isfinite().all() for tensor in tensors.values())
        applied = json.loads(store.applied(checkpoint).read_text())
        assert applied["matched"] == layers and not applied["unmatched"]
    latents = list((tmp_path / "cache").rglob("*.safetensors"))
    assert len(latents) == len(asked.data.examples)


def len_batches(asked) -> int:
    """Batches of an epoch, from the plan with one batch a step."""
    training = asked.study.settings.training.model_copy(update={"gradient_accumulation": 1})
    settings = asked.study.settings.model_copy(update={"training": training})
    return plan(Study(settings, asked.study.configurations)).steps(1)


# ---- what a study's options do to its uids


FIRST = {
    "resolution": 512, "bucket_step": 64, "bucket_min": 320, "bucket_max": 960, "batch_size": 8,
    "images_per_class": 200, "warmup_epochs": 5.0, "weight_decay": 0.1, "betas": (0.9, 0.99),
    "max_grad_norm": 1.0, "caption_dropout": 0.05, "max_tokens": 150, "clip_skip": 1,
    "precision": "fp32", "optimizer": "adamw",
}  # fmt: skip


def test_what_the_first_runs_hashed_is_hashed_still() -> None:
    """Keys that came later are not part of it: old checkpoints stay valid."""
    assert tables.Training().identity() == FIRST
    assert list(tables.Training().identity()) == list(FIRST)
    assert uid(tables.Training().identity()) == uid(FIRST) == "209723a53810fd26"


@pytest.mark.parametrize("key", ["gradient_checkpointing", "cache_latents", "tensorboard"])
def test_what_cannot_change_a_weight_changes_no_uid(key: str) -> None:
    assert tables.Training(**{key: True}).identity() == FIRST


def test_what_changes_a_weight_or_an_image_changes_its_uid() -> None:
    assert tables.Training(gradient_accumulation=2).identity() != FIRST
    plain, half, quick = (
        plan(tiny(sampling=how)) for how in ({}, {"precision": "bf16"}, {"compile": True})
    )
    uids = [[job.uid for job in p.jobs(p.checkpoints[1])] for p in (plain, half, quick)]
    assert not set(uids[0]) & set(uids[1]) and uids[0] == uids[2]
    assert plain.checkpoint_uid(plain.trained[0]) == half.checkpoint_uid(half.trained[0])
    skipped = plan(tiny(training={"clip_skip": 2}))
    assert skipped.jobs(skipped.checkpoints[0])[0].uid != uids[0][0]


# ---- curves


def test_without_tensorboard_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    asked = plan(tiny(training={"tensorboard": True}))
    with pytest.raises(ValueError, match=r"pip install 'lycoris-bench\[tensorboard\]'"):
        STAGES["train"](asked, Store(tmp_path), HERE)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_curves_hold_every_step(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    asked, store = plan(tiny(training={"tensorboard": True})), Store(tmp_path)
    STAGES["train"](asked, store, HERE)
    for checkpoints in asked.by_run():
        events = EventAccumulator(str(store.logs(checkpoints[-1])))
        events.Reload()
        steps = asked.steps(2)
        assert [event.step for event in events.Scalars("loss")] == list(range(1, steps + 1))
        rates = [event.value for event in events.Scalars("rate")]
        warmup = asked.steps(1)
        expected = [2e-3 * min(1, (k + 1) / warmup) for k in range(steps)]
        torch.testing.assert_close(torch.tensor(rates), torch.tensor(expected))
        losses = [event.value for event in events.Scalars("loss")]
        card = store.card(checkpoints[-1])
        mean = sum(losses[warmup:]) / warmup
        assert card is not None and card.cost["loss"] == pytest.approx(mean, rel=1e-5)
