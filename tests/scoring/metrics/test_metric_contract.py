"""What holds for every metric of the registry, and what the decorator refuses."""

import inspect

import numpy as np
import pytest
import torch

from lycoris_bench.scoring.metrics import METRICS
from lycoris_bench.scoring.metrics.base import INPUTS, metric

FACTS = {
    "image_similarity": ("higher", "image", ("generated", "reference")),
    "centroid_distance": ("lower", "image", ("generated", "reference")),
    "text_similarity": ("higher", "text", ("generated", "text")),
    "vendi": ("higher", "image", ("generated", "groups")),
    "dissimilarity": ("higher", "image", ("generated", "groups")),
    "variance": ("higher", "image", ("generated", "groups")),
    "frechet_distance": ("lower", "image", ("generated", "reference", "weights")),
    "style_loss": ("lower", "gram", ("generated", "base")),
    "style_loss_to_dataset": ("lower", "gram", ("generated", "reference")),
}
COUNTS = {"groups", "weights"}  # inputs that are no features
OF_VECTORS = sorted(name for name, (_, encoder, _) in FACTS.items() if encoder != "gram")


def inputs(name, count=6, width=8):
    """Plausible inputs of a metric on vectors, by parameter name."""
    rng = np.random.default_rng(3)
    every = {key: rng.normal(loc=0.2, size=(count, width)) for key in INPUTS}
    every["groups"] = np.arange(count) % 2
    every["weights"] = np.linspace(1, 2, 2 * count).reshape(2, count)
    return {key: every[key] for key in METRICS.get(name).inputs}


def test_the_registry_has_the_papers_metrics_with_their_facts():
    found = METRICS.entries()
    assert FACTS.items() <= {n: (m.better, m.encoder, m.inputs) for n, m in found.items()}.items()


@pytest.mark.parametrize("name", sorted(METRICS.entries()))
def test_a_metric_knows_its_facts(name):
    found = METRICS.entries()[name]
    assert found.__name__ == name
    assert found.better in ("higher", "lower") and found.encoder in ("image", "text", "gram")
    assert found.inputs == tuple(inspect.signature(found).parameters)
    assert found.version >= 1 and found.__doc__


@pytest.mark.parametrize("name", OF_VECTORS)
def test_float32_and_torch_give_the_value_of_their_float64_copy(name):
    arguments = inputs(name)
    single = {k: v if k in COUNTS else v.astype(np.float32) for k, v in arguments.items()}
    double = {k: v if k in COUNTS else v.astype(np.float64) for k, v in single.items()}
    tensor = {k: v if k in COUNTS else torch.from_numpy(v) for k, v in single.items()}
    function = METRICS.get(name)
    np.testing.assert_array_equal(function(**single), function(**double))
    np.testing.assert_array_equal(function(**tensor), function(**double))


@pytest.mark.parametrize("name", OF_VECTORS)
def test_inputs_are_not_written_to(name):
    arguments = inputs(name)
    for value in arguments.values():
        value.setflags(write=False)
    METRICS.get(name)(**arguments)


@pytest.mark.parametrize("name", OF_VECTORS)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda z: np.where(np.arange(len(z))[:, None] == 2, 0, z), "first in row 2"),
        (lambda z: np.where(np.arange(len(z))[:, None] == 1, np.nan, z), "8 values of 48"),
        (lambda z: np.where(np.arange(len(z))[:, None] == 1, np.inf, z), "not finite"),
        (lambda z: z[:0], r"shape \[0, 8\]: there is nothing to compare"),
        (lambda z: z[0], r"shape \[8\]; features are \[images, width\]"),
        (lambda z: z[:, :, None], r"shape \[6, 8, 1\]; features are"),
    ],
)
def test_bad_features_are_one_sentence_that_names_them(name, spoil, message):
    arguments = inputs(name)
    for key in set(arguments) - COUNTS:
        with pytest.raises(ValueError, match=f"^{key} has .*{message}") as error:
            METRICS.get(name)(**(arguments | {key: spoil(arguments[key])}))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["image_similarity", "centroid_distance", "text_similarity", "frechet_distance"]
)
def test_widths_must_agree(name):
    first, second, *rest = inputs(name).values()
    with pytest.raises(ValueError, match=r"width 8 and .* 5: they come from different encoders"):
        METRICS.get(name)(first, second[:, :5], *rest)


def test_the_decorator_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="asks for refrence; inputs are: generated, reference"):
        metric(better="higher", encoder="image")(lambda generated, refrence: 0.0)
    with pytest.raises(ValueError, match="better is 'larger'"):
        metric(better="larger", encoder="image")
    with pytest.raises(ValueError, match="encoder is 'video'"):
        metric(better="lower", encoder="video")
