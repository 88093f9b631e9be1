"""docs/files.md: its commands have the options they show, and every format stands in it."""

import re
import shlex

import pytest

from tests.cli.test_audit import run
from tests.conftest import REPOSITORY
from trustpose.data.pose_files import FORMATS

PAGE = (REPOSITORY / "docs" / "files.md").read_text()
COMMANDS = sorted(set(re.findall(r"^trustpose convert (.*)$", PAGE, re.MULTILINE)))


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_lack_nothing_but_their_files(command: str, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("convert", *shlex.split(command)) == 2
    assert re.search("no such (file|directory)", capsys.readouterr().err)


def test_every_format_and_tool_is_documented() -> None:
    assert len(COMMANDS) >= 7
    assert set(re.findall(r"\| `(\w+)` \|", PAGE)) == set(FORMATS)
