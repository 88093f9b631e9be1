"""Files stay short enough to read in one sitting."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST = 500


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "tools"])
def test_no_file_of_code_is_longer_than_500_lines(folder):
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    lengths = {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert {name: lines for name, lines in lengths.items() if lines > MOST} == {}
