"""The fingerprint of a score: an identity of all that it depends on besides the checkpoint."""

from lycoris_bench.files.identity import uid
from lycoris_bench.planning import protocol as protocols
from lycoris_bench.scoring.encoders.base import Record
from lycoris_bench.scoring.metrics.base import NO_ENCODER, Metric
from lycoris_bench.scoring.metrics.inputs import ScoredSet, comparison_key


def fingerprint(
    metric: Metric, record: Record | None, scored: ScoredSet, protocol: str = ""
) -> str:
    """Of a metric on an image set, by the encoder of a record. `protocol` is that of the images,
    "" where it is not known or the images are real."""
    measured = uid(
        metric.__name__, metric.version, record.hash if record else NO_ENCODER,
        len(scored.generated), comparison_key(metric.inputs, scored),
    )  # fmt: skip
    return protocols.fingerprint(measured, protocol)
