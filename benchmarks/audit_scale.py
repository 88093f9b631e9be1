"""Audit and calibration of 1 and 10 million results in Parquet: time, peak memory, and equality with numbers in memory.

    python benchmarks/audit_scale.py [--rows N …] [--steps audit fit apply] [--compare N] [--folder DIR]

The people are COCO's, again and again, and their results have a real estimator's errors (`repeated_people.py`). The
tables are Parquet as `trustpose convert` writes it, with float32 and zstd.

Each command of `trustpose` runs in a process of its own, so that its peak memory is its own. `--compare` does the same
in memory, on so many rows, and says whether the numbers of the audit, the calibrator's bytes and the calibrated rows
are equal. Prints a table and, last, JSON.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow
import pyarrow.parquet
from repeated_people import Source, copies

from trustpose.formats.coco import ResultsFile, TruthFile
from trustpose.geometry.boxes import xyxy_to_xywh
from trustpose.images import Images
from trustpose.poses import Poses, Truth
from trustpose.skeletons import COCO_17

COPIES_A_PART = 40  # some 230,000 rows


def write(folder: Path, rows: int) -> None:
    """Write gt.parquet and results/."""
    arrow, number = pyarrow, pyarrow.float32()
    (folder / "results").mkdir(parents=True)
    numbers, whole = arrow.list_(number), arrow.int64()
    kinds = {"image_id": whole, "category_id": arrow.int32(), "keypoints": numbers, "bbox": numbers}
    of_results = arrow.schema([*kinds.items(), ("score", number)])
    categories = orjson.dumps([{"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints)}])
    more = {"id": whole, "num_keypoints": arrow.int32(), "area": number, "area_source": arrow.string()}
    of_people = arrow.schema([*kinds.items(), *more.items(), ("iscrowd", arrow.int32())], {"categories": categories})
    waiting: list[tuple[Truth, Poses]] = []
    with pyarrow.parquet.ParquetWriter(folder / "gt.parquet", of_people, compression="zstd") as truth:

        def flush(part: int) -> None:
            people = Truth.concatenate([one for one, _ in waiting])
            poses = Poses.concatenate([one for _, one in waiting])
            both = {"category_id": np.ones(len(people), np.int64), "bbox": xyxy_to_xywh(people.box)}
            marked = np.concatenate([people.xy, people.v[..., None]], axis=2).reshape(len(people), -1)
            columns = {
                "image_id": people.image_id,
                "keypoints": marked,
                "id": people.annotation_id,
                "area": people.area,
            }
            columns |= {"num_keypoints": people.num_keypoints, "area_source": people.area_source}
            truth.write_table(_table(of_people, both | columns | {"iscrowd": people.iscrowd.astype(np.int64)}))
            found = np.concatenate([poses.xy, poses.score[..., None]], axis=2).reshape(len(poses), -1)
            columns = {"image_id": poses.image_id, "keypoints": found, "score": poses.pose_score}
            file = folder / "results" / f"part-{part:05}.parquet"
            pyarrow.parquet.write_table(_table(of_results, both | columns), file, compression="zstd")
            waiting.clear()

        for number, (people, poses, _) in enumerate(copies(rows, Source.read())):
            waiting.append((people, poses))
            if len(waiting) == COPIES_A_PART:
                flush(number // COPIES_A_PART)
        if waiting:
            flush(number // COPIES_A_PART + 1)


def _table(schema: Any, columns: dict[str, np.ndarray]) -> Any:
    arrays = []
    for field in schema:
        column = columns[field.name]
        if column.ndim == 2:
            flat = pyarrow.array(column.ravel().astype(np.float32))
            ends = pyarrow.array(np.arange(len(column) + 1, dtype=np.int32) * column.shape[1])
            arrays.append(pyarrow.ListArray.from_arrays(ends, flat))
        else:
            arrays.append(pyarrow.array(column, field.type))
    return pyarrow.Table.from_arrays(arrays, schema=schema)


def run(command: list[str]) -> dict[str, float]:
    """Run a command of trustpose in its own process: seconds, those of the processor, and its peak memory."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "trustpose", *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"trustpose {' '.join(command)} failed ({status})")
    processor = usage.ru_utime + usage.ru_stime
    return {"seconds": round(seconds, 1), "cpu_seconds": round(processor, 1), "peak_mb": round(usage.ru_maxrss / 1024)}


def child(what: str, folder: str, rows: int) -> tuple[Any, int]:
    """Run a part of this program in its own process, whose memory is not this one's; return what it prints and its peak
    memory in MB."""
    command = [sys.executable, __file__, "--rows", str(rows), what, folder]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{what} failed ({status})")
    return json.loads(printed), round(usage.ru_maxrss / 1024)


