"""Disturbed runs of `predict_at_scale`, for benchmarks/scale.py: each must give the rows of one that was not."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet

from trustpose.files import DiskError
from trustpose.geometry.crops import Boxes
from trustpose.predict.options import PredictOptions
from trustpose.scale.options import ScaleOptions
from trustpose.scale.run import Progress, predict_at_scale

WORKER = b"Predict"


@dataclass(frozen=True)
class Run:
    """Photos, and how they are predicted."""

    photos: Path
    scale_options: ScaleOptions
    options: PredictOptions

    @property
    def blocks(self) -> int:
        """How many files of poses there will be."""
        return -(-len(list(self.photos.iterdir())) // self.scale_options.block)

    def __call__(self, out: Path, tell: Callable[[Progress], None] | None = None, **changes: Any) -> dict[str, int]:
        """Predict to the folder `out`; `changes` are other `ScaleOptions`. Returns the counts."""
        scale_options = replace(self.scale_options, **changes)
        total = predict_at_scale("default", [str(self.photos)], str(out), self.options, scale_options, tell)
        return total.to_json()


@dataclass(frozen=True)
class Process:
    """Its command, resident memory in MB without what is shared (as Ray's objects are), and CPU time in seconds."""

    command: bytes
    memory: int
    cpu: float


def processes() -> dict[int, Process]:
    """This process, those that it has started, and theirs, by process id."""
    parents: dict[int, int] = {}
    alive: dict[int, Process] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes()
            status = (folder / "status").read_text()
        except OSError:
            continue
        parents[int(folder.name)] = int(fields[1])
        cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        kibibytes = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")), 0)
        alive[int(folder.name)] = Process(command, kibibytes >> 10, cpu)

    def is_ours(number: int) -> bool:
        while number in parents and number != os.getpid():
            number = parents[number]
        return number == os.getpid()

    return {number: process for number, process in alive.items() if is_ours(number)}


def workers() -> list[int]:
    """The predictors of this process's own clusters."""
    commands = {number: process.command for number, process in processes().items()}
    return [number for number, command in commands.items() if command.startswith(b"ray::") and WORKER in command]


def rows(out: Path) -> list[dict[str, Any]]:
    """The poses of a run, sorted."""
    poses = parquet.read_table(out / "poses").to_pylist()
    return sorted(poses, key=lambda row: (row["image_id"], row["bbox"]))


def finished(out: Path) -> int:
    """How many files of poses there are."""
    return len(list((out / "poses").rglob("[0-9]*.parquet")))


def workers_killed(run: Run, out: Path, kills: int) -> dict[str, Any]:
    """A worker is killed (SIGKILL) at random moments: after as many blocks, and up to two seconds."""
    rng = random.Random(0)
    moments = set(rng.sample(range(1, run.blocks - 1), kills))
    blocks, killed, is_over = 0, 0, threading.Event()

    def kill() -> None:
        nonlocal killed
        while not is_over.is_set():
            if alive := workers():  # the other one may have just been killed
                os.kill(rng.choice(alive), signal.SIGKILL)
                killed += 1
                return
            is_over.wait(0.1)

    def tell(_step: Progress) -> None:
        nonlocal blocks
        blocks += 1
        if blocks in moments:
            threading.Timer(rng.uniform(0, 2), kill).start()

    counts = run(out, tell)
    is_over.set()
    return {"counts": counts, "times": killed}


def driver_killed(run: Run, out: Path, driver: list[str]) -> dict[str, Any]:
    """The program that started the run is killed half way, and the run is started again."""
    with subprocess.Popen([sys.executable, *driver, str(run.photos), str(out)]) as process:
        while process.poll() is None and finished(out) < run.blocks // 2:
            time.sleep(0.1)
        process.kill()
    before = finished(out)
    return {"blocks_before": before, "counts": run(out, resume=True)}


@contextmanager
def two_machines() -> Any:
    """Three Ray nodes on this machine, one without CPUs for the driver; yields one with a CPU, and how to remove it."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (as Ray spells it)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        second_node = cluster.add_node(num_cpus=1)
        yield cluster.address, lambda: cluster.remove_node(second_node, allow_graceful=False)
    finally:
        ray.shutdown()
        cluster.shutdown()


def machine_lost(run: Run, out: Path) -> dict[str, Any]:
    """One of two machines with a worker each is lost after a third of the blocks."""
    with two_machines() as (address, lose):
        blocks = 0

        def tell(_step: Progress) -> None:
            nonlocal blocks
            blocks += 1
            if blocks == run.blocks // 3:
                lose()

        return {"counts": run(out, tell, address=address)}


def disk_full(run: Run, out: Path, size: int) -> dict[str, Any] | None:
    """The results' disk, a file system in memory of its own, has room for half of them; after the error it is made
    larger, and the run continued. None where nothing may be mounted. size: of the results, in bytes."""
    out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size // 2}", "tmpfs", str(out)]
    if subprocess.run(mount, capture_output=True).returncode:
        return None
    try:
        try:
            run(out)
        except DiskError as error:
            message = str(error).replace(str(out), "OUT")
        else:
            message = "no error"
        before = finished(out)
        subprocess.run(["mount", "-o", f"remount,size={4 * size}", str(out)], check=True)
        counts = run(out, resume=True)
        return {"error": message, "blocks_before": before, "counts": counts, "rows": rows(out)}
    finally:
        subprocess.run(["umount", str(out)], check=True)


@dataclass(frozen=True)
class WholePhoto:
    """Each photo is one person; one with this sum of pixels ends the process (SIGSEGV)."""

    deadly: int | None = None

    def __call__(self, pixels: np.ndarray) -> Boxes:
        """Return the box of the photo."""
        if self.deadly is not None and int(pixels.sum()) == self.deadly:
            os.kill(os.getpid(), signal.SIGSEGV)
        height, width = pixels.shape[:2]
        return Boxes(np.array([[0.0, 0.0, width, height]]), np.zeros(1, np.int64))


def photo_kills(run: Run, out: Path, photo: Path) -> dict[str, Any]:
    """A photo ends each process that predicts it; the others' rows are compared with those of a run without it."""
    import cv2

    deadly, image = int(cv2.imread(str(photo)).sum()), int(photo.stem)
    replace(run, options=replace(run.options, detector=WholePhoto()))(out / "without")
    counts = replace(run, options=replace(run.options, detector=WholePhoto(deadly)))(out / "with")
    errors = parquet.read_table(out / "with" / "errors.parquet").to_pylist()
    reason = next((row["reason"] for row in errors if row["image_id"] == image), "not listed")
    expected = [row for row in rows(out / "without") if row["image_id"] != image]
    written = rows(out / "with")
    is_same = [row["image_id"] for row in written] == [row["image_id"] for row in expected]
    differences = [
        np.abs(np.subtract(row["keypoints"], pose["keypoints"])).max()
        for row, pose in zip(written, expected, strict=is_same)
    ]
    return {"reason": reason, "counts": counts, "same_photos": is_same, "largest_difference": float(max(differences))}
