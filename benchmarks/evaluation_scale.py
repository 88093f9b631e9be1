"""Evaluation of ever more results: time and memory grow linearly, up to 1,000,000 results.

    python benchmarks/evaluation_scale.py [--gt GT --results RES] [--most N]

Grows one data set by copies under new image ids (in memory, as arrays), each size in a process of its own, so that its
peak memory is its own. Prints a table and, last, JSON with seconds and MB per size.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def measure(gt: Path, results: Path, copies: int) -> dict[str, float]:
    """Seconds of evaluation and peak memory of this process for so many copies of the data set."""
    import numpy as np

    from trustpose.data.coco import read_results, read_truth
    from trustpose.metrics.average_precision import evaluate
    from trustpose.poses import Poses, Truth

    truth = read_truth(gt)
    read = read_results(results, truth=truth)
    step = int(truth.images.id.max()) + 1
    people = int(truth.truth.annotation_id.max()) + 1
    poses = Poses.concatenate([replace(read.poses, image_id=read.poses.image_id + step * i) for i in range(copies)])
    labelled = Truth.concatenate(
        [
            replace(
                truth.truth,
                image_id=truth.truth.image_id + step * i,
                annotation_id=truth.truth.annotation_id + people * i,
            )
            for i in range(copies)
        ]
    )
    score = np.tile(read.score, copies)
    start = time.perf_counter()
    summary = evaluate(poses, labelled, score, sigmas=truth.skeleton.sigmas, area="segment").summary()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"results": len(poses), "seconds": round(seconds, 3), "peak_mb": round(peak), "AP": round(summary.AP, 4)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gt", type=Path, default=DATA / "coco" / "val2017_gt.json")
    parser.add_argument("--results", type=Path, default=DATA / "results" / "val2017_perturbed.json")
    parser.add_argument("--most", type=int, default=1_000_000, help="results of the largest size")
    parser.add_argument("--copies", type=int, help="measure one size and print its JSON")
    options = parser.parse_args()
    for file in (options.gt, options.results):
        if not file.is_file():
            print(f"{file}: no such file; name files with --gt and --results", file=sys.stderr)
            return 2
    if options.copies:
        print(json.dumps(measure(options.gt, options.results, options.copies)))
        return 0
    size = len(json.loads(options.results.read_text()))
    largest = -(-options.most // size)
    rows = []
    print(f"{'results':>10}{'seconds':>10}{'µs a result':>13}{'peak MB':>10}{'AP':>9}")
    for copies in sorted({1, *(max(1, largest // part) for part in (16, 8, 4, 2, 1))}):
        files = ["--gt", str(options.gt), "--results", str(options.results)]
        command = [sys.executable, __file__, "--copies", str(copies), *files]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rows.append(row)
        each = 1e6 * row["seconds"] / row["results"]
        print(
            f"{row['results']:>10,}{row['seconds']:>10.2f}{each:>13.2f}{row['peak_mb']:>10,}{row['AP']:>9.4f}",
            flush=True,
        )
    print(json.dumps({"sizes": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
