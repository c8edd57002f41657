"""The tagger's pixels and probabilities against timm's own loader and pixels worked out by hand."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from lycoris_bench.data.captioning.tagger import Tagger, TaggerError, prepared
from tests.data.captioning.conftest import NAMES, SIZE

GENERAL = {"1girl", "long hair", "hat", "star (sky)", ">_<", "red hat"}


def pictures() -> list[Image.Image]:
    noise = np.random.default_rng(7).integers(0, 256, (40, 25, 3), dtype=np.uint8)
    return [Image.new("RGB", (30, 30), "red"), Image.fromarray(noise), Image.new("RGB", (9, 50))]


def test_pixels_are_bgr_on_a_white_square() -> None:
    wide = Image.new("RGB", (8, 4), (200, 100, 50))
    pixels = prepared(wide, 8)
    assert pixels.shape == (8, 8, 3) and pixels.dtype == np.float32
    assert (pixels[[0, 1, 6, 7]] == 255).all()
    assert (pixels[2:6] == [50, 100, 200]).all()


def test_tags_are_those_that_timms_own_network_finds_probable(tagger: Path) -> None:
    """Padding, resizing and normalising written out again; weights by timm's own loader."""
    network = timm.create_model(f"local-dir:{tagger}", pretrained=True).eval()
    rows = []
    for picture in pictures():
        side = max(picture.size)
        square = np.full((side, side, 3), 255, np.uint8)
        top, left = (side - picture.height) // 2, (side - picture.width) // 2
        square[top : top + picture.height, left : left + picture.width] = np.asarray(picture)
        resized = np.asarray(Image.fromarray(square).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
        channels = [resized[..., k] / 127.5 - 1 for k in (2, 1, 0)]
        rows.append(torch.tensor(np.stack(channels), dtype=torch.float32))
    with torch.no_grad():
        probable = network(torch.stack(rows)).sigmoid().numpy()
    loaded = Tagger.load(str(tagger))
    spelled = [name if name == ">_<" else name.replace("_", " ") for name in NAMES]
    tried = [0.02, 0.35, 0.5, 0.9]
    for threshold in tried:
        expected = [
            [
                name
                for name, p in zip(spelled, row, strict=True)
                if p >= threshold and name in GENERAL
            ]
            for row in probable
        ]
        assert loaded.tags(pictures(), threshold) == expected
    assert np.ptp(probable, axis=0).max() > 0.1  # the pictures are told apart
    assert loaded.tags(pictures(), 0.02) != loaded.tags(pictures(), 0.9)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "selected_tags.csv").unlink(), "selected_tags.csv is missing"),
        (lambda f: (f / "selected_tags.csv").write_text("a,b\n1,2\n"), "columns 'name' and"),
        (lambda f: (f / "model.safetensors").unlink(), "nor model.onnx; type: hf download"),
        (lambda f: (f / "model.safetensors").write_bytes(b"damaged"), "cannot be loaded"),
        (lambda f: (f / "config.json").write_text('{"architecture": "x"}'), "cannot be loaded"),
        (
            lambda f: (f / "selected_tags.csv").write_text("name,category\nhat,0\n"),
            "has 8 outputs, but selected_tags.csv names 1",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(tagger: Path, tmp_path: Path, change, said: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tagger, folder)
    change(folder)
    with pytest.raises(ValueError, match=said) as caught:
        Tagger.load(str(folder))
    assert "\n" not in str(caught.value)


def test_a_tagger_that_is_not_here_says_what_to_type() -> None:
    with pytest.raises(TaggerError, match="neither a folder nor in the hub's cache; type: hf down"):
        Tagger.load("someone/some-tagger")


def test_an_onnx_tagger_without_onnxruntime_says_what_to_type(
    tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(tagger / "selected_tags.csv", tmp_path)
    (tmp_path / "model.onnx").touch()
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(TaggerError, match="pip install onnxruntime, or use --tagger Smiling"):
        Tagger.load(str(tmp_path))


def test_an_onnx_tagger_sees_bgr_in_bytes(tmp_path: Path) -> None:
    """A network of one node: the mean of each colour, which ONNX taggers get as 0..255."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    helper = onnx.helper
    ends = [
        helper.make_tensor_value_info("seen", onnx.TensorProto.FLOAT, ["n", 4, 4, 3]),
        helper.make_tensor_value_info("said", onnx.TensorProto.FLOAT, ["n", 3]),
    ]
    node = helper.make_node("ReduceMean", ["seen"], ["said"], axes=[1, 2], keepdims=0)
    graph = helper.make_graph([node], "means", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    (tmp_path / "selected_tags.csv").write_text("name,category\nblue,0\ngreen,0\nred,0\n")
    loaded = Tagger.load(str(tmp_path))
    red, dim = Image.new("RGB", (4, 4), (255, 0, 3)), Image.new("RGB", (8, 8), (1, 200, 199))
    assert loaded.tags([red, dim], 199.5) == [["red"], ["green"]]
    assert loaded.tags([red], 2.5) == [["blue", "red"]]


def test_a_damaged_onnx_tagger_is_one_sentence(
    tagger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the library raises, here in its place: a module of that name."""
    shutil.copy(tagger / "selected_tags.csv", tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"damaged")

    class Library:
        @staticmethod
        def InferenceSession(path: Path) -> None:
            raise RuntimeError(f"INVALID_PROTOBUF {path.name}")

    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", Library)
    with pytest.raises(TaggerError, match=r"cannot be loaded: RuntimeError: INVALID_PROTOBUF mod"):
        Tagger.load(str(tmp_path))
