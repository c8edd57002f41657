"""A tagger of WD's kind, small and with random weights: its own folder, as the hub has them."""

import json
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

ARGUMENTS = {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16), "use_grn": True}
NAMES = ("general", "1girl", "long_hair", "hat", "star_(sky)", ">_<", "some_hero", "red_hat")
CATEGORIES = (9, 0, 0, 0, 0, 0, 4, 0)
SIZE = 32


@pytest.fixture(scope="session")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a ConvNeXt V2 with eight outputs."""
    folder = tmp_path_factory.mktemp("tagger")
    lines = [f"{k},{n},{c},{9 - k}" for k, (n, c) in enumerate(zip(NAMES, CATEGORIES, strict=True))]
    (folder / "selected_tags.csv").write_text("\n".join(["tag_id,name,category,count", *lines]))
    config = {
        "architecture": "convnextv2_atto",
        "num_classes": len(NAMES),
        "model_args": ARGUMENTS,
        "pretrained_cfg": {
            "input_size": [3, SIZE, SIZE], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
            "num_classes": len(NAMES),
        },
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    with torch.random.fork_rng([]):
        torch.manual_seed(5)
        network = timm.create_model("convnextv2_atto", num_classes=len(NAMES), **ARGUMENTS)
        network.head.fc.weight.data.normal_(0, 2)  # so that images differ in their tags
    save_file(network.state_dict(), folder / "model.safetensors")
    return folder


TABLE = """
["toys/bunny"]
trigger = "olis"
class_word = "toy"
description = "bunny toy"
["people/saw/bald, 3d"]
trigger = "fck"
class_word = "man"
subclass_words = "bald, 3d"
description = "man, bald, 3d"
"""


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for name, colour in (
        ("toys/bunny/1.png", "red"), ("toys/bunny/2.jpg", "navy"), ("people/saw/bald, 3d/1.png", 0),
    ):  # fmt: skip
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 30), colour).save(path)
    (tmp_path / "data/concepts.toml").write_text(TABLE)
    return tmp_path / "data"
