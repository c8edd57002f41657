"""Whether the numbers of two runs may stand in one table, and if not, what differs."""

from collections.abc import Iterator

from lycoris_bench.analysis.columns import CRITERIA
from lycoris_bench.analysis.unlike import protocol_parts, unlike_fingerprints
from lycoris_bench.exporting.run_values import RunValues, Term
from lycoris_bench.messages.printable import printable

SHOWN = 6  # phrases
COLUMNS = {"encoder": "the encoder", "resize": "the resizing", "n": "n, images of a set,",
           "better": "the direction"}  # fmt: skip
Terms = dict[str, Term]


def unlike(one: RunValues, other: RunValues) -> str | None:
    """What differs, as the end of a sentence; None: every criterion that both have is measured
    alike, and there is one."""
    found: dict[str, None] = {}
    shared = 0
    for criterion in CRITERIA:
        mine, theirs = _terms(one, criterion.key), _terms(other, criterion.key)
        if mine and theirs:
            shared += 1
            found |= dict.fromkeys(_differences(one, other, mine, theirs))
    if not shared:
        return "no criterion is measured in both"
    said = [printable(phrase) for phrase in found]
    more = [f"and {len(said) - SHOWN} more"] if len(said) > SHOWN else []
    return "; ".join([*said[:SHOWN], *more]) or None


def _terms(run: RunValues, criterion: str) -> Terms:
    return {term.concept: term for term in run.terms if term.criterion == criterion}


def _differences(one: RunValues, other: RunValues, mine: Terms, theirs: Terms) -> Iterator[str]:
    """Phrases such as "steps 12 against 4"."""
    what = f"{next(iter(mine.values())).metric.replace('_', ' ')}"
    if alone := sorted(mine.keys() ^ theirs.keys()):
        more = f" and {len(alone) - 2} more" if alone[2:] else ""
        yield f"the concepts of {what} ({', '.join(alone[:2])}{more} only in one)"
    for concept in mine.keys() & theirs.keys():
        yield from _of_terms(one, other, mine[concept], theirs[concept], what)


def _of_terms(one: RunValues, other: RunValues, a: Term, b: Term, what: str) -> Iterator[str]:
    told = False
    for name, said in COLUMNS.items():
        if getattr(a, name) != getattr(b, name):
            told = True
            yield f"{said} of {what}: {getattr(a, name)} against {getattr(b, name)}"
    if a.fingerprint == b.fingerprint:
        return
    known, others = protocol_parts(a.protocol), protocol_parts(b.protocol)
    if known and others:
        for name in {**known, **others}:
            mine, theirs = known.get(name, "unknown"), others.get(name, "unknown")
            if mine != theirs:
                told = True
                yield f"the protocol of the images: {name} {mine} against {theirs}"
    elif known or others:
        unknown = other.name if known else one.name
        told = True
        yield f"the protocol of the images: that of {unknown} is not known"
    weights = one.encoders.get(a.encoder), other.encoders.get(b.encoder)
    if a.encoder == b.encoder and all(weights) and weights[0] != weights[1]:
        told = True
        yield f"the weights of the encoder {a.encoder}: {weights[0]} against {weights[1]}"
    if not told:
        if all(weights):
            yield f"the reference images or texts of {what}, or the metric's version"
        else:
            yield f"{what}: {unlike_fingerprints(a.fingerprint, b.fingerprint)}"
