"""The protocol of images: it is another where an image would be, and the same for whatever a study
compares and wherever its files lie."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.planning.protocol import Cell, fingerprint, protocols
from lycoris_bench.study.places import locate
from lycoris_bench.study.records import BASE_CHECKPOINT, REAL_IMAGES
from lycoris_bench.study.settings import Sampling
from tests.support.world import tiny

BUNNY = ("toys", "bunny", "", "train", "")
PACKAGE = {name: locate(f"package:{place}", Path()) for name, place in (
    ("base_model", "miniature/weights/base"), ("dataset", "miniature/dataset"),
    ("prompts", "prompts/miniature"), ("heldout", "miniature/heldout"),
)}  # fmt: skip
DRAWN: dict[str, Any] = {
    "steps": 3, "guidance": 2.0, "width": 40, "height": 40, "seed": 1, "precision": "bf16",
    "scheduler": "EulerDiscreteScheduler",
}  # fmt: skip
COMPARED: dict[str, Any] = {"strength": 0.5, "batch_size": 1, "compile": True}


def of(**changes: Any) -> dict[Cell, str]:
    return protocols(plan(tiny(**changes)), BASE_CHECKPOINT)


def uids(asked: Plan) -> list[str]:
    return [job.uid for job in asked.jobs(BASE_CHECKPOINT)[:2]]


@pytest.mark.parametrize(
    "name", sorted(Sampling.model_fields.keys() - {"base_model", "prompt_types", "pairs", "images"})
)
def test_it_is_another_where_an_image_is(name: str) -> None:
    """By the uids of images, for every setting of sampling; it says which. The number of images
    stands in the fingerprint itself."""
    value = {**DRAWN, **COMPARED}[name]
    before, after = plan(tiny()), plan(tiny(sampling={name: value}))
    one, other = (protocols(asked, BASE_CHECKPOINT)[BUNNY] for asked in (before, after))
    assert (one != other) == (uids(before) != uids(after)) == (name in DRAWN)
    if name in DRAWN:
        differ = {k for k, v in json.loads(one).items() if json.loads(other)[k] != v}
        shown = {"scheduler": ("sampler", "EulerDiscrete")}.get(name, (name, value))
        assert differ == {shown[0]} and json.loads(other)[shown[0]] == shown[1]


def test_another_text_encoder_layer_is_another_and_other_training_is_not() -> None:
    before = of()
    assert json.loads(of(training={"clip_skip": 2})[BUNNY])["clip_skip"] == 2
    assert before == of(
        training={"batch_size": 2, "images_per_class": 4, "precision": "bf16"}, epochs=[1],
        algorithms={"full": {"lr": 1e-5}}, seeds=[7, 8], scoring={"encoders": ["miniature-image"]},
    )  # fmt: skip


def test_prompts_are_those_that_are_drawn(tmp_path: Path) -> None:
    """Of the concept and type whose prompts changed alone; of two images two prompts are asked."""
    shutil.copytree(PACKAGE["prompts"], tmp_path / "prompts")
    changed = tmp_path / "prompts/toys/bunny/alter.txt"
    changed.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"a {{}} number {k}" for k in range(5)]
    changed.write_text("\n".join(lines))
    before = of(prompts=str(tmp_path / "prompts"))
    changed.write_text("\n".join([*lines[:4], "a {} elsewhere"]))
    assert of(prompts=str(tmp_path / "prompts")) == before  # the fifth of two
    changed.write_text("\n".join([lines[1], lines[0]]))
    after = of(prompts=str(tmp_path / "prompts"))
    assert {cell for cell in before if before[cell] != after[cell]} == {
        ("toys", "bunny", "", "alter", ""), ("", "", "", "alter", ""),
    }  # fmt: skip


def test_it_says_nothing_of_where_files_lie(tmp_path: Path) -> None:
    for name, place in PACKAGE.items():
        shutil.copytree(place, tmp_path / name)
    moved = of(**{name: str(tmp_path / name) for name in PACKAGE})
    assert moved == of()
    assert not any(str(place) in text for text in moved.values() for place in (tmp_path, "/"))


def test_the_model_that_draws_is_in_it(tmp_path: Path) -> None:
    """By its content: here its scheduler's configuration is another."""
    shutil.copytree(PACKAGE["base_model"], tmp_path / "other")
    config = tmp_path / "other/scheduler/scheduler_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "steps_offset": 0}))
    before, after = of(), of(sampling={"base_model": str(tmp_path / "other")})
    one, other = (json.loads(made[BUNNY]) for made in (before, after))
    assert {key for key in one if one[key] != other[key]} == {"base_model"}


def test_real_images_have_none() -> None:
    made = protocols(plan(tiny()), REAL_IMAGES)
    assert set(made.values()) == {""} and made.keys() == of().keys()
    assert fingerprint("measured", "") == "measured"
    assert fingerprint("measured", "{}").startswith("measured-")
