"""What was found of checkpoints, in plain English, the most useful first."""

from collections.abc import Iterator, Sequence

from lycoris_bench.analysis.findings.wording import some
from lycoris_bench.analysis.keeping.choice import (
    CLOSED,
    FIDELITY,
    KEPT,
    LIKELY,
    TRADE_OFF,
    Choice,
    can_tell,
)
from lycoris_bench.analysis.keeping.numbers import Key, Numbers
from lycoris_bench.files.identity import exact
from lycoris_bench.messages.numbers import number, percent, plural

Window = tuple[str, int | None]  # a checkpoint at all its strengths
MOST = 4  # checkpoints that a sentence names
SCOPE = (
    "This is said of these checkpoints on these prompts: one training each says nothing of how far "
    "another of the same settings would be from it."
)


def sentences(
    found: Sequence[Numbers], chosen: Choice, names: dict[Key, str], windows: dict[Window, str]
) -> list[str]:
    """A sentence on which to keep, one a criterion, and one on strengths; `windows`: what each
    checkpoint is called, whatever its strength."""
    if not found:
        return ["No checkpoint was scored: nothing can be compared."]
    if len(names) < 2:
        return [
            *_idle(found, names), *_learned(found, chosen, names), *_alone(found, names),
            *_windows(chosen, windows),
        ]  # fmt: skip
    lines = [
        *_idle(found, names),
        *_learned(found, chosen, names),
        *_front(chosen, names),
        *(_criterion(one, chosen, names) for one in found),
    ]
    return [*lines, *_windows(chosen, windows), SCOPE]


def _front(chosen: Choice, names: dict[Key, str]) -> Iterator[str]:
    likely = [(key, share) for key, share in chosen.front.items() if share >= LIKELY]
    if not likely:
        return
    told = [best for key, best in chosen.best.items() if key in TRADE_OFF]
    if all(len(best) == len(names) for best in told):
        yield (
            f"As far as this tells, any of the {len(names)} may be kept: neither fidelity nor "
            "control tells one of them from the best."
        )
        return
    if len(likely) == 1:
        key, share = likely[0]
        yield (
            f"Keep {names[key]}: in {percent(share)} of resamplings of the prompts no other is at "
            "least as good in both fidelity and control."
        )
        return
    named = [f"{names[key]} ({percent(share)})" for key, share in likely[:MOST]]
    more = f" and {len(likely) - MOST} more" if len(likely) > MOST else ""
    yield (
        f"Keep one of {', '.join(named)}{more}: in that share of resamplings of the prompts no "
        "other is at least as good in both fidelity and control."
    )


def _idle(found: Sequence[Numbers], names: dict[Key, str]) -> Iterator[str]:
    """Who draws the base model's own pictures, as what is not applied would."""
    for one in found:
        if one.criterion.key == "preservation":
            idle = [names[key] for key, loss in zip(one.keys, one.means, strict=True) if not loss]
            if idle:
                verb = "draws" if len(idle) == 1 else "draw"
                yield (
                    f"{some(idle)} {verb} the base model's own pictures of style prompts: nothing "
                    "of what was trained is seen in them."
                )


def _learned(found: Sequence[Numbers], chosen: Choice, names: dict[Key, str]) -> Iterator[str]:
    """Who cannot be told from the base model in fidelity: nothing shows that it learned."""
    one = next((one for one in found if one.criterion.key == FIDELITY), None)
    if one is None or one.of_base is None:
        return
    if chosen.gaining is None:
        yield (
            f"No test can tell a checkpoint from the base model by {_units(one)}: nothing shows "
            "that the concept was learned. Draw more (--count)."
        )
        return
    without = [names[key] for key in one.keys if key not in chosen.gaining]
    if without and len(without) == len(one.keys):
        subject = "No checkpoint is" if len(without) > 1 else f"{without[0]} is not"
        yield (
            f"{subject} told from the base model in fidelity ({one.criterion.what}): nothing shows "
            "that the concept was learned, and what follows may be chance."
        )
    elif without:
        yield f"Not told from the base model in fidelity: {some(without)}."


def _units(one: Numbers) -> str:
    """How many numbers of a checkpoint are compared, and of what."""
    return plural(one.values.shape[1], "image or prompt", "images or prompts")


def _criterion(one: Numbers, chosen: Choice, names: dict[Key, str]) -> str:
    heading, best = one.criterion.heading, chosen.best[one.criterion.key]
    top = one.keys.index(best[0])
    value = f"{number(float(one.means[top]))}{_error(one, top)}{_beside(one)}"
    others = [names[key] for key in best[1:]]
    if not can_tell(len(one.keys), one.values.shape[1]):
        return (
            f"{heading} ({one.criterion.what}): {names[best[0]]} has the best, {value}; no test "
            f"can tell {len(best)} checkpoints from one another by {_units(one)}."
        )
    if len(best) == len(one.keys):
        return (
            f"{heading} ({one.criterion.what}) tells none of the {len(best)} checkpoints from "
            f"another; {names[best[0]]} has {value}."
        )
    tied = f"; not told from it: {some(others)}" if others else ""
    return f"{heading} ({one.criterion.what}): {names[best[0]]} is best, {value}{tied}."


def _alone(found: Sequence[Numbers], names: dict[Key, str]) -> Iterator[str]:
    for one in found:
        value = number(float(one.means[0]))
        yield (
            f"{one.criterion.heading} of {names[one.keys[0]]}, the only checkpoint "
            f"({one.criterion.what}): {value}{_error(one, 0)}{_beside(one)}."
        )


def _error(one: Numbers, place: int) -> str:
    error = float(one.errors[place])
    return f" ± {number(error)}" if error == error else ""


def _beside(one: Numbers) -> str:
    """The base model's number and that of real images."""
    known = [
        f"{name} {number(value)}"
        for name, value in (("base model", one.base), ("real images", one.real))
        if value == value
    ]
    return f" ({', '.join(known)})" if known else ""


def _windows(chosen: Choice, names: dict[Window, str]) -> Iterator[str]:
    if not chosen.windows:
        return
    shown = [
        f"{names[key]} at {', '.join(map(exact, strengths))}"
        for key, strengths in chosen.windows.items()
        if strengths
    ]
    yield (
        f"Usable strengths, of those drawn, with at least {percent(CLOSED)} of the most fidelity "
        f"that any gains and {percent(KEPT)} of the base model's control: "
        f"{'; '.join(shown) or 'none'}."
    )
