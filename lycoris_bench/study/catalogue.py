"""What a study file may name: adapters with their options, presets, encoders, metrics, prompts."""

import inspect
from collections.abc import Callable
from typing import Any

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.adapters.algorithms.options import LIMITS
from lycoris_bench.adapters.presets.layers import PRESETS
from lycoris_bench.scoring.encoders import ENCODERS
from lycoris_bench.scoring.metrics import METRICS
from lycoris_bench.study import prompt_types as prompts

Entry = dict[str, Any]


def adapters() -> list[Entry]:
    """Each algorithm with what it computes, its options, their defaults and what is allowed."""
    return [
        {"name": name, "what": _first_line(kind), "options": _options(kind)}
        for name, kind in ALGORITHMS.entries().items()
    ]


def presets() -> list[Entry]:
    """The layer presets; a study may define its own."""
    return [{"name": name, "what": str(preset)} for name, preset in PRESETS.items()]


def encoders() -> list[Entry]:
    """Each encoder with its weights and the resizings it takes."""
    return [
        {"name": name, "what": f"{_weights(kind)}; resizings: {', '.join(kind.resizings)}"}
        for name, kind in ENCODERS.entries().items()
    ]


def metrics() -> list[Entry]:
    """Each metric with its direction."""
    return [
        {"name": name, "what": f"{metric.better} is better{_asked(metric)}: {_first_line(metric)}"}
        for name, metric in METRICS.entries().items()
    ]


def prompt_types() -> list[Entry]:
    """Each prompt type, and what its images are compared with."""
    return [
        {
            "name": name,
            "what": f"compared with {' and '.join(row.compared_with)}"
            + "; of images that exist already (score DIR)" * row.drawn_elsewhere,
        }
        for name, row in prompts.TYPES.items()
    ]


def list_adapters() -> list[str]:
    """The names of the algorithms, plug-ins included."""
    return sorted(ALGORITHMS.entries())


def list_encoders() -> list[str]:
    """The names of the encoders, plug-ins included."""
    return sorted(ENCODERS.entries())


def list_metrics() -> list[str]:
    """The names of the metrics, plug-ins included."""
    return sorted(METRICS.entries())


KINDS: dict[str, Callable[[], list[Entry]]] = {
    "adapters": adapters,
    "presets": presets,
    "encoders": encoders,
    "metrics": metrics,
    "prompt-types": prompt_types,
}


def catalogue(kind: str) -> dict[str, Any]:
    """One kind as data, and as the text that `ls` prints."""
    entries = KINDS[kind]()
    width = max(len(entry["name"]) for entry in entries)
    lines: list[str] = []
    for entry in entries:
        lines.append(f"{entry['name']:<{width}}  {entry['what']}")
        own = {k: v for k, v in entry.get("options", {}).items() if k not in LIMITS}
        lines += _listed(own, width)
    if kind == "adapters":
        common = {k: v for k, v in entries[0]["options"].items() if k in LIMITS}
        lines += [f"{'all of them':<{width}}  while they train:", *_listed(common, width)]
    return {kind: entries, "text": "\n".join(lines)}


def _listed(options: dict[str, dict[str, str]], indent: int) -> list[str]:
    return [
        f"{'':<{indent}}    {name} = {option['default']}  ({option['allowed']})"
        for name, option in options.items()
    ]


def _options(kind: Any) -> dict[str, dict[str, str]]:
    defaults = {**vars(type(kind.limits)()), **kind.defaults()}
    return {
        name: {"default": _written(defaults[name]), "allowed": str(allowed)}
        for name, allowed in kind.options().items()
    }


def _weights(encoder: Any) -> str:
    return encoder.record.weights or "no weights"


def _written(default: Any) -> str:
    """The default as a study file would have it."""
    return "none" if default is None else str(default).lower()


def _asked(metric: Any) -> str:
    return ", only where a study names it" if metric.on_request else ""


def _first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "no description").splitlines()[0]
