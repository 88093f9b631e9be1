import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def in_benchmarks(monkeypatch):
    """Imports as `python benchmarks/NAME.py` finds them, forgotten afterwards."""
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if (FOLDER / f"{name}.py").exists():
            del sys.modules[name]


@pytest.fixture
def run_benchmark(in_benchmarks, monkeypatch):  # noqa: ARG001 (the imports)
    """`python benchmarks/NAME.py OPTIONS…` in this process, which has imported most of what benchmarks need."""

    def run(name: str, *options: object) -> None:
        script = FOLDER / f"{name}.py"
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, options)])
        runpy.run_path(str(script), run_name="__main__")

    return run
