"""Strengths, adapters added up, files of any origin and another model to draw with."""

import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.merge import Merger
from lycoris_bench.models.backbone import Backbone
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.planning.status import Status
from lycoris_bench.run.store import Store
from lycoris_bench.study.load import StudyError, parse
from lycoris_bench.study.records import BASE_CHECKPOINT, Checkpoint
from tests.support.world import run, table, tiny

pytestmark = pytest.mark.usefixtures("unprinted")


def adapter(base: str, path: Path, seed: int = 5, size: float = 0.05) -> Path:
    """A LoRA file for the base model, as anybody could have made it."""
    backbone = Backbone.load(base)
    network = attach(backbone.unet, backbone.text_encoder, "attn-only", "lora", {"dim": 2}, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=size)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(adapter_file.to_bytes(network.tensors(), {}))
    return path


def pixels(asked: Plan, store: Store, checkpoint: Checkpoint) -> list[bytes]:
    paths = [store.image(job.image_set, job.k) for job in asked.jobs(checkpoint)]
    return [Image.open(path).tobytes() for path in paths]


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, quick_base: str
) -> tuple[Plan, Store, dict[str, Any]]:
    """Two strengths of a trained LoRA, and of it together with a file from elsewhere."""
    folder = tmp_path_factory.mktemp("combined")
    given = adapter(quick_base, folder / "given.safetensors")
    study = tiny(
        base_model=quick_base,
        concepts=["toys/bunny"],
        epochs=[1],
        algorithms={"lora": {"lr": 2e-3, "dim": 4, "alpha": 2}},
        sampling={"strength": [0.0, 0.5, 1.0], "prompt_types": ["trigger"], "steps": 1},
        scoring={"encoders": ["miniature-image"]},
        combine={
            "both": {"adapters": ["lora", str(given)], "strengths": [1.0, 0.7]},
            "alone": {"adapters": [str(given)]},
        },
    )
    asked, store = plan(study), Store(folder / "run")
    return asked, store, run(asked, store)


@pytest.mark.study
def test_each_strength_is_a_row_of_its_own(whole: tuple[Plan, Store, dict[str, Any]]) -> None:
    _, store, outcomes = whole
    assert {name: outcome.failed for name, outcome in outcomes.items()} == {
        "train": {}, "generate": {}, "score": {}, "analyze": {},
    }  # fmt: skip
    assert outcomes["train"].done == 1 and outcomes["generate"].done == 10
    found = store.frame(store.table("metrics"))
    assert found is not None
    rows = found[0]
    made = rows[rows["configuration"].isin(["lora", "both", "alone"])]
    assert set(made["strength"]) == {0.0, 0.5, 1.0}
    counts = made.groupby(["configuration", "strength"]).size()
    assert counts.nunique() == 1 and len(counts) == 9
    assert made[made["configuration"] == "alone"]["seed"].isna().all()
    assert set(made[made["configuration"] == "both"]["epoch"]) == {1}


@pytest.mark.study
def test_strength_0_draws_the_base_and_half_lies_between(
    whole: tuple[Plan, Store, dict[str, Any]],
) -> None:
    asked, store, _ = whole
    lora = asked.trained[0]
    base = pixels(asked, store, BASE_CHECKPOINT)
    drawn = {s: pixels(asked, store, replace(lora, strength=s)) for s in (0.0, 0.5, 1.0)}
    assert drawn[0.0] == base
    assert drawn[0.5] != base and drawn[1.0] != base and drawn[0.5] != drawn[1.0]


@pytest.mark.study
def test_a_combination_is_the_sum_of_its_changes(
    whole: tuple[Plan, Store, dict[str, Any]], quick_base: str
) -> None:
    """One weight of `both` against base + lora + 0.7 · given, each merged alone before."""
    asked, store, _ = whole
    both = next(c for c in asked.checkpoints if c.configuration.name == "both" and c.strength == 1)
    parts = asked.parts(both)
    assert [strength for _, strength in parts] == [1.0, 0.7]
    backbone = Backbone.load(quick_base)
    weight = next(p for n, p in backbone.unet.named_parameters() if n.endswith("attn1.to_q.weight"))
    base, merger = weight.detach().clone(), Merger(backbone.unet, backbone.text_encoder)
    loaded = [
        adapter_file.read(store.checkpoint(p) if isinstance(p, Checkpoint) else p)[0]
        for p, _ in parts
    ]
    deltas = []
    for tensors in loaded:
        merger.merge(tensors)
        deltas.append(weight.detach() - base)
    merger.merge_all([(tensors, s) for tensors, (_, s) in zip(loaded, parts, strict=True)])
    torch.testing.assert_close(weight.detach(), base + deltas[0] + 0.7 * deltas[1])
    assert deltas[0].abs().max() > 0 and deltas[1].abs().max() > 0
    applied = store.read_json(store.applied(both))
    assert applied["unmatched"] == [] and applied["matched"] == layer_count(loaded)


