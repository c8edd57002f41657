"""LoRA (LoCon on convolutions): ΔW = alpha/dim · up·down."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms import dora
from lycoris_bench.adapters.algorithms.base import (
    BIAS,
    Bias,
    Generator,
    Span,
    Tensors,
    fit,
    is_kernel,
    kaiming,
    rank_of,
    scale,
    zeros,
)
from lycoris_bench.adapters.algorithms.dora import MAGNITUDE, Decomposable, decompose, magnitude
from lycoris_bench.adapters.algorithms.factors import Product, length, mixed
from lycoris_bench.adapters.algorithms.fitting import (
    divided,
    product,
    rank_shown,
    sizes,
    with_shapes,
)
from lycoris_bench.adapters.algorithms.options import Decomposed, Factored, Tucker
from lycoris_bench.adapters.algorithms.peft import NAMED, START, alpha_of, ratios
from lycoris_bench.messages.errors import BenchError

UP, MID, DOWN = "lora_up.weight", "lora_mid.weight", "lora_down.weight"
PLAIN = {UP, DOWN, "alpha"}
VECTOR, UP_BIAS = "lora_magnitude_vector", "lora_up.bias"  # PEFT's
XLABS = "XLabs's LoRA of Flux, which is not read; use it in the program that wrote it"


class LoRA(Decomposable):
    """ΔW = alpha/dim · up·down, with W unrolled to (o, i·k²) (Hu et al. 2021; LyCORIS, 3.1).

    down is (dim, i) or (dim, i, k, k), random; up is (o, dim) or (o, dim, 1, 1), zero. In Tucker
    form a kernel is mid (dim, dim, k, k) between up and a down of (dim, i, 1, 1)."""

    marks = (UP, DOWN)
    names = frozenset((UP, MID, DOWN, MAGNITUDE, "alpha"))
    exact = frozenset((MAGNITUDE, VECTOR))
    linear = frozenset((UP,))
    variants = (MID, MAGNITUDE)
    peft = "LORA"
    spellings = (
        (rf"lora_A{NAMED}\.weight", DOWN),
        (rf"lora_B{NAMED}\.weight", UP),
        (rf"lora_B{NAMED}\.bias", UP_BIAS),
        (r"(?:lora|lora_linear_layer)\.down\.weight", DOWN),
        (r"(?:lora|lora_linear_layer)\.up\.weight", UP),
        (rf"lora_magnitude_vector{NAMED}(?:\.weight)?", VECTOR),
    )
    refused: ClassVar = {
        "lora_embedding_": "a LoRA of embeddings, which is not read; train it without the "
        "embeddings",
        "processor.qkv_lora": XLABS,
        "processor.proj_lora": XLABS,
    }

    @dataclass(frozen=True, kw_only=True)
    class Options(Decomposed, Tucker, Factored):
        """Those of all factored algorithms."""

    def build(self, weight: Tensor, bias: Bias, generator: Generator, options: Options) -> None:
        rank, ratio = rank_of(weight, options)
        outputs, inputs, *kernel = weight.shape
        ones = [1 for _ in kernel]
        tucker = options.use_tucker and is_kernel(weight)
        self.register_buffer("alpha", ratio, persistent=False)
        self.down = kaiming(weight, generator, rank, inputs, *(ones if tucker else kernel))
        self.mid = kaiming(weight, generator, rank, rank, *kernel) if tucker else None
        last = (outputs, rank, *ones)
        random = options.use_scalar
        self.up = kaiming(weight, generator, *last) if random else zeros(weight, *last)
        self.scalar = zeros(weight) if random else None
        self.magnitude = magnitude(weight, options)

    @property
    def factor_rank(self) -> int:
        return len(self.down) if self.magnitude is None else 0

    def as_factors(self) -> Product:
        up, down, _ = self.factors_of(self.tensors())
        return Product(self.strength * up if self.strength != 1 else up, down)

    def moved(self, tensors: Tensors, weight: Tensor) -> Tensor | None:
        if tensors.keys() > PLAIN or weight.dtype != torch.float32:
            return None
        up, down = tensors[UP].flatten(1), tensors[DOWN].flatten(1)
        by = self.strength * scale(tensors, len(down))
        new: Tensor = torch.addmm(weight.flatten(1), up, down, alpha=by)
        return new.reshape(weight.shape)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        rank = {"dim": 3, "alpha": 2}
        return [
            rank,
            {**rank, "use_tucker": True, "use_scalar": True},
            {**rank, "rs_lora": True, "dora_wd": True},
            {**rank, "dora_wd": True, "wd_on_output": True, "use_scalar": True},
        ]

    def tensors(self) -> dict[str, Tensor]:
        up = self.up if self.scalar is None else self.up * self.scalar
        tensors = {DOWN: self.down, MID: self.mid, UP: up, MAGNITUDE: self.magnitude}
        return {k: v for k, v in {**tensors, "alpha": self.alpha}.items() if v is not None}

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        up, down = tensors[UP].flatten(1), tensors[DOWN].flatten(1)
        up = scale(tensors, rank=len(down)) * up
        if MID in tensors:
            change = torch.einsum("or,rsk,si->oik", up, tensors[MID].flatten(2), down)
            return decompose(fit(change.flatten(1), weight), tensors, weight)
        return decompose(fit(up @ down, weight), tensors, weight)

    @staticmethod
    def weight_shape(tensors: Tensors) -> torch.Size | None:
        if MID not in tensors:
            outputs, _ = product(tensors, UP, DOWN)
            shape = torch.Size((outputs, *tensors[DOWN].shape[1:]))
        else:
            up, mid, down = (sizes(tensors, name, k) for name, k in ((UP, 2), (MID, 3), (DOWN, 2)))
            if tuple(mid[:2]) != (math.prod(up[1:]), down[0]):
                raise BenchError(f"{with_shapes(tensors, UP, MID, DOWN)} have no rank in common")
            shape = torch.Size((up[0], math.prod(down[1:]), *mid[2:]))
        return dora.with_magnitude(tensors, shape)

    @staticmethod
    def rank(tensors: Tensors) -> int | None:
        return rank_shown(tensors, DOWN)

    @staticmethod
    def factors_of(tensors: Tensors) -> Product:
        up, down = tensors[UP].flatten(1), tensors[DOWN].flatten(1)
        right = mixed(tensors[MID], down) if MID in tensors else down
        return Product(up * scale(tensors, len(down)), right)

    @staticmethod
    def length_of_factors(tensors: Tensors) -> float:
        up, down = tensors[UP].flatten(1), tensors[DOWN].flatten(1)
        right = mixed(tensors[MID], down) if MID in tensors else down
        return float(scale(tensors, len(down))) * length((up, right))

    @classmethod
    def rows(cls, tensors: Tensors, spans: Sequence[Span]) -> dict[str, Tensor]:
        return divided(tensors, spans, UP) | dora.divided_magnitude(tensors, spans)

    def shrink(self, ratio: Tensor) -> None:
        self.up.mul_(ratio)

    @classmethod
    def settle(
        cls, layer: str, tensors: dict[str, Tensor], config: Mapping[str, Any] | None
    ) -> dict[str, Tensor]:
        if UP_BIAS in tensors and tensors.get(UP, torch.empty(0)).dim() > 1:
            rank = tensors[UP].shape[1]
            alpha = tensors.get("alpha", torch.tensor(float(rank)))
            shift = tensors.pop(UP_BIAS)
            tensors[BIAS] = shift.float() * (float(alpha) / rank if rank else 1)
        if VECTOR in tensors:  # (o,), or (1, o, 1, 1), which elsewhere is a magnitude of inputs
            ones = [1 for _ in tensors[DOWN].shape[1:]] if DOWN in tensors else [1]
            tensors[MAGNITUDE] = tensors.pop(VECTOR).reshape(-1, *ones)
        decomposed = config is not None and config.get("use_dora")
        if decomposed and DOWN in tensors and MAGNITUDE not in tensors:
            raise BenchError(f"{layer}: its configuration has use_dora, and '{VECTOR}' is missing")
        return tensors

    @classmethod
    def to_peft(cls, layers: Mapping[str, Tensors]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        tensors: dict[str, Tensor] = {}
        ranks, alphas = {}, {}
        decomposed = any(MAGNITUDE in layer for layer in layers.values())
        for path, layer in layers.items():
            if layer.keys() - PLAIN - {MAGNITUDE} or (MAGNITUDE in layer) != decomposed:
                raise BenchError(
                    f"PEFT's LoRA has no such form, and {path} is {cls.described(layer)}"
                )
            down, up = layer[DOWN], layer[UP]
            ranks[path], alphas[path] = len(down), alpha_of(layer, len(down))
            ones = [1 for _ in down.shape[2:]]
            tensors[f"{START}{path}.lora_A.weight"] = down
            tensors[f"{START}{path}.lora_B.weight"] = up.reshape(*up.shape[:2], *ones)
            if MAGNITUDE in layer:
                tensors[f"{START}{path}.{VECTOR}"] = _vector(path, layer)
        config = ratios(ranks, alphas, "lora_alpha")
        return {**config, "use_dora": decomposed, "bias": "none"}, tensors


def _vector(path: str, tensors: Tensors) -> Tensor:
    magnitude, outputs = tensors[MAGNITUDE], len(tensors[UP])
    if magnitude.shape[0] != outputs or magnitude.numel() != outputs:
        raise BenchError(f"PEFT's DoRA is of outputs, and that of {path} is of inputs")
    kernel = [1 for _ in tensors[DOWN].shape[2:]]
    return magnitude.reshape(1, -1, *kernel) if kernel else magnitude.reshape(-1)
