"""How time and memory grow with the number of results: evaluation, calibrators, and tables of ten million rows.

  python benchmarks/large_files.py evaluation [--most N] [--command-line]
  python benchmarks/large_files.py calibrator [--people N] [--method M] [--rounds N]
  python benchmarks/large_files.py parquet [--rows N …] [--steps audit fit apply] [--compare N] [--folder DIR]

evaluation  COCO's numbers of one data set that grows by copies under new image ids (as arrays), each size in a
            process of its own, so that its peak memory is its own. With --command-line the largest size is written to
            files (0.6 GB) and `trustpose audit` is run on them, with all that it does: reading, every number of an
            audit, 1,000 draws for intervals, the HTML page
calibrator  a calibrator of 150,000 people, those of `coco/labels_train2017.npz` (a photo of unknown size counts as
            640 × 480), with made-up results: each person has its own amount of error, scores fall with it, noisily.
            Only time and memory are of interest, the out-of-fold numbers are a check of the fit. Processor seconds
            over the number of cores are what a quiet machine needs at least. Beside the trees as tables stands
            LightGBM's own `predict`, on one thread each, the same trees, the same rows
parquet     audit and calibration of 1 and 10 million results in Parquet as `trustpose convert` writes it (float32,
            zstd). The people are COCO's, again and again, and their results have a real estimator's errors
            (`repeated_people.py`). Each command runs in a process of its own. --compare does the same in memory, on
            so many rows, and says whether the numbers of the audit, the calibrator's bytes and the calibrated rows
            are equal
"""

import hashlib
import json
import os
import resource
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from coco_photos import ap_of
from harness import DATA, parser, process, run, table, timed
from repeated_people import Source, copies, simulated, write_tables

from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.fit import fit
from trustpose.calibration.options import FitOptions
from trustpose.calibration.trees import MAX_SPLITS, TreeTables
from trustpose.evaluation.audit import audit
from trustpose.images import Images
from trustpose.io.coco.results import ResultsFile, read_results
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.io.read_poses import read_poses
from trustpose.poses import Poses, Truth
from trustpose.skeletons import COCO_17

EVALUATED = DATA / "coco" / "val2017_gt.json", DATA / "results" / "val2017_perturbed.json"


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def part_in_process(part: str, *arguments: object) -> tuple[Any, int]:
    """Run a part of this program in a process of its own; return its record and its peak memory in MB."""
    child = process(__file__, part, *arguments)
    return json.loads(child.output.splitlines()[-1]), child.peak_mb


def evaluated_copies(gt: Path, results: Path, count: int) -> dict[str, float]:
    """Seconds of evaluation and peak memory of this process for so many copies of the data set."""
    truth = read_coco_truth(gt)
    file = read_results(results, truth=truth)
    image_step, id_step = int(truth.images.id.max()) + 1, int(truth.truth.annotation_id.max()) + 1
    poses = Poses.concatenate(
        [replace(file.poses, image_id=file.poses.image_id + image_step * copy) for copy in range(count)]
    )
    ids = truth.truth.image_id, truth.truth.annotation_id
    labelled = Truth.concatenate([
        replace(truth.truth, image_id=ids[0] + image_step * copy, annotation_id=ids[1] + id_step * copy)
        for copy in range(count)
    ])  # fmt: skip
    score = np.tile(file.score, count)
    timing = timed(lambda: ap_of(poses, score, labelled))
    row = {"results": len(poses), "seconds": round(timing.seconds, 3), "peak_mb": round(peak_mb())}
    return row | {"AP": round(timing.result, 4)}


def write_copies(gt: Path, results: Path, count: int, folder: Path) -> tuple[Path, Path]:
    """The same data set as files, written copy by copy."""
    truth, rows = json.loads(gt.read_text()), json.loads(results.read_text())
    image_step = max(image["id"] for image in truth["images"]) + 1
    id_step = max(row["id"] for row in truth["annotations"]) + 1
    with (folder / "results.json").open("wb") as file:
        for copy in range(count):
            moved = [{**row, "image_id": row["image_id"] + image_step * copy} for row in rows]
            file.write((b"," if copy else b"[") + orjson.dumps(moved)[1:-1])
        file.write(b"]")
    images = [{**image, "id": image["id"] + image_step * copy} for copy in range(count) for image in truth["images"]]
    annotations = [
        {**row, "id": row["id"] + id_step * copy, "image_id": row["image_id"] + image_step * copy}
        for copy in range(count)
        for row in truth["annotations"]
    ]
    (folder / "gt.json").write_bytes(orjson.dumps({**truth, "images": images, "annotations": annotations}))
    return folder / "gt.json", folder / "results.json"


