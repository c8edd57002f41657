"""What image sets ask for, whoever drew the images: a study, or other programs."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from lycoris_bench.data.dataset import Dataset
from lycoris_bench.study.load import Study
from lycoris_bench.study.records import Concept


class Cell(Protocol):
    """What an image set is of."""

    @property
    def concept(self) -> Concept: ...
    @property
    def prompt_type(self) -> str: ...


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
