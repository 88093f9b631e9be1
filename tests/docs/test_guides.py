"""The guides run as they are copied: every shell and Python snippet of a page in order, in a folder with made-up files.

A snippet that needs another program, a GPU or a file that cannot be made up follows `<!-- not run: REASON -->`.
Commands of trustpose run in this process, with fewer draws and trees, for time; `pip install` lines are checked
against the extras of pyproject.toml.
"""

import re
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.cli.cases import run
from tests.conftest import REPOSITORY
from tests.docs.made_up import write_files

pytestmark = pytest.mark.slow

DOCS = REPOSITORY / "docs"
PAGES = [DOCS / "start.md", *sorted((DOCS / "guides").glob("*.md")), REPOSITORY / "README.md"]
BLOCK = re.compile(r"(<!-- not run: (?P<why>[^>]+) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S)
EXTRAS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    return folder


def commands(code: str) -> list[str]:
    """The commands of a shell snippet, continued lines joined, comments left out."""
    return [line for line in code.replace("\\\n", " ").splitlines() if shlex.split(line, comments=True)]


def run_shell(code: str, where: str) -> None:
    for line in commands(code):
        program, *arguments = shlex.split(line, comments=True)
        if program == "trustpose":
            arguments += ["--draws", "20"] if arguments[0] == "audit" or arguments[:2] == ["calibrate", "fit"] else []
            assert run(*arguments) == 0, f"{where}: {line}"
        elif line.startswith("pip install "):
            named = re.findall(r"\[([\w,-]+)\]", line)
            assert all(extra in EXTRAS for extra in ",".join(named).split(",") if extra), f"{where}: {line}"
        elif program == "make":
            assert re.search(rf"^{arguments[0]}:", (REPOSITORY / "Makefile").read_text(), re.M), f"{where}: {line}"
        else:
            pytest.fail(f"{where}: cannot run {line!r}; say so with <!-- not run: REASON -->")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_snippets_of_the_page_run(page: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("trustpose.calibration.trees.POSE_TREES", 10)
    monkeypatch.setattr("trustpose.calibration.trees.KEYPOINT_TREES", 10)
    names: dict[str, Any] = {"__name__": page.stem}
    blocks = list(BLOCK.finditer(page.read_text(encoding="utf-8")))
    ran = 0
    for number, block in enumerate(blocks, 1):
        if block["why"]:
            continue
        where = f"{page.name}, snippet {number}"
        if block["language"] == "sh":
            run_shell(block["code"], where)
        elif block["language"] == "python":
            exec(compile(block["code"], where, "exec"), names)
        else:
            assert block["language"] in ("json", "text", "yaml"), where
            continue
        ran += 1
    assert ran, f"{page.name}: nothing was run"


def test_most_of_the_snippets_run() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    left_out = [block["why"] for block in BLOCK.finditer(text) if block["why"]]
    assert len(left_out) < 0.4 * sum(block["language"] in ("sh", "python") for block in BLOCK.finditer(text))
