"""Prompts, seeds and settings from each source, in files as the programs write them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.run import image_file
from lycoris_bench.samples import comfyui_graph, embedded
from lycoris_bench.samples.naming import Named
from lycoris_bench.samples.prompt_files import PromptFiles, prompt_list

PARAMETERS = (
    "a cat, <lora:my lora:0.8> sitting\non a sofa\nNegative prompt: dog, Steps: many\nblurry\n"
    'Steps: 20, Sampler: DPM++ 2M, CFG scale: 7.5, Seed: 1234, Size: 512x768, Model: "a, b", '
    'Lora hashes: "x: 1, y: 2", Version: v1.9'
)
GRAPH = {
    "3": {"class_type": "KSampler", "inputs": {
        "seed": 77, "steps": 20, "cfg": 8.0, "sampler_name": "euler",
        "model": ["4", 0], "positive": ["9", 0], "negative": ["7", 0]}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "bad", "clip": ["4", 1]}},
    "9": {"class_type": "ConditioningSetArea", "inputs": {"conditioning": ["6", 0]}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["8", 0], "clip": ["4", 1]}},
    "8": {"class_type": "PrimitiveString", "inputs": {"value": "a cat on a sofa"}},
}  # fmt: skip
FLUX = {
    "13": {"class_type": "SamplerCustomAdvanced", "inputs": {
        "noise": ["25", 0], "guider": ["22", 0], "sigmas": ["17", 0]}},
    "22": {"class_type": "BasicGuider", "inputs": {"model": ["1", 0], "conditioning": ["26", 0]}},
    "25": {"class_type": "RandomNoise", "inputs": {"noise_seed": 5}},
    "26": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["6", 0]}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a dog", "clip": ["11", 0]}},
}  # fmt: skip


def png(path: Path, **texts: str) -> Path:
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name.replace("_", "-"), text)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


def test_the_parameters_of_a1111_and_forge(tmp_path: Path) -> None:
    expected = {"prompt": "a cat, sitting on a sofa", "seed": "1234", "steps": "20",
                "sampler": "DPM++ 2M", "guidance": "7.5", "model": "a, b"}  # fmt: skip
    assert embedded.read(png(tmp_path / "a.png", parameters=PARAMETERS)) == expected


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
@pytest.mark.parametrize("encoded", ["utf-16-be", "utf-16-le", "ascii"])
def test_exif_of_jpeg_and_webp(tmp_path: Path, suffix: str, encoded: str) -> None:
    kind = b"ASCII\0\0\0" if encoded == "ascii" else b"UNICODE\0"
    exif = Image.Exif()
    exif.get_ifd(embedded.EXIF)[embedded.USER_COMMENT] = kind + PARAMETERS.encode(encoded)
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    said = embedded.read(path)
    assert (said["prompt"], said["seed"]) == ("a cat, sitting on a sofa", "1234")


def test_comfyui_s_graph_is_followed_to_its_text(tmp_path: Path) -> None:
    said = embedded.read(png(tmp_path / "a.png", prompt=json.dumps(GRAPH), workflow="{}"))
    assert said == {"prompt": "a cat on a sofa", "seed": "77", "steps": "20", "guidance": "8.0",
                    "sampler": "euler"}  # fmt: skip
    said = comfyui_graph.read(FLUX)
    assert (said["prompt"], said["seed"]) == ("a dog", "5")


@pytest.mark.study
def test_a_graph_of_circles_and_rubbish_ends() -> None:
    """Each of a thousand nodes links to ten others and back: there are 10^1000 ways through it."""
    many = {
        str(k): {"class_type": "KSampler", "inputs": {
            "positive": [str((k + 1) % 1000), 0],
            **{f"c{j}": [str((k * j + 1) % 1000), 0] for j in range(2, 12)}}}
        for k in range(1000)
    }  # fmt: skip
    for graph in (many, [], {"1": None}, {"1": {"inputs": 3}}, {"1": {"inputs": {"positive": 1}}}):
        assert comfyui_graph.read(graph) == {}


def test_images_of_this_program(tmp_path: Path) -> None:
    about = {"uid": "u", "checkpoint": "lora/seed-23/epoch-008", "prompt": "olis toy", "seed": 1001,
             "steps": 12, "guidance": 4.0, "sampler": "DDIM"}  # fmt: skip
    path = tmp_path / "a.png"
    path.write_bytes(image_file.to_bytes(np.zeros((8, 8, 3), np.uint8), about))
    assert embedded.read(path) == {"prompt": "olis toy", "seed": "1001", "steps": "12",
                                   "guidance": "4.0", "sampler": "DDIM"}  # fmt: skip


@pytest.mark.parametrize("text", ["{", "[1]", "{}", "x" * 100, '{"1": {"inputs": "["}}'])
def test_what_cannot_be_read_says_nothing(tmp_path: Path, text: str) -> None:
    assert embedded.read(png(tmp_path / "a.png", prompt=text)) == {}
    assert embedded.read(png(tmp_path / "b.png", lycoris_bench=text)) == {}
    (tmp_path / "c.png").write_text(text)
    assert embedded.read(tmp_path / "c.png") == {}


def test_files_beside_images(tmp_path: Path) -> None:
    """The nearest metadata.jsonl goes before a text file, whose options are ai-toolkit's."""
    deep = tmp_path / "a/b"
    deep.mkdir(parents=True)
    (tmp_path / "metadata.jsonl").write_text(
        '{"file_name": "a/b/1.png", "text": "far"}\n{"file_name": "a/b/2.png", "text": "two"}\n'
    )
    (deep / "metadata.jsonl").write_text(
        '{"file_name": "1.png", "prompt": "near", "seed": 4}\nrubbish\n[]\n{"file_name": 3}\n'
    )
    (deep / "3.TXT").write_text("a cat --n dog --w 512 --h 512 --seed 42 --cfg 7 --steps 20 --m 1")
    (deep / "4.txt").write_text("x" * 2_000_000)
    (deep / "5.txt").write_text("")
    (deep / "6.txt").write_bytes(b"\xff\xfe\xff")
    problems: list[str] = []
    files = PromptFiles(tmp_path, problems)
    assert files.of(deep / "1.png") == {"prompt": "near", "seed": "4"}
    assert files.of(deep / "2.png")["prompt"] == "two"
    assert files.of(deep / "3.jpg") == {"prompt": "a cat", "seed": "42", "guidance": "7",
                                        "steps": "20"}  # fmt: skip
    for name in "45678":
        assert files.of(deep / f"{name}.png") == {}
    assert len([p for p in problems if "metadata.jsonl, line" in p]) == 3
    assert len([p for p in problems if "4.txt is longer" in p or "6.txt" in p]) == 2


