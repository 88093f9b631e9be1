"""Ctrl-C and SIGTERM, real signals in a process of its own: one line at any time, with how to resume if possible."""

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.cases import small_files
from tests.cli.predict_cases import case as case  # a fixture
from trustpose.cli import main
from trustpose.cli.progress import Interruption

AT_IMPORT = """
import os, signal, sys
import trustpose.__main__ as program
interrupted = sys.argv.pop(1)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == interrupted:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
finder = Finder()
sys.meta_path.insert(0, finder)
try:
    program.main()
finally:
    assert finder not in sys.meta_path, f"{interrupted} was not imported"
"""
AFTER_THE_START = """
import signal, trustpose.__main__ as program
set_handler = signal.signal
def tell(number, handler):
    before = set_handler(number, handler)
    if number == signal.SIGTERM:
        signal.signal = set_handler
        print("ready", flush=True)
    return before
signal.signal = tell
program.main()
"""
IN_A_PHOTO = """
import os, signal, sys
import trustpose.__main__ as program
from trustpose.predict.journal import Journal
add = Journal.add
def add_and_interrupt(*arguments):
    add(*arguments)
    os.kill(os.getpid(), signal.SIGINT)
Journal.add = add_and_interrupt
program.main()
"""


def started(program: str, *words: str | Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    "module", ["typer", "trustpose.cli.audit", "numpy", "numpy._core._multiarray_umath", "jaxtyping", "orjson"]
)
def test_in_an_import(tmp_path, module):
    small_files(tmp_path)
    arguments = (
        "audit",
        "--gt",
        tmp_path / "gt.json",
        "--results",
        tmp_path / "results.json",
        "--json",
        tmp_path / "out",
    )
    running = started(AT_IMPORT, module, *arguments)
    _, message = running.communicate(timeout=120)
    assert (running.returncode, message) == (130, "trustpose: interrupted\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_at_any_time_of_an_audit(tmp_path, number):
    """During imports, reading, and the draws, which are too many to finish."""
    small_files(tmp_path)
    arguments = ("--gt", tmp_path / "gt.json", "--results", tmp_path / "results.json", "--json", tmp_path / "out")
    many = [started(AFTER_THE_START, "audit", *arguments, "--draws", "100000000") for _ in range(5)]
    for running in many:
        assert running.stdout is not None and running.stdout.readline() == "ready\n"
    for running, delay in zip(many, (0.0, 0.1, 0.2, 0.5, 1.0), strict=True):
        time.sleep(delay)
        running.send_signal(number)
    for running in many:
        output, message = running.communicate(timeout=120)
        assert (running.returncode, output, message) == (128 + number, "", "trustpose: interrupted\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gt.json", "results.json"]


def test_predict_states_how_to_resume(case):
    path, _ = case
    arguments = ["predict", path / "photos", "--gt", path / "gt.json", "--model", path / "colours.onnx"]
    running = started(IN_A_PHOTO, *arguments, "--out", path / "out")
    _, message = running.communicate(timeout=120)
    assert running.returncode == 130
    assert message == "trustpose: interrupted; run the same command with --resume to continue\n"
    assert len((path / "out" / "results.json.journal").read_text().splitlines()) == 2
    for out, more in (("out", ["--resume"]), ("whole", [])):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in (*arguments, "--out", path / out, *more)])
        assert not ended.value.code
    assert json.loads((path / "out" / "results.json").read_text()) == json.loads(
        (path / "whole" / "results.json").read_text()
    )


def test_where_it_is_ignored_it_stays_so(tmp_path):
    """As for background jobs of a shell script."""
    small_files(tmp_path)
    arguments = (
        "audit",
        "--gt",
        tmp_path / "gt.json",
        "--results",
        tmp_path / "results.json",
        "--json",
        tmp_path / "out",
    )
    arguments += ("--draws", "0")
    running = started(
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)" + AT_IMPORT, "jaxtyping", *arguments
    )
    assert running.communicate(timeout=120)[1] == "" and running.returncode == 0
    assert (tmp_path / "out").is_file()


def test_what_an_import_makes_of_it_is_an_interruption_still():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ImportError), Interruption() as interruption:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("partially initialized module") from None
    assert interruption.came and signal.getsignal(signal.SIGINT) is before


def test_where_the_interpreter_drops_it_it_comes_again():
    """As in a callback of the import system, which only prints exceptions."""

    class Dropping:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), Interruption() as interruption:
        Dropping()
        time.sleep(5)
    assert interruption.came


def test_what_a_library_takes_for_a_missing_package_comes_again():
    with pytest.raises(KeyboardInterrupt), Interruption() as interruption:
        try:
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise ImportError("partially initialized module") from None
        except ImportError:
            pass  # an optional package is missing
        time.sleep(5)
    assert interruption.came


def test_what_ends_the_block_does_not_come_again():
    with Interruption() as interruption, suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert interruption.came
    time.sleep(0.1)
