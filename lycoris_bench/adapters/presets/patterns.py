"""Regular expressions from files and studies, matched without backtracking.

Python's own may take longer than anybody waits, `(a+)+b` does. Here all ways through a pattern are
followed at once (Thompson 1968), so that a text costs at most its length times the pattern's."""

import re
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.printable import printable

MOST_STATES, MOST_LOOKS = 500, 3  # of a pattern, with what it looks for ahead
LONGEST, DEEPEST = 1000, 20  # of a text and of a pattern, of groups in groups
PLAIN = re.compile(r"(?:[\w.-]|\\[._-])*")  # has a single way through it
TOKEN = re.compile(
    r"(?P<ahead>\(\?[=!])|(?P<open>\((?:\?:)?(?!\?))|(?P<end>\))|(?P<or>\|)|(?P<at>[\^$])"
    r"|(?P<some>[*+?]|\{\d+,?\d*\}|\{,\d+\})(?P<lazy>\??)(?!\+)"
    r"|(?P<one>\\[dDwWsS]|\\[^a-zA-Z0-9]|\[\^?\]?(?:\\[dDwWsS]|\\[^a-zA-Z0-9]|[^\]\\])*\]"
    r"|[^\\()\[*+?|])",
    re.DOTALL,
)
FINAL = 0
Build = Callable[[int], int]  # the state to go on to -> the state to begin with


class PatternError(BenchError):
    """The text is no regular expression, or uses an unsupported construct."""


class Pattern:
    """A regular expression of Python's without references to groups, boundaries of words,
    flags and looks behind.

    Raises `PatternError` for one that is none, or more than 500 steps long."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._next: list[tuple[int, ...]] = [()]
        self._test: list[tuple[str, str | Pattern]] = [("final", "")]
        self._tokens = _tokens(text)[::-1]  # the next is the last
        self._ahead = False
        build = self._any(0)
        if self._tokens:
            raise _no(text, "a bracket is closed that is not open")
        self._begin = build(FINAL)

    @property
    def steps(self) -> int:
        """The number of its steps, with repetitions written out."""
        return len(self._test)

    def match(self, text: str, whole: bool = False, start: int = 0) -> bool:
        """Whether it matches the text's beginning, or all of it."""
        if len(text) > LONGEST:
            raise PatternError(f"'{printable(text, 60)}' is a name of {len(text):,} letters; up to "
                               f"{LONGEST:,} are matched")  # fmt: skip
        states = self._closed([self._begin], text, start)
        for place in range(start, len(text)):
            if not states or (not whole and FINAL in states):
                break
            tests = ((state, *self._test[state]) for state in states)
            follow = [self._next[state][0] for state, kind, token in tests
                      if kind == "one" and _is(token, text[place])]  # fmt: skip
            states = self._closed(follow, text, place + 1)
        return FINAL in states

    def _closed(self, states: Iterable[int], text: str, place: int) -> set[int]:
        """The states, and those that they reach without consuming a letter."""
        reached: set[int] = set()
        waiting = list(states)
        while waiting:
            state = waiting.pop()
            if state in reached:
                continue
            reached.add(state)
            if self._passes(*self._test[state], text, place):
                waiting += self._next[state]
        return reached

    def _passes(self, kind: str, condition: "str | Pattern", text: str, place: int) -> bool:
        if kind == "at":
            return place == (0 if condition == "^" else len(text))
        if isinstance(condition, Pattern):
            return condition.match(text, start=place) == (kind == "=")
        return kind == "free"

    def _state(self, kind: str, condition: "str | Pattern", *following: int) -> int:
        if self.steps >= MOST_STATES:
            raise _no(self.text, f"it is more than {MOST_STATES} steps long")
        self._test.append((kind, condition))
        self._next.append(following)
        return len(self._test) - 1

    def _any(self, depth: int) -> Build:
        """Parses alternatives, separated by "|", up to the end or a closing bracket."""
        if depth > DEEPEST:
            raise _no(self.text, f"more than {DEEPEST} groups lie in one another")
        ways = [self._all(depth)]
        while self._tokens and self._tokens[-1][0] == "or":
            self._tokens.pop()
            ways.append(self._all(depth))
        if len(ways) == 1:
            return ways[0]
        return lambda after: self._state("free", "", *[way(after) for way in ways])

    def _all(self, depth: int) -> Build:
        """Parses a sequence, up to a "|", the end or a closing bracket."""
        parts: list[Build] = []
        while self._tokens and self._tokens[-1][0] not in ("or", "end"):
            kind, text = self._tokens.pop()
            part = self._part(kind, text, depth)
            if self._tokens and self._tokens[-1][0] == "some":
                if kind in ("ahead", "at"):
                    raise _no(self.text, f"'{text}' is repeated")
                part = self._some(part, self._tokens.pop()[1])
            parts.append(part)
        if not parts:  # a state for it all the same, or nothing bounds how often it is repeated
            return lambda after: self._state("free", "", after)

        def build(after: int) -> int:
            for part in reversed(parts):
                after = part(after)
            return after

        return build

    def _part(self, kind: str, text: str, depth: int) -> Build:
        if kind == "some":
            raise _no(self.text, f"'{text}' repeats nothing")
        if kind in ("one", "at"):
            return lambda after: self._state(kind, text, after)
        if kind == "ahead" and self._ahead:
            raise _no(self.text, f"'{text}' is inside of what is looked for ahead")
        before, self._ahead = self._ahead, self._ahead or kind == "ahead"
        inside, self._ahead = self._any(depth + 1), before
        if not self._tokens:
            raise _no(self.text, "a bracket is not closed")
        self._tokens.pop()
        if kind == "open":
            return inside
        return lambda after: self._state(text[2], self._lookahead(inside), after)

    def _lookahead(self, build: Build) -> "Pattern":
        """The pattern inside a lookahead; it shares these states."""
        if sum(isinstance(condition, Pattern) for _, condition in self._test) >= MOST_LOOKS:
            raise _no(self.text, f"it looks ahead more than {MOST_LOOKS} times")
        other = object.__new__(Pattern)
        other.__dict__ |= self.__dict__
        other._begin = build(FINAL)
        return other

    def _some(self, part: Build, text: str) -> Build:
        low, high = _bounds(text)
        if low > MOST_STATES or (high or 0) > MOST_STATES or (high is not None and high < low):
            raise _no(self.text, f"'{text}' is no number of times up to {MOST_STATES}")

        def build(after: int) -> int:
            if high is None:
                loop = self._state("free", "", after)
                self._next[loop] += (part(loop),)
                after = loop
            else:
                end = after = self._state("free", "", after)
                for _ in range(high - low):
                    after = self._state("free", "", end, part(after))
            for _ in range(low):
                after = part(after)
            return after

        return build


