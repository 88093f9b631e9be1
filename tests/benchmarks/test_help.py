"""Every benchmark is one command that explains itself, without data."""

import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
COMMANDS = sorted(
    file.stem for file in FOLDER.glob("*.py") if '\nif __name__ == "__main__":' in file.read_text(encoding="utf-8")
)


@pytest.fixture
def in_benchmarks(monkeypatch):
    """Imports as `python benchmarks/NAME.py` finds them, forgotten afterwards."""
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if (FOLDER / f"{name}.py").exists():
            del sys.modules[name]


@pytest.mark.usefixtures("in_benchmarks")
@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_is_measured_and_how_to_run_it(name, monkeypatch, capsys):
    script = FOLDER / f"{name}.py"
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert script.read_text(encoding="utf-8").removeprefix("r").split("\n")[0].strip('"') in text
    assert f"benchmarks/{name}.py" in text
