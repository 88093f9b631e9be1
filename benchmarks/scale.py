"""Prediction on Ray beside one process, and what is left of a run that is disturbed.

    python benchmarks/scale.py [--photos N] [--faults N] [--kills N] [--block N] [--slow]

The photos are COCO's dev and train of this project, again and again under other names, one in a hundred of them cut
off. By default the bundled model's smaller networks predict them (`--fast`; --slow: the default ones).

First `--photos` of them (0: leave this out): one process with two threads predicts the first half, then
`predict_at_scale` on a local Ray cluster with two workers of one thread each predicts all, then one process the second
half. Printed are photos a second without the time to load (one process) or up to the first block (Ray), the difference
in milliseconds a photo, CPU time a photo of one process and of all Ray's processes together, the own memory of the
driver and of the largest worker at eleven moments, and the differences between the rows of both.

Then `--read` of them are read by one core from a tar, a Parquet file and single files, without decoding; seconds are
the processor's.

Then `--faults` of them (0: none): an undisturbed run, and the same run with a worker killed (SIGKILL) `--kills` times
at random moments; with the program killed half way and started again; with one of two Ray nodes removed; with a disk
that is full half way (root may mount a small file system in memory for it). A hash of the sorted rows, in all their
digits, must be that of the undisturbed run. Last, one of 512 photos ends each process that predicts it.
"""

import argparse
import hashlib
import json
import os
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
from harness import DATA, parser, run, table, timed
from scale_faults import (
    Process,
    Run,
    disk_full,
    driver_killed,
    machine_lost,
    photo_kills,
    processes,
    rows,
    workers_killed,
)

from trustpose.poses import Poses
from trustpose.predict.load import load
from trustpose.predict.options import PredictOptions
from trustpose.scale.options import BLOCK, ScaleOptions
from trustpose.scale.reading import blocks
from trustpose.scale.run import Progress
from trustpose.scale.units import find_inputs

DEADLY_OF = 512


def make_photos(folder: Path, count: int) -> int:
    """Link `count` photos into a folder, each hundredth one cut off; returns how many those are."""
    folder.mkdir()
    files = [file for part in ("dev", "train") for file in sorted((DATA / "coco" / part).glob("*.jpg"))]
    for number in range(count):
        photo, name = files[number % len(files)], folder / f"{number + 1:09d}.jpg"
        if number % 100 == 50:
            name.write_bytes(photo.read_bytes()[:2000])
        else:
            name.symlink_to(photo)
    return len(range(50, count, 100))


def digest(sorted_rows: list[dict[str, Any]]) -> str:
    """Return a hash of rows in all their digits."""
    return hashlib.sha256(json.dumps(sorted_rows, sort_keys=True).encode()).hexdigest()


class OneProcess:
    """One process with two threads: seconds, photos, and each photo's poses."""

    def __init__(self, options: PredictOptions) -> None:
        self._predictor = load("default", options, threads=2)
        self.seconds, self.cpu, self.photos = 0.0, 0.0, 0
        self.poses: dict[int, Poses] = {}

    def __call__(self, files: list[Path]) -> None:
        """Predict these."""
        list(self._predictor.stream([str(file) for file in files[:8]]))
        timing = timed(lambda: self._predict(files))
        self.seconds += timing.seconds
        self.cpu += timing.cpu_seconds
        self.photos += len(files)

    def _predict(self, files: list[Path]) -> None:
        for prediction in self._predictor.stream([str(file) for file in files]):
            if prediction.error is None:
                self.poses[int(files[prediction.photo.image_id].stem)] = prediction.poses


def timed_on_ray(run: Run, out: Path) -> dict[str, Any]:
    """Photos a second after the first block, start-up in seconds, memory of the driver and the workers, CPU time."""
    steps: list[tuple[float, int]] = []
    seen: list[tuple[int, dict[int, Process]]] = []

    def tell(step: Progress) -> None:
        steps.append((time.perf_counter(), step.counts.photos))
        if len(steps) >= len(seen) * run.blocks / 10:
            seen.append((len(steps), processes()))

    started = time.perf_counter()
    counts = run(out, tell)
    rate = sum(count for _, count in steps[1:]) / (steps[-1][0] - steps[0][0])
    before = seen[0][1]
    latest = {number: process.cpu for _, alive in seen for number, process in alive.items()}
    spent = sum(cpu - (before[number].cpu if number in before else 0) for number, cpu in latest.items())
    return {
        "rate": rate,
        "cpu": spent / sum(count for _, count in steps[seen[0][0] : seen[-1][0]]),
        "first_block_s": steps[0][0] - started,
        "driver_mb": [alive[os.getpid()].memory for _, alive in seen],
        "worker_mb": [
            max(process.memory for process in alive.values() if b"ray::" in process.command) for _, alive in seen
        ],
        "counts": counts,
    }


def compared(expected: dict[int, Poses], written: list[dict[str, Any]]) -> dict[str, float]:
    """The largest differences of rows from the poses of one process, and photos with another number of people."""
    by_image: dict[int, list[dict[str, Any]]] = {}
    for row in written:
        by_image.setdefault(row["image_id"], []).append(row)
    differing = sum(len(by_image.get(image, ())) != len(poses) for image, poses in expected.items())
    largest = {"px": 0.0, "quality": 0.0, "visibility": 0.0}
    for image, image_rows in by_image.items():
        poses = sorted(expected[image].to_coco(), key=lambda row: row["bbox"])
        for row, pose in zip(image_rows, poses, strict=len(image_rows) == len(poses)):
            xy = np.subtract(row["keypoints"], pose["keypoints"]).reshape(-1, 3)[:, :2]
            for name, difference in (
                ("px", xy),
                ("quality", np.subtract(row["keypoint_quality"], pose["keypoint_quality"])),
                ("visibility", np.subtract(row["visibility"], pose["visibility"])),
            ):
                largest[name] = max(largest[name], float(np.abs(difference).max()))
    return {"people": len(written), "photos_with_other_people": differing, **largest}


