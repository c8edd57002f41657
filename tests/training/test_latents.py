"""The latent cache against encoding one image at a time."""

import numpy as np
import pytest
import torch
from PIL import Image

from lycoris_bench.data.dataset import scan
from lycoris_bench.data.images import DataError
from lycoris_bench.models.backbone import BackboneError
from lycoris_bench.training.latents import LatentCache


def test_latents_are_those_of_the_images_in_their_order(backbone, small_tree, training):
    data = scan(small_tree)
    cache = LatentCache.encode(backbone, data, training, batch_size=3)
    assert len(cache) == 4 and cache.buckets[3] == (40, 24)
    assert cache.buckets[:3] == ((32, 32),) * 3
    for k, example in enumerate(data.examples):
        colour = np.asarray(Image.open(example.path))[0, 0] / 127.5 - 1
        width, height = cache.buckets[k]
        image = torch.tensor(colour).float().view(1, 3, 1, 1).expand(1, 3, height, width)
        with torch.no_grad():
            expected = backbone.latents(image)[0]
        torch.testing.assert_close(cache.latents[k], expected, atol=1e-4, rtol=0)
    assert cache.batch([0, 2]).shape == (2, 4, 8, 8)


def test_a_sample_depends_on_seed_and_image_alone(backbone, small_tree, training):
    data = scan(small_tree)
    make = LatentCache.encode
    one, other = (make(backbone, data, training, seed=5, batch_size=n) for n in (1, 3))
    mean, another = make(backbone, data, training), make(backbone, data, training, seed=6)
    for k in range(4):
        torch.testing.assert_close(one.latents[k], other.latents[k], atol=1e-4, rtol=0)
        assert not torch.allclose(one.latents[k], mean.latents[k], atol=1e-3)
        assert not torch.allclose(one.latents[k], another.latents[k], atol=1e-3)


def test_an_image_of_one_pixel(backbone, tree, training):
    data = scan(tree({"toys/a/1.png": ("dot", (1, 1))}))
    cache = LatentCache.encode(backbone, data, training)
    assert cache.latents[0].shape == (4, 8, 8) and cache.latents[0].isfinite().all()


def test_an_image_that_went_bad_is_named(backbone, small_tree, training):
    data = scan(small_tree)
    data.examples[2].path.write_bytes(b"")
    with pytest.raises(DataError, match=r"bunny/1\.png"):
        LatentCache.encode(backbone, data, training)


def test_a_step_that_is_no_latent_is_refused(backbone, small_tree, training):
    settings = training.model_copy(update={"bucket_step": 10})
    with pytest.raises(BackboneError, match="must be a multiple of 4"):
        LatentCache.encode(backbone, scan(small_tree), settings)
