"""What is known of an algorithm's tensors in a file, and how other programs read them.

The defaults are correct for any algorithm, though slow or strict: they assume that ΔW depends on W,
has no low-rank form, and is read by no other program. A class overrides what it knows better."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from lycoris_bench.adapters.algorithms.factors import Product
from lycoris_bench.adapters.algorithms.options import Range
from lycoris_bench.adapters.algorithms.terms import Term
from lycoris_bench.messages.errors import BenchError

Tensors = Mapping[str, Tensor]
Span = tuple[int, int]  # outputs from, to
BIAS = "diff_b"


class Knowledge:
    """One layer's tensors, by the names of a file without the layer's own."""

    marks: ClassVar[tuple[str, ...]]  # any of these names marks the algorithm
    names: ClassVar[frozenset[str]]  # every tensor name that `delta_from` and `bias_from` use
    exact: ClassVar[frozenset[str]] = frozenset()  # kept in fp32: near |W|, 1 or I, where half
    #                                                precision rounds ΔW off
    integers: ClassVar[Mapping[str, Range]] = {}  # tensors that hold a whole number, and which
    linear: ClassVar[frozenset[str]] = frozenset()  # c times these, of those there are, is c·ΔW
    variants: ClassVar[tuple[str, ...]] = ()  # tensors by which a form is called
    scaled: ClassVar[bool] = False  # whether ΔW has the ratio alpha/rank
    unranked: ClassVar[str] = "it has no rank"  # why the ratio is 1 where `rank` is None
    unrolled: ClassVar[bool] = False  # whether the factors of a kernel are matrices by design
    matrices: ClassVar[bool] = True  # whether weights of two sizes and more are changed
    vectors: ClassVar[bool] = False  # whether weights of one size, as of norms, are changed
    product_by_svd: ClassVar[bool] = False  # whether `as_product` rounds its last digits

    @staticmethod
    @abstractmethod
    def delta_from(tensors: Tensors, weight: Tensor) -> Tensor:
        """ΔW in W's shape and the tensors' precision; `BenchError` where they do not fit W."""

    @staticmethod
    def bias_from(tensors: Tensors) -> Tensor | None:
        """The change of the bias, None where there is none. Any algorithm's file may have one."""
        return tensors.get(BIAS)

    @classmethod
    def recognises(cls, tensors: Tensors) -> bool:
        """Whether one layer's tensors are of this algorithm, by their names and shapes.

        A layer with a name that the algorithm does not use is not recognised: to leave that
        tensor out would change what the file means."""
        return bool(tensors.keys() & set(cls.marks)) and tensors.keys() <= cls.names | {BIAS}

    @classmethod
    def described(cls, tensors: Tensors) -> str:
        """The algorithm and the form: "LoKr with lokr_t2"."""
        extras = [name for name in (*cls.variants, BIAS) if name in tensors]
        return f"{cls.__name__}{' with ' + ' and '.join(extras) if extras else ''}"

    @staticmethod
    def depends_on_weight(tensors: Tensors) -> bool:
        """Whether ΔW depends on the numbers of W."""
        return True

    @staticmethod
    def weight_shape(tensors: Tensors) -> torch.Size | None:
        """W's shape as far as the tensors tell it, None where only W does; factors that are
        `unrolled` give that of the unrolled weight.

        `BenchError` where one is missing or they do not fit each other (`fitting`)."""
        return None

    @classmethod
    def sizes(cls, tensors: Tensors) -> tuple[int, int]:
        """(outputs, inputs) of W, 0 for what the tensors do not tell. `BenchError` as above."""
        shape = cls.weight_shape(tensors) or (0,)
        return shape[0], shape[1] if len(shape) > 1 else 0

    @staticmethod
    def rank(tensors: Tensors) -> int | None:
        """The rank that alpha is divided by; None where there is none."""
        return None

    @staticmethod
    def as_product(tensors: Tensors) -> Product | None:
        """ΔW = up · down in float64 by the tensors' structure; None where there is none."""
        return None

    @classmethod
    def as_term(cls, tensors: Tensors) -> Term | None:
        """ΔW by factors that are added to W without making it, equal but for last digits; None
        where making it is the way. Merging asks for it, with tensors in fp32."""
        return None

    @staticmethod
    def length(tensors: Tensors) -> float | None:
        """|ΔW| from tensors in float64 without computing ΔW; None where ΔW is needed."""
        return None

    @staticmethod
    def unused(tensors: Tensors) -> frozenset[str]:
        """Tensors that this layer's ΔW does not use, whatever they hold."""
        return frozenset()

    @staticmethod
    def changes_outputs_alike(tensors: Tensors) -> bool:
        """Whether some outputs' rows of ΔW have the very tensors of all outputs' rows."""
        return False

    @classmethod
    def rows(cls, tensors: Tensors, spans: Sequence[Span]) -> dict[str, Tensor]:
        """The tensors of some outputs, one span below the other, of a layer that is several
        elsewhere. `BenchError`: what cannot be divided."""
        raise BenchError(f"a change by {cls.__name__}")

    # --- other programs -----------------------------------------------------------------------
    known_elsewhere: ClassVar[bool] = False  # whether LyCORIS's files have these tensors
    spellings: ClassVar[tuple[tuple[str, str], ...]] = ()  # (pattern of another name, name here)
    refused: ClassVar[Mapping[str, str]] = {}  # how tensors begin that are not read, and what of
    peft: ClassVar[str] = ""  # what PEFT calls the kind
    peft_differs: ClassVar[str] = ""  # how PEFT's kind is another one, which is not read
    to_peft_folder: ClassVar[bool] = False  # whether `to_peft` is there
    comfyui_caution: ClassVar[str] = ""  # what ComfyUI does otherwise although it reads the file

    @classmethod
    def settle(
        cls, layer: str, tensors: dict[str, Tensor], config: Mapping[str, Any] | None
    ) -> dict[str, Tensor]:
        """The tensors of a file with this algorithm's in the names, shapes and ratios it knows;
        those of others stay. `config` is PEFT's. `BenchError` where it contradicts them."""
        return tensors

    @staticmethod
    def with_ratio(tensors: Tensors, alpha: float, rank: int) -> dict[str, Tensor]:
        """The tensors with the ratio alpha/rank of a PEFT configuration."""
        return {"alpha": torch.tensor(alpha)}

    @classmethod
    def to_peft(cls, layers: Mapping[str, Tensors]) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """(configuration, tensors by full name) of a PEFT folder with these layers, by their
        dotted paths. `BenchError` for what PEFT cannot say."""
        raise BenchError(f"PEFT has no {cls.__name__}")

    @classmethod
    def comfyui_refuses(cls, tensors: Tensors, swapped: bool) -> str | None:
        """What ComfyUI does in place of the change: "leaves (IA)³ out"; None where it applies
        it. `swapped`: it takes the layer's two halves of outputs the other way round."""
        return f"does not know {cls.__name__}"

    @staticmethod
    def for_comfyui(tensors: Tensors) -> Tensors:
        """The same change in a form that ComfyUI reads."""
        return tensors
