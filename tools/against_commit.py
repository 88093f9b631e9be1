"""A benchmark on this checkout and on an earlier commit's, taking turns in one run.

    python tools/against_commit.py [--rounds N] COMMIT BENCHMARK [OPTIONS OF THE BENCHMARK…]

COMMIT is unpacked into a temporary folder. Each round runs `benchmarks/BENCHMARK.py` of both, each with its own code,
and reads the numbers in its last line of JSON. Prints, for each number that both have, the medians before and now, and
the median, least and greatest of the rounds' ratios now / before; then the median ratios as a line of JSON.
`taskset -c 0` before the command keeps both on one core.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


def flat(value: object, name: str = "") -> dict[str, float]:
    """The numbers of a JSON value, by their keys joined with dots."""
    if isinstance(value, dict):
        return {
            key: number
            for part, below in value.items()
            for key, number in flat(below, f"{name}.{part}".strip(".")).items()
        }
    return {name: float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else {}


def run(checkout: Path, benchmark: str, options: list[str]) -> dict[str, float]:
    """Run a checkout's benchmark and return its numbers. A failed one ends the program with its messages."""
    data = os.environ.get("TRUSTPOSE_DATA", str(HERE.parent / "shared" / "data"))
    done = subprocess.run(
        [sys.executable, f"benchmarks/{benchmark}.py", *options],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout / "src"), "TRUSTPOSE_DATA": data},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{checkout}: {benchmark} ended with {done.returncode}\n{done.stderr}")
    return flat(json.loads(done.stdout.splitlines()[-1]))


def unpack(commit: str, folder: Path) -> None:
    archive = subprocess.run(["git", "archive", commit], cwd=HERE, capture_output=True)
    if archive.returncode:
        sys.exit(archive.stderr.decode().strip())
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit")
    parser.add_argument("benchmark", help="prediction, evaluation, …")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("options", nargs=argparse.REMAINDER, help="the benchmark's own")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        unpack(asked.commit, Path(folder))
        rounds = [
            (run(Path(folder), asked.benchmark, asked.options), run(HERE, asked.benchmark, asked.options))
            for _ in range(asked.rounds)
        ]
    medians: dict[str, float] = {}
    print(f"{'':40}{'before':>10}{'now':>10}{'ratio':>8}   of {asked.rounds} rounds")
    for name in rounds[0][0]:
        if name in rounds[0][1]:
            before, now = ([pair[side][name] for pair in rounds] for side in (0, 1))
            ratios = [late / early for early, late in zip(before, now, strict=True)]
            medians[name] = round(statistics.median(ratios), 3)
            row = f"{name:40}{statistics.median(before):10.3f}{statistics.median(now):10.3f}{medians[name]:8.3f}"
            print(f"{row}   ({min(ratios):.3f}–{max(ratios):.3f})")
    print(json.dumps(medians))


if __name__ == "__main__":
    main()
