"""A run on disk: the only module that knows the tree of a run folder.

Files are written under a temporary name, synced and renamed. The file that marks work as done is
written last. It carries the uid of the settings that made it, so that stale results are never
used, and a checksum, so that damaged ones are not."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lycoris_bench.files import disk, parquet
from lycoris_bench.files.identity import exact
from lycoris_bench.run import executor, image_file, manifest, provenance
from lycoris_bench.run import folder as run_folder
from lycoris_bench.run.cards import Card
from lycoris_bench.run.folder import StoreError
from lycoris_bench.run.safe_names import concept_path, safe
from lycoris_bench.study.records import BASE, REAL, Checkpoint, ImageSet, RealImages, Source

DAMAGED = ".damaged"


class Store:
    """Paths, reads and writes of one run folder. No other module composes its paths."""

    def __init__(self, root: str | Path) -> None:
        try:
            self.root = Path(root).resolve()
        except (OSError, RuntimeError) as error:  # a link that points to itself is the latter
            raise StoreError(f"run folder {root} cannot be used ({error})") from None
        if self.root.is_symlink():  # such a link, as Python 3.13 leaves it
            raise StoreError(f"run folder {root} cannot be used (it is a link to itself)")

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

    def run_folder(self, checkpoint: Checkpoint) -> Path:
        name = safe(checkpoint.configuration.name)
        return self.root / "checkpoints" / name / f"seed-{checkpoint.seed}"

    def checkpoint(self, checkpoint: Checkpoint) -> Path:
        return self.run_folder(checkpoint) / f"epoch-{checkpoint.epoch:03d}.safetensors"

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

    def training_state(self, checkpoint: Checkpoint) -> Path:
        return self.run_folder(checkpoint) / "state.safetensors"

    def logs(self, checkpoint: Checkpoint) -> Path:
        """The folder of a training's TensorBoard files."""
        name = safe(checkpoint.configuration.name)
        return self.root / "logs" / name / f"seed-{checkpoint.seed}"

    # ---- images

    def branch(self, checkpoint: Source) -> Path:
        """The part of a path that names a source of images: a checkpoint at its strength, `base`
        for the base model, `real` for real images.

        A checkpoint that the study did not train has `given` in place of seed and epoch."""
        if isinstance(checkpoint, RealImages):
            return Path(REAL)
        if checkpoint.is_base:
            return Path(BASE)
        name = safe(checkpoint.configuration.name)
        strength = "" if checkpoint.strength == 1 else f"-strength-{exact(checkpoint.strength)}"
        if checkpoint.epoch is None:
            return Path(name, f"given{strength}")
        return Path(name, f"seed-{checkpoint.seed}", f"epoch-{checkpoint.epoch:03d}{strength}")

    def image(self, image_set: ImageSet, k: int) -> Path:
        return self.image_folder(image_set) / manifest.image_name(k)

    def image_folder(self, image_set: ImageSet) -> Path:
        return self.manifest(image_set.checkpoint).parent / self.name_of(image_set)

    def name_of(self, image_set: ImageSet) -> str:
        """The name of an image set in its checkpoint's manifest: its path from there."""
        return f"{concept_path(image_set.concept).as_posix()}/{image_set.prompt_type}"

    def manifest(self, checkpoint: Checkpoint) -> Path:
        """The list of a checkpoint's complete image sets (`run.manifest`)."""
        return self.root / "images" / self.branch(checkpoint) / "manifest.json"

    def applied(self, checkpoint: Checkpoint) -> Path:
        """The report of merging a checkpoint: modules matched, change per block."""
        return self.root / "images" / self.branch(checkpoint) / "applied.json"

    def put_image(self, path: Path, pixels: Any, parameters: Mapping[str, Any]) -> None:
        """Writes a uint8 [h,w,3] array as PNG, with its parameters and uid in a text chunk."""
        self.write(path, image_file.to_bytes(pixels, parameters))

    def image_uid(self, path: Path) -> str | None:
        """The uid in an image's text chunk; None where there is none, or the file is cut short."""
        return image_file.uid(path)

    @property
    def passing(self) -> Path:
        """The list of what `run` made and may remove (`run.passing`)."""
        return self.root / "passing.json"

    # ---- features, metrics, analysis

    def features(self, branch: Path, key: str) -> Path:
        """The file of an encoder's features; `key` names encoder and resizing and ends in the hash
        of the encoder's record."""
        return self.feature_folder(branch) / f"{safe(key)}.safetensors"

    def feature_folder(self, branch: Path) -> Path:
        return self.root / "features" / branch

    @property
    def encoder_weights(self) -> Path:
        """The file with the SHA-256 of each encoder's weights at their last reading."""
        return self.root / "features" / "weights.json"

    def metrics(self, branch: Path, kind: str = "") -> Path:
        return self.root / "metrics" / branch.with_name(branch.name + kind + ".parquet")

    def files_of_rows(self, branch: Path) -> tuple[Path, Path, Path]:
        """The table of rows, the table of parts of its image sets, and what it was scored with."""
        rows = self.metrics(branch)
        return rows, self.metrics(branch, "-images"), rows.with_suffix(".json")

    def table(self, name: str) -> Path:
        """The file of `metrics`, or of a table of the analysis such as `scores`."""
        folder = self.root if name == "metrics" else self.root / "analysis"
        return folder / f"{name}.parquet"

    @property
    def tables(self) -> Path:
        """The list of metric tables that were complete at their last reading, with their
        identities."""
        return self.root / "metrics" / "manifest.json"

    def put_frame(self, path: Path, frame: Any, uid: str = "") -> None:
        """Writes a data frame as parquet, with the uid of its inputs in its metadata."""
        self.write(path, parquet.to_bytes(frame, uid))

    def frame(self, path: Path) -> tuple[Any, str] | None:
        """The data frame and its uid; None where it is missing, broken, or fails a checksum."""
        return parquet.read(path)

    @property
    def identities(self) -> Path:
        """The file with the identity of each checkpoint at the last command."""
        return self.root / "identities.json"

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

    @property
    def study(self) -> Path:
        return self.root / run_folder.STUDY

    @property
    def findings(self) -> Path:
        return self.root / "analysis" / "findings.json"

    @property
    def report(self) -> Path:
        return self.root / "report" / "index.html"
