"""Names say what they hold: `make lint` counts those that do not."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("code", "status", "share"),
    [
        ("for found in boxes:\n    area = found.area\n", 1, "50.00 %"),
        ("def area_of(box, _other):\n    return box\n", 1, "50.00 %"),
        ("found.area = [box.one for box in boxes]\n", 0, "0.00 %"),  # attributes are not bound here
    ],
)
def test_fillers_are_counted_where_names_are_bound(tmp_path: Path, code: str, status: int, share: str) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "areas.py").write_text(code)
    command = [sys.executable, ROOT / "tools/filler_names.py", tmp_path / "src"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == status and share in done.stdout
