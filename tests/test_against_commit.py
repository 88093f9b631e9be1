"""`tools/against_commit.py`: two states of a checkout, measured in turn."""

import json
import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[1] / "tools" / "against_commit.py"
BENCHMARK = """import json, sys, trustpose
print(json.dumps({"speed": {"files": trustpose.SPEED}, "options": float(sys.argv[1]), **trustpose.MORE}))
"""


def write(folder: Path, code: str) -> None:
    for path, text in (
        ("benchmarks/made_up.py", BENCHMARK),
        ("src/trustpose.py", code),
        ("tools/against_commit.py", ""),
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text or TOOL.read_text())


def call(folder: Path, *words: str) -> str:
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_each_state_runs_its_own_code_and_the_ratio_is_now_by_before(tmp_path: Path) -> None:
    write(tmp_path, "SPEED, MORE = 4, {'gone': 1}")
    call(tmp_path, "git", "init", "--quiet")
    call(tmp_path, "git", "add", ".")
    call(tmp_path, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "before")
    write(tmp_path, "SPEED, MORE = 6, {'new': 1}")
    out = call(tmp_path, sys.executable, "tools/against_commit.py", "--rounds", "2", "HEAD", "made_up", "7")
    assert json.loads(out.splitlines()[-1]) == {"speed.files": 1.5, "options": 1.0}
