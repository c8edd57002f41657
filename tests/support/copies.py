"""Copies of a base model, for tests that change one: cheaper than another from the disk."""

import copy
import dataclasses

from lycoris_bench.models.backbone import Backbone

CHANGED = ("unet", "text_encoders", "vae")


def copied(backbone: Backbone) -> Backbone:
    """The model with networks of its own; tokenizers and schedule are never changed."""
    networks = {name: copy.deepcopy(getattr(backbone, name)) for name in CHANGED}
    return dataclasses.replace(backbone, **networks)