def test_lists_of_prompts(tmp_path: Path) -> None:
    """kohya's text and TOML, OneTrainer's samples, SimpleTuner's library."""
    (tmp_path / "p.txt").write_text("# comment\n\na cat --n x --d 7 --l 7.5\na dog -- wet\n")
    (tmp_path / "p.toml").write_text(
        '[prompt]\nwidth = 8\n[[prompt.subset]]\nprompt = "a cat"\nseed = 7\n'
        '[[prompt.subset]]\nprompt = "a dog"\n'
    )
    samples = [{"prompt": "a cat", "seed": 7, "random_seed": False},
               {"prompt": "a dog", "seed": 7, "random_seed": True}]  # fmt: skip
    (tmp_path / "samples.json").write_text(json.dumps(samples))
    (tmp_path / "library.json").write_text(json.dumps({"cat": "a cat", "dog": "a dog"}))
    for name in ("p.txt", "p.toml", "samples.json"):
        listed = prompt_list(tmp_path / name)
        first, second = (listed.of(Named("", {"index": text})) for text in ("0", "01"))
        assert (first["prompt"], first["seed"]) == ("a cat", "7")
        assert second["prompt"].startswith("a dog") and "seed" not in second
        assert listed.of(Named("", {"index": "2"})) == {} == listed.of(Named())
    library = prompt_list(tmp_path / "library.json")
    assert library.of(Named("", {"shortname": "dog", "index": "0"}))["prompt"] == "a dog"
    assert library.of(Named("", {"shortname": "cow", "index": "0"})) == {}
    for name, text in (("e.txt", "#"), ("e.json", "[1]"), ("f.json", "{"), ("g.toml", "a = 1")):
        (tmp_path / name).write_text(text)
        with pytest.raises(BenchError, match=name):
            prompt_list(tmp_path / name)
    with pytest.raises(BenchError, match="missing.txt"):
        prompt_list(tmp_path / "missing.txt")