def layer_count(loaded: list[dict[str, torch.Tensor]]) -> int:
    return len({key.partition(".")[0] for tensors in loaded for key in tensors})


@pytest.mark.study
def test_the_analysis_tells_strengths_apart(whole: tuple[Plan, Store, dict[str, Any]]) -> None:
    _, store, _ = whole
    findings = store.read_json(store.findings)
    ranked = next(iter(findings["categories"].values()))["fidelity"]["ranking"]
    names = {row["configuration"] for row in ranked}
    assert {"lora", "lora ×0.5", "lora ×0", "both", "alone ×0.5"} <= names and len(names) == 9
    found = store.frame(store.table("scores"))
    assert found is not None
    scores = found[0]
    assert set(scores["configuration"]) == {"lora", "both", "alone"}
    assert scores[scores["configuration"] == "alone"]["seed"].isna().all()
    page = store.report.read_text()
    assert "lora ×0.5" in page and "over strengths" in page
    facts = re.sub(r"<[^>]*>", "", page[page.index('class="facts"') :][:900])
    assert "3 configurations" in facts and "1 seed" in facts and "9 checkpoints" in facts


@pytest.mark.study
def test_a_second_run_does_nothing(whole: tuple[Plan, Store, dict[str, Any]]) -> None:
    asked, store, _ = whole
    again = run(plan(asked.study), store, ("train", "generate", "score"))
    assert [outcome.done for outcome in again.values()] == [0, 0, 0]
    assert [outcome.failed for outcome in again.values()] == [{}, {}, {}]


@pytest.mark.study
def test_another_file_under_the_same_name_is_drawn_anew(
    whole: tuple[Plan, Store, dict[str, Any]], quick_base: str
) -> None:
    asked, store, _ = whole
    alone = next(c for c in asked.checkpoints if c.configuration.name == "alone")
    path = Path(alone.configuration.options[0][0])
    content = path.read_bytes()
    try:
        adapter(quick_base, path, seed=6)
        changed = plan(asked.study)
        assert len(Status(changed, store).absent(alone)) == len(changed.jobs(alone))
        assert not Status(changed, store).absent(asked.checkpoints[1])
    finally:
        path.write_bytes(content)


def test_drawing_with_another_base_model(tmp_path: Path, quick_base: str) -> None:
    """Trained on one model, applied to another: what was trained is kept, images are new."""
    other = tmp_path / "other"
    make_other(quick_base, other)
    one = {"base_model": quick_base, "concepts": ["toys/bunny"], "epochs": [1],
           "algorithms": {"lora": {"lr": 2e-3, "dim": 2, "alpha": 1}}}  # fmt: skip
    kinds = {"prompt_types": ["trigger"], "images": 1, "steps": 1}
    first = plan(tiny(**one, sampling=kinds))
    store = Store(tmp_path / "run")
    assert not run(first, store, ("train", "generate"))["generate"].failed
    before = {str(c): pixels(first, store, c) for c in first.checkpoints}
    moved = plan(tiny(**one, sampling={**kinds, "base_model": str(other)}))
    outcomes = run(moved, store, ("train", "generate"))
    assert outcomes["train"].done == 0 and outcomes["train"].skipped == 1
    assert outcomes["generate"].done == 2
    for checkpoint in moved.checkpoints:
        assert pixels(moved, store, checkpoint) != before[str(checkpoint)]


