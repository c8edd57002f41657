"""One thread for every test process: a machine's cores belong to processes, not to threads."""

import gc
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

FIXTURES = (
    "tests.support.paper_dataset",
    "tests.support.plugin",
    "tests.support.shared",
    "tests.support.small_run",
    "tests.support.tiny_diffusion",
)
pytest.register_assert_rewrite(*FIXTURES)  # before the conftest of a folder imports one of them


def pytest_configure(config: pytest.Config) -> None:
    """Fixtures for the processes that test: the one that only hands out files imports no torch,
    and the others start as soon as it stands."""
    gc.set_threshold(20_000, 10, 10)  # little of what tests make is in cycles
    if config.getoption("dist", "no") != "no":
        return
    gc.disable()  # until all is collected: imports leave little garbage, and much to search
    import torch

    torch.set_num_threads(1)
    for name in FIXTURES:
        config.pluginmanager.import_plugin(name)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """A process a core for the whole suite; for files or names that are chosen none but this one,
    where a debugger works and nothing has to be started."""
    chosen = config.args_source is not pytest.Config.ArgsSource.TESTPATHS or config.option.keyword
    return 0 if chosen else None


def pytest_collection_finish() -> None:
    """What the libraries keep for good is not searched for garbage, nor is the little among it."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _no_network_no_colour_no_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["NO_COLOR"] = "1"
    os.environ["LYCORIS_BENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
