"""Precision "auto" is settled once for a run folder, and is part of what images are."""

import pytest

from lycoris_bench.planning.plan import plan
from lycoris_bench.planning.protocol import fingerprint, protocols
from lycoris_bench.run.store import Store
from lycoris_bench.sampling import precision
from lycoris_bench.stages.study_context import open_context
from lycoris_bench.study.load import load

DEMO = "package:configs/demo.toml"
AUTO = ["sampling.precision=auto"]


HONEST = precision.speed  # before the fixtures of all tests


@pytest.fixture
def fast_halves(monkeypatch):
    """A CPU that says it is quicker in bf16."""
    monkeypatch.setattr(precision, "_has", lambda name: True)
    monkeypatch.setattr(
        precision, "speed", lambda dtype: {"torch.bfloat16": 3.0}.get(str(dtype), 1)
    )


@pytest.mark.parametrize(("has", "rate", "expected"), [
    (True, 1.3, "bf16"), (True, 1.1, "fp32"), (False, 3.0, "fp32"),
])  # fmt: skip
def test_a_cpu_takes_bf16_where_it_is_faster(has, rate, expected, monkeypatch):
    monkeypatch.setattr(precision, "_has", lambda name: has)
    monkeypatch.setattr(
        precision, "speed", lambda dtype: rate if str(dtype) == "torch.bfloat16" else 1.0
    )
    assert precision.suited("cpu") == expected
    assert precision.suited("mps") == "fp32"


def test_the_trial_times_work():
    import torch

    assert HONEST(torch.float32, 0.01) > 0 and HONEST(torch.bfloat16, 0.01) > 0


def test_the_run_folder_settles_it_for_every_later_command(fast_halves, tmp_path, monkeypatch):
    study = load(DEMO, AUTO)
    first = open_context(study, tmp_path, device="cpu")
    assert first.plan.study.settings.sampling.precision == "bf16"
    first.store.write(first.store.study, first.plan.study.toml())
    monkeypatch.setattr(precision, "_has", lambda name: False)  # another machine
    later = open_context(study, tmp_path, device="cpu")
    assert later.plan.study.settings.sampling.precision == "bf16"
    fresh = open_context(study, tmp_path / "other", device="cpu")
    assert fresh.plan.study.settings.sampling.precision == "fp32"
    asked = open_context(load(DEMO, ["sampling.precision=fp32"]), tmp_path, device="cpu")
    assert asked.plan.study.settings.sampling.precision == "fp32"


def test_runs_of_earlier_versions_stay_in_fp32(fast_halves, tmp_path):
    store = Store(tmp_path)
    store.write(store.study, 'name = "demo"\n[sampling]\nsteps = 12\n')
    opened = open_context(load(DEMO, AUTO), tmp_path, device="cpu")
    assert opened.plan.study.settings.sampling.precision == "fp32"


def test_images_of_unlike_precisions_and_schedulers_have_unlike_uids_and_fingerprints():
    """An unsettled "auto" and DDIM by name are the images that there were before."""
    seen = {}
    for name, keys in {
        "plain": [], "auto": AUTO, "ddim": ["sampling.scheduler=DDIMScheduler"],
        "bf16": ["sampling.precision=bf16"],
        "euler": ["sampling.scheduler=EulerDiscreteScheduler"],
    }.items():  # fmt: skip
        made = plan(load(DEMO, keys))
        checkpoint = made.checkpoints[0]
        shown = protocols(made, checkpoint)
        seen[name] = (
            made.jobs(checkpoint)[0].uid, made.drawn_by(checkpoint),
            {fingerprint("m", one) for one in shown.values()},
            made.study.settings.sampling.identity(),
        )  # fmt: skip
    assert seen["plain"] == seen["auto"] == seen["ddim"]
    for k in range(4):
        assert seen["plain"][k] != seen["bf16"][k] != seen["euler"][k] != seen["plain"][k]


def test_a_scheduler_that_does_not_exist_is_refused_at_the_door():
    with pytest.raises(ValueError, match="unknown scheduler 'Eular'"):
        load(DEMO, ["sampling.scheduler=Eular"])
