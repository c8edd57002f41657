"""Real images that are held out from training (a study's `heldout`), and a check that they are."""

from dataclasses import replace
from pathlib import Path

from lycoris_bench.data.dataset import Dataset, Example, scan
from lycoris_bench.data.images import DataError

SHOWN = 3  # of many images or concepts


def held_out(given: str | None, data: Dataset) -> tuple[Dataset | None, tuple[str, ...]]:
    """The held-out images of a folder, None without one, and a warning for each doubt about them:
    that some are training images (the same bytes lie in `data`), or that concepts of `data` have
    none.

    DataError: the folder is missing or damaged, or holds training images alone."""
    if given is None:
        return None, ()
    folder = Path(given)
    heldout = _of_the_one(scan(folder, captions=False, what="heldout"), folder, data)
    trained = {example.sha256 for example in data.examples}
    shared = [example for example in heldout.examples if example.sha256 in trained]
    scored = {example.concept for example in data.examples if example.generate}
    usable = [e for e in heldout.examples if e.concept in scored] or heldout.examples
    if all(example.sha256 in trained for example in usable):
        every = f"all {len(usable)} images are training images"
        raise DataError(f"heldout {folder}", [
            f"{'its only image is a training image' if len(usable) == 1 else every} "
            f"({_some(shared, folder)}); give images that are not trained on, or leave "
            "'heldout' out, and half of the training images is held against the other half"
        ])  # fmt: skip
    doubts = []
    if shared:
        doubts.append(
            f"heldout {folder}: {len(shared)} of {len(heldout.examples)} images are training "
            f"images ({_some(shared, folder)}); take them out of one of the two folders"
        )
    if lacking := [
        str(concept) for concept in data.concepts if concept in scored - {*heldout.concepts}
    ]:
        doubts.append(
            f"heldout {folder}: {len(lacking)} of {len(scored)} concepts have no image there "
            f"({_listed(lacking)}); they have no ceiling of real images"
        )
    return heldout, tuple(doubts)


def _of_the_one(heldout: Dataset, folder: Path, data: Dataset) -> Dataset:
    """The held-out images; those of a folder of images alone are of the one concept that there is,
    whatever the folder is called."""
    scored = {example.concept for example in data.examples if example.generate}
    if len(scored) != 1 or any(example.path.parent != folder for example in heldout.examples):
        return heldout
    [concept] = scored
    return Dataset(tuple(replace(example, concept=concept) for example in heldout.examples))


def _some(examples: list[Example], folder: Path) -> str:
    return _listed([str(example.path.relative_to(folder)) for example in examples])


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
