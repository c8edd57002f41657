"""Scores without a study: images of every kind, and what is said of wrong ones. That values are
those of a study is in tests/test_api.py."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lycoris_bench.data.images import read_image
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.score_images import score_images
from tests.support.plugin import Load

ENCODER = ["miniature-image"]
PLUGINS = Path(__file__).parent.parent / "support/plugins"


def colour(k: int) -> Image.Image:
    return Image.new("RGB", (40, 30), (40 * k, 200 - 30 * k, 90))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images of different colours."""
    place = tmp_path / "drawn"
    place.mkdir()
    for k in range(4):
        colour(k).save(place / f"{k}.png")
    (place / "notes.txt").write_text("no image")
    return place


def value(*arguments: Any, metric: str = "image_similarity", **more: Any) -> float:
    found = score_images(*arguments, encoders=ENCODER, metrics=[metric], device="cpu", **more)
    [row] = found.to_dict("records")
    assert (row["metric"], row["encoder"], row["resize"]) == (metric, *ENCODER, "letterbox")
    return float(row["value"])


def test_a_folder_paths_images_and_arrays_are_one(folder: Path) -> None:
    paths = sorted(folder.glob("*.png"))
    images = [read_image(path) for path in paths]
    arrays = [np.asarray(image) for image in images]
    found = {value(one, reference=folder) for one in (folder, str(folder), paths, images, arrays)}
    assert len(found) == 1


def test_a_set_against_itself(folder: Path) -> None:
    """Worked out by hand: distance 0; four copies count as one image for Vendi, four as four."""
    assert value(folder, reference=folder, metric="centroid_distance") == 0
    copies = [colour(1)] * 4
    assert value(copies, metric="vendi") == pytest.approx(1)
    assert value(copies, reference=copies) == pytest.approx(1)
    assert value(copies, metric="dissimilarity") == pytest.approx(0, abs=1e-9)


def test_diversity_within_the_images_of_a_prompt() -> None:
    """Two prompts with two equal images each: no diversity in either, but in the whole."""
    images, prompts = [colour(0), colour(0), colour(4), colour(4)], ["a", "a", "b", "b"]
    assert value(images, metric="vendi") > 1.001
    grouped = value(images, metric="vendi", prompts=prompts, diversity_per_prompt=True)
    assert grouped == pytest.approx(1)


def test_batches_make_no_difference(folder: Path) -> None:
    more = {"reference": folder, "base": folder, "prompts": "a toy", "device": "cpu",
            "encoders": [*ENCODER, "miniature-image-text:crop", "miniature-gram"]}  # fmt: skip
    whole, parts = (score_images(folder, batch_size=size, **more) for size in (16, 3))
    assert len(whole) == 6 + 7 + 2
    np.testing.assert_allclose(whole["value"], parts["value"], rtol=1e-4, atol=1e-6)
    assert list(whole["fingerprint"]) == list(parts["fingerprint"])


def test_a_fingerprint_is_of_all_that_a_number_depends_on(folder: Path) -> None:
    def of(reference: Any, **more: Any) -> str:
        found = score_images(
            folder, reference=reference, metrics=["image_similarity"],
            **{"encoders": ENCODER, **more},
        )  # fmt: skip
        return str(found["fingerprint"].item())

    first = of(folder)
    assert first == of(sorted(folder.glob("*.png")))
    assert first != of([colour(2)])
    assert first != of(folder, encoders=["miniature-image:crop"])


