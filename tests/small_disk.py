"""A file system with little room, for tests of what happens when it is full."""

import gc
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make devices, mounts or another user")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of so many bytes, "64k" say, in a new folder, as long as the block runs."""
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs is not allowed here")
    try:
        yield folder
    finally:
        gc.collect()  # from Python 3.13 on a file whose writing failed may stay open until then
        subprocess.run(["umount", folder], check=True)


def make_room(folder: Path, size: str) -> None:
    """Let the file system in a folder have so many bytes."""
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
