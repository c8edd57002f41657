"""What each table of a study file is like, and the kinds of values that it holds."""

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    TypeAdapter,
)

from lycoris_bench.messages.errors import BenchError


def _once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    for value, times in Counter(values).items():
        if times > 1:
            raise BenchError(f"'{value}' is named twice; name it once")
    return values


def ascending(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values as they are. BenchError: there is none, or they do not ascend."""
    if not values or list(values) != sorted(set(values)):
        raise BenchError("at least one is needed, ascending, each once")
    return values


LONGEST_NAME = 255  # bytes of a folder's name
LARGEST_SEED = 2**62  # image k has the seed plus k, and generators take 64 bits
Precision = Literal["fp32", "bf16", "fp16"]
Text = Annotated[str, Field(min_length=1)]
Side = Annotated[int, Field(ge=8, le=4096, multiple_of=8)]
Batch = Annotated[int, Field(ge=1, le=4096)]
_BATCH: TypeAdapter[int] = TypeAdapter(Batch)


def _batch_or_auto(value: Any) -> int | Literal["auto"]:
    if not isinstance(value, str):
        return _BATCH.validate_python(value, strict=True)
    if value != "auto":
        raise BenchError('a whole number or "auto" is needed')
    return "auto"


BatchOrAuto = Annotated[int | Literal["auto"], PlainValidator(_batch_or_auto)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Share = Annotated[float, Field(ge=0, lt=1)]
Strength = Annotated[float, Field(ge=-10, le=10)]
# TOML has lists where these are tuples; what is in them is as strict as the rest.
Listed = Strict(False)
Names = Annotated[tuple[Text, ...], Listed, AfterValidator(_once)]
Some = Annotated[Names, Field(min_length=1)]
Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Listed, AfterValidator(ascending)
]
Pair = Annotated[tuple[Text, Text], Listed]
Epochs = Annotated[
    tuple[Annotated[int, Field(ge=1, le=100_000)], ...], Listed, AfterValidator(ascending)
]

Moments = Annotated[  # of trainings that others ran: steps may be millions, and begin at 0
    tuple[Annotated[int, Field(ge=0, lt=2**62)], ...], Listed, AfterValidator(ascending)
]


class Table(BaseModel):
    """A table that refuses unknown keys and values of another type ("false" is not false), and
    never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
