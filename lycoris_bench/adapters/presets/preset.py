"""Presets: the layers they choose by class and name, and the options they set for each."""

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.algorithms.options import LIMITS
from lycoris_bench.adapters.presets.patterns import matches
from lycoris_bench.messages import suggestions


@dataclass(frozen=True)
class Override:
    """An entry of a preset's map: another algorithm for its layers, or other options."""

    algorithm: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def applied(self, algorithm: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """(algorithm, options) of a layer: those of the configuration, replaced where they are
        given. Another algorithm takes only the limits (`dropout`, `max_norm`, ...) over."""
        if self.algorithm in (None, algorithm):
            return algorithm, {**options, **self.options}
        held = {key: value for key, value in options.items() if key in LIMITS}
        return str(self.algorithm), {**held, **self.options}


Map = tuple[tuple[str, Override], ...]


@dataclass(frozen=True)
class Preset:
    """Layers inside modules of these classes, and layers whose dotted path fits a name.

    A name is a regular expression that fits from the path's start, or with `fnmatch` a pattern of
    the whole path. What a map names is trained, and the first entry that fits a layer holds,
    names before classes. `convolutions` takes kernels larger than 1x1, `norms` the norms."""

    unet: tuple[str, ...] = ()
    text_encoder: tuple[str, ...] = ()
    unet_names: tuple[str, ...] = ()
    text_encoder_names: tuple[str, ...] = ()
    convolutions: bool = False
    norms: bool = False
    by_class: Map = ()
    by_name: Map = ()
    excluded: tuple[str, ...] = ()
    fnmatch: bool = False
    only: str = ""  # the one algorithm that the preset is for

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Preset":
        """A user's own preset, from the keys that the ecosystem's preset files have.

        Missing keys are empty, except `enable_conv`, which is true. BenchError: names every
        mistake."""
        from lycoris_bench.adapters.presets.preset_reader import read_table

        return cls(**read_table(table))

    def __str__(self) -> str:
        parts = {
            "U-Net": (*self.unet, *self.unet_names),
            "text encoder": (*self.text_encoder, *self.text_encoder_names),
            "maps": [name for name, _ in self.maps],
        }
        extras = [word for word, on in (("convolutions", self.convolutions),
                                        ("norms", self.norms)) if on]  # fmt: skip
        chosen = [f"{part}: {', '.join(names)}" for part, names in parts.items() if names]
        only = [f"only for {self.only}"] if self.only else []
        return "; ".join([*chosen, *([f"with {' and '.join(extras)}"] if extras else []), *only])

    @property
    def maps(self) -> Map:
        """Every entry of both maps: what it is for, and what it changes there."""
        return (*self.by_class, *self.by_name)

    def classes(self, is_text: bool) -> tuple[str, ...]:
        """The classes that the preset names."""
        listed = self.text_encoder if is_text else self.unet
        return (*listed, *(name for name, _ in self.by_class))

    def takes(self, path: str, is_text: bool, inside: tuple[str, ...]) -> bool:
        """Whether the preset chooses a layer of this path, inside modules of these classes."""
        if any(self._fits(name, path) for name in self.excluded):
            return False
        listed = self.text_encoder_names if is_text else self.unet_names
        names = (*listed, *(name for name, _ in self.by_name))
        return bool(set(self.classes(is_text)) & set(inside)) or any(
            self._fits(name, path) for name in names
        )

    def override(self, path: str, inside: tuple[str, ...]) -> Override:
        """The map entry of a layer; empty where none matches."""
        named = (change for name, change in self.by_name if self._fits(name, path))
        classed = (change for name, change in self.by_class if name in inside)
        return next(named, None) or next(classed, None) or Override()

    def _fits(self, name: str, path: str) -> bool:
        if self.fnmatch:
            return fnmatch.fnmatchcase(path, name)
        return matches(name, path)


def known_algorithm(name: Any) -> str | None:
    """The sentence for an algorithm that does not exist, None for one that does."""
    entries = ALGORITHMS.entries()
    return None if name in entries else suggestions.unknown("algorithm", name, entries)
