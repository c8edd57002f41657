"""A prompt with options at its end, as trainers read one from a line: `a cat --n dog --d 42`."""

import re

_OPTION = re.compile(
    r"(?:^|\s)--(p2|n2?|[whdslg]|seed|cfg|steps|m|gr|ss|fs|cn|am|ctr|ci)(?=\s|$)", re.IGNORECASE
)
Options = list[tuple[str, str]]
"""Names, in lower case and without dashes, with their values as text."""


def split(line: str) -> tuple[str, Options]:
    """The prompt and the options of a line.

    >>> split("a cat -- or two --n dog, wet --W 512 --l 7.5")
    ('a cat -- or two', [('n', 'dog, wet'), ('w', '512'), ('l', '7.5')])
    """
    prompt, *options = _OPTION.split(" ".join(line.split()))
    pairs = zip(options[::2], options[1::2], strict=True)
    return prompt.strip(), [(name.lower(), value.strip()) for name, value in pairs]
