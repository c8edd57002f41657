"""Asked x stored: what a run folder has of what a plan asks for. Every command asks it here.

A thing is there if it is stored under its present uid. Image sets have a manifest (`run.manifest`),
from which that is known without opening an image; what it does not vouch for is opened."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lycoris_bench.files import disk
from lycoris_bench.files.identity import uid
from lycoris_bench.planning import scored_rows
from lycoris_bench.planning.plan import Job, Plan
from lycoris_bench.run import manifest
from lycoris_bench.run.folder import remove_partial
from lycoris_bench.run.manifest import Manifest
from lycoris_bench.run.store import Store
from lycoris_bench.study.records import REAL_IMAGES, Checkpoint, ImageSet, PromptSet, Source

CLOSELY = 200_000
"""Images of a study up to which the size of each is compared: a second. In a larger one a file
that was changed in place is found when it is decoded."""
OFTEN = 100  # images after which the manifest of a checkpoint in work is written again


@dataclass(frozen=True)
class Status:
    """A plan and the store that is to have it all. With `keeps`, manifests are brought up to date,
    which is for a process that holds the run."""

    plan: Plan
    store: Store
    keeps: bool = False

    # ---- weights

    def is_trained(self, checkpoint: Checkpoint) -> bool:
        """Whether the store has it under its present uid; a diverged one counts."""
        card = self.store.card(checkpoint)
        return card is not None and card.uid == self.plan.checkpoint_uid(checkpoint)

    def of_weights(self, checkpoint: Checkpoint) -> str:
        """given, trained, diverged, stale (trained under other settings), unknown (there, but not
        the dataset or base model that would tell) or missing; of what is combined, whether all
        its parts are there."""
        if checkpoint.is_base or checkpoint.is_combined:
            return "missing" if self.unusable(checkpoint) else "given"
        card = self.store.card(checkpoint.weights)
        if card is None:
            return "missing"
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
                return f"{name}is not trained yet; run 'lycoris-bench train'"
            if card.uid != self.plan.checkpoint_uid(part):
                return (
                    f"{name}was trained under other settings; "
                    "run 'lycoris-bench train' to make it anew"
                )
            if card.status == "diverged":
                return f"{name}diverged: {card.reason}"
        return None

    # ---- images

    def lacking(self, checkpoint: Checkpoint) -> int:
        """How many images of a checkpoint are not stored as they are asked."""
        images = self.plan.study.settings.sampling.images
        return sum(images if ks is None else len(ks) for _, ks in self._looked_at(checkpoint))

    def absent(self, checkpoint: Checkpoint) -> list[Job]:
        """Those images, as jobs."""
        return [
            job
            for prompt_set, ks in self._looked_at(checkpoint)
            if ks is None or ks
            for job in self.plan.jobs_of(checkpoint, prompt_set)
            if ks is None or job.k in ks
        ]

    def forget(self, checkpoint: Checkpoint) -> None:
        """No image of the checkpoint is believed unopened any more."""
        self.store.manifest(checkpoint).unlink(missing_ok=True)

    def _looked_at(self, checkpoint: Checkpoint) -> list[tuple[PromptSet, set[int] | None]]:
        """Each prompt set with the numbers of the images that it lacks; None where it lacks all.

        Where the manifest is at odds with what is found, it is brought up to date."""
        known = Manifest.read(self.store.manifest(checkpoint))
        before = dict(known.sets)
        place = self.store.manifest(checkpoint).parent
        self._sweep(place)
        drawn_by = self.plan.drawn_by(checkpoint)
        found = [
            (prompt_set, self._of_set(known, place, checkpoint, prompt_set, drawn_by))
            for prompt_set in self.plan.prompt_sets_of(checkpoint)
        ]
        if self.keeps and known.sets != before:
            self.store.write(self.store.manifest(checkpoint), known.to_text())
        return found

    def _of_set(
        self,
        known: Manifest,
        place: Path,
        checkpoint: Checkpoint,
        prompt_set: PromptSet,
        drawn_by: str,
    ) -> set[int] | None:
        image_set = ImageSet(checkpoint, prompt_set.concept, prompt_set.prompt_type)
        name = self.store.name_of(image_set)
        folder = place / name
        images, asked = self.plan.study.settings.sampling.images, self.plan.asked(prompt_set)
        entry = known.sets.get(name)
        if entry and entry.is_untouched(folder, images, self._closely):
            if (entry.drawn_by, entry.asked) == (drawn_by, asked):
                return set()
            if entry.drawn_by != drawn_by:
                return None  # not one of its images has a uid that is asked
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
        """Removes what a killed process left half written: a folder with it shows as touched."""
        if self.keeps:
            remove_partial(folder.glob(f"*{disk.PARTIAL}"))

    @cached_property
    def _closely(self) -> bool:
        return sum(map(self.plan.image_count, self.plan.checkpoints)) <= CLOSELY

    # ---- rows

    def is_scored(self, source: Source) -> bool:
        """Whether the rows of a checkpoint, or of real images, are stored and of the present
        inputs. A table that was not touched since it was last read is not read again."""
        if self._is_kept(source):
            return True
        return scored_rows.rows(self.plan, self.store, source) is not None

    def is_assembled(self) -> bool:
        """Whether the table of all rows holds those that are stored now, and no others."""
        sources: list[Source] = [*self.plan.study.checkpoints, REAL_IMAGES]
        return self._kept.get("all") == self._of_all() and all(
            self._is_kept(source) or not self._rows(source).exists() for source in sources
        )

    def keep_tables(self, scored: Iterable[Source]) -> None:
        """Notes that the tables of these were just read, and the table of all made of them."""
        tables = {self._table_name(c): self._of_table(c) for c in scored}
        self.store.write(
            self.store.tables, manifest.sealed({"tables": tables, "all": self._of_all()})
        )

    def _is_kept(self, source: Source) -> bool:
        known = self._kept.get("tables", {}).get(self._table_name(source))
        return known is not None and known == self._of_table(source)

    def _of_table(self, source: Source) -> list[Any]:
        inputs = scored_rows.inputs(self.plan, self.store, source, self._shared)
        return [inputs, manifest.stamps([self._rows(source)])]

    def _of_all(self) -> list[Any]:
        whole = self.store.table("metrics")
        stamps = manifest.stamps([whole, whole.with_suffix(".csv")])
        return [uid(scored_rows.identities(self.plan)), stamps]

    def _rows(self, source: Source) -> Path:
        return self.store.metrics(self.store.branch(source))

    def _table_name(self, source: Source) -> str:
        return self.store.branch(source).as_posix()

    @cached_property
    def _kept(self) -> dict[str, Any]:
        return manifest.checked(self.store.tables)

    @cached_property
    def _shared(self) -> str:
        return scored_rows.shared_inputs(self.plan, self.store)


class DrawnSets:
    """Keeps the manifest of a checkpoint while its images are drawn: a set that is drawn into is
    no longer believed, and is again once its last image is stored. After a kill only the images
    of the sets in work, and of those since the last write, are opened."""

    def __init__(self, status: Status, checkpoint: Checkpoint, lacking: Iterable[Job]) -> None:
        self.plan, self.store = status.plan, status.store
        self.path = self.store.manifest(checkpoint)
        self.drawn_by = self.plan.drawn_by(checkpoint)
        self.asked = {
            (p.concept, p.prompt_type): self.plan.asked(p)
            for p in self.plan.prompt_sets_of(checkpoint)
        }
        self.left = Counter(job.image_set for job in lacking)
        self.known = Manifest.read(self.path)
        self.since = 0
        dropped = [self.known.sets.pop(self.store.name_of(one), None) for one in self.left]
        if any(dropped):
            self.write()

    def stored(self, job: Job) -> None:
        """One more image is stored."""
        one = job.image_set
        self.left[one] -= 1
        self.since += 1
        if not self.left[one]:
            images = self.plan.study.settings.sampling.images
            asked = self.asked[one.concept, one.prompt_type]
            found = manifest.entry(self.store.image_folder(one), images, self.drawn_by, asked)
            if found:
                self.known.sets[self.store.name_of(one)] = found
            if self.since >= OFTEN:
                self.write()

    def write(self) -> None:
        self.since = 0
        self.store.write(self.path, self.known.to_text())
