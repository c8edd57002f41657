"""What scoring knows of all image sets, whether a study draws them or they exist already."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from lycoris_bench.data.dataset import Dataset
from lycoris_bench.study.load import Study
from lycoris_bench.study.records import Concept, Configuration


class Cell(Protocol):
    """What an image set is of."""

    @property
    def concept(self) -> Concept: ...
    @property
    def prompt_type(self) -> str: ...
    @property
    def second(self) -> Concept | None: ...


class Compared(Protocol):
    """What is known of all image sets: the plan of a study, or of images that exist already."""

    @property
    def study(self) -> Study: ...
    @property
    def data(self) -> Dataset: ...
    @property
    def heldout(self) -> Dataset | None: ...
    @property
    def kinds(self) -> Mapping[Concept, str]: ...
    @property
    def prompt_sets(self) -> Sequence[Cell]: ...
    def is_taught_all(self, configuration: Configuration) -> bool: ...
