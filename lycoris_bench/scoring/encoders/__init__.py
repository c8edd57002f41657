"""One file per encoder: a record of weights, revision and preprocessing, and `encode`.

    encoder = load("dinov2-l:crop", device="cuda")
    features = encoder.encode([encoder.prepare(image) for image in images])   # [n, 1024]

The key in a study is the module's name with hyphens; after a colon the resizing, if it is not
the record's own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from lycoris_bench.files.checksum import sha256_once
from lycoris_bench.messages.errors import BenchError, doing
from lycoris_bench.registry import Registry, titled
from lycoris_bench.scoring.encoders.base import Encoder, Features, Record
from lycoris_bench.scoring.encoders.weights import (
    MissingWeights,
    WrongWeights,
    given,
    here,
    may_change,
    sha256_of_tensors,
)

__all__ = [
    "ENCODERS",
    "Encoder",
    "Features",
    "MissingWeights",
    "Record",
    "WrongWeights",
    "load",
    "record",
    "resolved",
    "unpinned",
]

ENCODERS = Registry("encoder", __name__, group="encoders")


def record(spec: str) -> Record:
    """The record of "dinov2-l" or "dinov2-l:crop". Loads nothing."""
    name, _, resize = spec.partition(":")
    entry: type[Encoder] = ENCODERS.get(name)
    chosen = entry.record.with_resize(resize) if resize else entry.record
    if chosen.resize not in entry.resizings:
        fits = chosen.mode in entry.resizings
        why = "computes in fp32 alone" if fits else "takes square images, which '{}' does not make"
        raise BenchError(
            f"encoder '{name}' {why.format(chosen.mode)}; allowed are: {', '.join(entry.resizings)}"
        )
    return chosen


def resolved(spec: str, weights: str | None = None) -> Record:
    """The record with its weights' SHA-256, if the file is on this machine. Fetches nothing.

    `weights` replaces the record's weights: a file, or a repository as `owner/name[@revision]`.
    `load` loads the encoder of this record."""
    chosen = record(spec)
    return _with_content(chosen if weights is None else given(chosen, weights))


def unpinned(specs: Iterable[str], weights: Mapping[str, str]) -> list[str]:
    """A sentence for each encoder whose weights may change on the hub under the revision that it
    names. `weights` maps an encoder to others than its own."""
    names = dict.fromkeys(spec.partition(":")[0] for spec in specs)
    records = [given(record(n), weights[n]) if n in weights else record(n) for n in names]
    return [said for r in records if (said := may_change(r, ENCODERS.get(r.name).files))]


def load(spec: str, device: str = "cpu", weights: str | None = None) -> Encoder:
    """Loads an encoder; weights that are not on this machine are fetched from the hub."""
    name = spec.partition(":")[0]
    entry = ENCODERS.get(name)
    with doing(f"loading {titled('encoder', name, entry)}"):
        encoder: Encoder = entry(resolved(spec, weights), device)
    loaded = _with_content(encoder.record)  # known by now, even if just fetched
    if loaded.sha256 is None:  # no file of its record holds what it was made with
        loaded = replace(loaded, sha256=sha256_of_tensors(vars(encoder)))
    encoder.record = loaded
    return encoder


def _with_content(chosen: Record) -> Record:
    if chosen.sha256 is not None:
        return chosen
    file = here(chosen, ENCODERS.get(chosen.name).files)
    return chosen if file is None else replace(chosen, sha256=sha256_once(file))