def test_plug_ins_are_metrics_and_encoders_like_any_other(folder: Path, load_plugin: Load) -> None:
    """A metric of pixels, without an encoder, and an encoder without weights."""
    for name in ("colourfulness", "random_projection", "rating"):
        load_plugin(PLUGINS / f"{name}.py")
    [row] = score_images(folder, metrics=["colourfulness"]).to_dict("records")
    red, green, blue = np.array([image.getpixel((0, 0)) for image in map(colour, range(4))]).T
    by_hand = 0.3 * np.hypot(red - green, (red + green) / 2 - blue)  # of one colour each
    assert row["value"] == pytest.approx(by_hand.mean())
    assert (row["encoder"], row["resize"], row["n"]) == ("none", "none", 4)
    table = score_images(folder, reference=folder, encoders=["random-projection"])
    assert set(table["metric"]) >= {"colourfulness", "centroid_distance"}
    assert "rating" not in set(table["metric"])
    with pytest.raises(BenchError, match="metric 'rating' needs ratings of its images"):
        score_images(folder, metrics=["rating"])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"generated": "nowhere"}, "generated: nowhere does not exist; give a folder of images"),
        ({"generated": []}, "generated holds no images; a folder, a list of images, or an"),
        ({"reference": "drawn/0.png"}, "reference: .*0.png is a file; give a folder"),
        ({"reference": "."}, "reference: .* holds no image .*its folders are drawn"),
        ({"prompts": ["a", "b"]}, "2 prompts for 4 generated images; give one for each"),
        ({"prompts": ["a"]}, "1 prompt for 4 generated images"),
        ({"prompts": ""}, "prompts is ''; a text, or a list of texts, none of them empty, is al"),
        ({"prompts": ["", ""]}, r"prompts is \['', ''\]; a text, or a list"),
        ({"prompts": ["a", None]}, r"prompts is \['a', None\]; a text, or a list"),
        ({"prompts": [1, 2]}, r"prompts is \[1, 2\]; a text, or a list"),
        ({"base": [colour(1)]}, "4 generated images and 1 image of the base model; each"),
        ({"reference": [np.ones((3, 3, 3))]}, r"reference\[0\] is an array of float64 \[3, 3, 3\]"),
        ({"generated": [np.zeros((0, 8, 3), np.uint8)]}, r"generated\[0\] is an array of uint8"),
        ({"reference": [Image.new("RGB", (0, 8))]}, r"reference\[0\] is an image of 0 x 8 pixels"),
        ({"reference": [None]}, r"reference\[0\] is of type NoneType; a path, a PIL image, or an"),
        ({"generated": [torch.zeros(8, 8, 3, dtype=torch.uint8)]},
         r"generated\[0\] is of type Tensor; a path, a PIL image, or an array"),
        ({"reference": [torch.zeros(8, 8, 3, dtype=torch.bfloat16)]},
         r"reference\[0\] is of type Tensor"),
        ({"generated": None}, "generated is None; a folder, a list of images, or an array"),
        ({"generated": 3}, "generated is of type int; a folder, a list of images"),
        ({"generated": colour(1)}, r"generated is one image; .*list: generated=\[image\]"),
        ({"generated": np.zeros((8, 8, 3), np.uint8)}, r"generated is one image; .*=\[image\]"),
        ({"batch_size": 0}, "batch_size is 0; a whole number from 1 is allowed"),
        ({"batch_size": "a"}, "batch_size is 'a'; a whole number from 1 is allowed"),
        ({"weights": "x"}, "weights is 'x'; a mapping from names, or None, is allowed"),
        ({"weights": {"dino": "f"}}, "unknown encoder of encoders= 'dino'; allowed are: miniature"),
        ({"weights": {ENCODER[0]: 1}}, r"weights\['miniature-image'\] is 1; a path"),
        ({"encoders": [1]}, r"encoders is \[1\]; a list of names"),
        ({"metrics": "vendi"}, "metrics is 'vendi'; a list of names, or None"),
        ({"metrics": []}, r"metrics is \[\]; "),
        ({"device": 1}, "device is 1; a text"),
        ({"reference": ["drawn/notes.txt"]}, "notes.txt: the file is not an image"),
        ({"reference": [colour(1).convert("L")]}, r"reference\[0\] is an image of mode L;"),
        ({"generated": [colour(1), colour(2).convert("RGBA")]},
         r"generated\[1\] is an image of mode RGBA; convert it to RGB: image.convert\(.RGB"),
        ({"encoders": "dinov2-l"}, "encoders is 'dinov2-l'; a list of names is allowed"),
        ({"encoders": ["dino"]}, "unknown encoder 'dino'"),
        ({"encoders": []}, "encoders= names no encoder; there are "),
        ({"metrics": ["vendy"]}, "unknown metric 'vendy'; did you mean 'vendi'"),
        (
            {"metrics": ["text_similarity"]},
            "'text_similarity' needs prompts=, which is not",
        ),
        ({"metrics": ["text_similarity"], "prompts": "a"}, "needs an encoder of image.text; encod"),
        ({"metrics": ["image_similarity"]}, "metric 'image_similarity' needs reference="),
        ({"metrics": ["vendi"], "generated": [colour(1)]}, "needs several images in a group"),
        ({"encoders": ["miniature-gram"]}, "encoder 'miniature-gram' serves none of the metrics: "),
        ({"diversity_per_prompt": True}, "diversity_per_prompt groups images by their prompts"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences(
    folder: Path, changed: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    with pytest.raises(BenchError, match=said):
        score_images(**{"generated": folder, "encoders": ENCODER, **changed})


def test_two_folders_pair_by_name(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "base"
    other.mkdir()
    for k in range(4):
        colour(k).save(other / f"{k + 1}.png")
    with pytest.raises(BenchError, match=r"drawn/0.png would be compared with .*base/1.png"):
        score_images(folder, base=other, encoders=["miniature-gram"])
    pairs = score_images(folder, base=sorted(other.iterdir()), encoders=["miniature-gram"])
    assert pairs["value"].item() == 0


def test_an_array_of_images_is_a_list(folder: Path) -> None:
    arrays = [np.asarray(read_image(path)) for path in sorted(folder.glob("*.png"))]
    assert value(np.stack(arrays), metric="vendi") == value(folder, metric="vendi")


def test_an_encoder_has_its_rows_once(folder: Path) -> None:
    asked = [*ENCODER, f"{ENCODER[0]}:crop", f"{ENCODER[0]}:letterbox", *ENCODER]
    found = score_images(folder, encoders=asked, metrics=["vendi"])
    assert list(found["resize"]) == ["letterbox", "crop"]


def test_an_encoder_without_inputs_is_left_out_with_a_warning(folder: Path) -> None:
    with pytest.warns(UserWarning, match="'miniature-gram' serves none .*needs base="):
        found = score_images(folder, encoders=[*ENCODER, "miniature-gram"])
    assert set(found["encoder"]) == set(ENCODER)


def test_what_is_left_out_of_a_folder_is_said(folder: Path) -> None:
    whole = value(folder, metric="vendi")
    for hidden in (".hidden.png", "._0.png"):
        (folder / hidden).write_bytes(b"no image")
    assert value(folder, metric="vendi") == whole
    (folder / "more").mkdir()
    (folder / "moving.gif").write_bytes(b"GIF89a")
    with pytest.warns(UserWarning, match="generated: of .*moving.gif is not read.*more is a fol"):
        assert value(folder, metric="vendi") == whole


def test_default_stands_for_the_metrics_that_are_not_on_request(folder: Path) -> None:
    plain = score_images(folder, encoders=ENCODER, device="cpu")
    assert score_images(folder, encoders=ENCODER, metrics=["default"], device="cpu").equals(plain)
    assert not {"variety", "concept_shown"} & set(plain["metric"])
    with pytest.raises(BenchError, match="'concept_shown' needs concepts of the miniature world$"):
        score_images(folder, encoders=ENCODER, metrics=["default", "concept_shown"], device="cpu")
