"""What holds for every metric of the registry and of plug-ins, and what the decorator refuses.

Metrics get their inputs here as when they score: by their own rows, of a set of small pictures."""

import inspect

import numpy as np
import pytest
import torch
from PIL import Image

from lycoris_bench.data.images import read_image
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.scoring.encoders.resize import Picture
from lycoris_bench.scoring.metrics import METRICS
from lycoris_bench.scoring.metrics.base import OUTPUTS, metric
from lycoris_bench.scoring.metrics.gram_statistics import GramSet
from lycoris_bench.scoring.metrics.inputs import INPUTS, Input, ScoredSet
from tests.support.plugin import with_plugins

FACTS = {  # of the paper's metrics: its directions, and what its equations are of
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
COUNT, WIDTH = 6, 8
EVERY = with_plugins(METRICS)
OF_FEATURES = sorted(name for name, one in EVERY.items() if one.encoder in ("image", "text"))


def names(one):
    return tuple(row.name for row in one.inputs)


def features(one):
    """The names of the inputs that an encoder makes."""
    return [row.name for row in one.inputs if row.is_encoded or row.name == "text"]


OF_TWO = [name for name in OF_FEATURES if len(features(EVERY[name])) > 1]


class Random:
    """Random features of the kind that a metric asks for, in float32 unless `cast` otherwise."""

    def __init__(self, one, cast=lambda array: array):
        self.metric, self.cast = one, cast
        self.rng = np.random.default_rng(3)

    def images(self, row, images):
        if row.read is not None:
            return [row.read(Picture(read_image(path))) for _, path in images]
        if self.metric.encoder != "gram":
            return self._of((len(images), WIDTH))
        layers = [self._of((len(images), c, c)) for c in (2, 3)]
        if self.metric.paired:
            return layers
        pool = GramSet()
        pool.add(layers)
        return pool

    def texts(self, texts):
        return self._of((len(texts), WIDTH))

    def _of(self, shape):
        return self.cast(self.rng.normal(loc=0.2, size=shape).astype(np.float32))


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Sides of pictures, in two groups of three."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    sides = []
    for side in ("generated", "reference", "base", "second"):
        sides.append([(f"{side} {k}", folder / f"{side}{k}.png") for k in range(COUNT)])
        for _, path in sides[-1]:
            Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)).save(path)
    weights = tuple(np.linspace(1, 2, 2 * COUNT).reshape(2, COUNT))
    texts, groups = ["a cat"] * COUNT, [k % 2 for k in range(COUNT)]
    second = {"second": "toys/lobster", "second_reference": sides.pop()}
    return ScoredSet("train", *sides, texts, groups, weights, **second)


def inputs(one, scored, cast=lambda array: array):
    random = Random(one, cast)
    return {row.name: row.of(scored, random) for row in one.inputs}


def test_the_registry_has_the_papers_metrics_with_their_facts():
    found = {name: (one.better, one.encoder, names(one)) for name, one in EVERY.items()}
    assert FACTS.items() <= found.items()


@pytest.mark.parametrize("name", sorted(EVERY))
def test_a_metric_knows_its_facts(name):
    found = EVERY[name]
    assert found.__name__ == name
    assert found.better in ("higher", "lower") and found.encoder in (*OUTPUTS, None)
    assert names(found) == tuple(inspect.signature(found).parameters)
    assert found.version >= 1 and found.__doc__


@pytest.mark.parametrize("name", sorted(EVERY))
def test_it_gives_a_number_or_one_an_image(name, scored):
    if not all(row.available(scored) for row in EVERY[name].inputs):
        pytest.skip("of things that pictures do not have")
    try:
        EVERY[name].ready and EVERY[name].ready()
    except BenchError as error:
        pytest.skip(str(error))
    value = np.asarray(EVERY[name](**inputs(EVERY[name], scored)))
    assert value.dtype == np.float64 and value.shape in ((), (COUNT,)) and np.isfinite(value).all()


@pytest.mark.parametrize("name", sorted(n for n, one in EVERY.items() if one.encoder))
def test_float32_and_torch_give_the_value_of_their_float64_copy(name, scored):
    function, double = EVERY[name], lambda array: array.astype(np.float64)
    expected = function(**inputs(function, scored, double))
    np.testing.assert_array_equal(function(**inputs(function, scored)), expected)
    np.testing.assert_array_equal(function(**inputs(function, scored, torch.from_numpy)), expected)


def frozen(array):
    array.setflags(write=False)
    return array


@pytest.mark.parametrize("name", sorted(n for n, one in EVERY.items() if one.encoder))
def test_inputs_are_not_written_to(name, scored):
    given = inputs(EVERY[name], scored, frozen)
    for value in given.values():
        for array in value if isinstance(value, list | tuple) else [value]:
            if isinstance(array, np.ndarray):
                frozen(array)
    EVERY[name](**given)


@pytest.mark.parametrize("name", OF_FEATURES)
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
def test_bad_features_are_one_sentence_that_names_them(name, scored, spoil, message):
    arguments = inputs(EVERY[name], scored)
    for key in features(EVERY[name]):
        with pytest.raises(ValueError, match=f"^{key} has .*{message}") as error:
            EVERY[name](**(arguments | {key: spoil(arguments[key])}))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", OF_TWO)
def test_widths_must_agree(name, scored):
    arguments, second = inputs(EVERY[name], scored), features(EVERY[name])[1]
    arguments[second] = arguments[second][:, :5]
    with pytest.raises(ValueError, match=r"width 8 and .* 5: they come from different encoders"):
        EVERY[name](**arguments)


def test_an_input_that_is_not_there_is_said_so():
    """Of one image of one concept, without text, groups of more than one, or another side."""
    alone = ScoredSet("train", generated=[("a", "a.png")], texts=[""], groups=[0])
    assert {name for name, row in INPUTS.items() if row.available(alone)} == {"generated"}


def test_the_decorator_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="asks for refrence; inputs are: generated, reference"):
        metric(better="higher", encoder="image")(lambda generated, refrence: 0.0)
    with pytest.raises(ValueError, match="better is 'larger'"):
        metric(better="larger", encoder="image")
    with pytest.raises(ValueError, match="encoder is 'video'"):
        metric(better="lower", encoder="video")


@pytest.mark.parametrize(
    ("encoder", "function", "said"),
    [
        (None, lambda generated, groups: 0.0, "asks for generated, which an encoder makes"),
        ("image", lambda generated, text: 0.0, "asks for text; its encoder must be 'text'"),
        ("gram", lambda generated, reference: 0.0, "allowed are generated and base"),
    ],
)
def test_a_metric_asks_for_what_its_encoder_makes(encoder, function, said):
    with pytest.raises(ValueError, match=said):
        metric(better="lower", encoder=encoder)(function)


def test_rows_of_its_own_come_with_a_metric():
    own = Input("brightness", available=bool, read=lambda picture: 1.0)
    made = metric(better="higher", encoder=None, inputs=[own])(lambda brightness: 0.0)
    assert made.inputs == (own,) and "brightness" not in INPUTS
