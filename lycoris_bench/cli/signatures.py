"""Options that several commands share, listed once: as the fields of a dataclass."""

import inspect
from collections.abc import Callable
from typing import Any


def with_options(options: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes a command of a function whose parameter `told` is an object of the dataclass: the
    command has an option for each field in its place, under the same help."""

    def made(function: Callable[..., None]) -> Callable[..., None]:
        fields = inspect.signature(options).parameters
        own = inspect.signature(function).parameters

        def command(**given: Any) -> None:
            told = options(**{name: given.pop(name) for name in fields})
            function(told=told, **given)

        return shown_as(
            command,
            [
                parameter
                for name, own_one in own.items()
                for parameter in (fields.values() if name == "told" else [own_one])
            ],
            function.__doc__,
        )

    return made


def shown_as(
    command: Callable[..., None], parameters: list[inspect.Parameter], doc: str | None
) -> Callable[..., None]:
    """The command with these parameters, as the CLI library reads them."""
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = doc
    return command