def audited_files(gt: Path, results: Path, count: int) -> dict[str, float]:
    """Seconds and peak memory of `trustpose audit` on so many copies of the data set, from files to page and JSON."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_copies(gt, results, count, Path(folder))
        inputs = ["--gt", files[0], "--results", files[1]]
        json_file, page = f"{folder}/audit.json", f"{folder}/audit.html"
        child = process("-m", "trustpose", "audit", *inputs, "--json", json_file, "--report", page)
        record = json.loads(Path(json_file).read_text())
    return {"results": record["inputs"]["results"]["results"]} | child.costs | {"AP": round(record["ap"]["AP"], 4)}


def evaluation(options) -> dict[str, Any]:
    if options.copies:
        return evaluated_copies(options.gt, options.results, options.copies)
    largest = -(-options.most // len(json.loads(options.results.read_text())))
    rows = []
    for count in sorted({1, *(max(1, largest // part) for part in (16, 8, 4, 2, 1))}):
        files = ["--gt", options.gt, "--results", options.results]
        rows.append(part_in_process("evaluation", "--copies", count, *files)[0])
    shown = {f"{row['results']:,}": row | {"µs a result": 1e6 * row["seconds"] / row["results"]} for row in rows}
    table("evaluation", shown, ".2f", AP=".4f")
    if not options.command_line:
        return {"sizes": rows}
    row = audited_files(options.gt, options.results, largest)
    print(f"trustpose audit, {row['results']:,} results from files: {row['seconds']} s, {row['peak_mb']:,} MB")
    return {"sizes": rows, "command_line": row}


def trees_beside_lightgbm(rounds: int) -> dict[str, float]:
    """Nanoseconds a tree and row, ours and LightGBM's, of 200 trees on 50,000 rows of 60 features."""
    import lightgbm

    random = np.random.default_rng(0)
    features = random.random((50_000, 60), dtype=np.float32)
    target = features[:, :6].mean(axis=1) + 0.1 * features[:, 6] * features[:, 7]
    settings = {"num_leaves": MAX_SPLITS + 1, "max_bin": 63, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(features, target), 200)
    tables = TreeTables.of(booster.dump_model())
    parts = [list(np.ascontiguousarray(part.T)) for part in np.array_split(features, 2)]
    candidates = {
        "ours": lambda: [tables.raw_score(part) for part in parts],
        "lightgbm": lambda: booster.predict(features, raw_score=True, num_threads=1),
    }
    seconds = {name: min(timed(work).cpu_seconds for _ in range(rounds)) for name, work in candidates.items()}
    nanoseconds = {name: value / (len(features) * 200 / 1e9) for name, value in seconds.items()}
    return nanoseconds | {"ratio": seconds["lightgbm"] / seconds["ours"]}


def calibrator(options) -> dict[str, Any]:
    truth, results = simulated(options.people)
    people, cores = len(results.poses), len(os.sched_getaffinity(0))
    print(f"{people} people × {results.poses.keypoint_count}, {len(truth.images)} photos, {cores} cores")
    fitting = timed(lambda: fit(truth, results, FitOptions(method=options.method)))
    fitted, peak = Calibrator.of(fitting.result.parts), peak_mb() / 1024
    wall, processor = fitting.seconds, fitting.cpu_seconds
    print(f"fit ({fitted.card.method}): {wall:.0f} s, {processor:.0f} s of the processor; peak memory {peak:.2f} GiB")
    names = ("pose.pearson", "keypoint.pearson", "pose.ece")
    columns = {"printed": fitted.card.before, "out of fold": fitted.card.after}
    values = {
        column: {name: numbers[name] and numbers[name][0] for name in names} for column, numbers in columns.items()
    }
    table(fitted.card.why, values)
    runs = [timed(lambda: fitted(results.poses)) for _ in range(options.rounds)]
    rate = people / min(timing.seconds for timing in runs)
    microseconds = 1e6 * min(timing.cpu_seconds for timing in runs) / people
    print(
        f"apply, features included: {rate:,.0f} people/s; {microseconds:.1f} µs of the processor a person, "
        f"{1e6 * cores / microseconds:,.0f} people/s on {cores} quiet cores at best"
    )
    trees = trees_beside_lightgbm(options.rounds)
    print(f"a tree and row: {trees['ours']:.1f} ns as tables, {trees['lightgbm']:.1f} ns by LightGBM's predict")
    return {
        "people": people,
        "cores": cores,
        "method": fitted.card.method,
        "fit": {"wall_s": wall, "processor_s": processor, "peak_gib": peak},
        "apply": {"people_per_s": rate, "processor_us_per_person": microseconds},
        "ns_per_tree_and_row": trees,
    }


def commands_on(folder: Path, steps: list[str]) -> dict[str, dict[str, float]]:
    """Seconds and memory of the commands on the tables in a folder."""
    results = ["--results", folder / "results"]
    inputs = ["--gt", folder / "gt.parquet", *results]
    saved, applied = folder / "calibrator.json", folder / "calibrated"
    shutil.rmtree(applied, ignore_errors=True)
    commands = {
        "audit": ["audit", *inputs, "--json", folder / "audit.json"],
        "fit": ["calibrate", "fit", *inputs, "--out", saved, "--draws", "100"],
        "apply": ["calibrate", "apply", "--calibrator", saved, *results, "--out", applied],
    }
    return {step: process("-m", "trustpose", *commands[step]).costs for step in steps}


