"""The thumbnails of a report, kept in its run folder: the page shows them when it is written again,
after the images of the run, or its dataset, are gone or elsewhere."""

from collections.abc import Mapping
from typing import Any

from lycoris_bench.analysis.report.gallery import EMPTY, Gallery
from lycoris_bench.files import disk
from lycoris_bench.files.identity import uid
from lycoris_bench.run import manifest
from lycoris_bench.run.store import Store

ENTRIES, LEFT_OUT, REAL, TRAINING = "entries", "left_out", "real", "training"
KIND = ".webp"


def file_name(image: bytes) -> str:
    """The name of a thumbnail's file: the hash of its content."""
    return f"{uid(image.hex())}{KIND}"


def keep(store: Store, shown: Gallery) -> None:
    """Writes each thumbnail, then the list of them; those of an earlier list are removed."""
    folder, names = store.gallery.parent, set[str]()

    def kept(image: bytes) -> str:
        place = folder / file_name(image)
        if not place.exists() or place.read_bytes() != image:
            store.write(place, image)
        names.add(place.name)
        return place.name

    entries = [
        {
            **entry,
            "rows": [
                {"label": row["label"], "images": [kept(image) for image in row["images"]]}
                for row in entry["rows"]
            ],
        }
        for entry in shown.entries
    ]
    content = {
        ENTRIES: entries, LEFT_OUT: shown.left_out,
        REAL: {name: [kept(image) for image in images] for name, images in shown.real.items()},
        TRAINING: {sha: kept(image) for sha, image in shown.training.items()},
    }  # fmt: skip
    store.write(store.gallery, manifest.sealed(content))
    for place in folder.glob(f"*{KIND}"):
        if place.name not in names:
            place.unlink(missing_ok=True)


def read(store: Store) -> Gallery:
    """What was kept; empty where nothing was, or the list is damaged. A damaged or missing image is
    left out, and of a row those after it."""
    known = manifest.checked(store.gallery)
    try:
        entries = [{**entry, "rows": _rows(store, entry["rows"])} for entry in known[ENTRIES]]
        real = {str(name): _images(store, names) for name, names in _named(known, REAL)}
        training = {str(sha): _images(store, [name]) for sha, name in _named(known, TRAINING)}
        return Gallery(
            entries,
            str(known[LEFT_OUT]),
            {name: images for name, images in real.items() if images},
            {sha: images[0] for sha, images in training.items() if images},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return EMPTY


def _rows(store: Store, rows: Any) -> list[dict[str, Any]]:
    found = [(str(row["label"]), _images(store, row["images"])) for row in rows]
    return [{"label": label, "images": images} for label, images in found if images]


def _named(known: Mapping[str, Any], key: str) -> Any:
    """Name and value of each; older lists have none."""
    return known.get(key, {}).items()


def _images(store: Store, names: Any) -> list[bytes]:
    found: list[bytes] = []
    for name in map(str, names):
        try:
            data = disk.read_bytes(store.gallery.with_name(name))
        except disk.FileError:
            break
        if name != file_name(data):
            break
        found.append(data)
    return found
