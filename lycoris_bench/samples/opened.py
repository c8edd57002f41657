"""Opens a folder of images that exist already: finds and groups them, and makes their plan."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural
from lycoris_bench.run.folder import STUDY, StoreError
from lycoris_bench.run.store import Store
from lycoris_bench.samples import grids, naming, prompt_files
from lycoris_bench.samples.columns import STEP, Columns, Known, align, group, partners
from lycoris_bench.samples.concepts import of_classes, reference, with_concepts
from lycoris_bench.samples.found import PLAIN, Notes, Rules, Sample, find
from lycoris_bench.samples.grids import Grids
from lycoris_bench.samples.sets import SamplesPlan
from lycoris_bench.study import drawn
from lycoris_bench.study.asked_for import unknown_names
from lycoris_bench.study.load import Study, StudyError, load_stored, parse
from lycoris_bench.study.places import is_hub_id, locate
from lycoris_bench.study.records import BASE_CHECKPOINT, Checkpoint
from lycoris_bench.study.settings import Scoring
from lycoris_bench.study.wording import Words


@dataclass(frozen=True)
class Asked:
    """What is asked for of a folder; the fields are those of `score_samples`."""

    folder: Path
    reference: Path | None = None
    base: Path | None = None
    group: str = STEP
    pattern: str | None = None
    grid: str | None = None
    prompts: Path | None = None
    words: Path | None = None
    trigger: str | None = None
    class_word: str | None = None
    description: str | None = None
    encoders: Sequence[str] = ()
    metrics: Sequence[str] = ()
    batch_size: int | None = None
    weights: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The study's name, by default its run folder's too: that of the folder, or of one above it
        where that says nothing; of a run's own images `<run>-images`."""
        if run := run_of(self.folder):
            return f"{run.name}-images"
        places = (self.folder, *self.folder.parents)
        named = next((p.name for p in places if p.name.lower() not in PLAIN), "") or "images"
        return re.sub(r"[^\w.-]+", "-", named).strip(".-")[:60] or "images"

    @property
    def naming(self) -> Words | None:
        """The words of the one concept, where options give them."""
        if (self.trigger, self.class_word, self.description) == (None, None, None):
            return None
        word = self.class_word or ""
        if not (self.trigger or word):
            raise BenchError(
                "--description stands in place of a trigger or a class word; give --trigger or "
                "--class-word too"
            )
        return Words(self.trigger or "", word, self.description or word)


def scoring(asked: Asked) -> Scoring:
    """The encoders with their weights and batch size, and the metrics. StudyError: some are
    unknown."""
    given: dict[str, Any] = {
        name: tuple(values)
        for name in ("encoders", "metrics")
        if (values := getattr(asked, name))
    }  # fmt: skip
    here = Path.cwd()
    given["weights"] = {
        name: own if is_hub_id(own, here) else str(locate(own, here))
        for name, own in asked.weights.items()
    }
    if asked.batch_size is not None:
        given["batch_size"] = asked.batch_size
    table = {"name": asked.name, "scoring": given, drawn.DRAWN: {"images": {"folder": "."}}}
    settings = parse(table, source="score").settings
    if problems := list(unknown_names(settings)):
        raise StudyError("score", problems)
    return settings.scoring


def check_run(asked: Asked, store: Store) -> None:
    """StoreError: the run folder is of other images, of a study, or holds other things."""
    table = _table(store)
    if table and drawn.DRAWN not in table:
        raise StoreError(
            f"run folder {store.root} belongs to the study '{table.get('name', '?')}'; choose "
            "another with --run"
        )
    store.belongs_to(asked.name)
    listed = table.get(drawn.DRAWN, {})
    for one in listed.values() if isinstance(listed, dict) else ():
        place = one.get("folder", ".") if isinstance(one, dict) else "."
        if (of := (store.root / str(place)).resolve()) != asked.folder:
            raise StoreError(
                f"run folder {store.root} is of the images in {of}; choose another with --run"
            )


def _table(store: Store) -> dict[str, Any]:
    """The study file of the run folder; empty where there is none, or it is broken."""
    try:
        return disk.read_toml(store.study)
    except disk.FileError:
        return {}


