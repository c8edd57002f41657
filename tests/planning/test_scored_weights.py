"""Scores under `[scoring.weights]`: stored numbers are those of the weights that are named."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run.store import Store
from lycoris_bench.scoring.encoders import weights
from lycoris_bench.stages.score import score
from lycoris_bench.study.records import REAL_IMAGES
from tests.support.world import HERE, run, tiny

OWN = weights.local_file("package:miniature/weights/image.safetensors", "miniature-image")


def asked(base: str, file: Path | None) -> Plan:
    """Of the base model and real images alone."""
    own = {} if file is None else {"miniature-image": str(file)}
    study = tiny(
        base_model=base, concepts=["toys/bunny"],
        sampling={"prompt_types": ["train"]},
        scoring={
            "encoders": ["miniature-image"], "weights": own,
            "metrics": ["image_similarity"],
        },
    )  # fmt: skip
    return plan(study, limit=0)


def values(store: Store) -> list[float]:
    return list(pd.read_parquet(store.table("metrics"))["value"])


def test_other_weights_are_scored_anew_and_the_same_elsewhere_are_not(
    tmp_path: Path, quick_base: str
) -> None:
    store, file = Store(tmp_path / "run"), tmp_path / "w.safetensors"
    shutil.copy(OWN, file)
    run(asked(quick_base, None), store, ("generate", "score"))
    true = values(store)
    assert score(asked(quick_base, file), store, HERE).done == 0  # the same content
    torch.manual_seed(0)
    mixed = {
        name: value + 0.1 * torch.rand_like(value) if value.is_floating_point() else value
        for name, value in load_file(OWN).items()
    }
    save_file(mixed, file)
    again = score(asked(quick_base, file), store, HERE)
    assert (again.done, again.failed) == (2, {})  # base and real images
    assert values(store) != true
    assert score(asked(quick_base, file), store, HERE).done == 0
    assert score(asked(quick_base, None), store, HERE).done == 2 and values(store) == true


def test_scores_are_still_the_studys_where_the_weights_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scored where the hub's cache is, analyzed where it is not."""
    made, store = plan(tiny(scoring={"encoders": ["vgg19"]})), Store(tmp_path / "run")
    snapshot = tmp_path / "hub/models--timm--vgg19.tv_in1k/snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (refs := snapshot.parent.parent / "refs").mkdir()
    (refs / "main").write_text("a" * 40)
    (snapshot / "model.safetensors").write_bytes(b"these")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    there = scored_rows.inputs(made, store, REAL_IMAGES)
    scored_rows.keep(store, scored_rows.records(made.study, store))
    shutil.rmtree(tmp_path / "hub")
    assert scored_rows.inputs(made, store, REAL_IMAGES) == there
    store.encoder_weights.write_text("[broken")
    assert scored_rows.inputs(made, store, REAL_IMAGES) != there
