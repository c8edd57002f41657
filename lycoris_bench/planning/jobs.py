"""The images that a plan asks for, one by one."""

from dataclasses import dataclass

from lycoris_bench.models.schedulers import DDIM
from lycoris_bench.study import prompt_types
from lycoris_bench.study.load import Study
from lycoris_bench.study.records import ImageSet, PromptSet


@dataclass(frozen=True)
class Job:
    """One image to draw. Its place in the queue decides its batch, `seed` its initial noise."""

    image_set: ImageSet
    k: int
    prompt: str
    text: str
    group: int
    seed: int
    uid: str


def groups(images: int, prompt_set: PromptSet) -> list[int]:
    """The number of the prompt of each image of a set."""
    return prompt_types.assignment(images, len(prompt_set.prompts))


def drawn_with(study: Study) -> tuple[object, ...]:
    """The settings of sampling that an image depends on."""
    *settings, precision, clip_skip = study.settings.drawing().values()
    scheduler = study.settings.sampling.scheduler
    if scheduler != DDIM:
        return (*settings, precision, clip_skip, scheduler)
    if (precision, clip_skip) == ("fp32", 1):  # older images have neither
        return tuple(settings)
    return (*settings, precision, clip_skip)
