"""Every benchmark is one command that explains itself, without data."""

import pytest

from tests.benchmarks.conftest import FOLDER

COMMANDS = sorted(
    file.stem for file in FOLDER.glob("*.py") if '\nif __name__ == "__main__":' in file.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_is_measured_and_how_to_run_it(name, run_benchmark, capsys):
    with pytest.raises(SystemExit) as ended:
        run_benchmark(name, "--help")
    assert ended.value.code == 0
    text = capsys.readouterr().out
    first_line = (FOLDER / f"{name}.py").read_text(encoding="utf-8").removeprefix("r").split("\n")[0]
    assert first_line.strip('"') in text
    assert f"benchmarks/{name}.py" in text
