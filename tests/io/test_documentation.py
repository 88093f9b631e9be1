"""docs/files.md: its commands have the options they show, and every format stands in it."""

import re
import shlex
from typing import Any

import numpy as np
import pytest

from tests.cli.cases import run
from tests.conftest import REPOSITORY
from tests.io import samples
from trustpose.io.pose_files import FORMATS

PAGE = (REPOSITORY / "docs" / "files.md").read_text()
COMMANDS = sorted(set(re.findall(r"^trustpose convert (.*)$", PAGE, re.MULTILINE)))


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_lack_nothing_but_their_files(command: str, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("convert", *shlex.split(command)) == 2
    assert re.search("no such (file|directory)", capsys.readouterr().err)


def test_the_python_of_the_page_runs(tmp_path, monkeypatch) -> None:
    poses = samples.people()
    samples.write(tmp_path / "gt.json", samples.ground_truth())
    samples.write(tmp_path / "predictions" / "000000000785.json", samples.mmpose_instances(poses))
    monkeypatch.chdir(tmp_path)
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "pose_files" in block]
    names: dict[str, Any] = {}
    exec(block, names)
    np.testing.assert_array_equal(names["done"].poses.xy, poses.xy)


def test_every_format_and_tool_is_documented() -> None:
    assert len(COMMANDS) >= 7
    tools = PAGE.split("\n## ")[0]
    assert set(re.findall(r"\| `(\w+)` \|", tools)) == set(FORMATS)
