"""COCO keypoint evaluation: ours beside pycocotools and faster-coco-eval on the same files, in one run.

    python benchmarks/evaluation.py [--gt GT --results RES] [--photos N] [--runs N]

On the files themselves and on small ones, cut from them: their first photos. The three take turns. "loading" is files
to memory, "evaluation" all that follows up to the ten numbers, "both" is from files to numbers; imports are in none.
Prints tables of medians and, last, the ratios peer / ours as JSON: above 1, ours is faster. Exits with 1 if the numbers
differ.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
Timed = tuple[float, float, list[float]]  # seconds of loading, seconds of evaluation, the ten numbers


def ours(gt: Path, results: Path) -> Timed:
    from trustpose.formats.coco import read_results, read_truth
    from trustpose.metrics.average_precision import evaluate

    start = time.perf_counter()
    truth = read_truth(gt)
    poses = read_results(results, truth=truth)
    loaded = time.perf_counter()
    evaluation = evaluate(poses.poses, truth.truth, poses.score, sigmas=truth.skeleton.sigmas, area="file")
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


TOOLS: dict[str, Callable[[Path, Path], Timed]] = {
    "trustpose": ours,
    "pycocotools": pycocotools,
    "faster_coco_eval": faster_coco_eval,
}


def first_photos(gt: Path, results: Path, photos: int, folder: Path) -> tuple[Path, Path]:
    """Files of the same layout with the first photos alone."""
    truth = json.loads(gt.read_text())
    truth["images"] = truth["images"][:photos]
    kept = {image["id"] for image in truth["images"]}
    truth["annotations"] = [row for row in truth["annotations"] if row["image_id"] in kept]
    rows = [row for row in json.loads(results.read_text()) if row["image_id"] in kept]
    for name, value in (("gt.json", truth), ("results.json", rows)):
        (folder / name).write_text(json.dumps(value))
    return folder / "gt.json", folder / "results.json"


def compare(title: str, gt: Path, results: Path, runs: int) -> tuple[dict[str, dict[str, float]], float]:
    """Ratios peer / ours per part, and the largest difference between the ten numbers; prints the table."""
    for run in TOOLS.values():  # imports and caches
        run(gt, results)
    times: dict[str, list[Timed]] = {name: [] for name in TOOLS}
    for _ in range(runs):
        for name, run in TOOLS.items():
            times[name].append(run(gt, results))
    parts = {
        part: {name: statistics.median(map(seconds, rows)) for name, rows in times.items()}
        for part, seconds in (
            ("loading", lambda t: t[0]),
            ("evaluation", lambda t: t[1]),
            ("both", lambda t: t[0] + t[1]),
        )
    }
    print(f"{title}, median of {runs} runs, milliseconds")
    print(f"{'':18}" + "".join(f"{part:>12}" for part in parts))
    for name in TOOLS:
        print(f"{name:18}" + "".join(f"{1000 * part[name]:12.1f}" for part in parts.values()))
    numbers = {name: rows[0][2] for name, rows in times.items()}
    difference = max(float(np.abs(np.subtract(numbers[name], numbers["trustpose"])).max()) for name in TOOLS)
    print(f"largest difference between the ten numbers: {difference:.1e}\n")
    peers = [name for name in TOOLS if name != "trustpose"]
    ratios = {part: {name: round(of[name] / of["trustpose"], 2) for name in peers} for part, of in parts.items()}
    return ratios, difference


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gt", type=Path, default=DATA / "coco" / "val2017_gt.json")
    parser.add_argument("--results", type=Path, default=DATA / "results" / "val2017_perturbed.json")
    parser.add_argument("--photos", type=int, default=70, help="photos of the small files")
    parser.add_argument("--runs", type=int, default=7, help="of the files themselves; small ones five times as often")
    options = parser.parse_args()
    for file in (options.gt, options.results):
        if not file.is_file():
            print(f"{file}: no such file; name files with --gt and --results", file=sys.stderr)
            return 2
    title = f"{options.gt.name} × {options.results.name}"
    with tempfile.TemporaryDirectory() as folder:
        small = first_photos(options.gt, options.results, options.photos, Path(folder))
        ratios, difference = compare(title, options.gt, options.results, options.runs)
        of_small, difference_of_small = compare(f"its first {options.photos} photos", *small, 5 * options.runs)
    print(json.dumps({**ratios, "small_files": of_small}))
    return 0 if max(difference, difference_of_small) < 1e-12 else 1


if __name__ == "__main__":
    sys.exit(main())
