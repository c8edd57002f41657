"""The shipped studies in their own form, through all stages: the paper's has no `heldout`, lists
ten views of four encoders and 26 configurations. Only base model, dataset, sizes, steps and
encoders are overridden, on a data set with the paper's names."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run.store import Store
from lycoris_bench.scoring import feature_pass
from lycoris_bench.stages.run import run as run_all
from lycoris_bench.study.load import load
from tests.support.world import HERE, STAGES

pytestmark = pytest.mark.usefixtures("unprinted")

CONCEPTS = [  # sub-classes, a style and a toy
    "movie characters/Saw_Gerrera/bald, 3d", "movie characters/Saw_Gerrera/others",
    "styles/ukiyo_e", "stuffed toys/plushie_panda",
]  # fmt: skip
SMALL = {
    "seeds": [23], "epochs": [1],
    "training.resolution": 24, "training.bucket_step": 8, "training.bucket_min": 16,
    "training.bucket_max": 40, "training.images_per_class": 1, "training.max_tokens": 60,
    "sampling.images": 2, "sampling.steps": 1, "sampling.width": 16, "sampling.height": 16,
}  # fmt: skip
VIEWS = [
    "miniature-image:letterbox", "miniature-image:crop", "miniature-image:stretch",
    "miniature-image-text:letterbox", "miniature-image-text:crop", "miniature-gram:scale",
]  # fmt: skip
REAL = [
    "dinov2-l:letterbox", "dinov2-l:crop", "dinov2-l:stretch",
    "clip-l-datacomp:letterbox", "clip-l-datacomp:crop", "clip-l-datacomp:stretch",
    "convnextv2-l:scale", "convnextv2-l:letterbox", "convnextv2-l:crop", "vgg19:scale",
]  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs a concept, none of them square, with captions of three kinds."""
    return photographs(tmp_path_factory.mktemp("dataset"), CONCEPTS, 3)


def photographs(root: Path, concepts: list[str], images: int) -> Path:
    rng = np.random.default_rng(0)
    for concept, k in itertools.product(concepts, range(images)):
        path = root / concept / f"{k}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        side = (40, 64) if k % 2 else (64, 40)
        coarse = rng.integers(0, 255, (4, 4, 3), np.uint8)
        Image.fromarray(coarse).resize(side).save(path)
        for extension in (".txt", ".no-tags", ".all-tags"):
            path.with_suffix(extension).write_text(f"{Path(concept).name}, tag {k}{extension}")
    return root


def asked(
    study: str, base: str, dataset: Path, encoders: list[str], limit: int | None = None
) -> Plan:
    overrides = {**SMALL, "base_model": base, "dataset": str(dataset), "scoring.encoders": encoders}
    shown = [
        f"{key}={value!r}" if not isinstance(value, str) else f'{key}="{value}"'
        for key, value in overrides.items()
    ]
    return plan(load(f"package:configs/{study}.toml", shown), limit)


def whole_line(plan: Plan, store: Store) -> pd.DataFrame:
    """All stages as one command; nothing fails, and nothing is said but what optimizer is used and
    what weights no commit pins."""
    outcome = run_all(plan, store, HERE)
    assert not outcome.failed, outcome.failed
    assert set(outcome.warnings) <= {"optimizer", "encoders"}
    found = store.frame(store.table("metrics"))
    assert found is not None and store.report.exists()
    rows: pd.DataFrame = found[0]
    assert not rows["value"].isna().any()
    return rows


def check_rows(plan: Plan, rows: pd.DataFrame, encoders: list[str]) -> None:
    """Every cell that the form asks for is there once, and square images have one value in all
    resizings of an encoder, as they are the same pixels."""
    made = [c.configuration.name for c in plan.checkpoints]
    assert set(rows["configuration"]) == {*made, "real"}
    assert set(rows["encoder"] + ":" + rows["resize"]) == set(encoders)
    names = [c for c in rows.columns if c not in ("value", "n", "fingerprint", "better")]
    assert not rows.duplicated(names).any()
    cells = rows[rows["configuration"] != "real"].groupby("configuration").size()
    assert cells.nunique() == 1, cells
    text = rows[rows["metric"].isin(["text_similarity", "vendi"])]
    of_images = text.pivot_table(
        index=["configuration", "class", "subclass", "prompt_type", "metric"],
        columns=["encoder", "resize"], values="value", dropna=False,
    )  # fmt: skip
    for encoder in of_images.columns.levels[0]:
        views = of_images[encoder].dropna(how="all")
        assert (views.nunique(axis=1) == 1).all()


SLOW = pytest.mark.slow


@pytest.mark.study
@pytest.mark.parametrize(
    ("study", "limit"),
    [
        ("captions", 2),  # the paper's study has the same form, with the main captions alone
        pytest.param("paper", None, marks=SLOW), pytest.param("captions", None, marks=SLOW),
    ],
)  # fmt: skip
def test_a_shipped_study_in_the_miniature_world(
    study: str, limit: int | None, dataset: Path, tmp_path: Path, quick_base: str
) -> None:
    made, store = asked(study, quick_base, dataset, VIEWS, limit), Store(tmp_path)
    assert len(made.study.configurations) == {"paper": 26, "captions": 12}[study]
    assert made.heldout is None
    rows = whole_line(made, store)
    check_rows(made, rows, VIEWS)
    again = {name: STAGES[name](made, store, HERE) for name in ("train", "generate", "score")}
    assert not any(outcome.done for outcome in again.values())
    if study == "captions":
        drawn = {c.configuration.name: {j.prompt for j in made.jobs(c)} for c in made.trained}
        assert any("tag 0.no-tags" in prompt for prompt in drawn["lora-no-tags"])
        assert not any("tag 0.txt" in prompt for prompt in drawn["lora-no-tags"])


def random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoders' true architectures with random weights: nothing can be downloaded here."""
    import open_clip
    import timm

    from lycoris_bench.scoring.encoders import clip_l_datacomp, timm_network

    for module in (timm_network, clip_l_datacomp):
        monkeypatch.setattr(module, "locate", lambda *_: Path("random"))
    create, clip = timm.create_model, open_clip.create_model

    def without_weights(model: str, **options: Any) -> Any:
        options = {k: v for k, v in options.items() if not k.startswith("pretrained")}
        return create(model, **options)

    monkeypatch.setattr(timm, "create_model", without_weights)
    monkeypatch.setattr(
        open_clip, "create_model", lambda model, pretrained, **options: clip(model, **options)
    )


@SLOW
@pytest.mark.parametrize("study", ["paper", "captions"])
def test_a_shipped_study_with_the_architectures_of_the_real_encoders(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_base: str
) -> None:
    """A checkpoint and base on a style and a toy: minutes, and one copy of each network."""
    random_weights(monkeypatch)
    feature_pass._loaded.cache_clear()
    dataset = photographs(tmp_path / "data", ["styles/ukiyo_e", "stuffed toys/plushie_panda"], 2)
    made = asked(study, quick_base, dataset, REAL, limit=1)
    check_rows(made, whole_line(made, Store(tmp_path / "run")), REAL)
    assert feature_pass._loaded.cache_info().misses == 4  # ten views, four networks
    feature_pass._loaded.cache_clear()
