"""What the one check on reading lets through is a change of some weight; all else it refuses."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lycoris_bench.adapters.attach import attach
from lycoris_bench.adapters.delta import changes
from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.adapters.formats.safetensors_io import AdapterFileError
from tests.support.forms import FORMS
from tests.support.toys import randomise, toy

CASES = [(kind, options, layer) for kind, forms in FORMS.items() for options in forms
         for layer in ("linear", "conv3x3")]  # fmt: skip
LAYER = "lora_unet_down_blocks_0_layer"


def reshaped(value: Tensor) -> Iterator[Tensor]:
    """The tensor with one size more or less, twice or half, an axis more and an axis less."""
    shape = list(value.shape)
    for axis, size in enumerate(shape):
        for other in {size + 1, size - 1, size * 2, max(1, size // 2), 1} - {size, 0}:
            yield torch.ones(*shape[:axis], other, *shape[axis + 1 :])
    yield from (torch.ones(*shape, 2), torch.ones(2, *shape), torch.ones(*shape, 1))
    if shape:
        yield from (torch.ones(shape[:-1]), torch.ones(shape[1:]), torch.ones(value.numel()))


def fits_some_weight(tensors: dict[str, Tensor]) -> bool:
    """Whether there is a weight whose change this is: sizes are those that the tensors have."""
    _, kind = adapter_file.recognise(tensors) or pytest.fail("no algorithm")
    shape = kind.weight_shape(tensors)
    sizes = {1, *(n for v in tensors.values() for n in (*v.shape, v.numel()))}
    sizes |= {v.shape[-3] * v.shape[-2] for v in tensors.values() if v.dim() > 2}
    kernels = [tuple(v.shape[2:]) for v in tensors.values() if v.dim() > 2]
    kernels += [(), (3, 3), (3, 3, 2), (3, 3, 1), (2,), (3,)]
    tried = [tuple(shape)] if shape is not None else []
    if shape is not None and len(shape) == 2:  # LoHa's and LoKr's factors are unrolled
        tried += [(shape[0], n, shape[1] // n) for n in sizes if shape[1] % n == 0]
    if shape is None:
        tried = [(o, i, *k) for k in dict.fromkeys(kernels) for o, i in product(sizes, sizes)]
    for one in tried:
        try:
            changes(tensors, torch.ones(()).expand(one))  # most do not fit, and take no memory
            return True
        except ValueError:
            continue
    return False


@pytest.mark.parametrize(("kind", "options", "layer"), CASES)
def test_what_is_read_can_be_applied(kind: str, options: dict, layer: str, tmp_path: Path) -> None:
    network = attach(toy(layer)[0], None, "full", kind, options, seed=0)
    randomise(network)
    right = adapter_file.by_layer(network.tensors())[LAYER]
    refused, path = 0, tmp_path / "a"
    for name, value in right.items():
        for other in reshaped(value):
            wrong = {**right, name: other.to(value.dtype)}
            path.unlink(missing_ok=True)  # to write over a file takes ten times as long
            save_file({f"{LAYER}.{key}": v.contiguous() for key, v in wrong.items()}, path)
            try:
                tensors, _ = adapter_file.read(path)
            except AdapterFileError as error:
                refused += 1
                assert LAYER in str(error) and "do not fit a weight" not in str(error)
                continue
            (found,) = adapter_file.by_layer(tensors).values()
            shown = {key: tuple(v.shape) for key, v in found.items()}
            assert fits_some_weight(found), shown
    assert refused or kind in ("full", "norm")
