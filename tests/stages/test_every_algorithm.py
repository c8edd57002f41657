"""One study with every algorithm that the registry finds, plug-ins among them: trained, applied in
full, scored."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.registry import PLUGINS
from lycoris_bench.run.store import Store
from tests.support.forms import FILES, FORMS
from tests.support.world import run, tiny

pytestmark = pytest.mark.study

LR = {"lr": 5e-3}
DORA = {"dora_wd": True}
STUDIED: dict[str, dict[str, Any]] = {
    **{name: {**LR, **examples[0]} for name, examples in FORMS.items()},
    "lora": {**LR, "dim": 2, "alpha": 1, "vary": [
        {"preset": "full", "use_tucker": True, "use_scalar": True, "name": "lora-tucker"},
        {**DORA, "rs_lora": True, "name": "dora"},
        {**DORA, "wd_on_output": True, "name": "dora-output"},
    ]},
    "loha": {**LR, "dim": 2, "alpha": 1, "vary": [{"preset": "full", "use_tucker": True}]},
    "lokr": {**LR, "factor": 4, "vary": [
        {"preset": "full", "dim": 1, "use_tucker": True, "decompose_both": True, "name": "lokr-t"},
        {"unbalanced_factorization": True, "full_matrix": True, "name": "lokr-u"},
    ]},
    "dylora": {**LR, "dim": 4, "alpha": 2, "block_size": 2},
    "glora": {**LR, "dim": 2, "alpha": 1},
    "ia3": {"lr": 5e-2, "preset": "ia3"},
    "diag-oft": {**LR, "dim": 4, "vary": [{"constraint": 1e-3, "rescaled": True}]},
    "boft": {**LR, "dim": 18, "vary": [{"preset": "full"}]},
    "full": {"lr": 1e-3, "vary": [{"preset": "full"}]},
}  # fmt: skip


SMALL = {"resolution": 24, "bucket_min": 16, "bucket_max": 40, "batch_size": 8}


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, quick_base: str
) -> Iterator[tuple[Plan, Store]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PLUGINS, FILES)
        yield _whole(tmp_path_factory.mktemp("every"), quick_base)


def _whole(folder: Path, base: str) -> tuple[Plan, Store]:
    study = tiny(
        base_model=base, epochs=[1], algorithms=STUDIED, concepts=["toys/bunny"],
        training=SMALL, sampling={"prompt_types": ["trigger"], "images": 1, "steps": 1},
        scoring={"encoders": ["miniature-image"], "metrics": ["image_similarity"]},
    )  # fmt: skip
    asked, store = plan(study), Store(folder)
    for name, outcome in run(asked, store, ("train", "generate", "score")).items():
        assert not outcome.failed and not outcome.warnings, name
    return asked, store


def test_every_layer_of_every_file_is_applied(whole: tuple[Plan, Store]) -> None:
    asked, store = whole
    for checkpoint in asked.trained:
        tensors, metadata = adapter_file.read(store.checkpoint(checkpoint))
        applied = store.read_json(store.applied(checkpoint))
        assert applied["unmatched"] == [], checkpoint
        assert applied["matched"] == len(adapter_file.by_layer(tensors))
        assert sum(applied["change"].values()) > 0
        named = checkpoint.configuration.algorithm
        kinds = {"lora" if named == "dylora" else named, "norm"}
        assert set(applied["algorithms"]) <= kinds
        assert f'"algo": "{named}"' in metadata["ss_network_args"]


def test_every_one_draws_another_image_and_has_its_rows(whole: tuple[Plan, Store]) -> None:
    asked, store = whole
    found = store.frame(store.table("metrics"))
    assert found is not None
    rows = found[0]
    similarity = rows[rows["metric"] == "image_similarity"].set_index("configuration")["value"]
    names = [checkpoint.configuration.name for checkpoint in asked.trained]
    assert set(names) < set(similarity.index)
    assert similarity[names].nunique() == len(names)
    assert not (similarity[names] == similarity["base"]).any()


def test_training_is_the_same_again(
    whole: tuple[Plan, Store], tmp_path: Path, quick_base: str
) -> None:
    """Also where a step draws at random: DyLoRA its blocks."""
    asked, store = whole
    study = tiny(
        base_model=quick_base, epochs=[1], concepts=["toys/bunny"],
        algorithms={"dylora": STUDIED["dylora"]},
        training=SMALL, sampling={"prompt_types": ["trigger"], "images": 1, "steps": 1},
    )  # fmt: skip
    again, other = plan(study), Store(tmp_path)
    run(again, other, ("train",))
    (checkpoint,) = again.trained
    assert (
        other.checkpoint(checkpoint).read_bytes()
        == store.checkpoint(
            next(c for c in asked.trained if c.configuration.name == "dylora")
        ).read_bytes()
    )
