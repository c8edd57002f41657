"""The other columns of the authors' tables: what is measured, and how it is looked at."""

import re
from dataclasses import dataclass

from lycoris_bench.published import renames
from lycoris_bench.published.renames import PublishedError, translated

FORM = re.compile(
    r"(?P<metric>[^()]+?)(?: \((?P<encoder>[^()]+)\))??(?: \((?P<prompts>in|out|trigger)\))?"
)
WHOLE_STYLE = "Style Loss (base model)"


@dataclass(frozen=True)
class View:
    """One way of looking at a checkpoint: the columns of the metric table that a title decides."""

    metric: str
    encoder: str
    resize: str
    prompt_type: str

    @property
    def better(self) -> str:
        """In which direction the number improves."""
        return "lower" if self.metric in renames.LOWER else "higher"


def column_title(title: str) -> View:
    """`<metric> [(<encoder>[-<resizing>])] [(<prompt type>)]`.

    >>> column_title("Image Similarity (convnextv2-l-resize) (in)").resize
    'scale'
    >>> column_title("Vendi (dinov2-l-fb) (out)")
    View(metric='vendi', encoder='dinov2-l', resize='', prompt_type='alter')
    >>> column_title("Style Loss (base model)").prompt_type
    'style'
    """
    if title == WHOLE_STYLE:
        return View("style_loss", renames.GRAM_ENCODER, "scale", "style")
    found = FORM.fullmatch(title)
    if found is None:
        raise PublishedError(
            f"column '{title}' cannot be read; "
            "needed is <metric> (<encoder>-<resizing>) (<prompts>)"
        )
    metric = translated(renames.METRICS, found["metric"], "metric")
    encoder, resize = _encoder(metric, found["encoder"])
    # Their Frechet distance says no prompts: it holds the dataset against its own captions.
    prompts = "in" if metric == "frechet_distance" else found["prompts"]
    if prompts is None:
        raise PublishedError(
            f"column '{title}' says no prompts: (in), (out) or (trigger) is needed"
        )
    return View(metric, encoder, resize, renames.PROMPT_TYPES[prompts])


def _encoder(metric: str, named: str | None) -> tuple[str, str]:
    """Encoder and resizing, or those that a metric without them has."""
    if named is None:
        known = {"text_similarity": (renames.TEXT_ENCODER, renames.NOT_SAID),
                 "style_loss": (renames.GRAM_ENCODER, "scale")}  # fmt: skip
        if metric not in known:
            raise PublishedError(f"a column of {metric} names no encoder")
        return known[metric]
    name, _, resizing = named.rpartition("-")
    if resizing not in renames.RESIZINGS:
        return translated(renames.ENCODERS, named, "encoder"), renames.NOT_SAID
    encoder = translated(renames.ENCODERS, name, "encoder")
    if resizing == "resize" and encoder in renames.SCALED:
        return encoder, "scale"
    return encoder, renames.RESIZINGS[resizing]
