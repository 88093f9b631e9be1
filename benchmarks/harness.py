"""What all benchmarks share: options, tables with intervals, work timed in turns, and the last line of JSON.

A benchmark is a function from options to a record. It prints tables for people on its way; `run` parses the options,
says in one line what is missing, and prints the record as the last line.

    def main(options):
        rows = {"ours": {"AP": [0.70, 0.68, 0.72], "people": 990}}
        table("people found", rows)
        return rows

    if __name__ == "__main__":
        run(main, parser(__doc__, "data", draws=1000))
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.files import InputError
from trustpose.metrics.bootstrap import interval, resample_counts

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
COMMON: dict[str, dict[str, Any]] = {
    "data": {"type": Path, "default": DATA, "help": "folder of the data sets; TRUSTPOSE_DATA names the default"},
    "draws": {"type": int, "default": 1000, "help": "bootstrap draws of photos for the 95 %% intervals"},
    "rounds": {"type": int, "default": 5, "help": "rounds in which the candidates take turns"},
    "flip": {"action": argparse.BooleanOptionalAction, "default": False, "help": "average mirrored crops"},
    "results": {
        "nargs": 3,
        "action": "append",
        "metavar": ("NAME", "TRAIN", "DEV"),
        "help": "an estimator's results on train and dev; several times",
    },
    "mediapipe": {"type": Path, "help": "MediaPipe's pose landmarker bundle, to measure it too"},
}
Interval = list[float]  # a number and the ends of its 95 % interval
Cell = float | str | Interval | None


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """The docstring as it is written, and the default of each option."""

    def _get_help_string(self, action: argparse.Action) -> str:
        is_set = action.default not in (None, False, [], argparse.SUPPRESS) and action.help and action.option_strings
        return f"{action.help} (default: %(default)s)" if is_set else action.help or ""


def parser(doc: str | None, *names: str, **defaults: Any) -> argparse.ArgumentParser:
    """Return a parser with the docstring as its help and these common options, some with defaults of their own."""
    described = argparse.ArgumentParser(description=doc, formatter_class=HelpFormatter)
    for name in (*names, *defaults):
        described.add_argument(f"--{name}", **COMMON[name] | ({"default": defaults[name]} if name in defaults else {}))
    return described


def run(main: Callable[[argparse.Namespace], Any], options_parser: argparse.ArgumentParser) -> None:
    """Parse the command line, run the benchmark, and print its record as one line of JSON; None: it has none.

    Bad input and missing data end the program with one line and exit code 2.
    """
    options = options_parser.parse_args()
    try:
        record = main(options)
    except InputError as error:
        message = str(error)
    except FileNotFoundError as error:
        message = f"{error.filename}: no such file; --data or TRUSTPOSE_DATA names the folder of the data sets"
    else:
        if record is not None:
            write(record)
        return
    print(message, file=sys.stderr)
    raise SystemExit(2)


def write(record: Any) -> None:
    """Print the last line."""
    print(json.dumps(record), flush=True)


def cell(value: Cell, spec: str = ".3f") -> str:
    """Format a value of a table: "–" for what is unknown, "0.70 [0.68, 0.72]" for a number with its interval."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Sequence):
        number, *ends = (cell(part, spec) for part in value)
        return f"{number} [{', '.join(ends)}]" if ends else number
    return f"{value:,}" if isinstance(value, int | np.integer) else format(value, spec)


def table(
    title: str,
    rows: Mapping[Any, Mapping[Any, Cell]],
    spec: str = ".3f",
    *,
    down: bool = False,
    **specs: str,
) -> None:
    """Print rows of cells below each other, each column as wide as it needs to be.

    `spec` formats fractional numbers; `specs` those of single columns (or rows, with `down`), by name with "_" for what
    is no letter. With `down` the rows are printed as columns: many numbers of a few candidates.
    """
    names = list(dict.fromkeys(str(name) for row in rows.values() for name in row))
    texts = {
        str(label): {str(name): cell(value, specs.get(identifier(name), spec)) for name, value in row.items()}
        for label, row in rows.items()
    }
    if down:
        texts, names = {name: {label: row.get(name, "–") for label, row in texts.items()} for name in names}, [*texts]
    widths = {name: max(len(name), *(len(row.get(name, "–")) for row in texts.values())) for name in names}
    first = max([len(title), *map(len, texts)])
    print(f"\n{title:{first}}  " + "  ".join(f"{name:>{widths[name]}}" for name in names))
    for label, row in texts.items():
        print(f"{label:{first}}  " + "  ".join(f"{row.get(name, '–'):>{widths[name]}}" for name in names), flush=True)


