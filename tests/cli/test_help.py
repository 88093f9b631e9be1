"""--help fits 80 columns and ends with examples that work; the shell completes commands, options and their values."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from trustpose.calibration.decisions import GOALS
from trustpose.calibration.selection import METHODS as FITS
from trustpose.cli import _commands
from trustpose.codecs.heatmaps import DECODINGS
from trustpose.grouping.suppression import METHODS as SUPPRESSIONS
from trustpose.grouping.suppression import POSE_AREAS
from trustpose.poses import AREAS as TRUTH_AREAS
from trustpose.training.recipes import RECIPES


def commands(command: Any = None, name: str = "trustpose") -> Iterator[tuple[str, Any]]:
    """Every command with its full name."""
    command = _commands() if command is None else command
    yield name, command
    for sub, one in getattr(command, "commands", {}).items():
        yield from commands(one, f"{name} {sub}")


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda one: one if isinstance(one, str) else "")
def test_help_fits_80_columns_and_has_examples(name: str, command: Any) -> None:
    context = command.make_context(name, ["--help"], resilient_parsing=True, terminal_width=80, max_content_width=80)
    lines = command.get_help(context).splitlines()
    assert max(len(line) for line in lines) <= 80
    assert examples(command) and [f"    {line}" for line in examples(command)] == lines[-len(examples(command)) :]


def examples(command: Any) -> list[str]:
    """The examples at the end of a command's --help."""
    return [line.strip() for line in command.epilog.partition("Examples:")[2].strip().splitlines()]


@pytest.mark.parametrize("example", [line for _, command in commands() for line in examples(command)])
def test_every_example_is_understood(example: str) -> None:
    words = shlex.split(example.partition(" | ")[0].partition(" > ")[0])
    assert words.pop(0) == "trustpose"
    known = dict(commands())
    name = "trustpose"
    while words and f"{name} {words[0]}" in known:
        name = f"{name} {words.pop(0)}"
    known[name].make_context(name, words, resilient_parsing="--help" in words)
    for word in words:
        assert word not in ("default-network",) or word in RECIPES


def completed(words: str) -> list[str]:
    options = {
        "_TRUSTPOSE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    program = "import sys; from trustpose.cli import main; sys.argv = ['trustpose']; main()"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | options, check=True, timeout=60)
    return done.stdout.split()


def test_the_shell_completes_commands_and_options() -> None:
    assert completed("trustpose su") == ["suppress", "surfaces"]
    assert completed("trustpose calibrate fit --go") == ["--goal"]


def options() -> dict[str, Any]:
    return {
        f"{name} {option}": param for name, command in commands() for param in command.params for option in param.opts
    }


def offered(option: str, start: str = "") -> list[str]:
    """The shell's completions of a command line."""
    parameter = options()[f"trustpose {option}"]
    return [item.value for item in parameter.shell_complete(None, start)]


def test_the_shell_completes_what_the_command_accepts() -> None:
    assert offered("suppress --method") == offered("predict --suppression") == list(SUPPRESSIONS)
    assert offered("suppress --area") == offered("predict --suppression-area") == list(POSE_AREAS)
    assert offered("audit --area") == offered("calibrate fit --area") == ["auto", *TRUTH_AREAS]
    assert set(offered("calibrate fit --method")) == {"auto", *FITS}
    assert set(offered("predict --codec")) == set(DECODINGS)
    assert offered("calibrate fit --goal") == list(GOALS)
    assert offered("predict --skeleton", "coco1") == ["coco17"]
    assert offered("convert --format", "open") == ["openpose"]
    assert offered("train words", "oks-net/table-1/") and offered("recipes name", "default-d") == ["default-detector"]
    assert "shipped:movenet-thunder" in offered("calibrate apply --calibrator")
    assert "mediapipe" in offered("predict --model")


def test_completions_are_listed_in_the_help() -> None:
    for name in ("predict --codec", "predict --device", "calibrate fit --method", "import --channels", "audit --area"):
        help_text = options()[f"trustpose {name}"].help
        assert all(value in help_text for value in offered(name)), name
