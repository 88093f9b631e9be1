"""The benchmarks that the docs name exist, and what the table of measurements calls a command is one."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
BENCHMARKS = {file.stem for file in (ROOT / "benchmarks").glob("*.py")}


def test_benchmarks_named_by_docs_code_and_makefile_exist():
    files = [ROOT / "Makefile", ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    files += [file for folder in ("src", "tests", "tools", "benchmarks") for file in (ROOT / folder).rglob("*.py")]
    named = {
        (str(file.relative_to(ROOT)), name)
        for file in files
        for name in re.findall(r"benchmarks/([a-z_]+)\.py", file.read_text(encoding="utf-8"))
    }
    named = {pair for pair in named if pair[1] != "made_up"}  # of a repository that a test makes
    assert len(named) > 40
    assert {pair for pair in named if pair[1] not in BENCHMARKS} == set()


def test_commands_of_the_table_of_measurements_are_benchmarks():
    rows = [
        row.split("|")
        for row in (ROOT / "docs/benchmarks/README.md").read_text(encoding="utf-8").splitlines()
        if "|" in row
    ]
    commands = [re.findall(r"`([a-z_]+)(?: [^`]*)?`", row[3]) for row in rows if len(row) > 5]
    first = [names[0] for names in commands if names and names[0] not in ("trustpose", "taskset")]
    assert len(first) > 20
    assert set(first) <= BENCHMARKS
