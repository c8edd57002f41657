"""Plug-in files for one test: loaded for it, and forgotten after it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from lycoris_bench import registry

Load = Callable[[str | Path], ModuleType]


@pytest.fixture
def load_plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """`registry.load_plugin`, undone when the test ends."""
    monkeypatch.setenv(registry.PLUGINS, "")
    before = set(sys.modules)
    yield registry.load_plugin
    for name in set(sys.modules) - before:
        if name.startswith("lycoris_bench_plugin_"):
            del sys.modules[name]
