"""What the paper says, as data: a contrast, a metric, and which way it should go."""

from dataclasses import dataclass

from lycoris_bench.analysis.claims.contrasts import CONTRASTS, MEMBERS
from lycoris_bench.analysis.columns import CRITERIA, Criterion

MORE, LESS, LITTLE = "more", "less", "little"
FEW_IMAGES = ("scenes", "stuffed toys", "toys")  # at most a dozen images a class
NOUNS = {
    "fidelity": "image similarity",
    "control": "text similarity",
    "diversity": "diversity",
    "preservation": "preservation",
}
VERBS = {MORE: "raises", LESS: "lowers", LITTLE: "hardly changes"}


@dataclass(frozen=True)
class Claim:
    """A change of one setting moves the score of one view: up, down, or by little.

    `expected` is about the score, where 1 is always best: style loss that grows is preservation
    that falls. Said of `only` these categories, or of all but `but` (empty: of all)."""

    id: str
    sentence: str
    section: str
    contrast: str
    metric: str
    prompt_type: str
    expected: str
    only: tuple[str, ...] = ()
    but: tuple[str, ...] = ()

    def said_of(self, category: str) -> bool:
        """Whether the paper says it of a category.

        >>> next(c for c in CLAIMS if c.id == "overtraining").said_of("styles")
        False
        """
        return category not in self.but and (not self.only or category in self.only)


@dataclass(frozen=True)
class Order:
    """Table 1's order of the algorithms by one criterion; `ranks`: member -> rank, 5 is best."""

    id: str
    sentence: str
    section: str
    metric: str
    prompt_type: str
    ranks: dict[str, int]


# Contrast -> section, and what it does to fidelity, control, diversity and preservation.
EFFECTS: dict[str, tuple[str, tuple[str | None, ...]]] = {
    "epochs": ("5.3.2", (MORE, LESS, LESS, LESS)),
    "rate": ("5.3.2", (MORE, LESS, LESS, LESS)),
    "capacity": ("5.3.2", (MORE, LESS, LESS, LESS)),
    "attention": ("5.3.2", (LESS, MORE, MORE, MORE)),
    "convolutions": ("5.3.2", (LITTLE, LITTLE, LITTLE, LITTLE)),
    "alpha-1": ("5.3.2", (LESS, MORE, MORE, MORE)),
    "no-tags": ("H.3", (MORE, LESS, None, LESS)),
    "adjusted-tags": ("H.3", (MORE, LESS, None, LESS)),
    "tags-at-all": ("H.3", (MORE, LESS, None, LESS)),
}
# Table 1: the place of each algorithm, 5 is best. It does not rank preservation.
TABLE = {
    "fidelity": (3, 2, 4, 5, 1),
    "control": (2, 4, 1, 3, 5),
    "diversity": (3, 4, 2, 1, 5),
}


def _effects() -> list[Claim]:
    claims = []
    for name, (section, expected) in EFFECTS.items():
        for criterion, direction in zip(CRITERIA, expected, strict=True):
            if direction:
                but = FEW_IMAGES if (name, criterion.key) == ("epochs", "fidelity") else ()
                claims.append(_claim(name, criterion, direction, section, but))
    return claims


def _algorithms() -> list[Claim]:
    """Table 1 in pairs: each algorithm against LoRA, the first of them."""
    return [
        _claim(name, criterion, MORE if ranks[place] > ranks[0] else LESS, "Table 1")
        for place, name in list(enumerate(MEMBERS))[1:]
        for criterion in CRITERIA
        if (ranks := TABLE.get(criterion.key))
    ]


def _claim(
    name: str, criterion: Criterion, expected: str, section: str, but: tuple[str, ...] = ()
) -> Claim:
    sentence = f"{CONTRASTS[name].subject} {VERBS[expected]} {NOUNS[criterion.key]}"
    if but:
        sentence += ", where there are more than a few images"
    view = (criterion.metric, criterion.prompt_type)
    return Claim(f"{name}-{criterion.key}", sentence, section, name, *view, expected, but=but)


_FIDELITY = CRITERIA[0]
OVERTRAINING = Claim(
    "overtraining",
    "With a few images, longer training lowers image similarity",
    "5.3.2", "epochs", _FIDELITY.metric, _FIDELITY.prompt_type, LESS, only=FEW_IMAGES,
)  # fmt: skip
CLAIMS = (*_effects()[:1], OVERTRAINING, *_effects()[1:], *_algorithms())
ORDERS = tuple(
    Order(
        f"order-{c.key}",
        f"Algorithms by {NOUNS[c.key]}: "
        + ", ".join(MEMBERS[m] for m in sorted(ranks, key=ranks.__getitem__, reverse=True)),
        "Table 1", c.metric, c.prompt_type, ranks,
    )
    for c in CRITERIA if c.key in TABLE
    for ranks in [dict(zip(MEMBERS, TABLE[c.key], strict=True))]
)  # fmt: skip
