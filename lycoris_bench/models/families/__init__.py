"""Families of base models, one file per family."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from lycoris_bench.models.families.base import Evidence, Family
from lycoris_bench.models.parts import BackboneError
from lycoris_bench.registry import Registry

FAMILIES = Registry("family", __name__, group="families")
PLAIN = "sd1"  # the family of models and adapters that do not tell theirs


def families() -> list[Family]:
    """One object of each family, in the order of their files' names."""
    return [kind() for kind in FAMILIES.entries().values()]


def plain() -> Family:
    """The family that a model without any mark is taken for."""
    return FAMILIES.get(PLAIN)()


def of_folder(folder: Path) -> Family:
    """The family of a pipeline's folder. BackboneError: two are equally likely."""
    return _surest(lambda family: family.in_folder(folder)) or plain()


def of_file(names: Collection[str]) -> Family | None:
    """The family of a single file, by its tensors' names. BackboneError: two are equally likely."""
    return _surest(lambda family: family.in_file(names))


def of_layers(layers: Mapping[str, int | None]) -> Family | None:
    """The family of an adapter's or a model's layers (name -> number of inputs, None where it is
    not known); None where it cannot be told."""
    evidence = {family: family.in_layers(layers) for family in families()}
    best = max(evidence, key=lambda family: evidence[family])
    return best if evidence[best] else None


def named(name: str) -> Family | None:
    """The family with this name in reports; None where there is none."""
    return next((family for family in families() if family.name == name), None)


def known_classes() -> dict[str, str]:
    """Class of a network -> the class that presets know it by, as families say it."""
    return {
        theirs: class_name
        for family in families()
        for theirs, class_name in family.known_classes.items()
    }


def _surest(evidence: Callable[[Family], Evidence]) -> Family | None:
    claims = [(evidence(family), family) for family in families()]
    most = max(sure for sure, _ in claims)
    best = [family.name for sure, family in claims if sure == most]
    if most and len(best) > 1:
        raise BackboneError(f"it may be {' or '.join(best)}: their files claim it alike")
    return next(family for sure, family in claims if sure == most) if most else None
