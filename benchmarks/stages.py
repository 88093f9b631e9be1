"""Where the time of an evaluation and of an audit goes, by stage, on the main thread and on others.

    python benchmarks/stages.py [--against CHECKOUT] [--rounds N] [--draws N]

Milliseconds of the processor for the files of `benchmarks/evaluation.py`, the least of the rounds: reading the ground
truth, reading the results, the ten numbers, and a whole audit with its draws. What the main thread takes cannot be
faster on two cores; what others take runs beside it, and what both take is what one core needs. With `--against` the
same is measured, in turn, with the package of an older checkout. The picture in docs/speed.md is drawn from it
(`python tools/drawings`).
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import DATA, parser, run, table

SOURCES = Path(__file__).parents[1] / "src"
Costs = tuple[float, float]  # ms of the main thread, and of all


def least(work: Callable[[], Any], rounds: int) -> Costs:
    """Return the least costs of some rounds, after a first one that fills caches."""
    costs = []
    for _ in range(rounds + 1):
        main_thread, processor = time.thread_time(), time.process_time()
        work()
        costs.append((1000 * (time.thread_time() - main_thread), 1000 * (time.process_time() - processor)))
    return min(costs[1:], key=lambda cost: cost[1])


def stages(rounds: int, draws: int) -> dict[str, Costs]:
    """Measure all stages in this process."""
    from trustpose.evaluation.audit import audit
    from trustpose.io.coco.results import read_results
    from trustpose.io.coco.truth import read_coco_truth
    from trustpose.metrics.average_precision import evaluate

    gt, results = DATA / "coco" / "val2017_gt.json", DATA / "results" / "val2017_perturbed.json"
    truth = read_coco_truth(gt)
    poses, sigmas = read_results(results, truth=truth), truth.skeleton.sigmas

    def numbers():
        return evaluate(poses.poses, truth.truth, poses.score, sigmas=sigmas, area="file").summary()

    return {
        "reading the ground truth": least(lambda: read_coco_truth(gt), rounds),
        "reading the results": least(lambda: read_results(results, truth=truth), rounds),
        "the ten numbers": least(numbers, rounds),
        f"audit, {draws:,} draws": least(lambda: audit(gt, results, area="file", draws=draws), max(1, rounds // 5)),
    }


def main(options):
    if options.here:
        return stages(options.rounds, options.draws)
    packages = {"after": SOURCES}
    if options.against is not None:
        packages = {"before": options.against / "src", **packages}
    record: dict[str, dict[str, Costs]] = {}
    for name, sources in packages.items():
        command = [sys.executable, __file__, "--here", "--rounds", str(options.rounds), "--draws", str(options.draws)]
        environment = {**os.environ, "PYTHONPATH": str(sources)}
        output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        record[name] = json.loads(output.splitlines()[-1])
    rows = {
        stage: {
            f"{name}, {thread}": costs[stage][column]
            for name, costs in record.items()
            for column, thread in enumerate(("main thread", "all threads"))
        }
        for stage in record["after"]
    }
    table("ms of the processor", rows, ".1f")
    return record


if __name__ == "__main__":
    options_parser = parser(__doc__, rounds=15, draws=1000)
    options_parser.add_argument("--against", type=Path, help="an older checkout, measured too")
    options_parser.add_argument("--here", action="store_true", help="used in a process of its own")
    run(main, options_parser)
