"""Lists and places in words."""


def some(names: list[str]) -> str:
    """Up to three names, the rest as a number.

    >>> some(["a"]), some(["a", "b"]), some(list("abcde"))
    ('a', 'a and b', 'a, b, c and 2 more')
    """
    shown = names[:3] if len(names) > 4 else names
    rest = len(names) - len(shown)
    words = [*shown, f"{rest} more"] if rest else list(shown)
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def ordinal(number: int) -> str:
    """
    >>> [ordinal(n) for n in (1, 2, 3, 11, 22)]
    ['1st', '2nd', '3rd', '11th', '22nd']
    """
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"
