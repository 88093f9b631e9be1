"""Evaluation of ever more results: time and memory grow linearly, up to 1,000,000 results.

    python benchmarks/evaluation_scale.py [--gt GT --results RES] [--most N] [--command-line]

Grows one data set by copies under new image ids (in memory, as arrays), each size in a process of its own, so that its
peak memory is its own. With --command-line, the largest size is written to files (0.6 GB) and `trustpose audit` is run
on them, with all that it does: reading, every number of an audit, 1,000 draws for intervals, the HTML page. Prints a
table and, last, JSON with seconds and MB per size.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import orjson

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def measure(gt: Path, results: Path, copies: int) -> dict[str, float]:
    """Seconds of evaluation and peak memory of this process for so many copies of the data set."""
    import numpy as np

    from trustpose.formats.coco import read_results, read_truth
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
    summary = evaluate(poses, labelled, score, sigmas=truth.skeleton.sigmas, area="file").summary()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"results": len(poses), "seconds": round(seconds, 3), "peak_mb": round(peak), "AP": round(summary.AP, 4)}


def write_copies(gt: Path, results: Path, copies: int, folder: Path) -> tuple[Path, Path]:
    """The same data set as files, written copy by copy."""
    truth, rows = json.loads(gt.read_text()), json.loads(results.read_text())
    step = max(image["id"] for image in truth["images"]) + 1
    people = max(row["id"] for row in truth["annotations"]) + 1
    with (folder / "results.json").open("wb") as file:
        for copy in range(copies):
            moved = [{**row, "image_id": row["image_id"] + step * copy} for row in rows]
            file.write((b"," if copy else b"[") + orjson.dumps(moved)[1:-1])
        file.write(b"]")
    images = [{**image, "id": image["id"] + step * copy} for copy in range(copies) for image in truth["images"]]
    annotations = [
        {**row, "id": row["id"] + people * copy, "image_id": row["image_id"] + step * copy}
        for copy in range(copies)
        for row in truth["annotations"]
    ]
    (folder / "gt.json").write_bytes(orjson.dumps({**truth, "images": images, "annotations": annotations}))
    return folder / "gt.json", folder / "results.json"


def measure_command(gt: Path, results: Path, copies: int) -> dict[str, float]:
    """Seconds and peak memory of `trustpose audit` on so many copies of the data set, from files to page and JSON."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_copies(gt, results, copies, Path(folder))
        command = [sys.executable, "-m", "trustpose", "audit", "--gt", str(files[0]), "--results", str(files[1])]
        outputs = ["--json", f"{folder}/audit.json", "--report", f"{folder}/audit.html"]
        start = time.perf_counter()
        process = subprocess.Popen([*command, *outputs], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            raise SystemExit(f"trustpose audit failed ({status})")
        audit = json.loads(Path(f"{folder}/audit.json").read_text())
    return {
        "results": audit["inputs"]["results"]["results"],
        "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(usage.ru_maxrss / 1024),
        "AP": round(audit["ap"]["AP"], 4),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gt", type=Path, default=DATA / "coco" / "val2017_gt.json")
    parser.add_argument("--results", type=Path, default=DATA / "results" / "val2017_perturbed.json")
    parser.add_argument("--most", type=int, default=1_000_000, help="results of the largest size")
    parser.add_argument("--command-line", action="store_true", help="run trustpose audit on files of the largest size")
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
    if not options.command_line:
        print(json.dumps({"sizes": rows}))
        return 0
    row = measure_command(options.gt, options.results, largest)
    print(f"trustpose audit, {row['results']:,} results from files: {row['seconds']} s, {row['peak_mb']:,} MB")
    print(json.dumps({"sizes": rows, "command_line": row}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
