"""The tree of a run folder: the only module that composes its paths."""

import glob
from pathlib import Path

from lycoris_bench.files.identity import exact
from lycoris_bench.run import folder as run_folder
from lycoris_bench.run import manifest
from lycoris_bench.run.folder import StoreError
from lycoris_bench.run.safe_names import concept_path, safe
from lycoris_bench.study.records import BASE, REAL, Checkpoint, ImageSet, RealImages, Source

PART = "part-"  # begins the name of what a part of a checkpoint leaves


class Tree:
    """The paths of one run folder."""

    def __init__(self, root: str | Path) -> None:
        try:
            self.root = Path(root).resolve()
        except (OSError, RuntimeError) as error:  # a link that points to itself is the latter
            raise StoreError(f"run folder {root} cannot be used ({error})") from None
        if self.root.is_symlink():  # such a link, as Python 3.13 leaves it
            raise StoreError(f"run folder {root} cannot be used (it is a link to itself)")

    def run_folder(self, checkpoint: Checkpoint) -> Path:
        name = safe(checkpoint.configuration.name)
        return self.root / "checkpoints" / name / f"seed-{checkpoint.seed}"

    def checkpoint(self, checkpoint: Checkpoint) -> Path:
        return self.run_folder(checkpoint) / f"epoch-{checkpoint.epoch:03d}.safetensors"

    def training_state(self, checkpoint: Checkpoint) -> Path:
        return self.run_folder(checkpoint) / "state.safetensors"

    def logs(self, checkpoint: Checkpoint) -> Path:
        """The folder of a training's TensorBoard files."""
        name = safe(checkpoint.configuration.name)
        return self.root / "logs" / name / f"seed-{checkpoint.seed}"

    def branch(self, checkpoint: Source) -> Path:
        """The part of a path that names a source of images: a checkpoint at its strength, `base`
        for the base model, `real` for real images.

        A checkpoint that the study did not train has `given` in place of what is not known of seed
        and epoch."""
        if isinstance(checkpoint, RealImages):
            return Path(REAL)
        if checkpoint.is_base:
            return Path(BASE)
        name = safe(checkpoint.configuration.name)
        strength = "" if checkpoint.strength == 1 else f"-strength-{exact(checkpoint.strength)}"
        seed = () if checkpoint.seed is None else (f"seed-{checkpoint.seed}",)
        if checkpoint.epoch is None:
            return Path(name, *seed, f"given{strength}")
        return Path(name, *seed, f"epoch-{checkpoint.epoch:03d}{strength}")

    def image(self, image_set: ImageSet, k: int) -> Path:
        return self.image_folder(image_set) / manifest.image_name(k)

    def image_folder(self, image_set: ImageSet) -> Path:
        return self.manifest(image_set.checkpoint).parent / self.name_of(image_set)

    def name_of(self, image_set: ImageSet) -> str:
        """The name of an image set in its checkpoint's manifest: its path from there, which ends
        in that of the second concept, if it has one."""
        place = concept_path(image_set.concept) / image_set.prompt_type
        return (place / concept_path(image_set.second) if image_set.second else place).as_posix()

    def manifest(self, checkpoint: Checkpoint) -> Path:
        """The list of a checkpoint's complete image sets (`run.manifest`)."""
        return self.root / "images" / self.branch(checkpoint) / "manifest.json"

    def applied(self, checkpoint: Checkpoint) -> Path:
        """The report of merging a checkpoint: modules matched, change per block."""
        return self.root / "images" / self.branch(checkpoint) / "applied.json"

    @property
    def class_images(self) -> Path:
        """The folder of what trainings with prior preservation are held to, laid out as a run."""
        return self.root / "class-images"

    @property
    def passing(self) -> Path:
        """The list of what `run` made and may remove (`run.passing`)."""
        return self.root / "passing.json"

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

    def has_rows(self) -> bool:
        """Whether there is a table of rows of any checkpoint, under whatever settings."""
        tables = (self.root / "metrics").rglob("*.parquet")
        return any(not path.stem.endswith("-images") for path in tables)

    def metrics(self, branch: Path, kind: str = "") -> Path:
        return self.root / "metrics" / branch.with_name(branch.name + kind + ".parquet")

    def files_of_rows(self, branch: Path) -> tuple[Path, Path, Path]:
        """The table of rows, the table of parts of its image sets, and what it was scored with."""
        rows = self.metrics(branch)
        return rows, self.metrics(branch, "-images"), rows.with_suffix(".json")

    def part_tables(self, branch: Path) -> list[Path]:
        """The tables of parts of a checkpoint (planning/parts.py), until they are joined."""
        rows = self.metrics(branch)
        return sorted(rows.parent.glob(f"{glob.escape(rows.stem)}-{PART}*.parquet"))

    def part_features(self, branch: Path) -> list[Path]:
        """The folders of features of parts, in the order of the parts."""
        return sorted(self.feature_folder(branch).glob(f"{PART}*"))

    def table(self, name: str) -> Path:
        """The file of `metrics`, or of a table of the analysis such as `scores`."""
        folder = self.root if name == "metrics" else self.root / "analysis"
        return folder / f"{name}.parquet"

    @property
    def tables(self) -> Path:
        """The list of metric tables that were complete at their last reading, with their
        identities."""
        return self.root / "metrics" / "manifest.json"

    @property
    def identities(self) -> Path:
        """The file with the identity of each checkpoint at the last command."""
        return self.root / "identities.json"

    @property
    def study(self) -> Path:
        return self.root / run_folder.STUDY

    @property
    def findings(self) -> Path:
        return self.root / "analysis" / "findings.json"

    @property
    def prompt_counts(self) -> Path:
        """The file with the number of prompts of each concept and prompt type."""
        return self.root / "analysis" / "prompts.json"

    @property
    def evaluated(self) -> Path:
        """The file of sentences on what differs between trainings that others ran."""
        return self.root / "analysis" / "evaluation.json"

    @property
    def gallery(self) -> Path:
        """The list of the images that a report shows of images that exist already."""
        return self.root / "gallery" / "index.json"

    @property
    def report(self) -> Path:
        return self.root / "report" / "index.html"
