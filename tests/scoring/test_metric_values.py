"""What a metric may give, and what is said of the rest; errors name the plug-in they are of."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.delta import changes
from lycoris_bench.messages.errors import BenchError, explained
from lycoris_bench.planning.plan import plan
from lycoris_bench.run.store import Store
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.metric_values import finite, numbers, place
from lycoris_bench.scoring.metrics import METRICS
from lycoris_bench.scoring.metrics.inputs import ScoredSet
from lycoris_bench.scoring.score_images import score_images
from tests.support.plugin import FILES, Load
from tests.support.world import run, tiny

METRIC = """
import numpy as np
from lycoris_bench.scoring.metrics.base import metric

@metric(better="higher", encoder="image")
def odd(generated):
    return {given}
"""
ENCODER = """
from dataclasses import replace
from tests.support.plugins.random_projection import RandomProjection

class Wrong(RandomProjection):
    record = replace(RandomProjection.record, name="wrong")

    def forward(self, batch):
        return batch.no_such_thing
"""
ADAPTER = """
from dataclasses import dataclass
import torch
from lycoris_bench.adapters.algorithms.base import Adapter

class Wrong(Adapter):
    marks = ("wrong_row",)
    names = frozenset(marks)

    @dataclass(frozen=True, kw_only=True)
    class Options:
        broken: bool = False

    def build(self, weight, bias, generator, options):
        self.row = torch.nn.Parameter(torch.zeros(3))
        if options.broken:
            {}["x"]

    def tensors(self):
        return {"wrong_row": self.row}

    @staticmethod
    def delta_from(tensors, weight):
        return tensors["wrong_row"].no_such_thing
"""


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.fixture
def pictures() -> list[Any]:
    return [np.full((8, 8, 3), value, np.uint8) for value in (0, 128, 255)]


def test_a_number_or_one_an_image_is_kept_as_it_is() -> None:
    metric = METRICS.get("vendi")
    for value in (2, 2.5, np.float32(0.1), np.float64(0.1), np.array([1.0, 2.0], np.float32)):
        found = finite(metric, numbers(metric, lambda value=value: value, 2, "x"), "x")
        assert found is value
    np.testing.assert_array_equal(numbers(metric, lambda: [1, 2], 2, "x"), [1, 2])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("None", "gave None for the given images; a number, or one number an image, is needed"),
        ("'high'", "gave 'high' for the given images; a number"),
        ("np.zeros((3, 2))", r"gave numbers of shape \(3, 2\) for the given images; a number"),
        ("[1, 2]", r"gave numbers of shape \(2,\) for the given images; a number"),
        ("float('nan')", "gave nan in the given images; finite numbers are needed"),
        ("np.array([1, np.inf, 2])", "gave inf for 1 of 3 images in the given images; finite"),
    ],
)
def test_anything_else_is_one_sentence_that_names_the_metric_and_its_file(
    load_plugin: Load, tmp_path: Path, pictures: list[Any], given: str, said: str
) -> None:
    file = written(tmp_path, "odd.py", METRIC.format(given=given))
    load_plugin(file)
    with pytest.raises(BenchError, match=f"^metric 'odd' of {file} {said}"):
        score_images(pictures, encoders=["miniature-image"], metrics=["odd"])


def test_an_image_set_is_named_by_prompt_type_and_concept() -> None:
    toy = ScoredSet("trigger", (), category="toys", class_name="bear", subclass="red")
    assert place(toy) == "prompt type 'trigger' of toys/bear/red"
    assert place(ScoredSet("style", ())) == "prompt type 'style'"


def test_a_checkpoint_with_a_number_that_is_none_fails(load_plugin: Load, tmp_path: Path) -> None:
    """And says which metric, prompt type and concept; nothing is stored of it."""
    file = written(tmp_path, "odd.py", METRIC.format(given="float('nan')"))
    for plugin in (file, *FILES):
        load_plugin(plugin)
    study = tiny(
        concepts=["toys/bunny"], epochs=[1], algorithms={"lora": {"lr": 1e-3, "dim": 4}},
        sampling={"prompt_types": ["train"], "images": 2, "steps": 1},
        scoring={"encoders": ["random-projection"], "metrics": ["odd"]},
    )  # fmt: skip
    asked, store = plan(study), Store(tmp_path / "run")
    base_alone = run(asked, store, ("train", "generate", "score"))["score"]
    assert base_alone.done == 0 and len(base_alone.failed) == 3
    for error in base_alone.failed.values():
        assert error == (
            f"metric 'odd' of {file} gave nan in prompt type 'train' of toys/bunny; finite numbers "
            "are needed"
        )
    assert not store.table("metrics").exists()


def test_an_error_in_a_plugin_names_it_and_its_file(
    load_plugin: Load, tmp_path: Path, pictures: list[Any]
) -> None:
    odd = written(tmp_path, "odd.py", METRIC.format(given="generated.no_such_thing"))
    wrong = written(tmp_path, "wrong.py", ENCODER)
    load_plugin(odd)
    load_plugin(wrong)
    with pytest.raises(AttributeError) as error:
        score_images(pictures, encoders=["miniature-image"], metrics=["odd"])
    said = explained(error.value)
    assert said.startswith(f"while evaluating metric 'odd' of {odd} for the given images: Attr")
    encoder = encoders.load("wrong")
    with pytest.raises(AttributeError) as error:
        encoder.encode(torch.zeros(1, 3, 8, 8))
    said = explained(error.value)
    assert said.startswith("while encoding images with encoder 'wrong' of " + str(wrong))


def test_an_error_in_an_adapter_names_it_and_its_file(load_plugin: Load, tmp_path: Path) -> None:
    file = written(tmp_path, "wrong.py", ADAPTER)
    load_plugin(file)
    model = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(KeyError) as error:
        attach(model, layers=["Linear"], algorithm="wrong", options={"broken": True})
    assert explained(error.value) == f"while building adapter 'Wrong' of {file}: KeyError: 'x'"
    attach(model, layers=["Linear"], algorithm="wrong")
    with pytest.raises(AttributeError) as other:
        model(torch.ones(1, 3))
    assert explained(other.value).startswith(f"while applying adapter 'Wrong' of {file}: Attr")
    with pytest.raises(AttributeError) as third:
        changes({"wrong_row": torch.zeros(3)}, torch.zeros(2, 3))
    assert explained(third.value).startswith(f"while computing ΔW by adapter 'Wrong' of {file}: ")
