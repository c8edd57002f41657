"""What the authors' words are called here: every rename of the importer, in one place."""

import math

from lycoris_bench.messages.errors import BenchError
from lycoris_bench.study.wording import STYLE


class PublishedError(BenchError):
    """What is wrong with the published data, in one sentence."""


CATEGORIES = {
    "anime": "anime characters",
    "people": "movie characters",
    "style": "styles",
    "stuffed_toy": "stuffed toys",
    "scene": "scenes",
}
KINDS = {"styles": STYLE}  # of the concepts of a category
ENCODERS = {
    "dinov2-l-fb": "dinov2-l",
    "clip-L-14": "clip-l-datacomp",
    "convnextv2-l": "convnextv2-l",
}
TEXT_ENCODER = "clip-l-datacomp"  # text similarity is CLIP's, which their titles do not say
GRAM_ENCODER = "vgg19"
RESIZINGS = {"padding": "letterbox", "crop": "crop", "resize": "stretch"}
SCALED = (
    "convnextv2-l",
    GRAM_ENCODER,
)  # for these "resize" keeps the aspect (the short side is scaled)
NOT_SAID = ""  # their Vendi and text similarity say no resizing
PROMPT_TYPES = {"in": "train", "out": "alter", "trigger": "trigger"}
METRICS = {
    "Image Similarity": "image_similarity",
    "Squared Centroid Distance": "centroid_distance",
    "Text Similarity": "text_similarity",
    "Vendi": "vendi",
    "Style Loss": "style_loss",
    "FD": "frechet_distance",
}
LOWER = ("centroid_distance", "style_loss", "frechet_distance")  # distances: small is best
RANGES = {  # the least and the largest that a metric can be
    "image_similarity": (-1.0, 1.0),
    "text_similarity": (-1.0, 1.0),
    "centroid_distance": (0.0, 4.0),  # between means of directions, squared
    "vendi": (1.0, 100.0),  # one image, or all of a set
    "style_loss": (0.0, math.inf),
    "frechet_distance": (0.0, math.inf),
}
SEEDS = {"a": 23, "b": 24, "c": 25}
LAST_EPOCH = 50  # a folder without an epoch is the end of training
IMAGES = 100  # in each of their image sets
CAPTIONS = {".txt": "", ".txtdb": ".no-tags", ".txttags": ".all-tags"}
PROMPT_FILES = {  # ours -> theirs
    "train": "in_dist_prompts.txt",
    "trigger": "triggeronly.txt",
    "alter": "out_dist_prompts.txt",
    "style": "style_prompts.txt",
}
# Their table of plain words has a slip of one letter: the tortoise's prompts say "waj".
SLIPS = {"waj": "wai"}


def translated(table: dict[str, str], word: str, what: str) -> str:
    """Our name of a word of theirs, or a sentence that says which are known."""
    if word not in table:
        raise PublishedError(f"unknown {what} '{word}'; known are: {', '.join(table)}")
    return table[word]
