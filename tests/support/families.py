"""Narrowed models of each family, made once a session and never changed."""

import functools
import tempfile
from pathlib import Path

from lycoris_bench.models.backbone import Backbone
from tests.support.random_models import save

_kept = tempfile.TemporaryDirectory()


@functools.cache
def folder(family: str) -> Path:
    return save(Path(_kept.name) / family, family)


@functools.cache
def backbone(family):
    return Backbone.load(folder(family))
