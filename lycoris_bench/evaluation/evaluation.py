"""An evaluation: checkpoints, a base model and images of what was taught, as a study of given
files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lycoris_bench.data import dataset
from lycoris_bench.data.images import DataError
from lycoris_bench.evaluation import prompts
from lycoris_bench.evaluation.concepts import Called, words_of
from lycoris_bench.evaluation.found import Found, find
from lycoris_bench.evaluation.grouping import Training, trainings
from lycoris_bench.evaluation.unlike import unlike
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models import families, partial
from lycoris_bench.models.hub import family_of
from lycoris_bench.models.hub import locate as locate_model
from lycoris_bench.models.known_words import is_known
from lycoris_bench.models.outline import native_side
from lycoris_bench.scoring.metrics import DEFAULT
from lycoris_bench.study.concept_words import CONCEPTS
from lycoris_bench.study.overrides import OverrideError, override
from lycoris_bench.study.places import is_hub_id, locate
from lycoris_bench.study.prompt_types import BY_CAPTIONS
from lycoris_bench.study.records import GIVEN, Concept
from lycoris_bench.study.wording import Words

TREE = "prompts"  # the folder in a run folder with the prompts that were made for it
IMAGES = 24  # per concept and prompt type, where none are said
PAPER = ("dinov2-l", "clip-l-datacomp", "vgg19")
MINIATURE = ("miniature-image", "miniature-image-text", "miniature-gram")
TYPES = ("trigger", "alter", "style")
UNASKED = "class-word"  # what comes of the concept without its trigger: leak
COPYING = ("nearest_similarity", "copy_quantile", "copy_rate")
LOWEST_GUIDANCE = 4.0  # of the miniature world's model; others are drawn with the default


@dataclass(frozen=True)
class Asked:
    """What a user gives to an evaluation. Paths are as typed; `encoders` none: those that suit the
    base model; `prompts` a tree, or a file of prompts that ask for other contents."""

    checkpoints: Sequence[str]
    base: str
    images: str
    heldout: str | None = None
    called: Called = field(default_factory=Called)
    prompts: str | None = None
    strengths: Sequence[float] = ()
    encoders: Sequence[str] = ()
    count: int = IMAGES
    overrides: Sequence[str] = ()


@dataclass(frozen=True)
class Evaluation:
    """A study as the table of its file, but for `prompts`; the files of the prompt tree made for it
    (none where the user gave a tree); its trainings; what differs between them; which checkpoints
    cannot be evaluated, and why; and what the user should know."""

    table: dict[str, Any]
    files: prompts.Files
    trainings: list[Training]
    unlike: list[str]
    problems: dict[str, str]
    notes: list[str]


class NothingToEvaluate(BenchError):
    """None of the checkpoints can be evaluated; `left_out` says why, by path."""

    def __init__(self, left_out: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{path} {reason}" for path, reason in left_out.items()))
        self.left_out = dict(left_out)


def evaluation(asked: Asked, run: Path) -> Evaluation:
    """Finds the checkpoints, reads what they and the images tell, and makes a study of it, called
    as its run folder is. BenchError: nothing can be evaluated, with the reason."""
    problems: dict[str, str] = {}
    found = find(asked.checkpoints, problems)
    base = _model(asked.base)
    found = _of_family(found, base, problems)
    groups = trainings(found, problems, run.resolve())
    if not groups:
        raise NothingToEvaluate(problems)
    images = locate(asked.images, Path.cwd())
    data, captioned = _images(images)
    concepts = [concept for concept in data.concepts if concept.subclass != dataset.OTHERS]
    tree, own = _own_prompts(asked.prompts, images)
    lines, said = prompts.own_prompts(own) if own is not None else (None, [])
    shipped = prompts.tree_of(base)
    files: prompts.Files = {}
    doubts: list[str] = []
    named = False
    if tree is None:
        words: Mapping[Concept, Words] = words_of(concepts, images, asked.called, found, shipped)
        files = prompts.files_of(words, shipped, lines)
        named = all(w.trigger and w.class_word for w in words.values())
        known = [w.trigger for w in words.values() if w.trigger and is_known(base, w.trigger)]
        doubts = [
            f"'{trigger}' is a word that the base model knows: what is there without training is "
            "not told from what was taught"
            for trigger in dict.fromkeys(known)
        ]
    notes = [
        f"{group.name}: the last checkpoint's name says no {group.unit}; curves show it at "
        f"{group.unit} {group.last}"
        for group in groups
        if group.guessed
    ]
    notes += _completed(groups)
    notes += [*said, *doubts]
    if not captioned:
        notes.append(f"{asked.images} has no captions, so no images are drawn of train prompts")
    table: dict[str, Any] = {
        "name": run.name, "base_model": base, "dataset": str(images),
        "sampling": _sampling(asked, base, captioned, named),
        "scoring": {
            "encoders": list(asked.encoders or _encoders(base)), "metrics": [DEFAULT, *COPYING],
        },
        "given": {group.name: _given(group) for group in groups},
    }  # fmt: skip
    if asked.heldout is not None:
        table["heldout"] = str(locate(asked.heldout, Path.cwd()))
    if tree is not None:
        table["prompts"] = str(tree)
    try:
        for text in asked.overrides:
            _refuse_twice(asked, text)
            override(table, text)
    except OverrideError as error:
        raise BenchError(f"--set: {error}") from None
    return Evaluation(table, files, groups, unlike(groups), problems, notes)


def _refuse_twice(asked: Asked, text: str) -> None:
    """BenchError: an override says what an option of the command says."""
    said = {"sampling.images": asked.count != IMAGES, "sampling.strength": bool(asked.strengths)}
    key = text.partition("=")[0].strip()
    if said.get(key):
        option = {"sampling.images": "--count", "sampling.strength": "--strength"}[key]
        raise BenchError(f"--set: {option} says what {key} is; give one of the two")


def _completed(groups: Sequence[Training]) -> Iterator[str]:
    """What the base model adds to checkpoints that are parts of a model, and what is not drawn."""
    for group in groups:
        lacks = dict.fromkeys(part for one in group.checkpoints for part in one.lacks)
        if lacks:
            yield f"{group.name}: its {', '.join(lacks)} are the base model's"
        averaged = [one.path / partial.AVERAGED for one in group.checkpoints]
        if there := [path for path in averaged if path.is_dir()]:
            yield (
                f"{group.name}: the averaged weights in {partial.AVERAGED} are not drawn; give "
                f"{there[-1]} to draw them"
            )


def _of_family(found: list[Found], base: str, problems: dict[str, str]) -> list[Found]:
    """The checkpoints that are not known to be of another family than the base model, or to have a
    U-Net for another one; the others are added to `problems`."""
    model = locate_model(base)
    own = family_of(model).name
    for one in found:
        if one.lacks and (reason := partial.unfit(one.path, model)):
            problems[str(one.path)] = reason
        if families.named(one.about.family) and one.about.family != own:
            problems[str(one.path)] = f"is for {one.about.family}, and the base model is {own}"
    return [one for one in found if str(one.path) not in problems]


def _model(name: str) -> str:
    """The base model as a study file has it. BackboneError: it is not on this machine."""
    if is_hub_id(name, Path.cwd()):
        locate_model(name)
        return name
    return str(locate(name, Path.cwd()))


def _images(folder: Path) -> tuple[dataset.Dataset, bool]:
    """The images, and whether all of them have captions. DataError: what is wrong with them."""
    data = dataset.scan(folder, captions=False, what="images")
    try:
        return data.recaptioned(folder, ".txt"), True
    except DataError:
        return data, False


def _own_prompts(given: str | None, images: Path) -> tuple[Path | None, Path | None]:
    """The user's own prompt tree, or file of prompts. BenchError: it is neither."""
    if given is None:
        return None, None
    place = locate(given, Path.cwd())
    if place.is_dir():
        if not any((folder / CONCEPTS).is_file() for folder in (place, images)):
            raise BenchError(
                f"--prompts: {given} is no prompt tree, as it has no {CONCEPTS}; give one of its "
                "files, with a prompt a line"
            )
        return place, None
    if not place.is_file():
        raise BenchError(f"--prompts: there is no {given}; a file, a prompt a line, or a folder")
    return None, place


