"""Columns and folders as the authors write them: the inverse of `column_title` and `folder_key`."""

from lycoris_bench.published import renames
from lycoris_bench.published.column_title import WHOLE_STYLE, View
from lycoris_bench.published.folder_key import FolderKey


def title_of(view: View) -> str:
    """The column of a view; where they have no word, in words of ours.

    >>> title_of(View("image_similarity", "convnextv2-l", "scale", "train"))
    'Image Similarity (convnextv2-l-resize) (in)'
    >>> title_of(View("style_loss", "vgg19", "scale", "style"))
    'Style Loss (base model)'
    >>> title_of(View("variance", "miniature-image", "letterbox", "agnostic"))
    'Variance (miniature-image-padding) (agnostic)'
    """
    theirs = {ours: name for name, ours in renames.METRICS.items()}
    metric = theirs.get(view.metric, view.metric.replace("_", " ").title())
    unsaid = {
        "text_similarity": (renames.TEXT_ENCODER, renames.NOT_SAID),
        "style_loss": (renames.GRAM_ENCODER, "scale"),
    }
    kinds = {ours: name for name, ours in renames.PROMPT_TYPES.items()}
    prompts = f" ({kinds.get(view.prompt_type, view.prompt_type)})"
    if unsaid.get(view.metric) == (view.encoder, view.resize):
        return WHOLE_STYLE if view.prompt_type == "style" else f"{metric}{prompts}"
    if view.metric == "frechet_distance" and view.prompt_type == "train":
        prompts = ""
    return f"{metric} ({_encoder(view)}){prompts}"


def _encoder(view: View) -> str:
    known = {ours: name for name, ours in renames.ENCODERS.items()}
    name = known.get(view.encoder, view.encoder)
    if not view.resize:
        return name
    scaled = view.encoder in renames.SCALED and view.resize == "scale"
    words = {ours: word for word, ours in renames.RESIZINGS.items()}
    return f"{name}-{'resize' if scaled else words.get(view.resize, view.resize)}"


def folder_of(key: FolderKey) -> str:
    """The cell of the column `Folder`; where they have no word, in words of ours.

    >>> folder_of(FolderKey("ddim-sd", "exp-1001-lora", 24, 30, 0.7, "scenes", "lake", ""))
    '07/ddim-sd-exp-1001-lora-b-000030/scene/lake'
    """
    name = key.drawn
    if key.experiment:
        letters = {seed: letter for letter, seed in renames.SEEDS.items()}
        seed = letters.get(key.seed or 0, f"seed{key.seed}")
        name += f"-{key.experiment}-{seed}"
        name += "" if key.epoch in (None, renames.LAST_EPOCH) else f"-{key.epoch:06d}"
    tenths = round(key.strength * 10)
    if key.strength != 1:
        whole = tenths / 10 == key.strength and 0 <= tenths < 100
        name = f"{f'{tenths:02d}' if whole else key.strength}/{name}"
    categories = {ours: theirs for theirs, ours in renames.CATEGORIES.items()}
    parts = (categories.get(key.category, key.category), key.class_name, key.subclass)
    return "/".join([name, *(part for part in parts if part)])
