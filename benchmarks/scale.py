"""Prediction on Ray beside one process, and what is left of a run that is disturbed.

    python benchmarks/scale.py [--photos N] [--kills N] [--block N]

The photos are COCO's dev and train of this project, again and again under other names, one in a hundred of them
cut off. First one process with two threads predicts them, then `predict_at_scale` on a local Ray cluster with
two workers of one thread each: photos a second without the time to load (one process) or up to the first block
(Ray), the overhead in milliseconds a photo, and the largest worker's memory after the first, the middle and the
last block. The rows of both are compared. Then the run is repeated with a worker killed (SIGKILL) at random
moments, and with the driver killed half way and started again; a hash of the sorted rows must be that of the
undisturbed run. Last comes one line of JSON.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet

from trustpose.predict.load import load
from trustpose.predict.options import PredictOptions
from trustpose.scale.run import Progress, ScaleOptions, predict_at_scale

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def make_photos(folder: Path, count: int) -> int:
    """Link `count` photos into a folder, each hundredth one cut off; returns how many those are."""
    folder.mkdir()
    some = [file for part in ("dev", "train") for file in sorted((DATA / "coco" / part).glob("*.jpg"))]
    for number in range(count):
        photo, name = some[number % len(some)], folder / f"{number + 1:09d}.jpg"
        if number % 100 == 50:
            name.write_bytes(photo.read_bytes()[:2000])
        else:
            name.symlink_to(photo)
    return len(range(50, count, 100))


def workers() -> dict[int, int]:
    """The predictors of this process's own cluster: memory in MB by process id."""
    parents: dict[int, int] = {}
    found: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        parents[int(folder.name)] = int(fields[1])
        if command.startswith(b"ray::") and b"Predict" in command:
            found[int(folder.name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE") >> 20
    return {one: size for one, size in found.items() if parents.get(parents[one]) == os.getpid()}


def rows(out: Path) -> list[dict[str, Any]]:
    """The poses of a run, sorted."""
    found = parquet.read_table(out / "poses").to_pylist()
    return sorted(found, key=lambda row: (row["image_id"], row["bbox"]))


def digest(out: Path) -> str:
    """Of the sorted rows, to six digits: how photos fall into batches moves the last ones."""
    text = json.dumps(rows(out), default=str, sort_keys=True)
    return hashlib.sha256(
        json.dumps(json.loads(text, parse_float=lambda one: f"{float(one):.4g}")).encode()
    ).hexdigest()


def one_process(photos: Path) -> tuple[float, dict[int, np.ndarray]]:
    """Photos a second of two threads, and each photo's keypoints."""
    predictor = load("default", threads=2)
    files, found = sorted(photos.iterdir()), {}
    list(predictor.stream([str(file) for file in files[:8]]))
    started = time.perf_counter()
    for prediction in predictor.stream([str(file) for file in files]):
        if prediction.error is None:
            found[int(files[prediction.photo.image_id].stem)] = prediction.poses.xy
    return len(files) / (time.perf_counter() - started), found


def on_ray(photos: Path, out: Path, how: ScaleOptions, tell: Callable[[Progress], None] | None = None) -> Any:
    """A run; see `predict_at_scale`."""
    return predict_at_scale("default", [str(photos)], str(out), PredictOptions(), how, tell)


def timed(photos: Path, out: Path, how: ScaleOptions) -> dict[str, Any]:
    """Photos a second after the first block, start-up in seconds, memory of the workers."""
    at: list[tuple[float, int]] = []
    sizes: list[list[int]] = []

    def tell(step: Progress) -> None:
        at.append((time.perf_counter(), step.counts.photos))
        sizes.append(sorted(workers().values()))

    started = time.perf_counter()
    total = on_ray(photos, out, how, tell)
    after = sum(count for _, count in at[1:]) / (at[-1][0] - at[0][0])
    memory = [max(some, default=0) for some in (sizes[0], sizes[len(sizes) // 2], sizes[-1])]
    return {"rate": after, "first_block_s": at[0][0] - started, "worker_mb": memory, "counts": total.to_json()}


def with_workers_killed(photos: Path, out: Path, how: ScaleOptions, kills: int) -> int:
    """A run in which a worker is killed at random moments; returns how often."""
    killed: list[int] = []
    is_over = threading.Event()

    def kill() -> None:
        rng = random.Random(0)
        while len(killed) < kills and not is_over.wait(rng.uniform(1, 4)):
            some = list(workers())
            if some:
                os.kill(rng.choice(some), signal.SIGKILL)
                killed.append(1)

    thread = threading.Thread(target=kill)
    thread.start()
    on_ray(photos, out, how)
    is_over.set()
    thread.join()
    return len(killed)


def with_driver_killed(photos: Path, out: Path, how: ScaleOptions) -> int:
    """A run that is killed half way and continued; returns how many photos the first one had finished."""
    command = [sys.executable, __file__, "--driver", str(photos), str(out), str(how.block)]
    blocks = -(-len(list(photos.iterdir())) // how.block)
    with subprocess.Popen(command) as process:
        while process.poll() is None and len(list((out / "poses").rglob("[0-9]*.parquet"))) < blocks // 2:
            time.sleep(0.1)
        process.kill()
    on_ray(photos, out, ScaleOptions(block=how.block, workers=how.workers, resume=True))
    return int(json.loads((out / "manifest.json").read_text())["photos_of_earlier_runs"])


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=20000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--block", type=int, default=64)
    parser.add_argument("--driver", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.driver:
        photos, out, block = given.driver
        on_ray(Path(photos), Path(out), ScaleOptions(block=int(block), workers=2))
        return
    how = ScaleOptions(block=given.block, workers=2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broken = make_photos(folder / "photos", given.photos)
        alone, expected = one_process(folder / "photos")
        ray = timed(folder / "photos", folder / "whole", how)
        apart = 0.0
        count = {image: len(xy) for image, xy in expected.items() if len(xy)}
        for row in rows(folder / "whole"):
            xy = np.array(row["keypoints"]).reshape(-1, 3)[:, :2]
            apart = max(apart, float(np.abs(expected[row["image_id"]] - xy).max(axis=(1, 2)).min()))
            count[row["image_id"]] -= 1
        assert not any(count.values()), "other people than one process finds"
        assert ray["counts"]["unread"] == broken
        killed = with_workers_killed(folder / "photos", folder / "killed", how, given.kills)
        earlier = with_driver_killed(folder / "photos", folder / "driver", how)
        whole = digest(folder / "whole")
        result = {
            "photos": given.photos,
            "broken": broken,
            "one_process": round(alone, 2),
            "ray": round(ray["rate"], 2),
            "ratio": round(ray["rate"] / alone, 3),
            "overhead_ms": round(1000 / ray["rate"] - 1000 / alone, 2),
            "first_block_s": round(ray["first_block_s"], 1),
            "worker_mb": ray["worker_mb"],
            "counts": ray["counts"],
            "largest_difference_px": apart,
            "workers_killed": killed,
            "same_after_killed_workers": digest(folder / "killed") == whole,
            "photos_before_driver_was_killed": earlier,
            "same_after_killed_driver": digest(folder / "driver") == whole,
        }
    for key, value in result.items():
        print(f"{key:34} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