def identifier(name: Any) -> str:
    """Return the name of a column as a keyword of `table`: "AP gain" is AP_gain."""
    return "".join(letter if letter.isalnum() else "_" for letter in str(name))


def percent(value: Cell) -> Cell:
    """Return a share, or a share with its interval, in hundredths."""
    return None if value is None else [100 * part for part in value] if isinstance(value, Sequence) else 100 * value


@dataclass(frozen=True, eq=False)
class Estimate:
    """A number, and the same number in every bootstrap draw (B,). A difference is taken draw by draw."""

    value: float
    draws: np.ndarray

    @classmethod
    def mean(cls, values: np.ndarray, draws: int) -> "Estimate":
        """Return the mean of independent values (N,), such as those of photos or people, which are drawn."""
        return cls(float(values.mean()), resample_counts(len(values), draws) @ values / len(values))

    def __sub__(self, base: "Estimate") -> "Estimate":
        return Estimate(self.value - base.value, self.draws - base.draws)

    @property
    def interval(self) -> Interval:
        """The number and the ends of its 95 % interval."""
        return [self.value, *interval(self.draws)]


def gains_over(base: Any, rows: Mapping[Any, Mapping[Any, Estimate]]) -> dict[Any, dict[Any, Estimate]]:
    """Return by how much each row's numbers are above those of a row, draw by draw."""
    return {name: {column: number - rows[base][column] for column, number in row.items()} for name, row in rows.items()}


def with_gains(rows: Mapping[Any, Mapping[Any, Estimate]], gains: Mapping[Any, Mapping[Any, Estimate]]) -> Any:
    """Return numbers and gains for the last line: six numbers each, [number, low, high, gain, low, high]."""
    return {
        name: {column: [*number.interval, *gains[name][column].interval] for column, number in row.items()}
        for name, row in rows.items()
    }


def hundredths(rows: Mapping[Any, Mapping[Any, Estimate]]) -> dict[Any, dict[Any, Cell]]:
    """Return numbers with their intervals in hundredths, for a table."""
    return {name: {column: percent(number.interval) for column, number in row.items()} for name, row in rows.items()}


@dataclass(frozen=True)
class Timing:
    """What a piece of work took and returned: seconds by the clock, seconds of the processor over all threads."""

    seconds: float
    cpu_seconds: float
    result: Any


def timed(work: Callable[[], Any]) -> Timing:
    """Do the work once."""
    start, processor = time.perf_counter(), time.process_time()
    result = work()
    return Timing(time.perf_counter() - start, time.process_time() - processor, result)


def in_turns(candidates: Mapping[Any, Callable[[], Any]], rounds: int, warm_up: bool = True) -> dict[Any, list[Timing]]:
    """Time candidates in turn, round after round, so that what else the machine does meets them alike.

    With `warm_up`, a first round for imports, files and caches does not count.
    """
    for work in candidates.values() if warm_up else ():
        work()
    timings: dict[Any, list[Timing]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, work in candidates.items():
            timings[name].append(timed(work))
    return timings


@dataclass(frozen=True)
class Process:
    """What a process printed, and what it took: seconds, seconds of the processor, its peak memory in MB."""

    output: str
    seconds: float
    cpu_seconds: float
    peak_mb: int

    @property
    def costs(self) -> dict[str, float]:
        """The record of a benchmark."""
        return {
            "seconds": round(self.seconds, 1),
            "cpu_seconds": round(self.cpu_seconds, 1),
            "peak_mb": self.peak_mb,
        }


def process(*command: object) -> Process:
    """Run Python with these arguments, such as "-m", "trustpose", "audit", in a process whose memory is its own.

    A process that fails ends the program.
    """
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, *map(str, command)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(map(str, command))} failed ({status})")
    return Process(output, seconds, usage.ru_utime + usage.ru_stime, round(usage.ru_maxrss / 1024))
