"""SIGTERM, also where a library makes something else of it."""

import os
import signal
import time
from typing import Any

import pytest

from lycoris_bench.cli import exits
from lycoris_bench.run.signals import Terminated, own_handler


def test_an_exit_that_a_library_makes_of_sigterm_is_sigterms(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ray raises SystemExit(1) for any that is raised while it waits."""

    def command(*_: Any, **__: Any) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        except SystemExit:
            raise SystemExit(1) from None

    assert exits.call(command, ["run", "a b.toml"]) == 143
    assert "To continue, type: lycoris-bench run 'a b.toml'" in capsys.readouterr().err


def test_another_exit_stays_what_it_is() -> None:
    def command(*_: Any, **__: Any) -> None:
        raise SystemExit(7)

    with pytest.raises(SystemExit, match="7"):
        exits.call(command, ["run"])


def test_sigterm_while_a_library_has_its_own_handler() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), own_handler():
        signal.signal(signal.SIGTERM, lambda number, _: exit(number))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
    assert signal.getsignal(signal.SIGTERM) == before
    with pytest.raises(SystemExit, match="3"), own_handler():
        raise SystemExit(3)
