"""The types of the public names, as the type checker of a user's project sees them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import trustpose
from tests.conftest import SOURCE

PROJECT = Path(__file__).parent / "project"
PYREFLY = Path(sys.executable).with_name("pyrefly")


@pytest.fixture(scope="module")
def errors() -> dict[str, dict[int, str]]:
    """What pyrefly says of each line of the project, by file."""
    if not PYREFLY.is_file():
        pytest.skip("pyrefly is not installed")
    command = [PYREFLY, "check", "--output-format", "json", "--python-interpreter-path", sys.executable]
    command += ["--search-path", SOURCE, "--search-path", PROJECT]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    found: dict[str, dict[int, str]] = {"right.py": {}, "wrong.py": {}}
    for error in json.loads(done.stdout)["errors"]:
        found[Path(error["path"]).name][error["line"]] = error["description"]
    return found


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(trustpose.__path__[0]) / "py.typed").is_file()


@pytest.mark.slow
def test_right_uses_have_the_types_that_they_should(errors: dict[str, dict[int, str]]) -> None:
    assert errors["right.py"] == {}


@pytest.mark.slow
def test_mistakes_are_found(errors: dict[str, dict[int, str]]) -> None:
    lines = (PROJECT / "wrong.py").read_text().splitlines()
    mistakes = [number for number, line in enumerate(lines, 1) if "  # " in line]
    assert len(mistakes) >= 10 and sorted(errors["wrong.py"]) == mistakes
