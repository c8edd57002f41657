"""Weights of the hub that no commit pins, and encoders whose weights lie in no file: what was
loaded is part of each score, and is said."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.plan import Plan, plan
from lycoris_bench.run.store import Store
from lycoris_bench.scoring import encoders, feature_pass
from lycoris_bench.scoring.encoders.weights import sha256_of_tensors
from lycoris_bench.scoring.score_images import score_images
from lycoris_bench.stages.score import score
from lycoris_bench.study.records import REAL_IMAGES
from tests.support.plugin import Load
from tests.support.world import HERE, run, tiny

COMMIT = "0123456789abcdef" * 2 + "01234567"
PLUGIN = """
import torch
from safetensors.torch import load_file
from lycoris_bench.scoring.encoders.base import Encoder, Record
from lycoris_bench.scoring.encoders.weights import locate


class Projection(Encoder):
    files = ("model.safetensors",)
    resizings = ("stretch",)
    record = Record(
        name="projection", weights="{weights}", revision="main", sha256=None, size=8,
        resize="stretch", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), outputs="image",
    )

    def __init__(self, record, device="cpu"):
        self.record, self.device = record, torch.device(device)
        self.matrix = {matrix}

    def forward(self, batch):
        return batch.flatten(1) @ self.matrix
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_plugin: Load) -> Path:
    """An encoder of the hub, in the cache; its weights' file."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = tmp_path / "hub/models--some--projection/snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (refs := snapshot.parent.parent / "refs").mkdir()
    (refs / "main").write_text(COMMIT)
    save_file({"matrix": torch.eye(192, 12)}, snapshot / "model.safetensors")
    (plugin := tmp_path / "projection.py").write_text(PLUGIN.format(
        weights="some/projection", matrix='load_file(locate(record, self.files))["matrix"]',
    ))  # fmt: skip
    load_plugin(plugin)
    feature_pass._loaded.cache_clear()
    return snapshot / "model.safetensors"


def asked(**scoring: object) -> Plan:
    return plan(tiny(
        concepts=["toys/bunny"], sampling={"prompt_types": ["train"]},
        scoring={"encoders": ["projection"], "metrics": ["image_similarity"], **scoring},
    ), limit=0)  # fmt: skip


def test_a_study_says_what_it_read_and_how_to_pin_it(hub: Path, tmp_path: Path) -> None:
    store, made = Store(tmp_path / "run"), asked()
    warned = run(made, store, ("generate", "score"))["score"].warnings
    sha256 = hashlib.sha256(hub.read_bytes()).hexdigest()
    assert warned == {"encoders": (
        "the weights of encoder projection, some/projection at 'main', are pinned to no commit and "
        f"may change on the hub; read was SHA-256 {sha256[:16]}...; to pin them, name "
        f"'some/projection@{COMMIT}' in 'scoring.weights.projection'"
    )}  # fmt: skip
    assert score(made, store, HERE).warnings == {}  # nothing was read
    pinned = asked(weights={"projection": f"some/projection@{COMMIT}"})
    done = score(pinned, store, HERE)
    assert (done.done, done.skipped, done.warnings) == (0, 2, {})  # the same content


def test_scores_of_a_folder_say_it_too(hub: Path) -> None:
    images = [np.full((8, 8, 3), 20 * k, np.uint8) for k in range(3)]
    with pytest.warns(UserWarning, match=rf"some/projection@{COMMIT}' in 'scoring.weights.pro"):
        loose = score_images(images, encoders=["projection"], metrics=["vendi"])
    weights = {"projection": f"some/projection@{COMMIT}"}
    fast = score_images(images, encoders=["projection"], metrics=["vendi"], weights=weights)
    assert list(loose["fingerprint"]) == list(fast["fingerprint"])


def test_what_is_pinned_says_nothing() -> None:
    local = {"vgg19": "package:miniature/weights/gram.safetensors"}
    assert encoders.unpinned(["miniature-image", "miniature-gram:scale", "vgg19"], local) == []
    assert encoders.unpinned(["vgg19"], {"vgg19": f"timm/vgg19@{COMMIT}"}) == []
    (said,) = encoders.unpinned(["vgg19:scale", "vgg19:crop"], {"vgg19": "some/where@v2"})
    assert said == "the weights of encoder vgg19, some/where at 'v2', are pinned to no commit"


def test_tensors_are_told_apart_by_name_type_shape_and_content() -> None:
    eye = torch.eye(2)
    made = [{"a": eye}, {"b": eye}, {"a": eye.double()}, {"a": eye.reshape(-1)}, {"a": -eye},
            {"a": eye, "b": eye}, {"a": torch.nn.Linear(1, 1)}]  # fmt: skip
    assert len({sha256_of_tensors(values) for values in made}) == len(made)
    assert sha256_of_tensors({"a": eye.clone(), "name": "x"}) == sha256_of_tensors({"a": eye})
    assert sha256_of_tensors({"a": 1, "b": np.ones(2)}) is None


def test_an_encoder_without_a_file_is_what_it_holds(tmp_path: Path, load_plugin: Load) -> None:
    """Weights that change under one revision are refused, where no file shows it before."""
    store, file = Store(tmp_path / "run"), tmp_path / "projection.py"
    file.write_text(PLUGIN.format(weights="", matrix="torch.eye(192, 12)"))
    load_plugin(file)
    feature_pass._loaded.cache_clear()
    made = asked()
    run(made, store, ("generate", "score"))
    before = scored_rows.inputs(made, store, REAL_IMAGES)
    assert score(made, store, HERE).done == 0
    first = encoders.load("projection").record
    assert first.sha256 == sha256_of_tensors({"matrix": torch.eye(192, 12)})
    other = replace(first, sha256="f" * 64)
    with pytest.raises(
        BenchError, match="'projection' holds other weights than .* revision 'main'"
    ):
        scored_rows.keep(store, [other])
    assert scored_rows.inputs(made, store, REAL_IMAGES) == before
    feature_pass._loaded.cache_clear()