def equal_in_memory(rows: int, folder: Path) -> dict[str, Any]:
    """Audit and calibrate the same rows in memory, and compare with what the commands wrote in the folder."""
    people, poses, image_ids = (list(column) for column in zip(*copies(rows, Source.read()), strict=True))
    people, poses, photos = Truth.concatenate(people), Poses.concatenate(poses), Images(np.concatenate(image_ids))
    file = folder / "gt.parquet"
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    truth = TruthFile(people, photos, COCO_17, COCO_17.keypoints, 1, (1,), str(file), sha256)
    results = ResultsFile(poses, poses.pose_score, np.ones(len(poses), np.int64), str(folder / "results"), "")
    equal: dict[str, Any] = {}
    if (folder / "audit.json").exists():
        written = numbers_of(json.loads((folder / "audit.json").read_text()))
        expected = numbers_of(orjson.loads(orjson.dumps(audit(truth, results, draws=0).as_dict())))
        equal["audit"] = written == {name: expected[name] for name in written}
        equal["audit_numbers"] = len(written)
    if (folder / "calibrator.json").exists():
        fitted = Calibrator.of(fit(truth, results, FitOptions(draws=100)).parts)
        fitted.save(folder / "in-memory.json")
        equal["fit"] = (folder / "in-memory.json").read_bytes() == (folder / "calibrator.json").read_bytes()
        if (folder / "calibrated").exists():
            equal["apply"] = is_written(folder / "calibrated", fitted(poses))
    return equal


def numbers_of(value: Any, name: str = "") -> dict[str, float]:
    """The numbers of an audit's JSON by dotted name, without those that are null and what names the files."""
    if isinstance(value, dict):
        parts = {key: part for key, part in value.items() if name or key not in ("inputs", "notes", "intervals")}
        return {
            path: number for key, part in parts.items() for path, number in numbers_of(part, f"{name}.{key}").items()
        }
    return {name: value} if isinstance(value, (int, float)) else {}


def is_written(folder: Path, poses: Poses) -> bool:
    """Return whether written poses have this trust, bit by bit."""
    written = read_poses(folder)
    names = ("quality", "pose_quality", "visibility")
    return all(np.array_equal(getattr(written, name), getattr(poses, name)) for name in names)


def parquet(options) -> dict[str, Any] | None:
    if options.write:
        return write_tables(options.write, options.rows[0])
    if options.in_memory:
        return equal_in_memory(options.rows[0], options.in_memory)
    sizes, equal = [], {}
    with tempfile.TemporaryDirectory() as temporary:
        for rows in options.rows:
            folder = (options.folder or Path(temporary)) / str(rows)
            if not folder.exists():
                unfinished = folder.with_name(f"{rows}.unfinished")  # of a run that was interrupted
                shutil.rmtree(unfinished, ignore_errors=True)
                part_in_process("parquet", "--rows", rows, "--write", unfinished)
                unfinished.rename(folder)
            costs = commands_on(folder, options.steps)
            files = (folder / "gt.parquet", *folder.glob("results/*"))
            sizes.append({"rows": rows} | costs | {"bytes": sum(file.stat().st_size for file in files)})
            table(f"{rows:,} rows", costs, ".1f")
            if rows == options.compare:
                equal, peak = part_in_process("parquet", "--rows", rows, "--in-memory", folder)
                equal["peak_mb"] = peak
                print(f"in memory, {rows:,}: {equal}", flush=True)
    return {"sizes": sizes, "in_memory": equal}


PARTS = {"evaluation": evaluation, "calibrator": calibrator, "parquet": parquet}

if __name__ == "__main__":
    options_parser = parser(__doc__)
    options_parser.add_argument("part", choices=list(PARTS))
    add = options_parser.add_argument
    add("--gt", type=Path, default=EVALUATED[0], help="evaluation: ground truth")
    add("--results", type=Path, default=EVALUATED[1], help="evaluation: results")
    add("--most", type=int, default=1_000_000, help="evaluation: results of the largest size")
    add("--command-line", action="store_true", help="evaluation: run trustpose audit on files of the largest size")
    add("--copies", type=int, help="evaluation: one size alone")
    add("--people", type=int, default=149_813, help="calibrator: of the labels, the first N")
    add("--method", default="auto", help="calibrator: as of trustpose calibrate fit")
    add("--rounds", type=int, default=3, help="calibrator: of applying; the fastest counts")
    add("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000], help="parquet: results of each size")
    add("--steps", nargs="*", default=["audit", "fit", "apply"], help="parquet: which commands")
    add("--compare", type=int, default=1_000_000, help="parquet: the size to do in memory too; 0: none")
    add(
        "--folder",
        type=Path,
        help="parquet: keeps the tables for the next time, 0.2 kB a row; calibrated: 0.9",
    )
    for name in ("--in-memory", "--write"):
        add(name, type=Path, help="parquet: used in a process of its own")
    run(lambda options: PARTS[options.part](options), options_parser)