def throughput(folder: Path, count: int, scale_options: ScaleOptions, options: PredictOptions) -> dict[str, Any]:
    """Ray beside one process."""
    broken = make_photos(folder / "photos", count)
    files = sorted((folder / "photos").iterdir())
    alone, run = OneProcess(options), Run(folder / "photos", scale_options, options)
    alone(files[: count // 2])
    ray = timed_on_ray(run, folder / "whole")
    alone(files[count // 2 :])
    rate = alone.photos / alone.seconds
    assert ray["counts"]["unread"] == broken == count - len(alone.poses)
    return {
        "photos": count,
        "broken": broken,
        "one_process": round(rate, 2),
        "ray": round(ray["rate"], 2),
        "ratio": round(ray["rate"] / rate, 3),
        "overhead_ms": round(1000 / ray["rate"] - 1000 / rate, 2),
        "first_block_s": round(ray["first_block_s"], 1),
        "cpu_ms": [round(1000 * alone.cpu / alone.photos, 2), round(1000 * ray["cpu"], 2)],
        **{name: ray[name] for name in ("driver_mb", "worker_mb", "counts")},
        "differences": compared(alone.poses, rows(folder / "whole")),
    }


def reading(folder: Path, count: int) -> dict[str, dict[str, float]]:
    """Photos and megabytes that one core reads in a second, from a tar, a Parquet file and single files."""
    photos = folder / "to-read"
    make_photos(photos, count)
    files = sorted(photos.iterdir())
    with tarfile.open(folder / "photos.tar", "w", dereference=True) as tar:
        for file in files:
            tar.add(file, file.name)
    content = [file.read_bytes() for file in files]
    parquet.write_table(arrow.table({"bytes": content}), folder / "photos.parquet", row_group_size=BLOCK)
    rates = {}
    for name in ("photos.tar", "photos.parquet", "to-read"):
        timing = timed(lambda: sizes_of(folder / name))  # noqa: B023
        sizes, seconds = timing.result, timing.cpu_seconds
        assert sizes == [len(photo) for photo in content]
        rates[name] = {"photos_s": round(len(sizes) / seconds), "mb_s": round(sum(sizes) / seconds / 1e6)}
    return rates


def sizes_of(source: Path) -> list[int]:
    """Read photos without decoding; return their sizes in bytes."""
    units = find_inputs([str(source)], BLOCK).units
    return [len(photo.content) for unit in units for block in blocks(unit) for photo in block.photos]


def faults(
    folder: Path, benchmark: argparse.Namespace, scale_options: ScaleOptions, options: PredictOptions
) -> dict[str, Any]:
    """Disturbed runs beside one that was not."""
    make_photos(folder / "faults", benchmark.faults)
    run = Run(folder / "faults", scale_options, options)
    expected: dict[str, Any] = {"counts": run(folder / "undisturbed")}
    whole = digest(rows(folder / "undisturbed"))
    size = sum(file.stat().st_size for file in (folder / "undisturbed").rglob("*.parquet"))
    driver = [__file__, "--block", str(scale_options.block), *(["--slow"] if benchmark.slow else []), "--driver"]
    outcomes: dict[str, Any] = {"undisturbed": expected}
    for name, disturbed in (
        ("workers_killed", lambda out: workers_killed(run, out, benchmark.kills)),
        ("program_killed", lambda out: driver_killed(run, out, driver)),
        ("machine_lost", lambda out: machine_lost(run, out)),
        ("disk_full", lambda out: disk_full(run, out, size)),
    ):
        about = disturbed(folder / name)
        if about is not None:
            about["same_rows"] = digest(about.pop("rows", None) or rows(folder / name)) == whole
            about["same_counts"] = about.pop("counts") == expected["counts"]
        outcomes[name] = about
        print(f"{name:16} {about}", flush=True)
    make_photos(folder / "deadly", DEADLY_OF)
    of_them = Run(folder / "deadly", scale_options, options)
    deadly = sorted((folder / "deadly").iterdir())[DEADLY_OF // 2]
    return outcomes | {"photo_kills": photo_kills(of_them, folder / "kills", deadly)}


def main(options):
    predict_options = PredictOptions(fast=not options.slow)
    scale_options = ScaleOptions(block=options.block, workers=2)
    if options.driver:
        photos, out = options.driver
        Run(Path(photos), scale_options, predict_options)(Path(out))
        return None
    with tempfile.TemporaryDirectory() as name:
        result: dict[str, Any] = {"fast": not options.slow, "block": options.block}
        if options.photos:
            result |= throughput(Path(name), options.photos, scale_options, predict_options)
        if options.read:
            result["reading"] = reading(Path(name), options.read)
            table("read by one core", result["reading"])
        if options.faults:
            result |= faults(Path(name), options, scale_options, predict_options)
    table("", {key: {"result": str(value)} for key, value in result.items() if key != "reading"})
    return result


if __name__ == "__main__":
    options_parser = parser(__doc__)
    add = options_parser.add_argument
    add("--photos", type=int, default=20000, help="predicted by one process and by Ray; 0: none")
    add("--faults", type=int, default=4000, help="predicted by disturbed runs; 0: none")
    add("--read", type=int, default=2000, help="read without decoding; 0: none")
    add("--kills", type=int, default=10, help="workers killed")
    add("--block", type=int, default=64, help="photos of a block")
    add("--slow", action="store_true", help="the default model's larger networks")
    add("--driver", nargs=2, help=argparse.SUPPRESS)
    run(main, options_parser)
