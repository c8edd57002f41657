"""A dataset of the paper's shape, for plans of its study."""

from pathlib import Path

import pytest
from PIL import Image

from lycoris_bench.study import concept_words
from lycoris_bench.study.places import locate


@pytest.fixture
def shaped(tmp_path: Path) -> Path:
    """The paper's folders, one image each, and no table of concepts."""
    tree = locate("package:prompts/paper", Path())
    for concept in concept_words.numbers(concept_words.concept_table(tree)[1], "images"):
        place = tmp_path / "shaped" / str(concept)
        place.mkdir(parents=True)
        Image.new("RGB", (64, 64), "navy").save(place / "1.png")
        (place / "1.txt").write_text("a caption")
    return tmp_path / "shaped"
