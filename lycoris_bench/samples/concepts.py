"""Of which concept an image is, and what CLIP should read in place of its prompt."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lycoris_bench.data.concept_folders import OTHERS
from lycoris_bench.data.dataset import Dataset, Example, scan
from lycoris_bench.data.folders import images_below
from lycoris_bench.data.seen import Seen, identity
from lycoris_bench.files import disk
from lycoris_bench.messages.errors import BenchError
from lycoris_bench.messages.numbers import plural
from lycoris_bench.samples.found import CATEGORY, Notes, Sample
from lycoris_bench.study.concept_words import CONCEPTS, concept_table, read_words
from lycoris_bench.study.records import Concept
from lycoris_bench.study.wording import Words, whole_words


@dataclass(frozen=True)
class Reference:
    """The real images that samples are compared with, and how concepts are named; `one` stands for
    all concepts where no table names any."""

    data: Dataset
    words: Mapping[Concept, Words] = field(default_factory=dict)
    one: Words | None = None
    is_tree: bool = False

    def words_of(self, concept: Concept) -> Words | None:
        """How a concept is named; None where nothing says so."""
        return self.words.get(concept, self.one)

    def text(self, sample: Sample) -> str | None:
        """The prompt as CLIP should read it; None where there is none."""
        words = self.words_of(sample.concept) if sample.concept else None
        if sample.prompt is None or words is None:
            return sample.prompt
        # Where it holds the concept's words it was made of a template, unless it is a caption: then
        # words of the sub-class elsewhere are what the template asks for (wording.Words.plain).
        names = whole_words(words.descriptor).search(sample.prompt) is not None
        return words.plain(sample.prompt, names and sample.prompt_type != "train")


def reference(
    folder: Path | None,
    tree: Path | None,
    one: Words | None,
    samples: Sequence[Sample],
    name: str,
) -> Reference:
    """The real images in a folder, and the words of the concepts in it or in a `tree`.

    A folder is a dataset where it has a `concepts.toml`, or folders of the samples' own concepts;
    else all images in it, however deep, are of one concept, that of the samples. BenchError: it
    holds no image, or what it holds is faulty."""
    own = list(dict.fromkeys(s.concept for s in samples if s.concept))
    if folder is None or not _is_tree(folder, own):
        data = Dataset(()) if folder is None else _flat(folder, own, name)
        words = _words(tree, tree, [*own, *data.concepts]) if tree else {}
        return Reference(data, words, one)
    data = scan(folder, captions=False, what="reference")
    named = [c for c in data.concepts if c.subclass != OTHERS]
    there = (folder / CONCEPTS).exists() or tree is not None
    return Reference(data, _words(folder, tree, named) if there else {}, one, is_tree=True)


def _is_tree(folder: Path, concepts: Iterable[Concept]) -> bool:
    places = [folder / c.category / c.class_name for c in concepts]
    return (folder / CONCEPTS).exists() or any(place.is_dir() for place in places)


def _words(first: Path, tree: Path | None, concepts: Iterable[Concept]) -> dict[Concept, Words]:
    """The words of all concepts that the table names, the asked ones first."""
    table = concept_table(first, *([tree] if tree else []))[1]
    listed = {Concept(*name.split("/", 2)) for name in table if 1 <= name.count("/") <= 2}
    wanted = [c for c in dict.fromkeys([*concepts, *sorted(listed)]) if c in listed]
    return read_words(first, wanted, tree)


def _flat(folder: Path, own: Sequence[Concept], name: str) -> Dataset:
    concept = own[0] if len(own) == 1 else Concept(CATEGORY, name)
    if not folder.is_dir():
        raise BenchError(
            f"reference {folder} {'is no folder' if folder.exists() else 'does not exist'}"
        )
    seen, examples, problems = Seen(), [], []
    for path in images_below(folder):
        data = disk.read_bytes(path)
        content = identity(data)
        size = seen.size(data, content)
        if isinstance(size, str):
            problems.append(f"{path.relative_to(folder)}: {size}")
        else:
            examples.append(Example(path, "", concept, size, content))
    if problems or not examples:
        raise BenchError(f"reference {folder}: {'; '.join(problems) or 'it holds no image'}")
    return Dataset(tuple(examples))


def with_concepts(
    samples: Sequence[Sample], known: Reference, name: str, notes: Notes
) -> list[Sample]:
    """The samples, each with a concept: its own, else the one whose words its prompt has, else the
    only one there is."""
    concepts = list(dict.fromkeys([*known.words, *known.data.concepts]))
    concepts = [c for c in concepts if c.subclass != OTHERS]
    only = concepts[0] if len(concepts) == 1 else None
    fallback = only or Concept(CATEGORY, name)
    placed = [
        s if s.concept else replace(s, concept=_by_words(s.prompt, known.words) or fallback)
        for s in samples
    ]
    lost = [s.place for s in placed if s.concept not in concepts] if known.is_tree else []
    notes.some(
        "reference", lost,
        f"{plural(len(lost), 'image is', 'images are')} of no concept of the reference: neither "
        "folder nor a trigger in the prompt says which; compared with no real image",
    )  # fmt: skip
    return placed


def _by_words(prompt: str | None, words: Mapping[Concept, Words]) -> Concept | None:
    """The concept whose name in the prompt is the longest."""
    found = {
        concept: name
        for concept, one in words.items()
        for name in (one.trigger, one.class_descriptor, one.descriptor)
        if prompt and name and whole_words(name).search(prompt)
        and (one.trigger or name == one.descriptor)
    }  # fmt: skip
    return max(found, key=lambda concept: len(found[concept]), default=None)


def of_classes(data: Dataset, samples: Iterable[Sample]) -> Dataset:
    """The real images of the samples' classes, those of sub-class "others" among them."""
    classes = {(s.concept.category, s.concept.class_name) for s in samples if s.concept}
    kept = (e for e in data.examples if (e.concept.category, e.concept.class_name) in classes)
    return Dataset(tuple(kept))