def opened(asked: Asked, store: Store, notes: Notes) -> SamplesPlan:
    """The plan of a folder's images. BenchError: what is asked for cannot be had at all."""
    made = scoring(asked)
    if (asked.folder / STUDY).is_file():
        raise BenchError(
            f"{asked.folder} is a run folder; its images lie in {asked.folder / 'images'}"
        )
    cut = grids.shape(asked.grid) if asked.grid else None
    rules = Rules(
        naming.template(asked.pattern) if asked.pattern else None,
        prompt_files.prompt_list(asked.prompts) if asked.prompts else prompt_files.PromptList(),
        Grids(*cut, store.root / "cut", store.write) if cut else None,
    )
    others = [place for place in (asked.base, asked.reference) if place]
    apart = [store.root, *(p for p in others if asked.folder in p.parents)]
    samples = find(asked.folder, rules, notes, apart)
    if asked.base:
        inside = [s.place for s in samples if s.is_base]
        images = plural(len(inside), "image of 'base' is", "images of 'base' are")
        notes.some("base", inside, f"{images} left out: --base is given")
        base = [replace(s, is_base=True) for s in find(asked.base, rules, notes, [store.root])]
        samples = [*(s for s in samples if not s.is_base), *base]
    if all(s.is_base for s in samples):
        raise BenchError(f"{asked.folder} holds images of the base model alone")
    known = reference(asked.reference, asked.words, asked.naming, samples, asked.name)
    samples = with_concepts(samples, known, asked.name, notes)
    columns = group(samples, asked.group, _known(asked.folder), notes)
    columns, by_seed = align(columns, notes)
    pairs = _pairs(columns, by_seed, notes)
    kept = _with_base(columns, pairs, notes)
    return SamplesPlan(
        _study(asked, store, made, kept), kept, known,
        of_classes(known.data, [s for own in kept.values() for s in own]), pairs, asked.group,
        by_seed,
    )  # fmt: skip


def run_of(folder: Path) -> Path | None:
    """The run folder whose images lie in a folder, if it is a run's."""
    here = (folder, *folder.parents)
    runs = (p.parent for p in here if p.name == "images" and (p.parent / STUDY).is_file())
    return next(runs, None)


def _known(folder: Path) -> Known:
    """The configurations of the run whose images these are."""
    run = run_of(folder)
    try:
        return Known({c.name: c for c in load_stored(run / STUDY).configurations} if run else {})
    except (BenchError, OSError):
        return Known({})


def _pairs(columns: Columns, by_seed: bool, notes: Notes) -> dict[str, Sample]:
    """uid of each image -> the base model's of the same prompt and seed."""
    base = columns.get(BASE_CHECKPOINT, [])
    drawn_here = {column: own for column, own in columns.items() if not column.is_base}
    found = {column: partners(own, base) for column, own in drawn_here.items()}
    if base and not by_seed and len(drawn_here) > 1:
        notes.warned["base"] = (
            "no image is compared with the base model: the columns have other seeds, or none, so "
            "their partners would be other images in each"
        )
        return {}
    lone = [s.place for c, own in drawn_here.items() for s in own if s.place not in found[c]]
    if base:
        notes.some(
            "base", lone,
            f"{plural(len(lone), 'image has', 'images have')} no image of the base model with "
            "their prompt and seed, and no style loss",
        )  # fmt: skip
    return {s.uid: found[c][s.place] for c, own in drawn_here.items() for s in own
            if s.place in found[c]}  # fmt: skip


def _with_base(columns: Columns, pairs: dict[str, Sample], notes: Notes) -> Columns:
    """The columns; of the base model the images that are partners, where all images of a concept
    and prompt type have one: others would not be as many as a column's."""
    drawn_here = {c: own for c, own in columns.items() if not c.is_base}
    first = next(iter(drawn_here.values()))
    lacking = {(s.concept, s.prompt_type) for s in first if s.uid not in pairs}
    base = [
        replace(pairs[s.uid], concept=s.concept, prompt_type=s.prompt_type)
        for s in first
        if (s.concept, s.prompt_type) not in lacking
    ]
    return {BASE_CHECKPOINT: base, **drawn_here} if base else drawn_here


def _study(asked: Asked, store: Store, made: Scoring, columns: Columns) -> Study:
    """The study, as its file will say it, with files named from here."""
    text = study_file(asked, store, made, [c for c in columns if not c.is_base])
    study = parse(tomllib.loads(text), store.root, STUDY)
    return replace(study, settings=study.settings.model_copy(update={"scoring": made}))


def study_file(asked: Asked, store: Store, made: Scoring, columns: Sequence[Checkpoint]) -> str:
    """The study file of the run folder; folders are named from there, so that one that is passed on
    names no place of this machine."""
    place = os.path.relpath(asked.folder, store.root)
    table: dict[str, Any] = {
        name: list(values)
        for name in ("encoders", "metrics")
        if (values := getattr(made, name))
    }  # fmt: skip
    if made.weights:
        table["weights"] = {
            name: os.path.relpath(own, store.root) if Path(own).is_file() else own
            for name, own in made.weights.items()
        }
    names = dict.fromkeys((c.configuration.name for c in columns), place)
    return drawn.toml(asked.name, table, columns, names)


def locations(**given: str | Path | None) -> dict[str, Path | None]:
    """Paths as the user gave them, resolved; `package:...` is what ships with lycoris-bench."""
    return {
        name: None if path is None else locate(str(path), Path.cwd()).resolve()
        for name, path in given.items()
    }
