"""The numbers of a run as the Hugging Face Hub reads them in a model card: `model-index`."""

from pathlib import Path
from typing import Any

from lycoris_bench.analysis.columns import CRITERIA
from lycoris_bench.exporting import run_values
from lycoris_bench.exporting.run_values import Entry, RunValues, Term, Value
from lycoris_bench.messages.numbers import plural, significant
from lycoris_bench.messages.printable import printable
from lycoris_bench.messages.suggestions import unknown
from lycoris_bench.run.folder import StoreError

TASK = "text-to-image"


def card(folder: Path, configuration: str | None = None) -> str:
    """The front matter of a model card, between its marks: an entry of `model-index` for each
    configuration of a run, or for one. BenchError: no such configuration, or the run has no values
    (run_values.read)."""
    run = run_values.read(folder)
    names = [entry.name for entry in run.entries]
    if configuration is not None and configuration not in names:
        raise StoreError(unknown("configuration", configuration, names))
    entries = [e for e in run.entries if configuration in (None, e.name)]
    from huggingface_hub.repocard_data import model_index_to_eval_results
    from huggingface_hub.utils import yaml_dump

    index = [model for entry in entries for model in _models(run, entry)]
    model_index_to_eval_results(index)  # the Hub's own reader
    return f"---\n{yaml_dump({'model-index': index}, sort_keys=False)}---\n"


def _models(run: RunValues, entry: Entry) -> list[dict[str, Any]]:
    """The model of one configuration, as the library of the Hub writes it."""
    from huggingface_hub.repocard_data import EvalResult, eval_results_to_model_index

    results = [
        EvalResult(
            task_type=TASK, task_name="Text-to-Image",
            dataset_type=printable(run.dataset), dataset_name=_concepts(run),
            metric_type=criterion.metric, metric_value=value.value,
            metric_name=_name(value, term, criterion.heading),
            metric_args=_args(run, entry, value, term),
        )
        for criterion in CRITERIA
        if (value := entry.values.get(criterion.key))
        and (term := next((t for t in run.terms if t.criterion == criterion.key), None))
    ]  # fmt: skip
    named = printable(f"{run.study} {entry.name}")
    made: list[dict[str, Any]] = eval_results_to_model_index(named, results)
    return made


def _concepts(run: RunValues) -> str:
    count = len({term.concept for term in run.terms})
    return printable(f"{run.dataset}, {plural(count, 'concept')} of the study {run.study}")


def _name(value: Value, term: Term, heading: str) -> str:
    """`Fidelity: image similarity, trigger prompts (0.712 ± 0.011, n = 12, higher is better)`."""
    number = significant(value.value)
    error = "" if value.stderr is None else f" ± {significant(value.stderr)}"
    return (
        f"{heading}: {term.metric.replace('_', ' ')}, {term.prompt_type} prompts "
        f"({number}{error}, n = {value.n}, {term.better} is better)"
    )


def _args(run: RunValues, entry: Entry, value: Value, term: Term) -> dict[str, Any]:
    """What else says what the number is: of all concepts the seeds and cells behind it."""
    beside = {"base_model": run.base, "real_images": run.real}
    known = {
        name: values[term.criterion].value
        for name, values in beside.items()
        if term.criterion in values
    }
    args = {
        "stderr": value.stderr, "n": value.n, "seeds": entry.seeds, "epoch": entry.epoch,
        "images": term.n, "encoder": printable(term.encoder), "resize": printable(term.resize),
        "better": term.better, **known,
    }  # fmt: skip
    return {name: given for name, given in args.items() if given is not None}
