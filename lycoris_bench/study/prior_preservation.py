"""Prior preservation in a study file: what keeps a training from changing what the base model knows
of a class."""

from typing import Annotated

from pydantic import Field

from lycoris_bench.study.table import Table


class PriorPreservation(Table):
    """The class-specific prior preservation loss of DreamBooth (Ruiz et al. 2023, section 3.2).

    Each step also shows images of the class that the base model drew before, as many as training
    images; their loss is added `weight` times. `images` are drawn of each class word, once, with
    the prompt of `class_prompt`."""

    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    images: Annotated[int, Field(ge=1, le=100_000)] = 200


def class_prompt(class_word: str) -> str:
    """What the base model draws class images of a class word from, and their caption.

    >>> class_prompt("stuffed toy")
    'a stuffed toy'
    """
    return f"a {class_word}"
