"""SSCD from a file of the authors' form: random weights of the true shapes, by layers of torch that
are laid out here, and files that are others."""

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional
from torchvision.models import resnet50

from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders.sscd import PREFIX, SSCD, WIDTH
from lycoris_bench.scoring.encoders.weights import MissingWeights, WrongWeights
from lycoris_bench.scoring.metrics import METRICS
from lycoris_bench.scoring.metrics.base import OUTPUTS


@pytest.fixture(scope="module")
def state():
    """The tensors of a file for torchvision: the network's, under `backbone.`."""
    torch.manual_seed(0)
    network = resnet50(num_classes=WIDTH)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # as after training: no layer is the identity
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return {f"{PREFIX}{name}": value.clone() for name, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def file(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("sscd") / "sscd.safetensors"
    save_file(state, path)
    return path


def by_hand(state, batch):
    """The maps of torchvision's own network, then pooling and projection as their equations."""
    network = resnet50(num_classes=WIDTH).eval()
    network.load_state_dict({name.removeprefix(PREFIX): value for name, value in state.items()})
    maps = []
    network.layer4.register_forward_hook(lambda *hooked: maps.append(hooked[2]))
    with torch.inference_mode():
        network(batch)
    pooled = (maps[0].double().clamp(min=1e-6) ** 3).flatten(2).mean(dim=2) ** (1 / 3)
    weight, bias = state[f"{PREFIX}fc.weight"].double(), state[f"{PREFIX}fc.bias"].double()
    return functional.normalize(pooled @ weight.T + bias)


def test_features_are_those_of_the_authors_layers(state, file, picture):
    encoder = encoders.load("sscd", weights=str(file))
    images = [encoder.prepare(picture(*shape, seed)) for seed, shape in enumerate([(64, 48)] * 2)]
    assert images[0].shape == (3, 320, 320)
    features = encoder.encode(images)
    assert features.shape == (2, WIDTH)
    torch.testing.assert_close(
        features.double(), by_hand(state, torch.stack(images)), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2))


def test_files_without_counts_and_prefix_are_the_same(state, file, tmp_path, picture):
    plain = {
        name.removeprefix(PREFIX): value
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    }
    other = tmp_path / "plain.safetensors"
    save_file(plain, other)
    pair = [encoders.load("sscd", weights=str(path)) for path in (file, other)]
    image = pair[0].prepare(picture(40, 40))[None]
    assert torch.equal(pair[0].encode(image), pair[1].encode(image))


def test_weights_are_given_or_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingWeights, match=r"yours to give: write \[scoring.weights\] sscd = "):
        encoders.load("sscd")
    with pytest.raises(MissingWeights, match="there is no file"):
        encoders.load("sscd", weights="other.safetensors")
    (tmp_path / "sscd.torchvision.pt").write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(WrongWeights, match="is no safetensors file, the only kind"):
        encoders.load("sscd", weights="sscd.torchvision.pt")


@pytest.mark.parametrize("change", ["one less", "another shape", "one more"])
def test_other_files_are_refused(state, tmp_path, change):
    other = dict(state)
    if change == "one less":
        del other[f"{PREFIX}layer3.2.conv2.weight"]
    elif change == "another shape":
        other[f"{PREFIX}fc.weight"] = torch.zeros(1024, 2048)
    else:
        other["head.weight"] = torch.zeros(2)
    path = tmp_path / "other.safetensors"
    save_file(other, path)
    with pytest.raises(WrongWeights, match="does not hold the weights of sscd"):
        encoders.load("sscd", weights=str(path))


def test_it_serves_metrics_of_copying_alone():
    suited = [
        name
        for name, one in METRICS.entries().items()
        if one.encoder and SSCD.record.outputs in OUTPUTS[one.encoder]
    ]
    assert suited == ["copy_quantile", "copy_rate", "nearest_similarity"]
