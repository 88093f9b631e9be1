"""What all tests share: where the real data is, and run-time checks of the shape annotations."""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "src"

# Shapes and dtypes named in annotations are checked under pytest only; users pay nothing for them. Modules that name
# none are left alone: checking their plain types too would take a tenth of the suite's time.
_SHAPED = [
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(SOURCE.rglob("*.py"))
    if "jaxtyping" in path.read_text()
]
install_import_hook(_SHAPED, "beartype.beartype")

settings.register_profile("default", deadline=None)
settings.load_profile("default")

# A shell's background jobs ignore Ctrl-C, and what they start does too: tests that send it would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the most slow tests first, so that none of them is left over for one worker at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def _data_dir() -> Path:
    return Path(os.environ.get("TRUSTPOSE_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with real labels, photos, networks and predictions; a test that needs it skips where it is missing."""
    folder = _data_dir()
    if not (folder / "coco").is_dir():
        pytest.skip(f"no real data at {folder}; set TRUSTPOSE_DATA")
    return folder
