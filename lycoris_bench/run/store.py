"""What a run folder holds, read and written.

Files are written under a temporary name, synced and renamed. The file that marks work as done is
written last. It carries the uid of the settings that made it, so that stale results are never
used, and a checksum, so that damaged ones are not."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lycoris_bench.files import disk, parquet
from lycoris_bench.run import executor, image_file, provenance
from lycoris_bench.run import folder as run_folder
from lycoris_bench.run.cards import Card
from lycoris_bench.run.folder import StoreError
from lycoris_bench.run.tree import Tree
from lycoris_bench.study.records import Checkpoint, Source

DAMAGED = ".damaged"


class Store(Tree):
    """Reads and writes of one run folder, whose paths are the tree's."""

    def at(self, place: Callable[[Path], Path]) -> "Store":
        """The run folder on a machine on which each file lies at `place(file)`."""
        return Store(place(self.root))

    # ---- the folder as a whole

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Locks the run for this process. StoreError: another process holds it."""
        with run_folder.held(self.root):
            run_folder.sweep(self.root)
            yield

    def belongs_to(self, study: str) -> None:
        """StoreError: the folder holds the run of another study, or files that are no run."""
        run_folder.belongs_to(self.root, study, self.recorded(provenance.STUDY_NAME))

    def describe(self, study: str, about: Mapping[str, Any], identities: Any = None) -> None:
        """Stores the resolved study, a provenance record, and each checkpoint's identity."""
        self.write(self.study, study)
        self.add_provenance(about)
        if identities is not None:
            self.write_json(self.identities, identities)

    def set_aside(self, path: Path) -> None:
        """Renames a damaged file, so that the stage that made it makes it again."""
        with contextlib.suppress(FileNotFoundError):  # another process was first
            path.replace(path.with_name(f"{path.name}{DAMAGED}"))

    def write(self, path: Path, data: bytes | str) -> Path:
        """Writes the file whole or not at all. StoreError: it cannot be written."""
        try:
            disk.write(path, data)
        except disk.FileError as error:
            raise StoreError(str(error)) from None
        executor.wrote(path)
        return path

    def write_json(self, path: Path, value: Any) -> Path:
        return self.write(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))

    def read_json(self, path: Path) -> Any:
        """The value in a JSON file; None where that is missing or broken."""
        try:
            return disk.read_json(path)
        except disk.FileError:
            return None

    # ---- checkpoints

    def put_checkpoint(self, checkpoint: Checkpoint, data: bytes | None, card: Card) -> None:
        """Weights (None for a diverged run), then the card, which marks them as done and holds
        their checksum."""
        path = self.checkpoint(checkpoint)
        if data is not None:
            card = card.vouching(self.write(path, data), data)
        self.write_json(path.with_suffix(".json"), card.to_json())

    def card(self, checkpoint: Checkpoint) -> Card | None:
        """The card of a checkpoint; None where nothing is stored, the card is incomplete, or the
        weights changed since they were written: they are then trained again."""
        card = self._card(checkpoint)
        return card if card and card.vouches_for(self.checkpoint(checkpoint)) else None

    def lost(self, checkpoint: Checkpoint, uid: str) -> str | None:
        """What became of weights that were trained under this uid; None where they are as they
        were, or were never there."""
        path, card = self.checkpoint(checkpoint), self._card(checkpoint)
        if card is None and path.with_suffix(".json").exists():
            return "damaged, as its card is"
        if not card or (card.uid, card.status) != (uid, "done") or self.card(checkpoint):
            return None
        return "damaged, or nothing vouches for its content" if path.exists() else "missing"

    def trained(self, checkpoint: Checkpoint, uid: str) -> Card | None:
        """The card of a training under this uid, also where its weights are gone since."""
        card = self._card(checkpoint)
        return card if card and card.uid == uid else None

    def remove_weights(self, checkpoint: Checkpoint) -> None:
        """Removes a checkpoint's weights. Its card stays."""
        self.checkpoint(checkpoint).unlink(missing_ok=True)

    def weights(self, checkpoint: Checkpoint) -> Path:
        """The weights file of a checkpoint, with its checksum verified. StoreError: the checksum
        differs; the file is set aside, and `train` makes it again."""
        path, card = self.checkpoint(checkpoint), self._card(checkpoint)
        if not card or not card.holds(path):
            self.set_aside(path)
            raise StoreError(
                f"{path} is damaged (its checksum is another) and was set aside; "
                "run 'lycoris-bench train' to make it anew"
            )
        return path

    def _card(self, checkpoint: Checkpoint) -> Card | None:
        return Card.read(self.read_json(self.checkpoint(checkpoint).with_suffix(".json")))

    # ---- images

    def put_image(self, path: Path, pixels: Any, parameters: Mapping[str, Any]) -> None:
        """Writes a uint8 [h,w,3] array as PNG, with its parameters and uid in a text chunk."""
        self.write(path, image_file.to_bytes(pixels, parameters))

    def image_uid(self, path: Path) -> str | None:
        """The uid in an image's text chunk; None where there is none, or the file is cut short."""
        return image_file.uid(path)

    def image_parameters(self, path: Path) -> dict[str, Any]:
        """What an image's text chunk says of how it was drawn; empty where it says nothing."""
        return image_file.parameters(path)

    # ---- features, metrics, analysis

    def put_frame(self, path: Path, frame: Any, uid: str = "") -> None:
        """Writes a data frame as parquet, with the uid of its inputs in its metadata."""
        self.write(path, parquet.to_bytes(frame, uid))

    def frame(self, path: Path) -> tuple[Any, str] | None:
        """The data frame and its uid; None where it is missing, broken, or fails a checksum."""
        return parquet.read(path)

    def put_rows(self, source: Source, rows: Any, of_parts: Any, uid: str, kind: str = "") -> None:
        """Writes the tables of a source (of a part of it, which `kind` names): its rows last, which
        mark it as done. `uid` is the identity of their inputs."""
        branch = self.branch(source)
        self.put_frame(self.metrics(branch, f"{kind}-images"), of_parts)
        self.put_frame(self.metrics(branch, kind), rows, uid)

    def add_provenance(self, about: Mapping[str, Any]) -> Path:
        """Adds a record of what was run, when and on which machine."""
        return self.write_json(provenance.new_place(self.root, about), about)

    def provenance(self) -> list[dict[str, Any]]:
        """All records of how the run was made, in order of time."""
        contents = map(self.read_json, provenance.places(self.root))
        records = [about for about in contents if isinstance(about, dict)]
        return sorted(records, key=lambda about: str(about.get("time", "")))

    def recorded(self, key: str) -> list[str]:
        """What the records of commands say under a key, the last one first."""
        found = (about.get(key) for about in reversed(self.provenance()))
        return [value for value in found if isinstance(value, str)]
