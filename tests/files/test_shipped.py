"""What ships is named alike wherever a path may be named."""

from pathlib import Path

import pytest

from lycoris_bench.adapter_tools.weights_on_disk import open_model
from lycoris_bench.files import disk
from lycoris_bench.files.shipped import as_shipped, shipped
from lycoris_bench.models.hub import locate as locate_model
from lycoris_bench.models.hub import weight_files
from lycoris_bench.models.parts import BackboneError
from lycoris_bench.scoring.encoders.weights import local_file
from lycoris_bench.study.places import locate

BASE = "package:miniature/weights/base"
NAMES = (BASE, "package:miniature/dataset", "package:configs/demo.toml", "package:prompts/paper")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_leads_to_one_place_and_back(name: str, tmp_path: Path) -> None:
    place = shipped(name)
    assert place.exists()
    assert disk.expand(name) == disk.expand(Path(name)) == locate(name, tmp_path) == place
    assert as_shipped(str(place)) == name


def test_what_is_not_there_is_no_path_of_the_user(tmp_path: Path) -> None:
    place = disk.expand("package:no/such")
    assert not place.exists() and place.is_absolute()
    assert as_shipped(str(tmp_path / "own")) == str(tmp_path / "own")
    with pytest.raises(BackboneError, match="base model 'package:no/such' does not exist"):
        locate_model("package:no/such")


def test_each_reader_of_models_and_weights_knows_it() -> None:
    place = shipped(BASE)
    assert locate_model(BASE) == place
    assert weight_files(BASE) == weight_files(place)
    assert open_model(BASE).root == open_model(Path(BASE)).root == place
    gram = "package:miniature/weights/gram.safetensors"
    assert local_file(gram, "gram") == shipped(gram)
