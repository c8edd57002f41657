"""Identity: a hash of values, and a number written exactly. Standard library only."""

import hashlib
import json
from dataclasses import asdict, is_dataclass
from typing import Any


def uid(*values: Any) -> str:
    """16 hex digits that identify the values: SHA-256 of their canonical JSON."""

    def plain(value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            return asdict(value)
        raise TypeError(f"{type(value).__name__} has no stable identity")

    text = json.dumps(values, sort_keys=True, separators=(",", ":"), default=plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def exact(value: float) -> str:
    """The shortest text that means this number and no other: what names and folders are made of.

    >>> exact(0.5), exact(1.0), exact(1e-5), exact(0.12345671)
    ('0.5', '1', '1e-05', '0.12345671')
    """
    text = f"{value:g}"
    return text if float(text) == value else repr(value)
