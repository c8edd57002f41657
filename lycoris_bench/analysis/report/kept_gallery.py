"""The images of a report, kept in its run folder, so that its page shows them when it is written
again: of images that exist already, which may be gone or elsewhere by then."""

from typing import Any

from lycoris_bench.analysis.report.gallery import EMPTY, Gallery
from lycoris_bench.files import disk
from lycoris_bench.files.identity import uid
from lycoris_bench.run import manifest
from lycoris_bench.run.store import Store

ENTRIES, LEFT_OUT = "entries", "left_out"


def keep(store: Store, shown: Gallery) -> None:
    """Writes each thumbnail under the hash of its content, then the list of them."""
    folder = store.gallery.parent

    def kept(image: bytes) -> str:
        place = folder / f"{uid(image.hex())}.webp"
        if not place.exists() or place.read_bytes() != image:
            store.write(place, image)
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
    store.write(store.gallery, manifest.sealed({ENTRIES: entries, LEFT_OUT: shown.left_out}))


def read(store: Store) -> Gallery:
    """What was kept; empty where nothing was, or the list is damaged. A damaged or missing image is
    left out."""
    known = manifest.checked(store.gallery)
    try:
        entries = [
            {
                **entry,
                "rows": [
                    {"label": str(row["label"]), "images": _images(store, row["images"])}
                    for row in entry["rows"]
                ],
            }
            for entry in known[ENTRIES]
        ]
        return Gallery(entries, str(known[LEFT_OUT]))
    except (KeyError, TypeError):
        return EMPTY


def _images(store: Store, names: Any) -> list[bytes]:
    found = []
    for name in map(str, names):
        try:
            data = disk.read_bytes(store.gallery.with_name(name))
        except disk.FileError:
            continue
        if name == f"{uid(data.hex())}.webp":
            found.append(data)
    return found
