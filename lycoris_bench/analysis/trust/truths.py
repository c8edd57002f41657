"""Which metric of the truth answers what a metric is asked."""

from dataclasses import dataclass

import pandas as pd

from lycoris_bench.analysis.columns import CRITERIA, UNASKED


@dataclass(frozen=True)
class Truth:
    """A question, the metric that knows the answer, the metrics that are meant to give it, and the
    prompts that they are asked of."""

    key: str
    metric: str
    asked: tuple[str, ...]
    prompt_types: tuple[str, ...]
    heading: str


TRUTHS = (
    Truth(
        "fidelity", "concept_shown", ("image_similarity", "centroid_distance", "style_loss"),
        ("train", "trigger", "alter"), "Fidelity: is the concept there?",
    ),
    Truth(
        "control", "request_shown", ("text_similarity",),
        ("alter", "style"), "Control: is there what the prompt asks for besides?",
    ),
    Truth(
        "diversity", "variety", ("vendi", "dissimilarity", "variance"),
        ("train", "trigger"), "Diversity: do place, position, size and colours vary?",
    ),
    Truth(
        "preservation", "base_kept", ("style_loss",),
        ("style", *UNASKED), "Preservation: are place and style those of the base model's image?",
    ),
    Truth(
        "leak", "concept_shown", ("image_similarity", "centroid_distance"),
        UNASKED, "Leak: is the concept there though nothing asks for it?",
    ),
    Truth(
        "composition", "both_shown", ("both_found", "text_similarity"),
        ("compose",), "Composition: are both concepts there?",
    ),
)  # fmt: skip
OF_CRITERION = {
    criterion.key: truth.metric
    for criterion in CRITERIA for truth in TRUTHS if truth.key == criterion.key
}  # fmt: skip
"""The metric of the truth that answers each criterion of the findings."""
KNOWN = (*dict.fromkeys(truth.metric for truth in TRUTHS), "object_shown", "colour_shown",
         "place_shown", "second_shown")  # fmt: skip
"""The metrics of the truth. They judge others and are no part of what a study finds."""


def truth_of(metric: str, truth: str, prompt_type: str) -> str:
    """The key of the question that a metric is asked and this metric of the truth answers, or ""
    where it is none."""
    return next(
        (t.key for t in TRUTHS
         if t.metric == truth and metric in t.asked and prompt_type in t.prompt_types),
        "",
    )  # fmt: skip


def is_known(rows: pd.DataFrame) -> bool:
    """Whether a table has numbers of the truth, and others to judge."""
    names = set(rows["metric"].unique())
    return bool(names & set(KNOWN)) and bool(names - set(KNOWN))