def measure(folder: Path, steps: list[str]) -> dict[str, dict[str, float]]:
    """Run the steps on the tables in a folder."""
    both = ["--gt", str(folder / "gt.parquet"), "--results", str(folder / "results")]
    calibrator = str(folder / "calibrator.json")
    shutil.rmtree(folder / "calibrated", ignore_errors=True)
    commands = {
        "audit": ["audit", *both, "--json", str(folder / "audit.json")],
        "fit": ["calibrate", "fit", *both, "--out", calibrator, "--draws", "100"],
        "apply": ["calibrate", "apply", "--calibrator", calibrator, *both[2:], "--out", str(folder / "calibrated")],
    }
    return {step: run(commands[step]) for step in steps}


def in_memory(rows: int, folder: Path) -> dict[str, bool]:
    """Audit and calibrate the same rows in memory, and compare with what the commands wrote in the folder."""
    from trustpose.calibration.calibrator import Calibrator
    from trustpose.calibration.fit import fit
    from trustpose.calibration.options import FitOptions
    from trustpose.evaluation.audit import audit

    made = list(copies(rows, Source.read()))
    people, poses = Truth.concatenate([one for one, *_ in made]), Poses.concatenate([one for _, one, _ in made])
    photos = Images(np.concatenate([one for *_, one in made]))
    del made
    truth = TruthFile(people, photos, COCO_17, COCO_17.keypoints, 1, (1,), str(folder / "gt.parquet"), "")
    results = ResultsFile(poses, poses.pose_score, np.ones(len(poses), np.int64), str(folder / "results"), "")
    equal = {}
    if (folder / "audit.json").exists():
        found = json.loads((folder / "audit.json").read_text())
        expected = orjson.loads(orjson.dumps(audit(truth, results, draws=0).as_dict()))
        equal["audit"] = _numbers(found) == {name: _numbers(expected)[name] for name in _numbers(found)}
        equal["audit_numbers"] = len(_numbers(found))
    if (folder / "calibrator.json").exists():
        fitted = Calibrator.of(fit(truth, results, FitOptions(draws=100)).parts)
        fitted.save(folder / "in-memory.json")
        equal["fit"] = (folder / "in-memory.json").read_bytes() == (folder / "calibrator.json").read_bytes()
        if (folder / "calibrated").exists():
            equal["apply"] = _is_same(folder / "calibrated", fitted(poses))
    return equal


def _numbers(value: Any, name: str = "") -> dict[str, float]:
    """The numbers of an audit's JSON by dotted name, without those that are null and what names the files."""
    if isinstance(value, dict):
        kept = {key: one for key, one in value.items() if name or key not in ("inputs", "notes", "intervals")}
        return {at: one for key, part in kept.items() for at, one in _numbers(part, f"{name}.{key}").items()}
    return {name: value} if isinstance(value, (int, float)) else {}


def _is_same(folder: Path, poses: Poses) -> bool:
    """Return whether written poses have this trust, bit by bit."""
    start = 0
    for file in sorted(folder.glob("*.parquet")):
        table = pyarrow.parquet.read_table(file, columns=["keypoint_quality", "pose_quality", "visibility"])
        rows = slice(start, start + len(table))
        start = rows.stop
        for name, column in (
            ("keypoint_quality", poses.quality),
            ("pose_quality", poses.pose_quality),
            ("visibility", poses.visibility),
        ):
            values = table.column(name).combine_chunks()
            while "list" in str(values.type):
                values = values.flatten()
            if not np.array_equal(values.to_numpy(), column[rows].ravel()):
                return False
    return start == len(poses)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--steps", nargs="*", default=["audit", "fit", "apply"])
    parser.add_argument(
        "--compare", type=int, default=1_000_000, help="of these sizes the one to do in memory, too; 0: none"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="for the tables, 0.2 kB a row, which are kept and used again; calibrated rows: 0.9 kB",
    )
    parser.add_argument("--in-memory", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write(options.write, options.rows[0])
        print("null")
        return 0
    if options.in_memory:
        print(json.dumps(in_memory(options.rows[0], options.in_memory)))
        return 0
    sizes, equal = [], {}
    print(f"{'rows':>12}{'step':>8}{'seconds':>10}{'CPU s':>10}{'peak MB':>10}")
    with tempfile.TemporaryDirectory() as temporary:
        for rows in options.rows:
            folder = (options.folder or Path(temporary)) / str(rows)
            if not folder.exists():
                child("--write", str(folder), rows)
            size: dict[str, Any] = {"rows": rows} | measure(folder, options.steps)
            size["bytes"] = sum(file.stat().st_size for file in (folder / "gt.parquet", *folder.glob("results/*")))
            sizes.append(size)
            for step in options.steps:
                one = size[step]
                seconds = f"{one['seconds']:>10}{one['cpu_seconds']:>10}"
                print(f"{rows:>12,}{step:>8}{seconds}{one['peak_mb']:>10,}", flush=True)
            if rows == options.compare:
                equal, peak = child("--in-memory", str(folder), rows)
                equal["peak_mb"] = peak
                print(f"in memory, {rows:,}: {equal}", flush=True)
    print(json.dumps({"sizes": sizes, "in_memory": equal}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