@lru_cache(4096)
def pattern(text: str) -> Pattern | re.Pattern[str]:
    """The pattern; Python's own where there is a single way through it, which is quicker."""
    return re.compile(text) if PLAIN.fullmatch(text) else Pattern(text)


def matches(text: str, name: str, whole: bool = False) -> bool:
    """Whether a pattern matches a name's beginning, or all of it. Raises `PatternError`."""
    compiled = pattern(text)
    if isinstance(compiled, Pattern):
        return compiled.match(name, whole)
    return (compiled.fullmatch(name) if whole else compiled.match(name)) is not None


def ends_with(text: str, name: str) -> bool:
    """Whether a pattern matches all of a dotted name or its last parts, as PEFT looks for it."""
    compiled = pattern(text)  # which is refused in its own words
    if isinstance(compiled, Pattern):
        return matches(rf"(?:.*\.)?(?:{text})", name, whole=True)
    starts = (0, *(dot.end() for dot in re.finditer(r"\.", name)))
    return any(compiled.fullmatch(name, start) for start in starts)


def steps_of(text: str) -> int:
    """The number of steps of a pattern; 0 where there is a single way to match it."""
    compiled = pattern(text)
    return compiled.steps if isinstance(compiled, Pattern) else 0


@lru_cache(65536)
def _is(token: "str | Pattern", letter: str) -> bool:
    with warnings.catch_warnings(action="ignore"):  # of classes that look like sets
        return re.fullmatch(str(token), letter) is not None


def _bounds(text: str) -> tuple[int, int | None]:
    """(least, most) of a repetition, None for no end."""
    if text in "*+?":
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[text]
    low, comma, high = text[1:-1].partition(",")
    least = int(low[:6] or 0)
    return least, (int(high[:6]) if high else None) if comma else least


def _tokens(text: str) -> list[tuple[str, str]]:
    if len(text) > LONGEST:
        raise _no(text, f"it has {len(text):,} letters, and up to {LONGEST:,} are allowed")
    try:
        with warnings.catch_warnings(action="ignore"):
            re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise PatternError(f"'{printable(text, 60)}' is no regular expression ({error})") from None
    tokens, place = [], 0
    while place < len(text):
        token = TOKEN.match(text, place)
        if token is None:
            raise _no(text, f"'{printable(text[place : place + 8], 20)}' is not read here")
        kind = next(key for key, value in token.groupdict().items() if value and key != "lazy")
        tokens.append((kind, token[kind]))
        place = token.end()
    return tokens


def _no(text: str, reason: str) -> PatternError:
    return PatternError(f"'{printable(text, 60)}' is not matched: {reason}; letters, classes, "
                        "groups, | * + ? {m,n} ^ $ are allowed")  # fmt: skip
