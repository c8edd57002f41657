"""What is known of an algorithm is in its file: its claims hold, and no other file names one."""

import ast
import math
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

import lycoris_bench
from lycoris_bench.adapters.algorithms.base import Adapter
from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.delta import changes
from lycoris_bench.adapters.formats import adapter_file
from tests.support.forms import BUILT_IN, FORMS
from tests.support.toys import randomise, toy

ROOT = Path(lycoris_bench.__file__).parent
CASES = [
    pytest.param(algorithm, options, layer, id=f"{algorithm}{k}-{layer}")
    for algorithm, forms in FORMS.items()
    for k, options in enumerate(forms)
    for layer in ("linear", "conv3x3")
]
Layer = tuple[type[Adapter], dict[str, Tensor], Tensor]


def layer_of(algorithm: str, options: dict, layer: str) -> Layer:
    """(class, float64 tensors, W) of one layer with random parameters."""
    model, _ = toy(layer)
    network = attach(model, None, "full", algorithm, options, seed=7)
    randomise(network)
    (tensors,) = adapter_file.by_layer(network.tensors()).values()
    known = adapter_file.recognise(tensors)
    assert known is not None
    exact = {k: v.double() if v.is_floating_point() else v for k, v in tensors.items()}
    return known[1], exact, model.layer.weight.detach().double()


def delta(tensors: dict[str, Tensor], weight: Tensor) -> Tensor:
    return changes(tensors, weight, torch.float64)[0]


@pytest.mark.parametrize(("algorithm", "options", "layer"), CASES)
def test_what_an_algorithm_says_of_its_tensors_is_true(
    algorithm: str, options: dict, layer: str
) -> None:
    kind, tensors, weight = layer_of(algorithm, options, layer)
    change = delta(tensors, weight)
    other = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)).double()
    follows = not torch.equal(delta(tensors, other), change)
    assert follows == kind.depends_on_weight(tensors)
    assert tensors.keys() <= kind.names | {"diff_b"}
    shape = kind.weight_shape(tensors)
    if shape is not None:
        unrolled = kind.unrolled and len(shape) == 2
        assert shape == (weight.flatten(1).shape if unrolled else weight.shape)
    sizes = kind.sizes(tensors)
    assert sizes[0] in (0, len(weight)) and sizes[1] in (0, weight.shape[1], weight[0].numel())
    product = kind.as_product(tensors)
    if product is not None:
        torch.testing.assert_close(product.up @ product.down, change.flatten(1))
    size = kind.length(tensors)
    assert size is None or size == pytest.approx(float(change.norm()), rel=1e-9)
    if kind.linear and not follows:
        twice = {k: v * 2 if k in kind.linear else v for k, v in tensors.items()}
        torch.testing.assert_close(delta(twice, weight), 2 * change)
    for name in kind.unused(tensors):
        assert torch.equal(delta({**tensors, name: torch.tensor(math.inf)}, weight), change)


@pytest.mark.parametrize(("algorithm", "options", "layer"), CASES)
def test_rows_of_a_layer_are_those_of_its_change(algorithm: str, options: dict, layer: str) -> None:
    kind, tensors, weight = layer_of(algorithm, options, layer)
    change = delta(tensors, weight)
    for spans in ([(0, 8)], [(12, 20), (0, 4)]):
        kept = torch.cat([torch.arange(a, b) for a, b in spans])
        try:
            rows = kind.rows(tensors, spans)
        except ValueError:
            return  # it says that it cannot be divided
        torch.testing.assert_close(
            delta(rows, weight[kept]).float(), change[kept].float(), rtol=1e-5, atol=1e-5
        )


class Unknown(Adapter):
    """An algorithm of which nothing but ΔW is known: 3 · t · W."""

    marks, names = ("t",), frozenset("t")

    def build(self, weight: Tensor, bias: object, generator: object, options: object) -> None:
        self.t = torch.nn.Parameter(torch.zeros(()))

    def tensors(self) -> dict[str, Tensor]:
        return {"t": self.t}

    @staticmethod
    def delta_from(tensors: Mapping[str, Tensor], weight: Tensor) -> Tensor:
        return 3 * tensors["t"] * weight


