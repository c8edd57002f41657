"""Reads what a study names from the disk: training images, captions, prompts, adapter files.
Each mistake is a sentence. A missing dataset or base model can be reported in place of raised."""

import fnmatch
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from lycoris_bench.adapters.formats import adapter_file
from lycoris_bench.data import dataset
from lycoris_bench.data.images import DataError
from lycoris_bench.files import disk
from lycoris_bench.messages import suggestions
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.models import backbone, partial
from lycoris_bench.scoring import encoders
from lycoris_bench.scoring.encoders.weights import given, here, is_repository
from lycoris_bench.study import concept_words, prompt_types
from lycoris_bench.study.load import Study, StudyError
from lycoris_bench.study.pairs import KEY, pairs
from lycoris_bench.study.records import COMBINED, Concept, GivenFile, PromptSet
from lycoris_bench.study.wording import Words
from lycoris_bench.training import optimizer, tensorboard

MOST_IMAGES = 1_000_000  # of a dataset that is declared, not there
PLACEHOLDER = "not there"  # in place of the identity of a base model that is not there


@dataclass(frozen=True)
class Captioned:
    """The training images with the captions of one extension, the names of their concepts, and
    the prompts made of both."""

    data: dataset.Dataset
    words: dict[Concept, Words]
    prompt_sets: tuple[PromptSet, ...]


def captioned(study: Study, absent: list[str] | None) -> dict[str, Captioned]:
    """Extension of caption files ("" for the main ones) -> training images and prompts.

    Where the dataset is missing and `absent` is given, a sentence is added to it, and the images
    are as many as the prompt tree declares, with empty captions."""
    settings = study.settings
    folder, tree = Path(settings.dataset), Path(settings.prompts)
    captions = bool(study.own) or prompt_types.BY_CAPTIONS in settings.sampling.prompt_types
    data = selected(_scanned(folder, tree, absent, captions), settings.concepts)
    extensions = dict.fromkeys(["", *(c.captions for c in study.configurations)])
    there = folder.is_dir()
    datasets = {"": data} | {
        extension: data.recaptioned(folder, extension, tree) if there else data
        for extension in extensions
        if extension
    }
    return {
        extension: Captioned(images, *_prompts(study, images, extension))
        for extension, images in datasets.items()
    }


def _scanned(folder: Path, tree: Path, absent: list[str] | None, captions: bool) -> dataset.Dataset:
    """The dataset with the repeats of its table of concepts, or a missing one as declared. Where
    nothing is trained and no caption is a prompt it needs no captions."""
    try:
        data = dataset.scan(folder, captions=captions, words=tree)
    except DataError as error:
        counts = {} if folder.exists() or absent is None else _declared(tree)
        if absent is None or not counts:
            raise
        if (images := sum(counts.values())) > MOST_IMAGES:
            raise StudyError(
                str(tree), [f"{images:,} images are declared; at most {MOST_IMAGES:,} are allowed"]
            ) from None
        absent.append(
            f"{error}; put category/class[/sub-class] folders with images there, or name another "
            "with --set dataset=/its/full/path"
        )
        data = dataset.declared(counts, (512, 512))
    try:
        table = concept_words.concept_table(folder, tree)[1]
    except concept_words.PromptError:
        return data  # `_prompts` reports the mistake
    return data.repeating(concept_words.numbers(table, "repeats"))


def _declared(tree: Path) -> dict[Concept, int]:
    """The number of images of each concept in the prompt tree's table; empty where there is no
    table. PromptError: a mistake in the table."""
    if not (tree / concept_words.CONCEPTS).exists():
        return {}
    return concept_words.numbers(concept_words.concept_table(tree)[1], "images")


def _prompts(
    study: Study, data: dataset.Dataset, extension: str
) -> tuple[dict[Concept, Words], tuple[PromptSet, ...]]:
    """(the names of each concept, its prompts of each type). StudyError: names every mistake."""
    settings = study.settings
    tree = Path(settings.prompts)
    concepts = [concept for concept in data.concepts if concept.subclass != dataset.OTHERS]
    words = concept_words.read_words(Path(settings.dataset), concepts, tree)
    prompt_sets: list[PromptSet] = []
    problems: list[str] = []
    together = _pairs(study, words, problems)
    for concept in concepts:
        captions = [example.caption for example in data.of(concept)]
        for kind in settings.sampling.prompt_types:
            for second in together.get(concept, []) if prompt_types.of_pairs([kind]) else [None]:
                try:
                    prompts = prompt_types.prompt_set(
                        tree, concept, kind, words[concept], captions, extension,
                        (second, words[second]) if second else None,
                    )  # fmt: skip
                except concept_words.PromptError as error:
                    problems.append(str(error))
                    continue
                prompt_sets += [prompts] if prompts else []
    if problems:
        raise StudyError(study.name, dict.fromkeys(problems))
    return words, tuple(prompt_sets)


