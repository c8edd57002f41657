"""The column `Folder` of the authors' tables: which checkpoint a row is of, and which concept."""

import re
from dataclasses import dataclass

from lycoris_bench.published.renames import (
    CATEGORIES,
    LAST_EPOCH,
    SEEDS,
    PublishedError,
    translated,
)

FORM = re.compile(
    r"(?:(?P<tenths>\d\d)/)?"
    r"(?P<drawn>\w+-\w[\w.+-]*?)(?:-(?P<experiment>exp-\d+-[^/]+)-(?P<letter>[abc])(?:-(?P<epoch>\d{6}))?)?"
    r"(?:/(?P<category>[^/]+)(?:/(?P<class_name>[^/]+)(?:/(?P<subclass>[^/]+))?)?)?"
)


@dataclass(frozen=True)
class FolderKey:
    """A row of theirs. `drawn` is sampler and base model; the base model has no experiment."""

    drawn: str
    experiment: str | None
    seed: int | None
    epoch: int | None
    strength: float
    category: str
    class_name: str
    subclass: str


def folder_key(folder: str) -> FolderKey:
    """`[<strength>/]<drawn>[-<experiment>-<seed>[-<epoch>]][/<category>[/<class>[/<sub-class>]]]`.

    >>> key = folder_key("ddim-sd-exp-1001-sd15-lora8a4-b-000030/people/Saw_Gerrera/bald, 3d")
    >>> key.experiment, key.seed, key.epoch, key.category, key.subclass
    ('exp-1001-sd15-lora8a4', 24, 30, 'movie characters', 'bald, 3d')
    >>> folder_key("07/ddim-sd-exp-1001-sd15-lora8a4-a").strength, folder_key("ddim-sd").experiment
    (0.7, None)
    """
    found = FORM.fullmatch(folder)
    names = found.groupdict(default="") if found else {}
    if (
        found is None
        or (found["experiment"] is None and re.search(r"-exp([-_\d]|$)", found["drawn"]))
        or {"..", "."} & {names["class_name"], names["subclass"]}
    ):
        raise PublishedError(
            f"folder '{folder}' cannot be read; needed is <sampler>-<model>"
            "[-exp-<number>-<name>-<a, b or c>[-<epoch, 6 digits>]][/<category>/<class>/...]"
        )
    category = found["category"]
    trained = found["experiment"] is not None
    return FolderKey(
        drawn=found["drawn"],
        experiment=found["experiment"],
        seed=SEEDS[found["letter"]] if trained else None,
        epoch=int(found["epoch"] or LAST_EPOCH) if trained else None,
        strength=int(found["tenths"]) / 10 if found["tenths"] else 1.0,
        category=translated(CATEGORIES, category, "category") if category else "",
        class_name=names["class_name"],
        subclass=names["subclass"],
    )