def make_other(base: str, folder: Path) -> None:
    """The base model with its U-Net's weights a little off: another base of its family."""
    shutil.copytree(base, folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    if not weights.exists():
        weights = next((folder / "unet").glob("*.safetensors"))
    tensors = {key: value * 1.05 for key, value in load_file(weights).items()}
    save_file(tensors, weights, {"format": "pt"})


def test_limit_trains_only_what_is_drawn() -> None:
    study = tiny(epochs=[1, 2], sampling={"strength": [0.5, 1.0]})
    assert len(study.checkpoints) == 1 + 8
    limited = plan(study, limit=2)
    assert [str(c) for c in limited.checkpoints] == [
        "base", "lora/seed-23/epoch-001/strength-0.5", "lora/seed-23/epoch-001",
    ]  # fmt: skip
    assert [str(c) for c in limited.trained] == ["lora/seed-23/epoch-001"]


@pytest.mark.parametrize(("changes", "said"), [
    ({"combine": {"x": {"adapters": ["lorra"]}}},
     "unknown adapter 'combine.x.lorra'; did you mean 'lora'"),
    ({"combine": {"x": {"adapters": []}}}, "'combine.x.adapters' is []"),
    ({"combine": {"x": {"adapters": ["lora"], "strength": [1]}}},
     "did you mean 'combine.x.strengths'"),
    ({"combine": {"x": {"adapters": ["lora", "lokr"], "strengths": [1]}}}, "1 strength for 2"),
    ({"combine": {"x": {"adapters": ["lora", "lora"]}}}, "named twice"),
    ({"combine": {"lora": {"adapters": ["lora"]}}}, "'lora' and twice"),
    ({"sampling": {"strength": [1.0, 0.5]}}, "ascending"),
    ({"sampling": {"strength": []}}, "at least one is needed"),
    ({"sampling": {"strength": 11}}, "11"),
    ({"algorithms": {}, "epochs": []}, "'epochs' is []"),
])  # fmt: skip
def test_mistakes_are_sentences(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError) as error:
        parse(table(**changes))
    assert any(said in problem for problem in error.value.problems), error.value.problems


def test_a_file_that_is_no_adapter_is_a_mistake_of_the_study(tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    files = [str(tmp_path / "broken.safetensors"), str(tmp_path / "none.safetensors")]
    study = tiny(combine={f"c{k}": {"adapters": [name]} for k, name in enumerate(files)})
    with pytest.raises(StudyError) as error:
        plan(study)
    assert len(error.value.problems) == 2
    assert "combine.c0" in error.value.problems[0] and "combine.c1" in error.value.problems[1]


def test_relative_files_lie_beside_the_study(tmp_path: Path) -> None:
    study = parse(table(combine={"x": {"adapters": ["found/a.safetensors"]}}), folder=tmp_path)
    combined = next(c for c in study.configurations if c.name == "x")
    assert combined.options == ((str(tmp_path / "found/a.safetensors"), 1.0),)
    again = parse(tomllib.loads(study.toml()))
    assert again.configurations == study.configurations


@pytest.mark.study
def test_only_given_adapters_need_no_epochs(tmp_path: Path, quick_base: str) -> None:
    changed = table(
        base_model=quick_base,
        concepts=["toys/bunny"], scoring={"encoders": ["miniature-image"]},
        sampling={"prompt_types": ["trigger"], "images": 1, "steps": 1},
        combine={"x": {"adapters": [str(adapter(quick_base, tmp_path / "a.safetensors"))]}},
    )  # fmt: skip
    del changed["epochs"], changed["algorithms"]
    asked = plan(parse(changed))
    assert [str(c) for c in asked.checkpoints] == ["base", "x"] and asked.trained == []
    store = Store(tmp_path / "run")
    outcomes = run(asked, store)
    assert all(not outcome.failed for outcome in outcomes.values())
    assert isinstance(store.frame(store.table("metrics"))[0], pd.DataFrame)


def test_dropouts_and_max_norm_are_options_of_every_algorithm(
    tmp_path: Path, quick_base: str
) -> None:
    held = {"dropout": 0.1, "rank_dropout": 0.2, "module_dropout": 0.2, "max_norm": 0.01}
    algorithms = {"lora": {"lr": 2e-2, "dim": 2, "alpha": 2, **held}}
    study = tiny(base_model=quick_base, concepts=["toys/bunny"], epochs=[1], algorithms=algorithms)
    asked, store = plan(study), Store(tmp_path)
    assert run(asked, store, ("train",))["train"].done == 1
    (checkpoint,) = asked.trained
    bound = store.card(checkpoint).max_norm
    assert bound["largest"] == pytest.approx(0.01) and bound["mean"] <= 0.01
    tensors, metadata = adapter_file.read(store.checkpoint(checkpoint))
    layers = adapter_file.by_layer(tensors)
    norms = [
        float((found["lora_up.weight"].float() @ found["lora_down.weight"].float()).norm())
        for found in layers.values()
        if found["lora_up.weight"].dim() == 2
    ]
    assert max(norms) == pytest.approx(0.01, rel=1e-2)  # alpha/dim is 1; stored in half precision
    assert '"max_norm": "0.01"' in metadata["ss_network_args"]
