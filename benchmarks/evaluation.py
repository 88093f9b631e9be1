"""COCO keypoint evaluation: ours beside pycocotools and faster-coco-eval on the same files, in one run.

    python benchmarks/evaluation.py [--gt GT --results RES] [--runs N]

The three take turns. "loading" is files to memory, "evaluation" all that follows up to the ten numbers. Prints a table
of medians and, last, the ratios peer / ours as JSON: above 1, ours is faster. Exits with 1 if the numbers differ.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
Timed = tuple[float, float, list[float]]  # seconds of loading, seconds of evaluation, the ten numbers


def ours(gt: Path, results: Path) -> Timed:
    from trustpose.data.coco import read_results, read_truth
    from trustpose.metrics.average_precision import evaluate

    start = time.perf_counter()
    truth = read_truth(gt)
    poses = read_results(results, truth=truth)
    loaded = time.perf_counter()
    evaluation = evaluate(poses.poses, truth.truth, poses.score, sigmas=truth.skeleton.sigmas, area="segment")
    numbers = list(asdict(evaluation.summary()).values())
    return loaded - start, time.perf_counter() - loaded, numbers


def pycocotools(gt: Path, results: Path) -> Timed:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return _peer(COCO, COCOeval, gt, results)


def faster_coco_eval(gt: Path, results: Path) -> Timed:
    from faster_coco_eval import COCO, COCOeval_faster

    return _peer(COCO, COCOeval_faster, gt, results)


def _peer(coco_class: type, eval_class: type, gt: Path, results: Path) -> Timed:
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        truth = coco_class(str(gt))
        poses = truth.loadRes(str(results))
        loaded = time.perf_counter()
        evaluation = eval_class(truth, poses, "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return loaded - start, time.perf_counter() - loaded, list(evaluation.stats[:10])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gt", type=Path, default=DATA / "coco" / "val2017_gt.json")
    parser.add_argument("--results", type=Path, default=DATA / "results" / "val2017_perturbed.json")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    for file in (options.gt, options.results):
        if not file.is_file():
            print(f"{file}: no such file; name files with --gt and --results", file=sys.stderr)
            return 2
    tools: dict[str, Callable[[Path, Path], Timed]] = {
        "trustpose": ours,
        "pycocotools": pycocotools,
        "faster_coco_eval": faster_coco_eval,
    }
    for run in tools.values():  # imports and caches
        run(options.gt, options.results)
    times: dict[str, list[Timed]] = {name: [] for name in tools}
    for _ in range(options.runs):
        for name, run in tools.items():
            times[name].append(run(options.gt, options.results))
    loading = {name: statistics.median(t[0] for t in rows) for name, rows in times.items()}
    evaluating = {name: statistics.median(t[1] for t in rows) for name, rows in times.items()}
    print(f"{options.gt.name} × {options.results.name}, median of {options.runs} runs")
    print(f"{'':18}{'loading s':>12}{'evaluation s':>14}")
    for name in tools:
        print(f"{name:18}{loading[name]:12.3f}{evaluating[name]:14.3f}")
    numbers = {name: rows[0][2] for name, rows in times.items()}
    difference = max(float(np.abs(np.subtract(numbers[name], numbers["trustpose"])).max()) for name in tools)
    print(f"largest difference between the ten numbers: {difference:.1e}")
    peers = [name for name in tools if name != "trustpose"]
    ratios = {
        "evaluation": {name: round(evaluating[name] / evaluating["trustpose"], 2) for name in peers},
        "loading": {name: round(loading[name] / loading["trustpose"], 2) for name in peers},
    }
    print(json.dumps(ratios))
    return 0 if difference < 1e-12 else 1


if __name__ == "__main__":
    sys.exit(main())
