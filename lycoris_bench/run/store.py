"""A run on disk (design.md 4): the only module that knows the folder tree.

Files are written whole: temporary name, fsync, rename. What marks work as done is written last
and carries the uid of the settings that made it, so nothing stale is ever taken for fresh; and a
checksum, so nothing damaged is taken for whole."""

import contextlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lycoris_bench.files import disk, parquet
from lycoris_bench.files.identity import exact
from lycoris_bench.run import folder as run_folder
from lycoris_bench.run import manifest, provenance
from lycoris_bench.run.cards import Card
from lycoris_bench.run.folder import StoreError
from lycoris_bench.run.safe_names import concept_path, safe
from lycoris_bench.study.records import (
    BASE,
    REAL,
    Checkpoint,
    ImageSet,
    RealImages,
    Source,
)

DAMAGED = ".damaged"
IEND = bytes.fromhex("0000000049454e44ae426082")  # the last chunk of every whole PNG


class Store:
    """Paths, whole writes and reads of one run folder. Paths are rendered here only."""

    def __init__(self, root: str | Path) -> None:
        try:
            self.root = Path(root).resolve()
        except (OSError, RuntimeError) as error:  # a link that points to itself is the latter
            raise StoreError(f"run folder {root} cannot be used ({error})") from None

    # ---- the folder as a whole

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the run for this process; a second process is refused with a sentence."""
        with run_folder.held(self.root):
            run_folder.sweep(self.root)
            yield

    def belongs_to(self, study: str) -> None:
        """Refuses a folder that holds the run of another study, or that is no run at all."""
        run_folder.belongs_to(self.root, study)

    def describe(self, study: str, about: Mapping[str, Any], identities: Any = None) -> None:
        """Keeps the resolved study, with what it is run, and what each checkpoint is made from."""
        self.write(self.root / run_folder.STUDY, study)
        self.add_provenance(about)
        if identities is not None:
            self.write_json(self.identities, identities)

    def set_aside(self, path: Path) -> None:
        """A damaged file gets another name, so that the stage that made it makes it again."""
        with contextlib.suppress(FileNotFoundError):  # another process was first
            path.replace(path.with_name(f"{path.name}{DAMAGED}"))

    def write(self, path: Path, data: bytes | str) -> Path:
        """The whole file or none of it."""
        try:
            return disk.write(path, data)
        except disk.FileError as error:
            raise StoreError(str(error)) from None

    def write_json(self, path: Path, value: Any) -> Path:
        return self.write(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))

    def read_json(self, path: Path) -> Any:
        """The value, or None where the file is missing or broken (it is then made anew)."""
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
        """Uid, status ("done" or "diverged"; then with a `reason`) and training cost; None where
        nothing is stored, where the card lacks something, or where the weights were cut short or
        changed since: they are then trained again."""
        card = self._card(checkpoint)
        return card if card and card.vouches_for(self.checkpoint(checkpoint)) else None

    def was_damaged(self, checkpoint: Checkpoint, uid: str) -> bool:
        """Whether it was done under this uid, and its file is not what was written."""
        card = self.read_json(self.checkpoint(checkpoint).with_suffix(".json"))
        done = isinstance(card, dict) and (card.get("uid"), card.get("status")) == (uid, "done")
        return done and self.card(checkpoint) is None

    def weights(self, checkpoint: Checkpoint) -> Path:
        """The file of a checkpoint that has a card, once its content is found to be what was
        written. StoreError: it is not; it is set aside, to be trained again."""
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
        """TensorBoard's files of a training, where they are asked for."""
        name = safe(checkpoint.configuration.name)
        return self.root / "logs" / name / f"seed-{checkpoint.seed}"

    # ---- images

    def branch(self, checkpoint: Source) -> Path:
        """The part of a path that names a checkpoint at its strength; the base model's is `base`,
        that of real images `real`.

        What was not trained here has `given` in place of seed and epoch."""
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
        """What an image set is called in the manifest of its checkpoint: its path from there."""
        return f"{concept_path(image_set.concept).as_posix()}/{image_set.prompt_type}"

    def manifest(self, checkpoint: Checkpoint) -> Path:
        """Which of its image sets are whole (`run.manifest`)."""
        return self.root / "images" / self.branch(checkpoint) / "manifest.json"

    def applied(self, checkpoint: Checkpoint) -> Path:
        """What merging the checkpoint changed: modules matched, change per block."""
        return self.root / "images" / self.branch(checkpoint) / "applied.json"

    def put_image(self, path: Path, pixels: Any, parameters: dict[str, Any]) -> None:
        """A uint8 [h,w,3] array as PNG; its parameters, uid among them, in its text chunk."""
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_text("lycoris-bench", json.dumps(parameters))
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", pnginfo=info, compress_level=1)
        self.write(path, buffer.getvalue())

    def image_uid(self, path: Path) -> str | None:
        """The uid an image was drawn under; None where there is none, or the file is broken or was
        cut short. What is damaged inside is noticed when it is decoded."""
        from PIL import Image

        try:
            if disk.kind_of(path):
                return None  # a pipe would be waited for
            with path.open("rb") as file, Image.open(file) as image:
                found = json.loads(image.info["lycoris-bench"])["uid"]
                file.seek(-len(IEND), os.SEEK_END)
                return str(found) if file.read() == IEND else None
        except Exception:  # a broken file may raise almost anything
            return None

    # ---- features, metrics, analysis

    def features(self, branch: Path, key: str) -> Path:
        """`key` names encoder and resizing and ends in the encoder record's hash."""
        return self.root / "features" / branch / f"{safe(key)}.safetensors"

    @property
    def encoder_weights(self) -> Path:
        """SHA-256 of each encoder's weights as they were last read."""
        return self.root / "features" / "weights.json"

    def metrics(self, branch: Path, kind: str = "") -> Path:
        return self.root / "metrics" / branch.with_name(branch.name + kind + ".parquet")

    def table(self, name: str) -> Path:
        """`metrics`, or a table of the analysis such as `scores`."""
        folder = self.root if name == "metrics" else self.root / "analysis"
        return folder / f"{name}.parquet"

    @property
    def tables(self) -> Path:
        """Which tables of rows were whole when they were last read, and what of."""
        return self.root / "metrics" / "manifest.json"

    def put_frame(self, path: Path, frame: Any, uid: str = "") -> None:
        """A data frame as parquet; the uid of what it was made from lies in its metadata."""
        self.write(path, parquet.to_bytes(frame, uid))

    def frame(self, path: Path) -> tuple[Any, str] | None:
        """The data frame and its uid; None where it is missing, broken, or fails a checksum."""
        return parquet.read(path)

    @property
    def identities(self) -> Path:
        """Identity of what each checkpoint is made from, as the last command had it."""
        return self.root / "identities.json"

    def add_provenance(self, about: Mapping[str, Any]) -> Path:
        """One more record of what was run, when, and on which machine."""
        return self.write_json(provenance.new_place(self.root, about), about)

    def provenance(self) -> list[dict[str, Any]]:
        """All that is known of how the run was made, by time."""
        found = map(self.read_json, provenance.places(self.root))
        records = [about for about in found if isinstance(about, dict)]
        return sorted(records, key=lambda about: str(about.get("time", "")))

    @property
    def findings(self) -> Path:
        return self.root / "analysis" / "findings.json"

    @property
    def report(self) -> Path:
        return self.root / "report" / "index.html"
