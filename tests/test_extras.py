"""The install lines of trustpose and its extras are the same, and work, in messages, docs and skipped tests."""

import re
import tomllib
from pathlib import Path

from trustpose.extras import install_line, not_installed

REPOSITORY = Path(__file__).parents[1]
LINE = re.compile(r"pip install +(?:-\S+ +)*(\"[^\"]*\"|[^\s`'\"]+)")
TEXTS = ("*.md", "docs/**/*.md", "src/**/*.py", "tests/**/*.py", "benchmarks/*.py")


def test_every_install_line_is_one_that_works():
    """An extra is called as `install_line` calls it."""
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    known = {install_line(extra) for extra in extras} | {install_line("{extra}")}
    count = 0
    for path in (path for texts in TEXTS for path in REPOSITORY.glob(texts)):
        for line in LINE.finditer(path.read_text()):
            assert "[" not in line[1] or line[0] in known, f"{path}: {line[0]}"
            count += "[" in line[1]
    assert count > 10


def test_a_message():
    message = 'torch is not installed: pip install "trustpose[train]"'
    assert not_installed("torch", "train") == message
