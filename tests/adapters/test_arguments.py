"""What the public functions of adapters say of wrong arguments, at once and in a sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lycoris_bench.adapters.apply import apply_adapter, read_adapter
from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.delta import merged_weight
from lycoris_bench.messages.errors import BenchError

FILE = {"lycoris_lin.diff": torch.ones(3, 3)}


class Mixed(nn.Module):
    """Layers that adapters can change and others, one of them under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.emb, self.lin, self.bn = nn.Embedding(4, 3), nn.Linear(3, 3), nn.BatchNorm1d(3)
        self.box, self.again = nn.Sequential(nn.Linear(3, 3)), self.lin

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.lin(x)
        return y


class ThreeTied(nn.Module):
    """Three layers and an embedding with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(3, 3)
        self.a, self.b, self.c = (nn.Linear(3, 3) for _ in range(3))
        self.a.weight = self.b.weight = self.c.weight = self.emb.weight


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": "model"}, "model is 'model'; a torch module is allowed"),
        ({"text_encoders": "x"}, "text_encoders is 'x'; a torch module, a list of them"),
        ({"seed": "x"}, "seed is 'x'; a whole number from 0"),
        ({"seed": True}, "seed is True; a whole number"),
        ({"seed": -1}, "seed is -1; a whole number"),
        ({"options": [4]}, r"options is \[4\]; a mapping from names, or None, is allowed"),
        ({"algorithm": None}, "algorithm is None; a text"),
        ({"layers": None}, "layers is None; a list of class names"),
        ({"layers": [1]}, r"layers is \[1\]; a list of class names"),
        ({"exclude": None}, "exclude is None; a list of class names"),
        ({"exclude": "lin"}, "exclude is 'lin'; a list of class names"),
        ({"layers": "full"}, r"of Mixed: presets are .*layers=\['Linear'\], or patterns"),
        ({"layers": ["Embedding"]}, r"'Embedding' \(emb\) is in Mixed, but an adapter cannot"),
        ({"layers": ["BatchNorm1d"]}, r"'BatchNorm1d' \(bn\) is in Mixed, but an adapter"),
        ({"layers": ["emb"]}, r"'emb' \(of class Embedding\) is in Mixed, but"),
        ({"layers": ["em*"]}, r"'em\*' \(emb\) is in Mixed"),
        ({"exclude": ["Embedding"]}, r"'Embedding' \(emb\) is in Mixed"),
        ({"layers": ["again"]}, "'again' is a second name of the layer 'lin'; name that"),
        ({"layers": ["box"]}, r"'box' is no layer but .* inside, which 'box\.\*' takes"),
        ({"layers": ["Linaer"]}, "unknown class of Mixed 'Linaer'; did you mean 'Linear'"),
        ({"model": ThreeTied()}, r"a shares .* with emb, b, c, .*them out.*\['a', 'b', 'c'\]"),
    ],
)  # fmt: skip
def test_attach(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchError, match=said):
        attach(**{"model": Mixed(), "layers": ["Linear"], **changed})


@pytest.mark.parametrize("strength", ["1", None, True, [0.5], float("nan"), float("inf")])
@pytest.mark.parametrize(
    "function",
    [
        lambda strength: attach(Mixed(), layers=["Linear"]).set_strength(strength),
        lambda strength: apply_adapter(Mixed(), FILE, strength),
        lambda strength: merged_weight({"diff": torch.ones(2, 2)}, torch.ones(2, 2), strength),
    ],
)
def test_a_strength_is_a_finite_number(function: Callable[[Any], Any], strength: Any) -> None:
    with pytest.raises(BenchError, match="^strength is .*; a finite number is allowed"):
        function(strength)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda: apply_adapter(Mixed(), None), "file is None; a path, or a mapping of an adap"),
        (lambda: apply_adapter(Mixed(), {"x": 1}), "file is of type dict; a path, or"),
        (lambda: read_adapter(None), "file is None; a path is"),
        (lambda: merged_weight(FILE, [1.0]), r"weight is \[1.0\]; a tensor is"),
        (lambda: merged_weight({"lin": FILE}, torch.ones(3, 3)), "tensors is of type dict; a map"),
        (lambda: attach(Mixed(), layers=["Linear"]).save(None), "path is None; a path is"),
    ],
)  # fmt: skip
def test_tensors_and_files(function: Callable[[], Any], said: str) -> None:
    with pytest.raises(BenchError, match=said):
        function()


def test_numbers_of_numpy_are_numbers() -> None:
    weight = torch.ones(2, 2)
    half = merged_weight({"diff": weight}, weight, np.float32(0.5))
    assert torch.equal(half, torch.full((2, 2), 1.5))
    attach(Mixed(), layers=["Linear"], seed=np.int64(3)).set_strength(np.int64(1))


def test_what_is_applied_under_adapters_acts_or_is_refused(tmp_path: Path) -> None:
    """`full` computes with weights of its own, so that a change of the model's would be lost."""
    model, x = Mixed(), torch.ones(1, 3)
    network = attach(model, layers=["lin"], algorithm="full")
    with pytest.raises(BenchError, match="the module is being trained with full.*detach the netw"):
        apply_adapter(model, FILE)
    network.detach()
    before = model(x)
    attach(model, layers=["lin"], algorithm="lora", options={"dim": 2})
    with apply_adapter(model, FILE):
        torch.testing.assert_close(model(x), before + 3)
    assert torch.equal(model(x), before)
