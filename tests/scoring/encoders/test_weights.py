"""Where weights are found, and what is said where they are not."""

import hashlib
from dataclasses import replace

import huggingface_hub
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders.timm_network import timm_network
from lycoris_bench.scoring.encoders.weights import MissingWeights, WrongWeights, locate

DINO = encoders.record("dinov2-l")
TINY = "test_convnext.r160_in1k"  # timm's own network for tests: 0.3 M parameters
FILES = ("model.safetensors", "pytorch_model.bin")


@pytest.fixture
def offline_hub(tmp_path, monkeypatch):
    """An empty cache and no network; returns a function that puts a file into the cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def put(record, name, content=b"weights"):
        folder = tmp_path / f"models--{record.weights.replace('/', '--')}"
        snapshot = folder / "snapshots" / ("a" * 40)
        snapshot.mkdir(parents=True, exist_ok=True)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / record.revision).write_text("a" * 40)
        (snapshot / name).write_bytes(content)
        return snapshot / name

    return put


@pytest.mark.parametrize("name", ["dinov2-l", "convnextv2-l", "vgg19", "clip-l-datacomp"])
def test_missing_weights_say_which_and_what_to_type(name, offline_hub):
    record = encoders.record(name)
    with pytest.raises(MissingWeights) as error:
        encoders.load(name)
    sentence = str(error.value)
    assert f"the weights of {name} are missing: {record.weights} is not in the cache" in sentence
    assert sentence.endswith(f"type: hf download {record.weights} --revision main")
    assert "\n" not in sentence


@pytest.mark.parametrize("name", FILES)
def test_a_cached_file_is_taken_without_a_call(name, offline_hub, monkeypatch):
    def call(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", call)
    expected = offline_hub(DINO, name)
    assert locate(DINO, FILES) == expected


def test_another_revision_is_another_file(offline_hub):
    offline_hub(DINO, FILES[0])
    with pytest.raises(MissingWeights, match="--revision v2"):
        locate(replace(DINO, revision="v2"), FILES)


def test_a_repository_without_the_file_is_asked_for_the_next_name(offline_hub, monkeypatch):
    """A stand-in for the hub: the first name is not there, the second is; then neither."""
    missing = huggingface_hub.errors.EntryNotFoundError("404 Client Error. Long story.")
    asked = []

    def download(repository, name, revision):
        asked.append((repository, name, revision))
        if name != FILES[1]:
            raise missing
        return "/hub/pytorch_model.bin"

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert str(locate(DINO, FILES)) == "/hub/pytorch_model.bin"
    assert asked == [(DINO.weights, name, "main") for name in FILES]
    with pytest.raises(MissingWeights, match=r"it has none of model\.safetensors\)"):
        locate(DINO, FILES[:1])


@pytest.mark.parametrize("weights", ["no/where/at/all.pth", "/no/where", "weights.bin", "a/b.pt"])
def test_a_path_that_is_no_file(weights, offline_hub):
    with pytest.raises(MissingWeights, match=f"there is no file {weights}; give the path"):
        encoders.load("dinov2-l", weights=weights)


def test_a_damaged_installation():
    record = replace(DINO, weights="package:miniature/weights/absent.safetensors")
    with pytest.raises(MissingWeights, match=r"miniature/weights/absent.safetensors; .* again"):
        locate(record, FILES)


def test_a_declared_sha256_is_checked(tmp_path, at):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"these")
    record = at(DINO, path)
    right = replace(record, sha256=hashlib.sha256(b"these").hexdigest())
    assert locate(right, FILES) == locate(record, FILES) == path
    path.write_bytes(b"those")
    with pytest.raises(WrongWeights, match=f"has sha256 {hashlib.sha256(b'those').hexdigest()}"):
        locate(right, FILES)


def test_timm_holds_what_is_in_the_file(tmp_path, at):
    torch.manual_seed(0)
    source = timm.create_model(TINY, pretrained=False)
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    network = timm_network(TINY, at(DINO, tmp_path / "weights.safetensors"))
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, source.state_dict()[name], rtol=0, atol=0)


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign", "a tensor short"])
def test_a_file_that_is_not_these_weights(damage, tmp_path, at):
    path = tmp_path / "weights.safetensors"
    state = timm.create_model(TINY, pretrained=False).state_dict()
    if damage == "foreign":
        state = {"unet.conv_in.weight": torch.zeros(3)}
    if damage == "a tensor short":
        state.pop(sorted(state)[0])
    save_file(state, path)
    if damage in ("truncated", "empty"):
        path.write_bytes(path.read_bytes()[: 1000 if damage == "truncated" else 0])
    with pytest.raises(WrongWeights, match="does not hold the weights of dinov2-l") as error:
        timm_network(TINY, at(DINO, path))
    assert "\n" not in str(error.value)


def test_a_library_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    monkeypatch.setitem(__import__("sys").modules, "open_clip", None)
    with pytest.raises(ImportError, match="encoder vgg19 needs timm; type: pip install timm"):
        encoders.load("vgg19")
    with pytest.raises(ImportError, match="type: pip install open_clip_torch"):
        encoders.load("clip-l-datacomp")
