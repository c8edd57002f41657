"""Each algorithm in the forms that its options give it (`Adapter.examples`), on layers of 12 inputs
and 20 outputs: those of the package, and of plug-ins in plugins/ and the environment."""

import os
from pathlib import Path

import pytest

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.registry import PLUGINS, plugin_files

VERA = Path(__file__).parent / "plugins" / "vera.py"
FILES = os.pathsep.join(dict.fromkeys([*plugin_files(), str(VERA)]))

with pytest.MonkeyPatch.context() as patch:
    patch.setenv(PLUGINS, "")
    BUILT_IN = {name: kind.examples() for name, kind in ALGORITHMS.entries().items()}
    patch.setenv(PLUGINS, FILES)
    FORMS = {name: kind.examples() for name, kind in ALGORITHMS.entries().items()}


@pytest.fixture(autouse=True)
def _with_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLUGINS, FILES)
