"""`lycoris-bench import-published`: everything of the authors' data that is there."""

from pathlib import Path
from typing import Any

from lycoris_bench.messages.numbers import plural
from lycoris_bench.published import outputs
from lycoris_bench.published.checkout import PROMPTS, Clone
from lycoris_bench.published.prompt_tree import prompt_files
from lycoris_bench.published.renames import PublishedError
from lycoris_bench.published.runs import RUNS, Imported, read_runs


def import_published(folder: Path, out: Path, force: bool = False) -> dict[str, Any]:
    """Prompts to `out/prompts`, each run to `out/<name>`; -> what was written, and in words.

    All is read before anything is written. `force` replaces what an import did not write."""
    clone = Clone(folder)
    named, files = prompt_files(clone, out / "prompts") if clone.one(PROMPTS) else ({}, {})
    tables = any(clone.tables(pattern) for run in RUNS for pattern in run.tables)
    made = read_runs(clone, out) if tables else []
    if not named and not made:
        known = ", ".join(dict.fromkeys(run.tables[0] for run in RUNS))
        raise PublishedError(f"{folder} holds neither {PROMPTS} nor any table of: {known}")
    outputs.refuse_foreign(files, [run.store.root for run in made], force)
    outputs.write(files)
    for run in made:
        run.write()
    lines = [_about(run) for run in made]
    if named:
        lines.insert(0, f"prompts of {plural(len(named), 'concept')} in {out / 'prompts'}")
    if made:
        lines.append(f"To analyze one, type: lycoris-bench analyze {out / made[0].store.root.name}")
    runs = {
        run.store.root.name: {"rows": len(run.table), "checkpoints": run.checkpoints}
        for run in made
    }
    return {"concepts": len(named), "runs": runs, "text": "\n".join(lines)}


def _about(run: Imported) -> str:
    drawn = plural(run.checkpoints, "checkpoint")
    text = f"{run.store.root}: {plural(len(run.table), 'score')} of {drawn} ({run.what})"
    if run.left_out:
        text += f"; left out, as the paper does: {', '.join(run.left_out)}"
    return text
