"""`lycoris-bench import-published`: everything of the authors' data that is there."""

from pathlib import Path
from typing import Any

from lycoris_bench.published.clone import PROMPTS, Clone
from lycoris_bench.published.names import PublishedError
from lycoris_bench.published.prompt_tree import write_prompts
from lycoris_bench.published.runs import RUNS, Imported, write_runs
from lycoris_bench.store import Store


def import_published(folder: Path, out: Path) -> dict[str, Any]:
    """Prompts to `out/prompts`, each run to `out/<name>`; -> what was written, and in words."""
    clone = Clone(folder)
    named = write_prompts(clone, Store(out / "prompts")) if clone.one(PROMPTS) else {}
    tables = any(clone.tables(pattern) for run in RUNS for pattern in run.tables)
    made = write_runs(clone, out) if tables else []
    if not named and not made:
        known = ", ".join(dict.fromkeys(run.tables[0] for run in RUNS))
        raise PublishedError(f"{folder} holds neither {PROMPTS} nor any table of: {known}")
    lines = [_about(run) for run in made]
    if named:
        lines.insert(0, f"prompts of {len(named)} concepts in {out / 'prompts'}")
    if made:
        lines.append(f"To analyze one, type: lycoris-bench analyze {out / made[0].store.root.name}")
    runs = {run.store.root.name: {"rows": run.rows, "checkpoints": run.checkpoints} for run in made}
    return {"concepts": len(named), "runs": runs, "text": "\n".join(lines)}


def _about(run: Imported) -> str:
    text = f"{run.store.root}: {run.rows} scores of {run.checkpoints} checkpoints ({run.what})"
    if run.left_out:
        text += f"; left out, as the paper does: {', '.join(run.left_out)}"
    return text
