"""What all tests share: where the real data is, and run-time checks of the shape annotations."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# Shapes and dtypes named in annotations are checked under pytest only; users pay nothing for them.
install_import_hook("trustpose", "beartype.beartype")

settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")

# A shell's background jobs ignore Ctrl-C, and what they start does too: tests that send it would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).parents[1]


def _data_dir() -> Path:
    return Path(os.environ.get("TRUSTPOSE_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with real labels, photos, networks and predictions; a test that needs it skips where it is missing."""
    folder = _data_dir()
    if not (folder / "coco").is_dir():
        pytest.skip(f"no real data at {folder}; set TRUSTPOSE_DATA")
    return folder
