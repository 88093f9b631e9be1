"""Real joint angles of four markerless systems against markers: agreement, and intervals carried to other tasks.

    python benchmarks/agreement.py

TRUSTPOSE_DATA/joint_angles: ten joint angles of one person in three tasks. For each system the three tasks are compared
as clips (`tp.agree`), without moving clocks.

"carried": half-widths of 90 % intervals are the conformal quantiles of absolute differences in one task, for each joint
angle, and are applied to the values of another task: the share of reference values that they hold, mean over joint
angles, with the least and the highest of them.
"""

import warnings
from itertools import permutations

import numpy as np
from harness import Cell, parser, run, table

from trustpose.geometry.expected_error import conformal_quantiles
from trustpose.measures.agree import Agreement, agree

TASKS = ("gait", "sit-stand", "exotic")
SYSTEMS = {"method1": "1 (commercial)", "method4": "4 (2 cameras)", "method7": "7", "method9": "9 (9 cameras)"}
LEVEL = 0.9
WIDEST = 360.0


def numbers(agreement: Agreement) -> dict[str, dict[str, Cell]]:
    rows: dict[str, dict[str, Cell]] = {}
    for name, item in agreement.measures.items():
        statistics = item.statistics
        rows[name] = {
            "n": statistics.count,
            "bias": statistics.bias,
            "sd": statistics.sd,
            "RMSE": [statistics.rmse, item.low["rmse"], item.high["rmse"]],
            "ICC(A,1)": statistics.icc_agreement[0],
            "ICC(C,1)": statistics.icc_consistency[0],
            "slope": statistics.slope,
        }
    return rows


def carried(agreement: Agreement) -> dict[str, dict[str, Cell]]:
    """Return what intervals of each task hold of each other one."""
    rows = {}
    for source, target in permutations(range(len(TASKS)), 2):
        shares = []
        for item in agreement.measures.values():
            error = np.abs(item.measured - item.reference)
            parts = [error[item.clip == clip] for clip in (source, target)]
            if min(map(len, parts)):
                half = conformal_quantiles(parts[0], [LEVEL], WIDEST)[0]
                shares.append(float((parts[1] <= half).mean()))
        held: dict[str, Cell] = {"mean": float(np.mean(shares)), "least": min(shares), "most": max(shares)}
        rows[f"{TASKS[source]} to {TASKS[target]}"] = held
    return rows


def main(options):
    record = {}
    folder = options.data / "joint_angles"
    for method, name in SYSTEMS.items():
        files = [[folder / part / f"{task}.csv" for task in TASKS] for part in ("markers", f"markerless/{method}")]
        agreement = agree(*files, unit="radians", draws=options.draws)
        rows, held = numbers(agreement), carried(agreement)
        table(f"system {name}, degrees", rows, bias=".1f", sd=".1f", RMSE=".1f")
        table(f"system {name}, 90 % intervals carried", held)
        record[method] = {"agreement": rows, "carried": held, "offset": list(agreement.offset)}
    return record


if __name__ == "__main__":
    warnings.simplefilter("ignore", RuntimeWarning)
    run(main, parser(__doc__, "data", draws=1000))
