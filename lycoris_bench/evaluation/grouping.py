"""Groups checkpoints into trainings, each in the order in which they were written."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lycoris_bench.evaluation.about import About
from lycoris_bench.evaluation.found import Found
from lycoris_bench.evaluation.moments import Unit
from lycoris_bench.files.identity import uid
from lycoris_bench.study import names

LONGEST = 80  # characters of a configuration's name
UNITS: tuple[Unit, ...] = ("epoch", "step")
TOLD: Mapping[Unit, str] = {"step": "steps", "epoch": "epochs"}


@dataclass(frozen=True)
class Training:
    """Checkpoints of one training in their order, and the moments that their names say. The last
    may have none: it is shown at the moment `last`, as its metadata say, else (`guessed`) as long
    after the one before it as that is after its own."""

    name: str
    checkpoints: tuple[Found, ...]
    moments: tuple[int, ...] = ()
    unit: Unit = "epoch"
    last: int | None = None
    guessed: bool = False

    @property
    def about(self) -> About:
        """What is known of it: what its last checkpoint tells."""
        return self.checkpoints[-1].about


def trainings(found: Iterable[Found], problems: dict[str, str], run: Path) -> list[Training]:
    """The trainings of checkpoints, each with a name of its own (`name_of`). A checkpoint that has
    no place in its training, or whose training can have no name, is added to `problems`: path ->
    reason."""
    groups: dict[tuple[Path, str], list[Found]] = defaultdict(list)
    for one in found:
        groups[one.training].append(one)
    made: dict[str, Training] = {}
    for (place, own), group in groups.items():
        name = name_of(place / own, run)
        if mistakes := [*names.problems([*made, name])]:
            problems |= {str(one.path): f"cannot be named: {mistakes[0]}" for one in group}
        else:
            made[name] = _ordered(name, group, problems)
    return [*made.values()]


def name_of(training: Path, run: Path) -> str:
    """What a training is called: its path from the nearest folder that holds both it and the run
    folder, with '-' between the parts.

    The name is made of these two paths alone, and the run folder files everything under it: what
    else is evaluated changes no name, so that nothing is drawn again.

    >>> name_of(Path("/me/out/dog"), Path("/me/runs/eval-out"))
    'out-dog'
    >>> name_of(Path("/data/dog"), Path("/me/runs/eval-out"))
    'data-dog'
    >>> name_of(Path("/me/out"), Path("/me/out/run")), name_of(Path("/me/base"), Path("/me/run"))
    ('out', 'given-base')
    """
    try:
        shared = os.path.commonpath([training.parent, run.parent])
    except ValueError:  # on two drives
        shared = training.anchor
    parts = training.parts[len(Path(shared).parts) :]
    name = "".join(letter if letter.isprintable() else "_" for letter in "-".join(parts))
    if len(name) > LONGEST:
        start = uid(name)[:8]
        name = f"{start}-{name[len(start) + 1 - LONGEST :]}"
    name = name.strip(" .") or "given"
    return f"given-{name}" if any(names.problems([name])) else name


def _ordered(name: str, group: list[Found], problems: dict[str, str]) -> Training:
    unit = _unit(group)
    undated = [one for one in group if one.moment.at is None]
    times: dict[int, Found] = {}
    for one in group:
        at = _at(one, unit)
        if at is None:
            if one.moment.at is not None:
                problems[str(one.path)] = f"its name says no {unit}, as others of its training do"
        elif at in times:
            problems[str(one.path)] = f"is of {unit} {at}, as {times[at].path.name} is"
        else:
            times[at] = one
    for one in undated[:-1]:
        problems[str(one.path)] = "its name says no moment, nor does another's of its training"
    moments = tuple(sorted(times))
    checkpoints = (*(times[at] for at in moments), *undated[-1:])
    if not (undated and moments):
        return Training(name, checkpoints, moments, unit)
    told = undated[-1].about.whole(TOLD[unit])
    if told is not None and told > moments[-1]:
        return Training(name, checkpoints, moments, unit, told)
    guess = moments[-1] + (moments[-1] - moments[-2] if len(moments) > 1 else moments[-1] or 1)
    return Training(name, checkpoints, moments, unit, guess, guessed=True)


def _unit(group: Sequence[Found]) -> Unit:
    """The unit that most names have, so that it stays the same as more come; of two, the one that
    dates more of them."""
    counts = {
        unit: (
            sum(one.moment.unit == unit for one in group),
            sum(_at(one, unit) is not None for one in group),
        )
        for unit in UNITS
    }
    return max(UNITS, key=lambda unit: counts[unit])


def _at(one: Found, unit: Unit) -> int | None:
    """When a checkpoint was written: by its name, which says it in one unit, and in another by its
    metadata. A name that says nothing is not dated, as metadata have it in several units, of which
    its neighbours would choose one."""
    if one.moment.at is None or one.moment.unit == unit:
        return one.moment.at
    told = one.about.whole(TOLD[unit])
    return told if told is not None and told >= 1 else None
