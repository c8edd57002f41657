"""Finds the images of a folder, with what is known of each: its prompt and seed, who drew it and
at which step."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from lycoris_bench.data.folders import Folders, natural
from lycoris_bench.data.seen import Seen, identity
from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural
from lycoris_bench.messages.printable import printable
from lycoris_bench.samples import embedded
from lycoris_bench.samples.embedded import Said
from lycoris_bench.samples.grids import Grids
from lycoris_bench.samples.naming import OWN, TABLE, Named, Row, named
from lycoris_bench.samples.prompt_files import PromptFiles, PromptList
from lycoris_bench.study.prompt_types import ASKED_FOR, GIVEN, TYPES
from lycoris_bench.study.records import Concept

PLAIN = ("sample", "samples", "images", "validation_images", "output", "outputs")
"""Names of folders that say nothing of what lies in them."""
CATEGORY = "images"  # of a concept whose category nothing names
SHOWN = 3  # of many images in a sentence


@dataclass(frozen=True)
class Sample:
    """An image: `uid` is the SHA-256 of its file, `place` its name below the folder, `index` its
    number where its name has one. `step` is the moment of the training, `seed` that of the noise.
    `said` are settings: steps, guidance, sampler, model, ..."""

    path: Path
    uid: str
    size: tuple[int, int]
    place: str
    configuration: str
    prompt_type: str = GIVEN
    prompt: str | None = None
    seed: int | None = None
    step: int | None = None
    training_seed: int | None = None
    strength: float = 1.0
    concept: Concept | None = None
    index: int | None = None
    is_base: bool = False
    tool: str = ""
    said: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Notes:
    """What is said of a folder: `failed` is left out, `warned` goes on. Item -> sentence."""

    failed: dict[str, str] = field(default_factory=dict)
    warned: dict[str, str] = field(default_factory=dict)

    def some(self, item: str, places: Sequence[str], sentence: str) -> None:
        """A warning about several images; none where there are none."""
        if places:
            shown = ", ".join(places[:SHOWN])
            more = f" and {len(places) - SHOWN} more" if places[SHOWN:] else ""
            self.warned[item] = f"{sentence} ({shown}{more})"


@dataclass(frozen=True)
class Rules:
    """How names and prompts are read."""

    pattern: Row | None = None
    prompts: PromptList = field(default_factory=PromptList)
    grids: Grids | None = None

    @property
    def rows(self) -> tuple[Row, ...]:
        return (self.pattern, *TABLE) if self.pattern else TABLE


def find(
    folder: Path, rules: Rules, notes: Notes, leave_out: Collection[Path] = ()
) -> list[Sample]:
    """The images in a folder and in all folders inside it, in natural order; those below the
    folders `leave_out` are not among them.

    BenchError: it is no folder, or holds no image that can be read."""
    if not folder.is_dir():
        raise BenchError(f"{folder} {'is no folder' if folder.exists() else 'does not exist'}")
    problems: list[str] = []
    paths = Folders(folder, problems).below(folder)
    paths = [p for p in paths if not any(place in p.parents for place in leave_out)]
    files, seen, samples = PromptFiles(folder, problems), Seen(), []
    for path in paths:
        name = named(path, folder, rules.rows)
        try:
            samples += _samples(path, folder, name, rules, files, seen)
        except BenchError as error:
            notes.failed[_shown(path, folder)] = f"{error}; it is left out"
    notes.warned |= {f"{folder.name}, {k}": text for k, text in enumerate(problems, 1)}
    if not samples:
        why = f": {next(iter(notes.failed.values()))}" if notes.failed else ""
        raise BenchError(f"{folder} holds no image that can be read{why}")
    _say(samples, rules, notes)
    return samples


def _samples(
    path: Path, folder: Path, name: Named, rules: Rules, files: PromptFiles, seen: Seen
) -> list[Sample]:
    """The sample of an image, or those that it is cut into. BenchError: it cannot be read."""
    data = disk.read_bytes(path)
    uid = identity(data)
    size = seen.size(data, uid)
    if isinstance(size, str):
        raise BenchError(f"{size}")
    place, index = _shown(path, folder), name.number("index")
    said = _said(path, name, rules, files)
    if name.number("step") is None and name.number("epoch") is not None:
        said["counted in"] = "epochs"
    about: dict[str, Any] = {
        "configuration": _configuration(path, folder, name),
        "prompt_type": name.fields.get("prompt_type", GIVEN),
        "prompt": said.get("prompt") or None,
        "step": name.step,
        "training_seed": name.number("training_seed"),
        "strength": _strength(name),
        "concept": _concept(name),
        "is_base": "base" in name.fields,
        "tool": name.tool,
        "said": said,
    }
    if about["prompt_type"] not in ASKED_FOR:
        about["prompt_type"] = GIVEN
    if rules.grids is None:
        seed = _seed(name, said)
        return [Sample(path, uid, size, place, index=index, seed=seed, **about)]
    tiles = rules.grids.cut(path, uid)  # of which the file has the seed of the first at most
    count = len(tiles)
    return [
        Sample(tile.path, tile.uid, tile.size, f"{place} [{k}]", **about,
               index=None if index is None else index * count + k)
        for k, tile in enumerate(tiles)
    ]  # fmt: skip


def _said(path: Path, name: Named, rules: Rules, files: PromptFiles) -> Said:
    """Prompt and settings: a file beside the image goes before what is in it, but in images of this
    program; then what its name and a list say."""
    inside, beside = embedded.read(path), files.of(path)
    sources = [inside, beside] if name.tool == OWN else [beside, inside]
    sources += [{"prompt": text} for text in [name.fields.get("prompt", "")] if text]
    sources += [rules.prompts.of(name)]
    if not any(one.get("prompt") for one in sources) and name.fields.get("words"):
        sources.append({"prompt": name.fields["words"], "shortened": "yes"})
    said: Said = {}
    for one in sources:
        said |= {key: text for key, text in one.items() if not said.get(key)}
    return said


def _seed(name: Named, said: Said) -> int | None:
    text = said.get("seed", "")
    seed = name.number("seed")
    return int(text) if seed is None and text.isdecimal() and len(text) < 20 else seed


def _strength(name: Named) -> float:
    try:
        strength = float(name.fields.get("strength", "1"))
    except ValueError:
        return 1.0
    return strength if -10 <= strength <= 10 else 1.0


def _concept(name: Named) -> Concept | None:
    parts = [unquote(name.fields.get(key, "")) for key in ("category", "class", "subclass")]
    return Concept(parts[0] or CATEGORY, parts[1], parts[2]) if parts[1] else None


def _configuration(path: Path, folder: Path, name: Named) -> str:
    """Who drew it: its name says so, else the folder of the tool's images, else the first folder
    below the one that is scored."""
    if given := name.fields.get("configuration"):
        given = unquote(given) if name.tool == OWN else given
        return given + name.fields.get("variant", "")
    below = path.relative_to(folder).parts
    if not name.tool and len(below) > 1:
        return below[0]
    start = path.parent.parent if "words" in name.fields else path.parent
    above = [place for place in (start, *start.parents) if place.name.lower() not in PLAIN]
    inside = [p for p in above if folder in (p, *p.parents) or folder.name.lower() in PLAIN]
    return ((inside or [folder])[0].name or "images") + name.fields.get("variant", "")


def _shown(path: Path, folder: Path) -> str:
    return printable(path.relative_to(folder).as_posix())


def _say(samples: Sequence[Sample], rules: Rules, notes: Notes) -> None:
    """What a reader should know of names and prompts."""
    if rules.pattern and (others := [s.place for s in samples if s.tool != rules.pattern.tool]):
        how = "their names are read by the table of tools"
        if len(others) == len(samples):
            notes.failed["--pattern"] = f"it fits no name (the first is {others[0]}); {how}"
        else:
            notes.some("--pattern", others, f"it does not fit {plural(len(others), 'name')}; {how}")
    bare = [s.place for s in samples if s.prompt is None]
    notes.some(
        "prompts", bare,
        f"no prompt is found for {len(bare)} of {len(samples)} images, which have no text "
        "similarity and no partner of the base model; a .txt beside each gives it, or --prompts "
        "FILE for all",
    )  # fmt: skip
    short = [s.place for s in samples if "shortened" in s.said]
    notes.some(
        "shortened prompts", short,
        f"the prompt of {plural(len(short), 'image')} is known from a folder's name alone, "
        "which holds at most 32 characters of it; --prompts FILE gives them whole",
    )  # fmt: skip
    epochs = [s.place for s in samples if "counted in" in s.said]
    if epochs and any(s.step is not None and "counted in" not in s.said for s in samples):
        notes.some(
            "steps", epochs,
            f"the names of {plural(len(epochs), 'image')} count epochs, those of others steps; "
            "both stand in the column 'epoch' as they are",
        )  # fmt: skip
    grids = [s.place for s in samples if "grid" in s.path.stem.lower() and rules.grids is None]
    notes.some(
        "grids", grids,
        plural(
            len(grids), "image is called a grid and counts as one image",
            "images are called a grid and count as one image each",
        ) + "; --grid 2x2 cuts a grid into 2 rows of 2",
    )  # fmt: skip


def order(sample: Sample) -> tuple[Any, ...]:
    """The order of images: by concept, prompt type and number, as a study has them."""
    concept = sample.concept or Concept("", "")
    names = (concept.category, concept.class_name, concept.subclass)
    return (
        *(natural(Path(name)) for name in names),
        [*TYPES].index(sample.prompt_type),
        -1 if sample.index is None else sample.index,
        tuple(natural(Path(part)) for part in Path(sample.place).parts),
    )
