"""LoKr: ΔW = alpha/dim · w1 ⊗ w2, a small left block and a larger right one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lycoris_bench.adapters.algorithms import dora
from lycoris_bench.adapters.algorithms import kronecker as blocks
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
    zeros,
)
from lycoris_bench.adapters.algorithms.dora import MAGNITUDE, Decomposable, decompose, magnitude
from lycoris_bench.adapters.algorithms.factors import (
    Product,
    factorization,
    in_float64,
    kronecker,
    length,
    norm,
)
from lycoris_bench.adapters.algorithms.fitting import divided, with_shapes
from lycoris_bench.adapters.algorithms.lora import UP
from lycoris_bench.adapters.algorithms.options import (
    ALPHA,
    LARGEST,
    RANK,
    Decomposed,
    Factored,
    Range,
    Tucker,
    option,
    switch,
)
from lycoris_bench.adapters.algorithms.peft import alpha_of, as_lycoris, as_they_are
from lycoris_bench.adapters.algorithms.terms import Kronecker, Term
from lycoris_bench.messages.errors import BenchError

WHOLE, PARTS = ("lokr_w1", "lokr_w2"), ("lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b")
CORE = "lokr_t2"
FACTOR = Range(1, LARGEST, whole=True, also=(-1,))


@dataclass(frozen=True, kw_only=True)
class Split:
    """How outputs and inputs are split; -1 is as evenly as can be."""

    factor: int = option(8, FACTOR)


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """Which blocks are products, and which is the larger."""

    decompose_both: bool = switch()
    full_matrix: bool = switch()
    unbalanced_factorization: bool = switch()


class LoKr(Decomposable):
    """ΔW = alpha/dim · w1 ⊗ w2, with o = u·v and i = u'·v' (LyCORIS, 3.2 and Eq. 5).

    w1 is (u, u') and w2 (v, v'·k²). w2 is a product of rank dim where dim < max(v, v')/2, and
    w1 too with decompose_both and dim < max(u, u')/2. With both whole ("full dimension", as
    with the default dim) there is no rank: the ratio is 1 and alpha is ignored. In Tucker form
    a product for a kernel is t2 (dim, dim, k, k) between w2_a (dim, v) and w2_b (dim, v').
    unbalanced_factorization swaps u and v: the larger part of o goes to w1."""

    marks = ("lokr_w1", "lokr_w1_a", "lokr_w2", "lokr_w2_a")
    names = frozenset((*WHOLE, *PARTS, CORE, MAGNITUDE, "alpha"))
    linear = frozenset(("lokr_w1", "lokr_w1_a"))
    variants = (CORE, MAGNITUDE)
    unrolled = product_by_svd = True
    unranked = "two whole blocks have no rank"
    peft = "LOKR"
    spellings = as_they_are(*WHOLE, *PARTS, CORE)
    nearest = staticmethod(blocks.nearest)

    @dataclass(frozen=True, kw_only=True)
    class Options(Decomposed, Blocks, Tucker, Factored, Split):
        """The factor first, then those of all factored algorithms, and which blocks are whole."""

        dim: int = option(10000, RANK)
        alpha: float | None = option(1.0, ALPHA)

    def build(self, weight: Tensor, bias: Bias, generator: Generator, options: Options) -> None:
        rank, ratio = rank_of(weight, options)
        (u, v), (ui, vi) = (factorization(n, options.factor) for n in weight.shape[:2])
        u, v = (v, u) if options.unbalanced_factorization else (u, v)
        kernel = tuple(weight.shape[2:])
        both = options.decompose_both
        whole1 = options.full_matrix or not (both and rank < max(u, ui) / 2)
        whole2 = options.full_matrix or not rank < max(v, vi) / 2
        if whole1 and whole2:
            ratio = torch.full_like(ratio, rank)  # what the ecosystem's files say here
        self.register_buffer("alpha", ratio, persistent=False)
        random = partial(kaiming, weight, generator)
        last = random if options.use_scalar else partial(zeros, weight)
        self.factors = nn.ParameterDict()
        if whole1:
            self.factors["lokr_w1"] = random(u, ui)
        else:
            self.factors["lokr_w1_a"] = random(u, rank)
            self.factors["lokr_w1_b"] = random(rank, ui)
        if whole2:
            self.factors["lokr_w2"] = last(v, vi, *kernel)
        elif options.use_tucker and is_kernel(weight):
            self.factors[CORE] = random(rank, rank, *kernel)
            self.factors["lokr_w2_a"] = random(rank, v)
            self.factors["lokr_w2_b"] = last(rank, vi)
        else:
            self.factors["lokr_w2_a"] = random(v, rank)
            self.factors["lokr_w2_b"] = last(rank, vi * math.prod(kernel))
        self.scalar = zeros(weight) if options.use_scalar else None
        self.magnitude = magnitude(weight, options)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        whole = {"factor": 4}
        parts = {"factor": 2, "dim": 2, "alpha": 1}  # the right block is a product
        unbalanced = {"unbalanced_factorization": True, "rs_lora": True}
        return [
            whole,
            parts,
            {"factor": -1, "dim": 1, "alpha": 2, "decompose_both": True},
            {**whole, "dim": 1, "full_matrix": True},
            {**parts, "use_tucker": True, "use_scalar": True, "dora_wd": True},
            {**whole, **unbalanced, "dora_wd": True, "wd_on_output": True},
            {**parts, **unbalanced, "decompose_both": True},
            {**whole, "use_scalar": True},
        ]

    def tensors(self) -> dict[str, Tensor]:
        tensors = {**self.factors, "alpha": self.alpha}
        if self.scalar is not None:
            tensors[self._first] = tensors[self._first] * self.scalar
        return tensors if self.magnitude is None else {**tensors, MAGNITUDE: self.magnitude}

    @property
    def _first(self) -> str:
        return "lokr_w1" if "lokr_w1" in self.factors else "lokr_w1_a"

    @staticmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        w1, w2 = (blocks.block(tensors, k) for k in (1, 2))
        return decompose(fit(torch.kron(blocks.ratio(tensors) * w1, w2), weight), tensors, weight)

    @staticmethod
    def weight_shape(tensors: Tensors) -> torch.Size | None:
        (u, ui, *rest), (v, vi, *kernel) = (blocks.block_shape(tensors, k) for k in (1, 2))
        if math.prod(rest) != 1:
            raise BenchError(f"{with_shapes(tensors, 'lokr_w1')} is no matrix")
        shape = torch.Size((u * v, ui * vi, *kernel))
        return dora.with_magnitude(tensors, shape, unrolled=True)

    @staticmethod
    def rank(tensors: Tensors) -> int | None:
        return blocks.rank(tensors)

    @staticmethod
    def factors_of(tensors: Tensors) -> Product:
        up, down, _ = kronecker(blocks.block(tensors, 1), blocks.block(tensors, 2))
        return Product(up * blocks.ratio(tensors), down)

    @classmethod
    def term_of_factors(cls, tensors: Tensors) -> Term | None:
        w1, w2 = (blocks.block(tensors, k) for k in (1, 2))
        return Kronecker(blocks.ratio(tensors) * w1, w2)

    @staticmethod
    def length_of_factors(tensors: Tensors) -> float:
        """The length of w1 ⊗ w2 is the product of both."""
        each = [_length(blocks.factors_of_block(tensors, k)) for k in (1, 2)]
        return float(blocks.ratio(tensors)) * math.prod(each)

    @staticmethod
    def unused(tensors: Tensors) -> frozenset[str]:
        """alpha with two whole blocks, where files of half precision may have an infinity."""
        return frozenset(("alpha",)) if tensors.keys() >= set(WHOLE) else frozenset()

    @classmethod
    def rows(cls, tensors: Tensors, spans: Sequence[Span]) -> dict[str, Tensor]:
        step = blocks.second_outputs(tensors)
        if any(edge % step for span in spans for edge in span):
            if CORE in tensors or not tensors.keys() >= {"lokr_w2_a", "lokr_w2_b"}:
                crossing = f"whose blocks of {step} outputs cross from one to the next"
                raise BenchError(f"a LoKr {crossing}")
            tensors = blocks.as_lora(tensors)
            return divided(tensors, spans, UP) | dora.divided_magnitude(tensors, spans)
        factors = divided(tensors, spans, "lokr_w1", "lokr_w1_a", step=step)
        return factors | dora.divided_magnitude(tensors, spans)

    @staticmethod
    def with_ratio(tensors: Tensors, alpha: float, rank: int) -> dict[str, Tensor]:
        """Others take two whole blocks at a ratio of 1."""
        if not LoKr.unused(tensors):
            return {"alpha": torch.tensor(alpha)}
        folded = tensors["lokr_w1"].float() * (alpha / rank)
        return {"lokr_w1": folded, "alpha": torch.tensor(float(rank))}

    @classmethod
    def to_peft(cls, layers: Mapping[str, Tensors]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Also the factor, which PEFT works its blocks' sizes out by."""
        factor, both, ranks = blocks.peft_form(layers)
        alphas = {path: float(ranks[path]) if cls.unused(layer) else alpha_of(layer, ranks[path])
                  for path, layer in layers.items()}  # fmt: skip
        config, tensors = as_lycoris(layers, ranks, alphas, CORE)
        return {**config, "decompose_both": both, "decompose_factor": factor}, tensors

    @staticmethod
    def for_comfyui(tensors: Tensors) -> Tensors:
        """The Tucker form, which it leaves out, as two whole blocks; the second has the ratio."""
        if CORE not in tensors:
            return tensors
        exact = in_float64(tensors)
        v, vi, *kernel = blocks.block_shape(exact, 2)
        w2 = blocks.ratio(exact) * blocks.block(exact, 2)
        rest = {key: value for key, value in tensors.items() if key in (MAGNITUDE, BIAS)}
        return {"lokr_w1": blocks.block(exact, 1), "lokr_w2": w2.reshape(v, vi, *kernel), **rest}

    def shrink(self, ratio: Tensor) -> None:
        self.factors[self._first].mul_(ratio)


def _length(factors: tuple[Tensor, ...]) -> float:
    return norm(factors[0]) if len(factors) == 1 else length((factors[0], factors[1]))
