"""Agreement of four markerless systems with motion capture, and what intervals hold that were fitted on another task.

    python benchmarks/agreement.py [--data DATA]

Ten joint angles of one person in three tasks (walking, sitting down and standing up, other movements), marker-based at
120 Hz and by four markerless systems at 60 Hz, from DATA/joint_angles (Benchmarking_markerless). First, RMSE and bias
of every system, task and joint by `tp.agree`, and beside them the largest difference from a script of ten lines that
shares nothing with it (`csv`, and plain sums).

Then intervals: per system and joint, half-widths are the conformal quantiles of the absolute errors of one task (with
n + 1 in the place of n), and the file that is measured in another task, with these intervals in its columns, is given
to `tp.agree`. "same": fitted on every second of two seconds of a task and measured on the others, where errors are
alike; the guarantee needs exchangeable errors, which frames of another task are not. A cell is the mean over systems
and joints, with the lowest and the highest.
"""

import argparse
import csv
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import parser, run, table

import trustpose as tp

SYSTEMS = (1, 4, 7, 9)
TASKS = ("gait", "sit-stand", "exotic")
LEVELS = (0.5, 0.8, 0.9, 0.95)
_SECONDS = 2.0  # of the blocks that are fitted and measured in turn


def columns_of(path: Path) -> dict[str, list[float]]:
    """The columns of a file, in degrees but for the time; NaN where there is nothing."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return {
        name: [
            float("nan") if row[name] in ("", "nan") else float(row[name]) * (1 if name == "Time" else 180 / math.pi)
            for row in rows
        ]
        for name in rows[0]
    }


def plain_numbers(reference: Path, measured: Path) -> dict[str, tuple[float, float]]:
    """RMSE and bias of each joint by plain sums: both clocks have a common instant each sixtieth of a second."""
    of_reference, of_measured, numbers = columns_of(reference), columns_of(measured), {}
    row_of = {round(second * 120): row for row, second in enumerate(of_reference["Time"])}
    for name in of_measured:
        differences = []
        for row, second in enumerate(of_measured["Time"]):
            if name == "Time" or round(second * 120) not in row_of or name not in of_reference:
                continue
            difference = of_measured[name][row] - of_reference[name][row_of[round(second * 120)]]
            if not math.isnan(difference):
                differences.append(difference - 360 * round(difference / 360))
        if differences:
            squares = sum(difference * difference for difference in differences)
            numbers[name] = (math.sqrt(squares / len(differences)), sum(differences) / len(differences))
    return numbers


def paths(data: Path, system: int, task: str) -> tuple[Path, Path]:
    folder = data / "joint_angles"
    return folder / "markers" / f"{task}.csv", folder / "markerless" / f"method{system}" / f"{task}.csv"


def agreement(reference: Path, measured: Path, *, unit: str | None = "rad") -> Any:
    return tp.agree(reference, measured, reference_unit="rad", measured_unit=unit, unit="deg", draws=1)


def half_widths(errors: np.ndarray) -> list[float]:
    """The conformal quantiles of absolute errors: the ⌈(n + 1) level⌉-th smallest."""
    ranked = np.sort(errors)
    return [float(ranked[min(math.ceil((len(ranked) + 1) * level), len(ranked)) - 1]) for level in LEVELS]


def with_intervals(measured: Path, widths: dict[str, list[float]], out: Path) -> None:
    """Write a measured file, in degrees, with the intervals of each joint in its columns."""
    columns = columns_of(measured)
    written: dict[str, Sequence[float]] = {"time": columns["Time"]}
    for name, sizes in widths.items():
        if name not in columns:
            continue
        value = np.array(columns[name])
        written[name] = value.tolist()
        for level, size in zip(LEVELS, sizes, strict=True):
            written[f"{name}_low_{100 * level:g}"] = (value - size).tolist()
            written[f"{name}_high_{100 * level:g}"] = (value + size).tolist()
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(written)
        writer.writerows(zip(*written.values(), strict=True))


def carried(data: Path, pairs: dict[tuple[int, str], Any]) -> dict[str, dict[str, Any]]:
    """What intervals hold that were fitted on one task and carried to another."""
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for fitted in TASKS:
            for task in TASKS:
                shares = [[] for _ in LEVELS]  # type: list[list[float]]
                widths, scores = [], []
                for system in SYSTEMS:
                    sizes = {}
                    for name, measure in pairs[system, fitted].measures.items():
                        errors = np.abs(measure.pairs.measured - measure.pairs.reference)
                        if task == fitted:
                            errors = errors[measure.pairs.time // _SECONDS % 2 == 0]
                        sizes[name] = half_widths(errors)
                    reference, measured = paths(data, system, task)
                    out = Path(folder) / "measured.csv"
                    with_intervals(measured, sizes, out)
                    for measure in agreement(reference, out, unit="deg").measures.values():
                        rows_of = slice(None)
                        if task == fitted:
                            rows_of = measure.pairs.time // _SECONDS % 2 == 1  # type: ignore[assignment]
                        for number, level in enumerate(LEVELS):
                            if task == fitted:
                                low, high = measure.pairs.low[rows_of, number], measure.pairs.high[rows_of, number]
                                reference_values = measure.pairs.reference[rows_of]
                                shares[number].append(
                                    float(((low <= reference_values) & (reference_values <= high)).mean())
                                )
                            else:
                                (row,) = [row for row in measure.coverage if math.isclose(row.claimed, level)]
                                shares[number].append(row.share)
                                if level == 0.9:
                                    widths.append(row.width)
                                    scores.append(row.score)
                label = f"{fitted}, same" if task == fitted else f"{fitted} → {task}"
                rows[label] = {
                    f"{level:g}": [float(np.mean(of_level)), min(of_level), max(of_level)]
                    for level, of_level in zip(LEVELS, shares, strict=True)
                }
                rows[label] |= {"cells": len(shares[0])}
                if widths:
                    rows[label] |= {"width of .9, °": float(np.mean(widths)), "score of .9, °": float(np.mean(scores))}
    return rows


def main(options: argparse.Namespace) -> dict[str, Any]:
    """Print and return all numbers."""
    pairs, worst, numbers = {}, 0.0, {}
    for task in TASKS:
        rows: dict[str, dict[str, Any]] = {}
        for system in SYSTEMS:
            reference, measured = paths(options.data, system, task)
            pairs[system, task] = agreed = agreement(reference, measured)
            plain = plain_numbers(reference, measured)
            if set(plain) != set(agreed.measures):
                raise AssertionError(f"{measured}: {sorted(set(plain) ^ set(agreed.measures))} are in one of both only")
            for name, (rmse, bias) in plain.items():
                measure = agreed[name]
                worst = max(worst, abs(measure["rmse"] - rmse), abs(measure["bias"] - bias))
                rows.setdefault(name, {})[f"system {system}"] = f"{measure['rmse']:.2f} ({measure['bias']:+.2f})"
                numbers[f"{task}.{system}.{name}"] = {"rmse": measure["rmse"], "bias": measure["bias"]}
            offset = agreed.offsets[0].seconds
            rows.setdefault("found offset, s", {})[f"system {system}"] = f"{offset:+.3f}"
        table(f"{task}: RMSE (bias), degrees", rows)
    print(f"largest difference from the plain script: {worst:.1e}°")
    held = carried(options.data, pairs)
    table("what intervals hold: fitted → measured; mean [lowest, highest] of systems × joints", held)
    return {"largest_difference": worst, "numbers": numbers, "held": held}


if __name__ == "__main__":
    run(main, parser(__doc__, "data"))
