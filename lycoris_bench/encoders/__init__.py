"""One encoder a file: weights, revision and preprocessing in one record, and `encode`.

    encoder = load("dinov2-l:crop", device="cuda")
    features = encoder.encode([encoder.prepare(image) for image in images])   # [n, 1024]

The key in a study is the module's name with hyphens; after a colon the resizing, if it is not
the record's own.
"""

from dataclasses import replace

from lycoris_bench.encoders.base import Encoder, Features, Record
from lycoris_bench.encoders.weights import MissingWeights, WrongWeights
from lycoris_bench.errors import BenchError
from lycoris_bench.registry import get

__all__ = ["Encoder", "Features", "MissingWeights", "Record", "WrongWeights", "load", "record"]


def record(spec: str) -> Record:
    """The record of "dinov2-l" or "dinov2-l:crop". It loads nothing: good enough for a key."""
    name, _, resize = spec.partition(":")
    entry: type[Encoder] = get("encoders", name)
    chosen = entry.record.with_resize(resize) if resize else entry.record
    if chosen.resize not in entry.resizings:
        raise BenchError(
            f"encoder '{name}' takes square images, which '{resize}' does not make; "
            f"allowed are: {', '.join(entry.resizings)}"
        )
    return chosen


def load(spec: str, device: str = "cpu", weights: str | None = None) -> Encoder:
    """The encoder itself. `weights` is a local file or another repository, in place of its own."""
    chosen = record(spec)
    if weights is not None:
        chosen = replace(chosen, weights=weights, revision="main", sha256=None)
    entry = get("encoders", spec.partition(":")[0])
    encoder: Encoder = entry(chosen, device)
    return encoder
