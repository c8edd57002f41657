"""The status of a plan in a run folder: which checkpoints, images and rows are stored.

Something is stored if the folder has it under its present uid. The manifest of a checkpoint
(`run.manifest`) lists complete image sets; images outside it are opened to read their uids."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lycoris_bench.files import disk
from lycoris_bench.planning.jobs import Job
from lycoris_bench.planning.kept_tables import KeptTables
from lycoris_bench.planning.plan import Plan
from lycoris_bench.run import manifest
from lycoris_bench.run.folder import remove_partial
from lycoris_bench.run.manifest import Manifest
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import Checkpoint, PromptSet, Source

CLOSELY = 200_000
"""The most images of a study for which the size and time of each is compared, which takes a
second. In a larger study a file that was changed in place is found when it is decoded."""


@dataclass(frozen=True)
class Status:
    """The status of a plan in a store. With `keeps` it updates manifests, which only a process
    that holds the run may do."""

    plan: Plan
    store: Store
    keeps: bool = False

    # ---- what is needed yet: of a checkpoint whose rows are stored neither weights nor images

    def needs_images(self, checkpoint: Checkpoint) -> bool:
        """Whether images are needed to score this checkpoint or, the base model's, another."""
        if not self.has_rows(checkpoint):
            return True
        return checkpoint.is_base and any(not self.has_rows(c) for c in self.plan.checkpoints)

    def needs_weights(self, checkpoint: Checkpoint) -> bool:
        """Whether images are needed that these weights draw, alone or in a combination."""
        return checkpoint in self._needed_weights

    @cached_property
    def _needed_weights(self) -> set[Checkpoint | Path]:
        lacking = [c for c in self.plan.checkpoints if not self.has_rows(c)]
        return {part for checkpoint in lacking for part, _ in self.plan.parts(checkpoint)}

    # ---- weights

    def is_trained(self, checkpoint: Checkpoint) -> bool:
        """Whether the store has the checkpoint under its present uid; a diverged one counts."""
        card = self.store.card(checkpoint)
        return card is not None and card.uid == self.plan.checkpoint_uid(checkpoint)

    def of_weights(self, checkpoint: Checkpoint) -> str:
        """One of: given, trained, diverged, damaged, stale (trained under other settings), unknown
        (stored, but the dataset or base model that would decide is missing), not kept (removed
        after all that they draw was scored) and missing. The base model, combinations and
        what others trained are given, or missing where a part is."""
        if checkpoint.is_base or checkpoint.is_combined or checkpoint.given:
            lost = self.needs_images(checkpoint) and self.unusable(checkpoint)
            return "missing" if lost else "given"
        card = self.store.card(checkpoint.weights)
        if card is None:
            lost = self.store.lost(checkpoint.weights, self.plan.checkpoint_uid(checkpoint)) or ""
            if lost.startswith("damaged"):
                return "damaged"
            return "missing" if self.needs_weights(checkpoint.weights) else "not kept"
        if card.uid != self.plan.checkpoint_uid(checkpoint):
            return "stale" if self.plan.complete else "unknown"
        return "trained" if card.status == "done" else card.status

    def unusable(self, checkpoint: Checkpoint) -> str | None:
        """Why images of this checkpoint cannot be drawn, or None."""
        for part, _ in self.plan.parts(checkpoint):
            if isinstance(part, Path):
                continue
            card = self.store.card(part)
            name = f"{part} " if checkpoint.is_combined else ""
            if card is None:
                lost = self.store.lost(part, self.plan.checkpoint_uid(part))
                return f"{name}is {lost or 'not trained yet'}; run '{self._train(part)}'"
            if card.uid != self.plan.checkpoint_uid(part):
                return (
                    f"{name}was trained under other settings; "
                    f"run '{self._train(part)}' to make it anew"
                )
            if card.status == "diverged":
                return f"{name}diverged: {card.reason}"
        return None

    def _train(self, part: Checkpoint) -> str:
        """The command that trains it: once all that it draws is scored, it has to be told to."""
        return f"lycoris-bench train{'' if self.needs_weights(part) else ' --also-scored'}"

    # ---- images

    def lacking(self, checkpoint: Checkpoint) -> int:
        """The number of a checkpoint's images that are not stored under their present uid."""
        images = self.plan.study.settings.sampling.images
        return sum(images if ks is None else len(ks) for _, ks in self._missing(checkpoint))

    def absent(self, checkpoint: Checkpoint) -> list[Job]:
        """The jobs of the images that `lacking` counts."""
        return [
            job
            for prompt_set, ks in self._missing(checkpoint)
            if ks is None or ks
            for job in self.plan.jobs_of(checkpoint, prompt_set)
            if ks is None or job.k in ks
        ]

    def forget(self, checkpoint: Checkpoint) -> None:
        """Deletes the checkpoint's manifest, so that its images are opened again."""
        self.store.manifest(checkpoint).unlink(missing_ok=True)

    def _missing(self, checkpoint: Checkpoint) -> list[tuple[PromptSet, set[int] | None]]:
        """Each prompt set with the numbers of its missing images; None where all are missing.

        Updates the manifest where it differs from the folders."""
        place = self.store.manifest(checkpoint).parent
        if not place.is_dir():  # nothing of it is drawn
            return [(prompt_set, None) for prompt_set in self.plan.prompt_sets_of(checkpoint)]
        known = Manifest.read(self.store.manifest(checkpoint))
        before = dict(known.sets)
        self._sweep(place)
        drawn_by = self.plan.drawn_by(checkpoint)
        missing = [
            (prompt_set, self._missing_of(known, place, checkpoint, prompt_set, drawn_by))
            for prompt_set in self.plan.prompt_sets_of(checkpoint)
        ]
        if self.keeps and known.sets != before:
            self.store.write(self.store.manifest(checkpoint), known.to_text())
        return missing

    def _missing_of(
        self,
        known: Manifest,
        place: Path,
        checkpoint: Checkpoint,
        prompt_set: PromptSet,
        drawn_by: str,
    ) -> set[int] | None:
        image_set = prompt_set.images(checkpoint)
        name = self.store.name_of(image_set)
        folder = place / name
        images, asked = self.plan.study.settings.sampling.images, self.plan.asked(prompt_set)
        entry = known.sets.get(name)
        if entry and entry.is_untouched(folder, images, self._closely):
            if (entry.drawn_by, entry.asked) == (drawn_by, asked):
                return set()
            if entry.drawn_by != drawn_by:
                return None  # another model drew them: none has its present uid
        known.sets.pop(name, None)
        if not folder.is_dir():
            return None
        self._sweep(folder)
        lacking = {
            job.k
            for job in self.plan.jobs_of(checkpoint, prompt_set)
            if self.store.image_uid(self.store.image(image_set, job.k)) != job.uid
        }
        if not lacking and (whole := manifest.entry(folder, images, drawn_by, asked)):
            known.sets[name] = whole
        return lacking

    def _sweep(self, folder: Path) -> None:
        """Removes half-written files of a killed process, which would make the folder's entry
        invalid."""
        if self.keeps:
            remove_partial(folder.glob(f"*{disk.PARTIAL}"))

    @cached_property
    def _closely(self) -> bool:
        return sum(map(self.plan.image_count, self.plan.checkpoints)) <= CLOSELY

    # ---- rows

    def has_rows(self, source: Source) -> bool:
        """Whether the rows of a checkpoint or of real images are stored under the present inputs,
        with what was stored beside them. They stay valid where images are lost since: `lacking`
        tells."""
        return self._tables.has_rows(source)

    def damaged_rows(self) -> list[Path]:
        """The tables of rows, and files beside them, that were read under the present inputs and
        have lost their content since. Their source is scored anew."""
        return self._tables.damaged()

    def is_assembled(self) -> bool:
        """Whether the table of all rows holds exactly the rows that are stored now."""
        return self._tables.is_assembled()

    def keep_tables(self, scored: Iterable[Source]) -> None:
        """Stores that the tables of these sources are read and joined to the table of all rows."""
        self._tables.keep(scored)

    @cached_property
    def _tables(self) -> KeptTables:
        return KeptTables(self.plan, self.store)
