"""Writes an adapter under another layout's names, or as plain LoRA, which every program reads."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.base import BIAS, Adapter, scale
from lycoris_bench.adapters.algorithms.factors import Product, balanced, truncated
from lycoris_bench.adapters.algorithms.lora import DOWN, PLAIN, UP
from lycoris_bench.adapters.algorithms.recognise import description, recognise
from lycoris_bench.adapters.delta import changes
from lycoris_bench.adapters.formats import comfyui
from lycoris_bench.adapters.formats.adapter_file import by_layer
from lycoris_bench.adapters.formats.layer_names import Directory
from lycoris_bench.adapters.formats.safetensors_io import TO_PORTABLE, AdapterFileError
from lycoris_bench.messages.errors import BenchError

WeightOf = Callable[[str, str], Tensor]  # (model, path) -> W, for changes that depend on it
Place = tuple[str, str]


@dataclass(frozen=True)
class Portable:
    """An adapter as plain LoRA under kohya's names: its tensors, the relative error of each layer
    (0 where it is exact), and the names that plain LoRA cannot express."""

    tensors: dict[str, Tensor]
    errors: dict[str, float]
    left_out: tuple[str, ...]


def renamed(tensors: Mapping[str, Tensor], layout: str, directory: Directory) -> dict[str, Tensor]:
    """The tensors of one file in the names of "kohya", "lycoris", "compvis", "comfyui" or
    "diffusers"; for PEFT's folders see `peft_write.parts`.

    Raises `AdapterFileError` for a layer that the model lacks or that the layout cannot say."""
    by_name: dict[str, Tensor] = {}
    for name, layer in by_layer(tensors).items():
        place = place_of(name, directory)
        for key, value in in_layout(name, layer, layout, place, directory).items():
            full = f"{spelled(place, layout, directory)}.{key}"
            if full in by_name:
                raise AdapterFileError(f"'{full}' would be written twice: {name} is its second")
            by_name[full] = value
    return by_name


def place_of(name: str, directory: Directory) -> Place:
    """(model, path) of the layer. AdapterFileError: the model has no layer of this name."""
    place = directory.find(name)
    if place is None:
        raise AdapterFileError(f"{name} is no layer of the model")
    return place


def spelled(place: Place, layout: str, directory: Directory) -> str:
    """The layer's name in the layout. ComfyUI reads kohya's names for Flux and SD 3."""
    joint = any(".attn.add_" in path for path in directory.models.get("transformer", ()))
    in_joint = layout == "comfyui" and place[0] == "transformer" and joint
    return directory.spell(*place, "kohya" if in_joint else layout)


def in_layout(
    name: str, tensors: Mapping[str, Tensor], layout: str, place: Place, directory: Directory
) -> Mapping[str, Tensor]:
    """One layer's tensors in the layout. AdapterFileError: the layout cannot express them."""
    if layout == "diffusers":
        return sides(name, tensors)
    if layout == "comfyui":
        paths = directory.models["transformer"] if place[0] == "transformer" else ()
        return comfyui.readable(name, tensors, place[1], paths)
    return tensors


