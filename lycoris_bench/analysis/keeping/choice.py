"""Which checkpoints no other beats in both fidelity and control, which cannot be told from the best
of each criterion, and at which strengths a checkpoint can be used."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lycoris_bench.analysis.compare import ALPHA, DIFFERENT, compare
from lycoris_bench.analysis.comparing.front import on_front
from lycoris_bench.analysis.comparing.many_tests import holm
from lycoris_bench.analysis.comparing.permutation import least_p
from lycoris_bench.analysis.keeping.numbers import Key, Numbers

FIDELITY = "fidelity"
TRADE_OFF = (FIDELITY, "control")
LIKELY = 0.5  # the share of resamplings from which a checkpoint is said to be on the front
CLOSED = 0.5  # of the most that any checkpoint gains in fidelity over the base model
KEPT = 0.9  # of the base model's control


@dataclass(frozen=True)
class Choice:
    """What is found of checkpoints. `best`: criterion -> those that cannot be told from the best,
    the best first; `front`: checkpoint -> how likely no other is at least as good in fidelity and
    control; `gaining`: those that are told from the base model in fidelity, above it, None where no
    test can tell it; `windows`: (configuration, moment) -> the strengths that keep control and gain
    fidelity, where any gains."""

    best: dict[str, list[Key]] = field(default_factory=dict)
    front: dict[Key, float] = field(default_factory=dict)
    windows: dict[tuple[str, int | None], list[float]] = field(default_factory=dict)
    gaining: list[Key] | None = None


def choice(found: list[Numbers]) -> Choice:
    """What the numbers say."""
    by_key = {one.criterion.key: one for one in found}
    gaining = _gaining(by_key[FIDELITY]) if FIDELITY in by_key else None
    return Choice(
        {key: _best(one) for key, one in by_key.items()},
        _front(by_key),
        _windows(by_key) if gaining else {},
        gaining,
    )


def can_tell(checkpoints: int, units: int) -> bool:
    """Whether the paired test can tell so many from one another by so many units, at best."""
    return least_p(checkpoints, units) <= ALPHA


def _gaining(one: Numbers) -> list[Key] | None:
    """Who is better than the base model: a paired test over prompts for each checkpoint, Holm over
    the checkpoints."""
    if one.of_base is None or not can_tell(2, one.values.shape[1]):
        return None
    p = holm(np.array([
        float(compare(np.stack([one.of_base, own])[:, None, :]).p[0, 1]) for own in one.values
    ]))  # fmt: skip
    above = one.values.mean(axis=1) > one.of_base.mean()
    return [
        key for key, tested, up in zip(one.keys, p, above, strict=True) if up and tested <= ALPHA
    ]


def _best(one: Numbers) -> list[Key]:
    """The best, and those that a paired test over prompts, Holm over all pairs, does not tell from
    it."""
    order = np.argsort(-one.values.mean(axis=1), kind="stable")
    if len(order) < 2:
        return [one.keys[k] for k in order]
    compared = compare(one.values[order][:, None, :])
    return [
        one.keys[k]
        for place, k in enumerate(order)
        if not place or compared.verdict(0, place) != DIFFERENT
    ]


def _front(by_key: dict[str, Numbers]) -> dict[Key, float]:
    if not all(key in by_key for key in TRADE_OFF):
        return {}
    sides = [by_key[key] for key in TRADE_OFF]
    keys = [key for key in sides[0].keys if key in sides[1].keys]
    if len(keys) < 2:
        return {}
    values = [side.values[[side.keys.index(key) for key in keys]][:, None, :] for side in sides]
    shares = on_front(values)
    known = {key: float(s) for key, s in zip(keys, shares, strict=True) if not np.isnan(s)}
    return dict(sorted(known.items(), key=lambda item: -item[1]))


def _windows(by_key: dict[str, Numbers]) -> dict[tuple[str, int | None], list[float]]:
    """Of each checkpoint that was drawn at several strengths, those at which fidelity has gained
    CLOSED of the most that any gains, and control is at least KEPT of the base model's."""
    if not all(key in by_key for key in TRADE_OFF):
        return {}
    fidelity, control = (by_key[key] for key in TRADE_OFF)
    gains = fidelity.means - fidelity.base
    most = gains.max(initial=0.0)
    if not (most > 0 and control.base > 0):
        return {}
    kept = dict(zip(control.keys, control.means / control.base, strict=True))
    windows: dict[tuple[str, int | None], list[float]] = {}
    drawn: dict[tuple[str, int | None], int] = {}
    for (name, moment, strength), gain in zip(fidelity.keys, gains, strict=True):
        drawn[name, moment] = drawn.get((name, moment), 0) + 1
        inside = windows.setdefault((name, moment), [])
        if gain >= CLOSED * most and kept.get((name, moment, strength), 0.0) >= KEPT:
            inside.append(strength)
    return {key: sorted(window) for key, window in windows.items() if drawn[key] > 1}


def as_data(found: list[Numbers], chosen: Choice, names: dict[Key, str]) -> dict[str, Any]:
    """All of it as plain values, under the names of the checkpoints, ready for JSON."""
    rows: dict[str, dict[str, Any]] = {name: {} for name in names.values()}
    for one in found:
        key = one.criterion.key
        for place, checkpoint in enumerate(one.keys):
            number = {"value": float(one.means[place])}
            if not np.isnan(one.errors[place]):
                number["stderr"] = float(one.errors[place])
            rows[names[checkpoint]][key] = number
    for checkpoint, share in chosen.front.items():
        rows[names[checkpoint]]["front"] = share
    return {
        "checkpoints": [{"checkpoint": name, **row} for name, row in rows.items()],
        "best": {key: [names[c] for c in best] for key, best in chosen.best.items()},
        "references": {
            one.criterion.key: {
                name: value
                for name, value in (("base", one.base), ("real", one.real))
                if not np.isnan(value)
            }
            for one in found
        },
        "prompts": {one.criterion.key: int(one.values.shape[1]) for one in found},
        "what": {one.criterion.key: one.criterion.what for one in found},
        "gaining": None if chosen.gaining is None else [names[key] for key in chosen.gaining],
    }