def _sampling(asked: Asked, base: str, captioned: bool, named: bool) -> dict[str, Any]:
    side = native_side(base)
    small = {"guidance": LOWEST_GUIDANCE} if _encoders(base) == MINIATURE else {}
    return {
        "prompt_types": [*([BY_CAPTIONS] if captioned else []), *TYPES, *([UNASKED] * named)],
        "images": asked.count, "width": side, "height": side,
        "strength": sorted({*asked.strengths}) or [1.0], **small,
    }  # fmt: skip


def _encoders(base: str) -> tuple[str, ...]:
    """The encoders for images of a base model: the miniature world's own for its own."""
    return MINIATURE if prompts.tree_of(base) == locate(prompts.MINIATURE, Path()) else PAPER


def _given(group: Training) -> dict[str, Any]:
    """A training as a table of a study file."""
    about = group.about
    known = {
        "moments": list(group.moments), "last": group.last, "unit": group.unit,
        "seed": about.whole("seed"),
        "algorithm": about.algorithm, "options": about.options, "lr": about.told.get("lr"),
    }  # fmt: skip
    defaults = {"moments": [], "unit": "epoch", "algorithm": GIVEN, "options": {}}
    lr = known["lr"]
    if not (isinstance(lr, int | float) and 0 < lr <= 1):
        known["lr"] = None
    seed = known["seed"]
    if isinstance(seed, int) and seed < 0:
        known["seed"] = None
    said = {k: v for k, v in known.items() if v is not None and v != defaults.get(k)}
    return {"files": [str(one.path) for one in group.checkpoints], **said}
