"""Names that come from files, as a terminal or a spreadsheet may show them. No third party."""

import unicodedata
from typing import Any

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, direction marks, line separators
LONGEST = 300


def printable(text: object, longest: int = LONGEST) -> str:
    """The text on one line, with what a terminal would obey or hide written as an escape, and cut
    with the number of characters that are left out.

    >>> printable("a\\x1b[31mb\\u202ec\\nd")
    'a\\\\x1b[31mb\\\\u202ec\\\\nd'
    >>> printable("naïve ☃"), printable("x" * 12, longest=4)
    ('naïve ☃', 'xxxx… (8 more characters)')
    """
    whole = str(text)
    cut = whole if len(whole) <= longest else whole[:longest]
    shown = "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _HIDDEN else c
        for c in cut
    )
    left = len(whole) - len(cut)
    return f"{shown}… ({left} more characters)" if left else shown


def lines(text: str) -> str:
    """The same for a text of several lines, none of them cut.

    >>> lines("a\\nb\\x07")
    'a\\nb\\\\x07'
    """
    return "\n".join(printable(line, len(line)) for line in text.split("\n"))


def spreadsheet(text: str) -> str:
    """A text that no spreadsheet takes for a formula: a quote before =, +, -, @ or a tab.

    >>> spreadsheet("=1+1"), spreadsheet("lora"), spreadsheet("-")
    ("'=1+1", 'lora', "'-")
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def csv(table: Any) -> str:
    """A pandas data frame as CSV text, a line a row, in which no name is a formula and none has
    what a terminal would obey or hide; none is cut."""

    def shown(column: Any) -> Any:
        names = [value for value in column.unique() if isinstance(value, str)]
        written = {name: spreadsheet(printable(name, len(name))) for name in names}
        if all(name == text for name, text in written.items()):
            return column  # of millions of rows hardly any
        return [written.get(value, value) if isinstance(value, str) else value for value in column]

    names = table.select_dtypes(exclude="number").columns
    return str(table.assign(**{name: shown(table[name]) for name in names}).to_csv(index=False))
