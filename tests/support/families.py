"""Narrowed models of each family, made once a session and never changed."""

import copy
import dataclasses
import functools
import tempfile
from pathlib import Path

from lycoris_bench.models.backbone import Backbone
from tests.support.random_models import save

_kept = tempfile.TemporaryDirectory()


@functools.cache
def folder(family):
    return save(Path(_kept.name) / family, family)


@functools.cache
def backbone(family):
    return Backbone.load(folder(family))


def copied(family):
    """One to train: with modules of its own, and the tokenizers and schedule of the kept one."""
    kept = backbone(family)
    modules = {name: copy.deepcopy(getattr(kept, name)) for name in ("unet", "text_encoders")}
    return dataclasses.replace(kept, **modules)
