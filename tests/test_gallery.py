"""The report's images: spread over categories, small enough for a page."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from world import tiny

from lycoris_bench.gallery import SIDE, gallery, thumbnail
from lycoris_bench.plan import plan
from lycoris_bench.store import Store


def test_one_concept_of_each_category_comes_first(tmp_path: Path) -> None:
    patterns = ["toys/*", "scenes/*", "styles/*", "characters/*", "media-characters/*"]
    entries = gallery(plan(tiny(concepts=patterns)), Store(tmp_path))
    concepts = list(dict.fromkeys(entry["concept"] for entry in entries))
    assert len(concepts) == 5 == len({concept.split("/")[0] for concept in concepts})
    assert sum(entry["prompt_type"] == "style" for entry in entries) == 4  # not for styles
    assert all(entry["rows"] == [] for entry in entries), "nothing is drawn yet"
    only_toys = gallery(plan(tiny(concepts=["toys/*"])), Store(tmp_path))
    assert len({entry["concept"] for entry in only_toys}) == 4


def test_large_images_are_shrunk_and_small_ones_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for side, shown in ((64, 64), (512, SIDE)):
        pixels = rng.integers(0, 255, (side, side // 2, 3), dtype=np.uint8)
        Store(tmp_path).put_image(tmp_path / "a.png", pixels, {"prompt": "secret"})
        small = thumbnail(tmp_path / "a.png")
        with Image.open(io.BytesIO(small)) as image:
            assert image.size == (shown // 2, shown)
            if side == 64:
                assert (np.asarray(image) == pixels).all()
        assert b"secret" not in small
