"""Shared by all tests: the folder of the real data, and run-time checks of the shape annotations."""

import gc
import os
import signal
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import config

from tests.shape_checks import check_shapes

REPOSITORY = Path(__file__).parents[1]
SOURCE, TESTS = REPOSITORY / "src", REPOSITORY / "tests"
RUN_NETWORKS = ("export", "models", "networks", "predict", "runtime", "training", "trust", "web")

# Shapes and dtypes named in annotations are checked under pytest only; users pay nothing for them.
check_shapes(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(SOURCE.rglob("*.py"))
    if "jaxtyping" in path.read_text()
)

settings.register_profile("default", deadline=None)
settings.load_profile("default")

# A shell's background jobs ignore Ctrl-C, and what they start does too: tests that send it would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with the most slow tests first, then those that run networks, so that none of them is left over for one
    worker at the end. A random order stays."""
    if config.pluginmanager.has_plugin("randomly"):
        return
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: (-slow[item.path], item.path.relative_to(TESTS).parts[0] not in RUN_NETWORKS))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Python's garbage collector waits until all is imported, and leaves that alone from then on: it would walk a
    million objects that stay, again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """No checks of shapes in slow tests, nor in the fixtures that they are the first to use: they take a fifth of the
    time there. Quick tests call the same functions."""
    config.update("jaxtyping_disable", item.get_closest_marker("slow") is not None)
    return (yield)


@pytest.fixture(scope="session", autouse=True)
def _shared_sessions() -> Generator[None, None, None]:
    """onnxruntime makes each graph ready once."""
    from tests.shared_sessions import shared_sessions

    with shared_sessions():
        yield


@pytest.fixture(scope="module")
def each_run_once() -> Generator[None, None, None]:
    """For files that run large networks on the same photos again and again: on the same pixels they run once."""
    from tests import shared_sessions

    with shared_sessions.each_run_once():
        yield


@pytest.fixture(scope="module")
def narrow_metamodel() -> Generator[None, None, None]:
    """The visibility metamodel with narrow hidden layers: the paper's have eleven million weights, most of the time of
    a small network's training or export."""
    from trustpose.heads import visibility

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visibility, "HIDDEN", (64, 32, 16))
        yield


def _data_dir() -> Path:
    return Path(os.environ.get("TRUSTPOSE_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with real labels, photos, networks and predictions; a test that needs it skips where it is missing."""
    folder = _data_dir()
    if not (folder / "coco").is_dir():
        pytest.skip(f"no real data at {folder}; set TRUSTPOSE_DATA")
    return folder