def _pairs(
    study: Study, words: Mapping[Concept, Words], problems: list[str]
) -> dict[Concept, list[Concept]]:
    """First concept -> the second ones, of prompts of two; mistakes are added to `problems`."""
    sampling = study.settings.sampling
    if not any(prompt_types.TYPES[kind].of_pairs for kind in sampling.prompt_types):
        if sampling.pairs:
            kinds = " or ".join(row.name for row in prompt_types.TYPES.values() if row.of_pairs)
            problems.append(f"'{KEY}' is given, but no {kinds} in 'sampling.prompt_types'")
        return {}
    found: dict[Concept, list[Concept]] = {}
    try:
        for first, second in pairs(words, sampling.pairs):
            found.setdefault(first, []).append(second)
    except concept_words.PromptError as error:
        problems.append(str(error))
    return found


def patterns(study: Study, data: dataset.Dataset) -> dict[tuple[str, ...], frozenset[Concept]]:
    """Patterns of configurations -> the concepts that they stand for, where those are not all.
    StudyError: patterns that match none, of every configuration."""
    found: dict[tuple[str, ...], frozenset[Concept]] = {}
    problems: list[str] = []
    for configuration in study.configurations:
        if not configuration.concepts:
            continue
        try:
            concepts = frozenset(selected(data, configuration.concepts).concepts)
        except StudyError as error:
            problems += [f"'concepts' of {configuration.name}: {said}" for said in error.problems]
            continue
        if concepts < frozenset(data.concepts):
            found[configuration.concepts] = concepts
    if problems:
        raise StudyError(study.name, problems)
    return found


def base_uid(name: str, absent: list[str] | None) -> str:
    """Identity of a base model; PLACEHOLDER for a missing one, with the reason in `absent`."""
    try:
        return backbone.fingerprint(name)
    except backbone.BackboneError as error:
        if (
            absent is None or Path(name).is_absolute()
        ):  # a path is a mistake, a hub id is not yet here
            raise
        if str(error) not in absent:
            absent.append(str(error))
        return PLACEHOLDER


def selected(data: dataset.Dataset, patterns: Iterable[str]) -> dataset.Dataset:
    """The examples whose concept matches a pattern such as `toys/*`. StudyError: a pattern matches
    no concept."""
    names = {str(concept): concept for concept in data.concepts}
    chosen: set[Concept] = set()
    for pattern in map(disk.composed, patterns):
        matched = {
            concept
            for name, concept in names.items()
            if name == pattern or fnmatch.fnmatch(name, pattern) or name.startswith(f"{pattern}/")
        }
        if not matched:
            raise StudyError("concepts", [suggestions.unknown("concept", pattern, names)])
        chosen |= matched
    examples = tuple(example for example in data.examples if example.concept in chosen)
    return replace(data, examples=examples)


def missing_libraries(study: Study, device: str) -> list[str]:
    """A sentence for each library that training on this device needs and that is not installed."""
    training, problems = study.settings.training, []
    if not study.own:
        return []
    try:
        optimizer.check(training.optimizer, device)
    except BenchError as error:
        problems.append(str(error))
    try:
        if training.tensorboard:
            tensorboard.check()
    except BenchError as error:
        problems.append(str(error))
    return problems


def check_weights(study: Study) -> None:
    """StudyError: names each missing file among the encoders' weights. Repositories may still be
    fetched when the encoders are loaded."""
    problems = []
    for name, weights in study.settings.scoring.weights.items():
        record = given(encoders.record(name), weights)
        if not is_repository(record.weights) and here(record) is None:
            problems.append(f"'scoring.weights.{name}': there is no file {weights}")
    if problems:
        raise StudyError(study.name, problems)


def adapter_files(study: Study) -> dict[str, str]:
    """Path -> hash of the content of each adapter file that is combined or given, and of each given
    model. StudyError: names every unreadable one."""
    hashes: dict[str, str] = {}
    problems: list[str] = []
    for where, file in _named_files(study):
        try:
            if file.partial:
                hashes[file.path] = partial.identity(Path(file.path))
            elif file.whole:
                hashes[file.path] = backbone.fingerprint(file.path)
            elif file.path not in hashes:
                hashes[file.path] = content(adapter_file.read(file.path)[0])
        except (adapter_file.AdapterFileError, backbone.BackboneError) as error:
            problems.append(f"{where}: {error}")
    if problems:
        raise StudyError(study.name, dict.fromkeys(problems))
    return hashes


def _named_files(study: Study) -> Iterator[tuple[str, GivenFile]]:
    """The table of the study file, and each file or folder that it names."""
    for configuration in study.configurations:
        if configuration.algorithm == COMBINED:
            for name in configuration.keywords.keys() - study.own.keys():
                yield f"combine.{configuration.name}", GivenFile(name)
        for file in configuration.files:
            yield f"given.{configuration.name}", file


def content(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over an adapter's tensors: files with the same tensors have the same."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
