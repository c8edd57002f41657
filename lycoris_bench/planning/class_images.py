"""The class images of prior preservation: what the base model draws of each class word, once for
all trainings of a study.

They are planned, stored and found again as the images of a checkpoint are, by a plan of their own:
the base model that is trained, a prompt for each class word, in a folder of their own."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from lycoris_bench.files.identity import uid
from lycoris_bench.run.store import Store
from lycoris_bench.sampling.batch_size import least
from lycoris_bench.study.prior_preservation import class_prompt
from lycoris_bench.study.records import BASE_CHECKPOINT, Concept, PromptSet
from lycoris_bench.training.rng import number

if TYPE_CHECKING:
    from lycoris_bench.planning.plan import Plan

KIND = "class"  # stands where the prompt type of other images does


def plan_of(plan: "Plan") -> "Plan | None":
    """The plan whose base model draws the class images, in squares of the training's resolution
    and else as the study draws; None where no training needs any.

    The noise of an image has a seed that no scored image has, and the batch size is a fixed one:
    a trial of the machine would change last digits."""
    settings = plan.study.settings
    prior = settings.training.prior_preservation
    if prior is None or not any(c.prior_preservation for c in plan.study.own.values()):
        return None
    side = settings.training.resolution
    sampling = settings.sampling.model_copy(
        update={
            "images": prior.images, "width": side, "height": side, "base_model": None,
            "seed": number(settings.sampling.seed, "class images") >> 1, "prompt_types": (KIND,),
            "batch_size": least(settings.sampling), "strength": (1.0,),
        }
    )  # fmt: skip
    training = settings.training.model_copy(update={"prior_preservation": None})
    settings = settings.model_copy(update={"sampling": sampling, "training": training})
    prompts = {word: class_prompt(word) for word in dict.fromkeys(words(plan).values())}
    return replace(
        plan,
        study=replace(plan.study, settings=settings, configurations=()),
        drawn_base_uid=plan.base_uid,
        prompt_sets=tuple(
            PromptSet(Concept(word, ""), KIND, (prompt,), (prompt,))
            for word, prompt in prompts.items()
        ),
        captioned={},
        limit=None,
    )


def words(plan: "Plan") -> dict[Concept, str]:
    """The class word of each concept that is trained; "" where there is none. Leftovers of a class
    that no prompt asks for have that of the class."""
    of_class = {(c.category, c.class_name): word for c, word in plan.class_words.items() if word}
    known = {c: word for c, word in plan.class_words.items() if word}
    return {
        concept: known.get(concept) or of_class.get((concept.category, concept.class_name), "")
        for concept in plan.data.concepts
    }


def problems(plan: "Plan") -> Iterator[str]:
    """A sentence where concepts have no class word, of which nothing can be drawn."""
    if plan.class_images is None:
        return
    lacking = [str(concept) for concept, word in words(plan).items() if not word.strip()]
    if lacking:
        more = f" and {len(lacking) - 3} more" if lacking[3:] else ""
        yield (
            f"training.prior_preservation draws images of each class word, and "
            f"{', '.join(lacking[:3])}{more} has none in concepts.toml: write class_word there, or "
            "leave prior_preservation out"
        )


def identity(plan: "Plan") -> str:
    """Identity of the class images, and of whose they are: what a training is held to."""
    drawing = plan.class_images
    if drawing is None:
        return ""
    asked = [drawing.asked(prompt_set) for prompt_set in drawing.prompt_sets]
    whose = sorted((str(concept), word) for concept, word in words(plan).items())
    return uid(drawing.drawn_by(BASE_CHECKPOINT), asked, whose)


def store_of(store: Store) -> Store:
    """Where the class images of a run lie: a folder like a run's, with images alone."""
    return Store(store.class_images)
