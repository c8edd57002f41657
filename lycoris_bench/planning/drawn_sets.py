"""Keeps the manifest of a checkpoint while its images are drawn."""

from collections import Counter
from collections.abc import Iterable

from lycoris_bench.planning.jobs import Job
from lycoris_bench.planning.status import Status
from lycoris_bench.run import manifest
from lycoris_bench.run.manifest import Manifest
from lycoris_bench.study.records import Checkpoint

OFTEN = 100  # images drawn between two writes of a checkpoint's manifest


class DrawnSets:
    """Keeps the manifest of a checkpoint up to date while its images are drawn: an image set
    leaves it when drawing begins and enters it again with its last image. After a kill only the
    images of unfinished sets, and of those since the last write, have to be opened."""

    def __init__(self, status: Status, checkpoint: Checkpoint, lacking: Iterable[Job]) -> None:
        self.plan, self.store = status.plan, status.store
        self.path = self.store.manifest(checkpoint)
        self.drawn_by = self.plan.drawn_by(checkpoint)
        self.asked = {
            p.images(checkpoint): self.plan.asked(p) for p in self.plan.prompt_sets_of(checkpoint)
        }
        self.left = Counter(job.image_set for job in lacking)
        self.known = Manifest.read(self.path)
        self.since = 0
        dropped = [self.known.sets.pop(self.store.name_of(drawn), None) for drawn in self.left]
        if any(dropped):
            self.write()

    def stored(self, job: Job) -> None:
        """Counts the image of `job` as stored."""
        drawn = job.image_set
        self.left[drawn] -= 1
        self.since += 1
        if not self.left[drawn]:
            images = self.plan.study.settings.sampling.images
            asked = self.asked[drawn]
            entry = manifest.entry(self.store.image_folder(drawn), images, self.drawn_by, asked)
            if entry:
                self.known.sets[self.store.name_of(drawn)] = entry
            if self.since >= OFTEN:
                self.write()

    def write(self) -> None:
        self.since = 0
        self.store.write(self.path, self.known.to_text())
