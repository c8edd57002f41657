"""Groups checkpoints into trainings, each in the order in which they were written."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lycoris_bench.evaluation.about import About
from lycoris_bench.evaluation.found import Found
from lycoris_bench.evaluation.moments import Unit
from lycoris_bench.messages.errors import BenchError

LONGEST = 80  # characters of a configuration's name
UNITS: tuple[Unit, ...] = ("step", "epoch")
TOLD: Mapping[Unit, str] = {"step": "steps", "epoch": "epochs"}


@dataclass(frozen=True)
class Training:
    """Checkpoints of one training in their order. `guessed`: the moment of the last was not said,
    and is taken for as long after the one before it as that is after its own."""

    name: str
    checkpoints: tuple[Found, ...]
    moments: tuple[int, ...] = ()
    unit: Unit = "epoch"
    guessed: bool = False

    @property
    def about(self) -> About:
        """What is known of it: what its last checkpoint tells."""
        return self.checkpoints[-1].about


def trainings(found: Iterable[Found], problems: dict[str, str]) -> list[Training]:
    """The trainings of checkpoints, each with a name of its own. A checkpoint that has no place in
    its training is added to `problems`: path -> reason."""
    groups: dict[tuple[Path, str], list[Found]] = defaultdict(list)
    for one in found:
        groups[one.training].append(one)
    named = _names(list(groups))
    return [
        _ordered(name, group, problems) for name, group in zip(named, groups.values(), strict=True)
    ]


def _ordered(name: str, group: list[Found], problems: dict[str, str]) -> Training:
    if len(group) == 1:
        moment = group[0].moment
        at = group[0].moment.at
        return Training(name, (group[0],), () if at is None else (at,), moment.unit or "epoch")
    unit = _unit(group)
    dated = {one.path: _at(one, unit) for one in group}
    without = [one for one in group if dated[one.path] is None]
    there = sorted(
        (one for one in group if dated[one.path] is not None),
        key=lambda one: dated[one.path] or 0,
    )
    times: dict[int, Found] = {}
    for one in there:
        at = dated[one.path] or 0
        if at in times:
            problems[str(one.path)] = f"is of {unit} {at}, as {times[at].path.name} is"
        times.setdefault(at, one)
    guessed = bool(without) and bool(times)
    if guessed:
        last, *before = sorted(times, reverse=True)
        times[last + (last - before[0] if before else last or 1)] = without[-1]
    for one in without[:-1] if guessed else without[1:]:
        problems[str(one.path)] = f"its name says no {unit}, nor does another's of its training"
    if not times:
        return Training(name, (without[0],))
    moments = tuple(sorted(times))
    return Training(name, tuple(times[at] for at in moments), moments, unit, guessed)


def _unit(group: Sequence[Found]) -> Unit:
    """The unit that most names have, so that it stays the same as more come; else the one that
    dates the most by their metadata."""
    counts = {
        unit: (
            sum(one.moment.unit == unit for one in group),
            sum(_at(one, unit) is not None for one in group),
        )
        for unit in UNITS
    }
    return max(UNITS, key=lambda unit: counts[unit])


def _at(one: Found, unit: Unit) -> int | None:
    """When a checkpoint was written, by its name, else by its metadata."""
    if one.moment.unit == unit:
        return one.moment.at
    told = one.about.whole(TOLD[unit])
    return told if told is not None and told >= 1 else None


def _names(keys: Sequence[tuple[Path, str]]) -> list[str]:
    """A name for each training: its own, else its folder's; with the folders above it where two
    are called alike. BenchError: their names are of the same letters all the way up."""
    parts = [[*place.parts[1:], *([own] if own else [])] or ["given"] for place, own in keys]
    for depth in range(1, max(map(len, parts), default=1) + 1):
        names = [_safe("-".join(part[-depth:])) for part in parts]
        if len({name.casefold() for name in names}) == len(names):
            return names
    twice = next(n for k, n in enumerate(names) if n.casefold() in map(str.casefold, names[:k]))
    raise BenchError(f"two checkpoints would be called '{twice}'; rename one of their folders")


def _safe(name: str) -> str:
    """A name that a configuration may have: printable, no ends that file systems drop."""
    kept = "".join(letter if letter.isprintable() else "_" for letter in name)
    return kept[-LONGEST:].strip(" .") or "given"
