"""Each algorithm in the forms that its options give it (`Adapter.examples`), on layers of 12 inputs
and 20 outputs: those of the package and of the plug-ins in plugins/."""

import os
from pathlib import Path

import pytest

from lycoris_bench.adapters.algorithms import ALGORITHMS
from lycoris_bench.registry import PLUGINS

FILES = os.pathsep.join(
    str(path) for path in sorted((Path(__file__).parent / "plugins").glob("*.py"))
)
BUILT_IN = {name: kind.examples() for name, kind in ALGORITHMS.entries().items()}

with pytest.MonkeyPatch.context() as patch:
    patch.setenv(PLUGINS, FILES)
    FORMS = {name: kind.examples() for name, kind in ALGORITHMS.entries().items()}


@pytest.fixture(autouse=True)
def _with_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLUGINS, FILES)
