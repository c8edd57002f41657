"""The class images that a training with prior preservation is shown beside its own (DreamBooth,
Ruiz et al. 2023, section 3.2)."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lycoris_bench.data.dataset import Dataset
from lycoris_bench.study.records import Concept
from lycoris_bench.training.latents import LatentCache
from lycoris_bench.training.rng import shuffled

Batches = list[list[int]]


@dataclass(frozen=True)
class Prior:
    """What the base model drew: class images with their captions and latents, all of one size.

    `weight`: how much their loss counts. `classes`: of each concept that is trained, the concept
    that its class images are examples of."""

    data: Dataset
    latents: LatentCache
    weight: float
    classes: Mapping[Concept, Concept]


class ClassBatches:
    """The batch of class images beside each batch of training images: one of its class for each.

    A class's images take turns, shuffled anew each time that all of them were shown. Which ones a
    batch has is a function of seed, epoch and place, as `batches(epoch)` of the training are."""

    def __init__(
        self, prior: Prior, dataset: Dataset, batches: Callable[[int], Batches], seed: int
    ) -> None:
        self.batches, self.seed = batches, seed
        self.classes = [prior.classes[example.concept] for example in dataset.examples]
        self.images: dict[Concept, list[int]] = {}
        for k, example in enumerate(prior.data.examples):
            self.images.setdefault(example.concept, []).append(k)
        self._epoch, self._beside = 0, list[list[int]]()

    def __call__(self, epoch: int, place: int) -> list[int]:
        """The class images beside the batch at `place` of an epoch, counted from 0."""
        if epoch != self._epoch:
            self._beside, self._epoch = self._of_epoch(epoch), epoch
        return self._beside[place]

    def _of_epoch(self, epoch: int) -> Batches:
        batches = self.batches(epoch)
        shown = Counter(self.classes[k] for batch in batches for k in batch)  # in every epoch
        coming = {kind: (epoch - 1) * count for kind, count in shown.items()}
        orders: dict[tuple[Concept, int], list[int]] = {}
        beside: Batches = []
        for batch in batches:
            beside.append([])
            for kind in (self.classes[k] for k in batch):
                images = self.images[kind]
                turn, position = divmod(coming[kind], len(images))
                if (kind, turn) not in orders:
                    orders[kind, turn] = shuffled(images, self.seed, "class", str(kind), turn)
                beside[-1].append(orders[kind, turn][position])
                coming[kind] += 1
        return beside