def sides(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A plain LoRA as diffusers' lora_A and lora_B, with the ratio folded in and no alpha.

    Exact copies where the ratio is 1, else float64, which the writer rounds."""
    if tensors.keys() - PLAIN or not {UP, DOWN} <= tensors.keys():
        kind = description(tensors)
        raise AdapterFileError(
            f"diffusers reads plain LoRA alone, and {name} is {kind}: {TO_PORTABLE}"
        )
    up, down = tensors[UP], tensors[DOWN]
    ratio = float(scale({"alpha": tensors.get("alpha", torch.tensor(0.0)).double()}, len(down)))
    if ratio != 1:
        up, down = balanced(Product(up.double(), down.double()), ratio)
    return {"lora_A.weight": down, "lora_B.weight": up}


def plain_lora(
    tensors: Mapping[str, Tensor],
    directory: Directory | None = None,
    rank: int | None = None,
    weight_of: WeightOf | None = None,
    through: Callable[[list[str]], Iterable[str]] = iter,
) -> Portable:
    """Every layer as plain LoRA of at most `rank`: exactly where its structure allows, else by SVD
    with a relative error; without a rank, exactly.

    `weight_of` gives W for a change that depends on it or whose shape the file does not show.
    Norms and biases are left out, and named. `through` yields the layers' names, and may report
    progress."""
    left_out: list[str] = []
    products: dict[str, tuple[Product, tuple[int, ...]]] = {}
    as_is: dict[str, dict[str, Tensor]] = {}
    layers = by_layer(tensors, divide=directory is not None)
    for name in through(list(layers)):
        layer = layers[name]
        place = place_of(name, directory) if directory else None
        spelled = directory.spell(*place) if directory and place else name
        recognised = recognise(layer)
        if recognised is None or not recognised[1].matrices or layer.keys() == {BIAS}:
            left_out.append(f"{name}: {description(layer)}")
            continue
        weight = weight_of(*place) if weight_of and place else None
        shape = _shape(name, recognised[1], layer) if weight is None else weight.shape
        if len(shape) == 1:
            left_out.append(f"{name}: {description(layer)} of a norm")
            continue
        product = as_product(name, recognised[1], layer, weight, rank)
        if BIAS in layer:
            left_out.append(f"{name}.{BIAS}")
        products[spelled] = product, tuple(shape[1:])
        if layer.keys() == PLAIN and product.rank == len(layer[DOWN]):
            as_is[spelled] = layer
    loras = {name: lora(product, inputs) for name, (product, inputs) in products.items()}
    alphas = {float(layer["alpha"]) for layer in as_is.values()}
    if products.keys() == as_is.keys() and len(alphas) == 1:
        loras = as_is  # bit by bit
    flat = {f"{name}.{key}": value for name, layer in loras.items() for key, value in layer.items()}
    errors = {name: product.error for name, (product, _) in products.items()}
    return Portable(flat, errors, tuple(left_out))


def as_product(
    name: str, kind: type[Adapter], tensors: Mapping[str, Tensor], weight: Tensor | None,
    rank: int | None,
) -> Product:  # fmt: skip
    """One layer's change as up · down; `AdapterFileError` where it needs a W that is not given."""
    try:
        product = kind.as_product(tensors)
    except (RuntimeError, KeyError, IndexError):
        sizes = ", ".join(f"{key} {tuple(value.shape)}" for key, value in tensors.items())
        raise AdapterFileError(f"{name}: {sizes} do not fit each other") from None
    if product is None:
        if weight is None:
            weight = torch.zeros(_shape(name, kind, tensors))
        try:
            return truncated(changes(tensors, weight, torch.float64)[0].flatten(1), rank)
        except ValueError as error:
            raise AdapterFileError(f"{name}: {error}") from None
    smaller = min(len(product.up), product.down.shape[1])
    if product.rank > min(smaller, rank or smaller):  # more than the matrix has, or is asked for
        return truncated(product.up @ product.down, rank)
    return product


def _shape(name: str, kind: type[Adapter], tensors: Mapping[str, Tensor]) -> torch.Size:
    """W's shape by the tensors, matrices for what is unrolled; `AdapterFileError` without it."""
    if kind.depends_on_weight(tensors):
        raise AdapterFileError(
            f"{name} is {description(tensors)}, whose change depends on the base model's weights: "
            "give the base model"
        )
    try:
        shape = kind.weight_shape(tensors)
    except BenchError as error:
        raise AdapterFileError(f"{name}: {error}") from None
    if shape is None:
        raise AdapterFileError(
            f"{name} is {description(tensors)}, whose tensors do not tell the weight's shape: "
            "give the base model"
        )
    return shape


def lora(product: Product, shape: tuple[int, ...]) -> dict[str, Tensor]:
    """LoRA tensors of the product for a weight of (o, *shape), with an alpha of 1.

    One alpha for all layers, whatever their ranks: where they differ, diffusers 0.42 gives some
    layers that of others."""
    ones = [1 for _ in shape[1:]]
    up, down = balanced(product, product.rank)
    return {
        UP: up.reshape(*up.shape, *ones).contiguous(),
        DOWN: down.reshape(product.rank, *shape).contiguous(),
        "alpha": torch.tensor(1.0),
    }
