"""The prompt and the seed in the graph of nodes that ComfyUI writes into an image."""

from collections.abc import Mapping
from typing import Any

TEXTS = ("text", "text_g", "prompt", "string", "value", "positive", "text_l", "clip_l", "t5xxl")
SEEDS = ("seed", "noise_seed", "value", "int")
SETTINGS = {"steps": "steps", "cfg": "guidance", "guidance": "guidance", "sampler_name": "sampler"}
Graph = Mapping[str, Any]


def read(graph: Any) -> dict[str, str]:
    """`prompt`, `seed` and settings of the sampler that has a prompt; empty where none has.

    The sampler's link `positive` is followed, or that of its guider, to the node that has a
    text."""
    if not isinstance(graph, Mapping):
        return {}
    for node in graph.values():
        inputs = _inputs(node)
        guider = _inputs(_linked(graph, inputs.get("guider")))
        asked = {**guider, **inputs}
        for link in ("positive", "conditioning") if "positive" in asked or guider else ():
            text = _text(graph, asked.get(link))
            if text and (_is_sampler(node) or guider):
                return {"prompt": text, **_settings(graph, asked)}
    return {}


def _is_sampler(node: Any) -> bool:
    return "sampler" in str(node.get("class_type", "")).lower() if isinstance(node, dict) else False


def _inputs(node: Any) -> dict[str, Any]:
    inputs = node.get("inputs") if isinstance(node, Mapping) else None
    return dict(inputs) if isinstance(inputs, Mapping) else {}


def _linked(graph: Graph, value: Any) -> Any:
    """The node that a link `[id, slot]` leads to."""
    return graph.get(str(value[0])) if isinstance(value, list) and len(value) == 2 else None


def _text(graph: Graph, value: Any) -> str:
    """The first text behind a link; each node is looked at once."""
    waiting, seen = [value], set[str]()
    while waiting:
        link = waiting.pop()
        node = _linked(graph, link)
        if node is None or str(link[0]) in seen:
            continue
        seen.add(str(link[0]))
        inputs = _inputs(node)
        for name in TEXTS:
            given = inputs.get(name)
            if isinstance(given, str) and given.strip():
                return given
        first = [inputs[name] for name in TEXTS if name in inputs]
        others = [given for name, given in inputs.items() if name not in TEXTS]
        waiting += [given for given in reversed([*first, *others]) if isinstance(given, list)]
    return ""


def _settings(graph: Graph, inputs: Mapping[str, Any]) -> dict[str, str]:
    noise = _inputs(_linked(graph, inputs.get("noise")))
    found: dict[str, str] = {}
    for name in SEEDS[:2]:
        for given in (inputs.get(name), noise.get(name)):
            behind = _inputs(_linked(graph, given))
            for value in (given, *(behind.get(other) for other in SEEDS)):
                if isinstance(value, int) and not isinstance(value, bool):
                    found.setdefault("seed", str(value))
    for name, ours in SETTINGS.items():
        if isinstance(inputs.get(name), int | float | str):
            found.setdefault(ours, str(inputs[name]))
    return found
