"""Every benchmark is a command that explains itself, at once and without data."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
NEEDS = {"fiftyone_round_trip": (), "page": ("playwright",)}
COMMANDS = sorted(
    file.stem for file in FOLDER.glob("*.py") if 'if __name__ == "__main__":' in file.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_begins_with_what_the_benchmark_measures(name):
    for module in NEEDS.get(name, ()):
        pytest.importorskip(module)
    script = FOLDER / f"{name}.py"
    environment = os.environ | {"TRUSTPOSE_DATA": "no-such-folder", "COLUMNS": "120"}
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    first_line = script.read_text(encoding="utf-8").removeprefix("r").split("\n")[0].strip('"')
    assert first_line in done.stdout
    assert f"benchmarks/{name}.py" in done.stdout  # how to run it
