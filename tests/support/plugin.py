"""Plug-in files for one test: loaded for it, and forgotten after it. Those in `plugins/` are what
the contract tests take along."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lycoris_bench import registry

Load = Callable[[str | Path], ModuleType]
FILES = sorted((Path(__file__).parent / "plugins").glob("*.py"))


def with_plugins(room: registry.Registry) -> dict[str, Any]:
    """What a room offers, and what the files in `plugins/` add to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(registry.PLUGINS, os.pathsep.join(map(str, FILES)))
        return dict(room.entries())


@pytest.fixture
def load_plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """`registry.load_plugin`, undone when the test ends."""
    monkeypatch.setenv(registry.PLUGINS, "")
    before = set(sys.modules)
    yield registry.load_plugin
    for name in set(sys.modules) - before:
        if name.startswith("lycoris_bench_plugin_"):
            del sys.modules[name]
