"""What is wrong with a study file's tables, as sentences: what was found, what is meant or
allowed."""

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from lycoris_bench.messages import suggestions
from lycoris_bench.study.settings import Settings

LONGEST = 200  # characters of a value that are shown
NEEDED = {
    "bool_type": "true or false is needed",
    "dict_type": "a table is needed",
    "float_type": "a number is needed",
    "int_type": "a whole number is needed",
    "model_type": "a table is needed",
    "string_too_short": "a text of at least one character is needed",
    "string_type": "a text is needed, in quotes",
    "too_short": "at least {min_length} is needed",
    "tuple_type": "a list is needed",
    "finite_number": "a finite number is needed",
    "greater_than": "a number above {gt} is needed",
    "greater_than_equal": "{ge} or more is needed",
    "less_than": "a number below {lt} is needed",
    "less_than_equal": "at most {le} is allowed",
    "multiple_of": "a multiple of {multiple_of} is needed",
    "literal_error": "{expected} is allowed",
}


def explain(detail: Mapping[str, Any], file: type[BaseModel] = Settings) -> str:
    """One error of pydantic in a `file` as a sentence."""
    where = ".".join(str(part) for part in detail["loc"])
    if not where:
        return str(detail["msg"].removeprefix("Value error, "))
    if detail["type"] == "extra_forbidden":
        parents = detail["loc"][:-1]
        allowed = suggestions.dotted(parents, _table(parents, file).model_fields)
        others, table = elsewhere(detail["loc"][-1]), "".join(f"{part}." for part in parents)
        return suggestions.unknown("key", where, allowed, others, table)
    if detail["type"] == "missing":
        return f"'{where}' is missing"
    message = detail["msg"].removeprefix("Value error, ")
    needed = NEEDED.get(detail["type"], "").format(**detail.get("ctx", {}))
    needed = needed or message[0].lower() + message[1:]
    return f"'{where}' is {shown(detail['input'])}: {needed}"


def shown(value: Any) -> str:
    """A value as it is written in a sentence; long ones are cut.

    >>> shown("x" * 300)[-5:], shown([1, 2])
    ('xx...', '[1, 2]')
    """
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        text = "a number of thousands of digits"
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


def elsewhere(key: Any) -> list[str]:
    """Where a key belongs, dotted, in the outermost tables that have it; none: it is a key of no
    table.

    >>> elsewhere("prompt_types"), elsewhere("prompts"), elsewhere("batch"), elsewhere("images")
    (['sampling.prompt_types'], ['prompts'], [], ['sampling.images'])
    """
    found = [name for name in _keys(Settings) if name.rpartition(".")[2] == key]
    outermost = min((name.count(".") for name in found), default=0)
    return [name for name in found if name.count(".") == outermost]


def _keys(model: type[BaseModel], parents: tuple[str, ...] = ()) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield ".".join((*parents, name))
        kind = _given(field.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _keys(kind, (*parents, name))


def _given(annotation: Any) -> Any:
    """The type of a key that may be left out, where it is given."""
    if get_origin(annotation) is not UnionType:
        return annotation
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    return kinds[0] if len(kinds) == 1 else annotation


def _table(location: tuple[Any, ...], file: type[BaseModel]) -> type[BaseModel]:
    """The model of the table at this place; a table of tables has names of the user's between."""
    model = file
    parts = iter(location)
    for part in parts:
        kind = _given(model.model_fields[str(part)].annotation)
        if get_origin(kind) is dict:
            next(parts, None)
            kind = get_args(kind)[1]
        model = kind
    return model