def test_the_defaults_claim_nothing() -> None:
    tensors = {"t": torch.ones(())}
    assert Unknown.depends_on_weight(tensors) and Unknown.weight_shape(tensors) is None
    assert Unknown.as_product(tensors) is Unknown.length(tensors) is Unknown.rank(tensors) is None
    assert Unknown.sizes(tensors) == (0, 0) and Unknown.unused(tensors) == frozenset()
    assert Unknown.comfyui_refuses(tensors, swapped=False) == "does not know Unknown"
    with pytest.raises(ValueError, match="a change by Unknown"):
        Unknown.rows(tensors, [(0, 1)])


# --- no file names an algorithm but its own --------------------------------------------------
# What is data, or what a tool makes, may: each file with what it names, and why.
LORA, TARGET = {"lora"}, "plain LoRA, which the tools make"
DORA = {"lora", "dora"}
FIELDS = "fields of PEFT's configurations"
ALLOWED: dict[str, tuple[set[str], str]] = {
    "published/": ({"lokr"}, "names in the authors' data"),
    "analysis/claims/": ({"lora", "loha", "lokr"}, "the paper's claims"),
    "adapters/presets/tables.py": ({"ia3"}, "LyCORIS's presets"),
    "adapters/presets/preset_reader.py": (LORA, "LyCORIS calls it 'locon' too"),
    "adapters/formats/layer_names.py": (LORA, "prefixes of kohya's names of layers"),
    "adapters/formats/flux_and_sd3.py": (LORA, "a prefix of kohya's names of layers"),
    "models/families/": (LORA, "a prefix of kohya's names of layers"),
    "adapters/formats/families.py": (LORA, "a prefix of kohya's names of layers"),
    "adapters/formats/layouts.py": (LORA, "names of diffusers' files, which are plain LoRA"),
    "adapters/formats/peft_read.py": (LORA, FIELDS),
    "adapters/formats/peft_options.py": (DORA, FIELDS),
    "adapters/formats/ss_metadata.py": (LORA, "kohya's name of its network for plain LoRA"),
    "adapters/formats/safetensors_io.py": (LORA, TARGET),
    "adapters/formats/write.py": (LORA, TARGET),
    "adapter_tools/conventions.py": (DORA, "how other programs read DoRA's magnitude"),
    "adapter_tools/inspect.py": (DORA, "shows the axis of DoRA's magnitude"),
    "adapter_tools/extract.py": ({"lora", "lokr"}, "what it makes"),
    "adapters/attach.py": (LORA, "what the Python API attaches unless it is told otherwise"),
    "adapter_tools/": (LORA, TARGET),
    "cli/adapter.py": ({"lora", "lokr"}, "what extract makes"),
    "evaluation/found.py": ({"lora"}, "what diffusers call a file"),
    "samples/embedded.py": ({"lora"}, "a tag in prompts of A1111"),
}


def named_in(path: Path, words: re.Pattern[str]) -> set[str]:
    """Algorithms that a module's code names: identifiers and texts, docstrings aside."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    texts: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in docs:
                texts.append(text)
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.alias(name=text):
                texts.append(text)
            case ast.ImportFrom(module=str(text)):
                texts.append(text)
    return {found[1].lower() for text in texts for found in words.finditer(text)}


def test_no_file_names_an_algorithm_but_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """ "full" is a word, and a preset; its tensor is looked for in its place. DoRA, which three
    algorithms share, has a file as they have."""
    names = [name.replace("-", "[-_]?") for name in [*BUILT_IN, "dora"] if name != "full"]
    tensors = ["hada", "oft_blocks", "oft_diag", "oft_in"]
    words = re.compile(rf"(?i)(?<![a-z])({'|'.join([*tensors, *names])})(?![a-z])")
    found: dict[str, set[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if not name.startswith("adapters/algorithms/") and (said := named_in(path, words)):
            found[name] = said
    others = {}
    with capsys.disabled():
        print()
        for name, said in found.items():
            place = next((start for start in ALLOWED if name.startswith(start)), "")
            allowed, reason = ALLOWED.get(place, (set(), "NOT ALLOWED"))
            print(f"  {name}: {', '.join(sorted(said))} ({reason})")
            if said - allowed:
                others[name] = said - allowed
    assert not others
    assert all(any(name.startswith(start) for name in found) for start in ALLOWED)
