"""Latents on disk against those in memory, and what is read again or made anew."""

import torch

from lycoris_bench.data.dataset import scan
from lycoris_bench.training import latent_cache
from lycoris_bench.training.latent_cache import stored
from lycoris_bench.training.latents import LatentCache


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_they_are_bit_by_bit_those_in_memory(world, training, tmp_path):
    backbone, data, cache = world
    files = stored(backbone, data, training, tmp_path / "latents", write)
    assert len(files) == len(cache) and files.buckets == cache.buckets
    assert all(torch.equal(files.latents[k], cache.latents[k]) for k in range(4))
    assert torch.equal(files.batch([0, 2]), cache.batch([0, 2]))


def test_a_second_run_encodes_only_what_is_missing_or_damaged(
    world, training, tmp_path, monkeypatch
):
    backbone, data, cache = world
    stored(backbone, data, training, tmp_path, write)
    encoded = []
    original = latent_cache.encode_batch

    def counted(backbone, examples, bucket):
        encoded.extend(example.path.name for example in examples)
        return original(backbone, examples, bucket)

    monkeypatch.setattr(latent_cache, "encode_batch", counted)
    stored(backbone, data, training, tmp_path, write)
    assert encoded == []
    wide = tmp_path / f"{data.examples[3].sha256}-40x24.safetensors"
    wide.write_bytes(wide.read_bytes()[:50])
    files = stored(backbone, data, training, tmp_path, write)
    assert encoded == [data.examples[3].path.name]
    assert torch.equal(files.latents[3], cache.latents[3])


def test_other_buckets_and_other_pixels_have_files_of_their_own(world, training, tmp_path, tree):
    backbone, data, _ = world
    stored(backbone, data, training, tmp_path / "l", write)
    count = len(list((tmp_path / "l").iterdir()))
    assert count == len({example.sha256 for example in data.examples}) == 4
    larger = training.model_copy(update={"resolution": 48})
    files = stored(backbone, data, larger, tmp_path / "l", write)
    assert len(list((tmp_path / "l").iterdir())) == 8
    expected = LatentCache.encode(backbone, data, larger)
    assert all(torch.equal(files.latents[k], expected.latents[k]) for k in range(4))
    again = tree({"toys/bunny/1.png": ("olis toy", (44, 40))})
    stored(backbone, scan(again), training, tmp_path / "l", write)
    assert len(list((tmp_path / "l").iterdir())) == 9


def test_latents_are_read_once_as_long_as_there_is_room(world, training, tmp_path, monkeypatch):
    backbone, data, _ = world
    cache = latent_cache.stored(backbone, data, training, tmp_path, write)
    read, whole = [], latent_cache.read
    monkeypatch.setattr(latent_cache, "read", lambda path: read.append(path) or whole(path))
    for _ in range(2):
        first = [cache.latents[k] for k in range(len(cache))]
    assert len(read) == len(cache) == len(set(read))
    read.clear()
    monkeypatch.setattr(latent_cache, "KEPT", 2 * max(one.nbytes for one in first))
    again = latent_cache.stored(backbone, data, training, tmp_path, write)
    read.clear()
    for _ in range(2):
        assert all(torch.equal(again.latents[k], first[k]) for k in range(len(again)))
    assert len(again.latents.kept) == 2 and len(read) == 2 * len(again) - 2
