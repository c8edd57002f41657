"""The authors' prompts as a prompt tree of ours: `{}` for the concept, and the table of words."""

from pathlib import Path
from typing import Any

import tomli_w

from lycoris_bench.files import disk
from lycoris_bench.published.checkout import PROMPTS, Clone
from lycoris_bench.published.renames import CATEGORIES, KINDS, PROMPT_FILES, SLIPS, PublishedError
from lycoris_bench.published.table_file import table_rows
from lycoris_bench.run.safe_names import concept_path
from lycoris_bench.study.concept_words import CONCEPTS
from lycoris_bench.study.records import Concept
from lycoris_bench.study.wording import Words, whole_words


def prompt_files(clone: Clone, root: Path) -> tuple[dict[Concept, Words], dict[Path, str]]:
    """(what the tree names, its files under `root`): `<type>.txt` per (sub)class, and
    `concepts.toml`."""
    words_of: dict[Concept, Words] = {}
    table: dict[str, dict[str, Any]] = {}
    files: dict[Path, str] = {}
    for concept, folder in concepts(clone.needed(PROMPTS, "their prompts lie there")).items():
        words = words_of[concept] = named(clone, concept, folder)
        for prompt_type, name in PROMPT_FILES.items():
            lines = prompts(folder / name)
            if prompt_type == "train":
                table[str(concept)] = {"images": len(lines), **_entry(words)}
            if lines:
                descriptor = whole_words(words.descriptor)
                text = "\n".join(descriptor.sub("{}", line) for line in lines)
                files[root / concept_path(concept) / f"{prompt_type}.txt"] = text + "\n"
    files[root / CONCEPTS] = tomli_w.dumps(table)
    return words_of, files


def concepts(root: Path) -> dict[Concept, Path]:
    """Each (sub)class with prompts, and its folder: `<category>/<class>[/<sub-class>]`."""
    folders = {}
    for path in sorted(root.rglob(PROMPT_FILES["trigger"])):
        category, *rest = path.parent.relative_to(root).parts
        if not 1 <= len(rest) <= 2:
            raise PublishedError(f"{path} does not lie in <category>/<class>[/<sub-class>]")
        folders[Concept(CATEGORIES.get(category, category), *rest)] = path.parent
    if not folders:
        raise PublishedError(f"{root} holds no {PROMPT_FILES['trigger']}: there are no prompts")
    return folders


def named(clone: Clone, concept: Concept, folder: Path) -> Words:
    """How the concept is named, from their two tables and its trigger prompt.

    The trigger prompt is the descriptor; the class's own is its beginning, and what follows are
    the words of the sub-class. A toy's robe is such words too: it is named in every prompt."""
    of_class = pairs(clone.needed("token_mapping.csv", "it says what a class is called"))
    plain = pairs(clone.needed("token_mapping_eval.csv", "it says what replaces a trigger"))
    if concept.class_name not in of_class:
        raise PublishedError(f"token_mapping.csv does not say what {concept.class_name} is called")
    trigger_file = folder / PROMPT_FILES["trigger"]
    descriptor = next(iter(prompts(trigger_file)), "")
    if not descriptor:
        raise PublishedError(f"{trigger_file} is empty; its first line is how the class is named")
    head = of_class[concept.class_name].partition(",")[0]
    if not descriptor.startswith(head):
        raise PublishedError(f"'{descriptor}' of {concept} does not begin with '{head}'")
    trigger, _, class_word = head.partition(" ")
    subclass = descriptor.removeprefix(head).removeprefix(", ")
    if head in plain:  # a style loses its class word too
        return Words(trigger, class_word, plain[head], subclass, KINDS.get(concept.category, ""))
    stands_for = plain.get(SLIPS.get(trigger, trigger), "")
    description = f"{stands_for} {class_word}".strip()
    if subclass and subclass not in plain:  # "realistic" stays, an outfit's invented word goes
        description += f", {subclass}"
    return Words(trigger, class_word, description, subclass, KINDS.get(concept.category, ""))


def prompts(path: Path) -> list[str]:
    """The prompts of a file, one a line; none where it is missing."""
    try:
        return [line for line in disk.read_lines(path) if line]
    except disk.NoSuchFile:
        return []


def pairs(path: Path) -> dict[str, str]:
    """A table of theirs that says what a word is called, or replaced by."""
    return {row[0]: row[1] for _, row in table_rows(path) if len(row) == 2}


def _entry(words: Words) -> dict[str, str]:
    entry = {
        "trigger": words.trigger,
        "class_word": words.class_word,
        "description": words.description,
    }
    further = {"subclass_words": words.subclass_words, "kind": words.kind}
    return entry | {key: text for key, text in further.items() if text}
