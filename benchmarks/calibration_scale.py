"""How long a calibrator of 150,000 people takes to fit and to apply, and how much memory.

    python benchmarks/calibration_scale.py [--people N] [--method M] [--rounds N]

The people are those of `coco/labels_train2017.npz` (a photo of unknown size counts as 640 × 480); the estimator's
results are made up: each person has its own amount of error, scores fall with it, noisily. Only time and memory are of
interest here, the out-of-fold numbers are printed as a check of the fit. Seconds are the wall's and the processor's: on
a machine with other work the wall time includes that work, while processor seconds over the number of cores are what a
quiet machine needs at least. Beside the trees as tables stands LightGBM's own `predict`, on one thread each, the same
trees, the same rows. Last comes one line of JSON.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.fit import fit
from trustpose.calibration.options import FitOptions
from trustpose.calibration.tables import MAX_SPLITS, TreeTables
from trustpose.formats.coco import ResultsFile, TruthFile
from trustpose.images import Images
from trustpose.poses import Poses, Truth
from trustpose.skeletons import COCO_17

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
UNKNOWN = (640, 480)


def labels(path: Path, count: int) -> TruthFile:
    """The first `count` people as ground truth."""
    with np.load(path, allow_pickle=False) as file:
        size = np.where(file["wh"][:count] > 0, file["wh"][:count], UNKNOWN).astype(np.float64)
        keypoints = file["kpts_norm"][:count].astype(np.float64)
        box = file["bbox_cxcywh_norm"][:count].astype(np.float64)
        image_id = file["image_id"][:count].astype(np.int64)
    middle, extent = box[:, :2] * size, box[:, 2:] * size
    truth = Truth(
        xy=keypoints[..., :2] * size[:, None],
        v=keypoints[..., 2].astype(np.int64),
        area=0.53 * extent.prod(axis=1),
        box=np.concatenate([middle - extent / 2, middle + extent / 2], axis=1),
        image_id=image_id,
        annotation_id=np.arange(len(image_id)) + 1,
    )
    ids = np.unique(image_id)
    images = Images(ids)
    return TruthFile(truth, images, COCO_17, COCO_17.keypoints, 1, (1,), str(path), "")


def simulated(truth: Truth, seed: int = 0) -> ResultsFile:
    """One result per person; unlabelled joints are somewhere in the box, with a low score."""
    random = np.random.default_rng(seed)
    assert truth.box is not None and truth.area is not None
    n, k = truth.v.shape
    wrong = random.gamma(1.2, 0.05, (n, 1)) * random.gamma(1.0, 1.0, (n, k))  # in units of √area
    somewhere = truth.box[:, None, :2] + random.random((n, k, 2)) * (truth.box[:, 2:] - truth.box[:, :2])[:, None]
    step = random.normal(size=(n, k, 2)) * (wrong * np.sqrt(truth.area)[:, None])[..., None]
    labelled = truth.v > 0
    score = np.clip(0.9 - 2 * wrong - 0.4 * ~labelled + random.normal(0, 0.12, (n, k)), 0.01, 0.99)
    poses = Poses(
        xy=np.where(labelled[..., None], truth.xy + step, somewhere),
        score=score,
        pose_score=score.mean(axis=1),
        box=truth.box,
        image_id=truth.image_id,
        annotation_id=truth.annotation_id,
    )
    return ResultsFile(poses, score.mean(axis=1), np.ones(n, dtype=np.int64), "simulated", "")


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result, wall seconds and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    given = work()
    return given, time.perf_counter() - wall, time.process_time() - processor


def against_lightgbm(rounds: int) -> dict[str, float]:
    """Nanoseconds a tree and row, ours and LightGBM's, of 200 trees on 50,000 rows of 60 features."""
    random = np.random.default_rng(0)
    table = random.random((50_000, 60), dtype=np.float32)
    target = table[:, :6].mean(axis=1) + 0.1 * table[:, 6] * table[:, 7]
    options = {"num_leaves": MAX_SPLITS + 1, "max_bin": 63, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(options, lightgbm.Dataset(table, target), 200)
    tables = TreeTables.of(booster.dump_model())
    parts = [list(np.ascontiguousarray(part.T)) for part in np.array_split(table, 2)]
    ours = min(timed(lambda: [tables.raw_score(part) for part in parts])[2] for _ in range(rounds))
    theirs = min(timed(lambda: booster.predict(table, raw_score=True, num_threads=1))[2] for _ in range(rounds))
    trees = len(table) * 200 / 1e9
    return {"ours": ours / trees, "lightgbm": theirs / trees, "ratio": theirs / ours}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=149_813)
    parser.add_argument("--method", default="auto")
    parser.add_argument("--rounds", type=int, default=3, help="of applying; the fastest counts")
    options = parser.parse_args()
    truth = labels(DATA / "coco" / "labels_train2017.npz", options.people)
    results = simulated(truth.truth)
    count, cores = len(results.poses), len(os.sched_getaffinity(0))
    print(f"{count} people × {results.poses.keypoint_count}, {len(truth.images)} photos, {cores} cores")
    fitted, wall, processor = timed(lambda: fit(truth, results, FitOptions(method=options.method)))
    calibrator = Calibrator.of(fitted.parts)
    card = calibrator.card
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"fit ({card.method}): {wall:.0f} s, {processor:.0f} s of the processor; peak memory {peak:.2f} GiB")
    print(f"  {card.why}")
    for name in ("pose.pearson", "keypoint.pearson", "pose.ece"):
        before, after = card.before[name], card.after[name]
        print(f"  {name}: {before and round(before[0], 3)} printed, {after and round(after[0], 3)} out of fold")
    runs = [timed(lambda: calibrator(results.poses))[1:] for _ in range(options.rounds)]
    apply_wall, apply_processor = (min(column) for column in zip(*runs, strict=True))
    quiet = cores * count / apply_processor
    print(
        f"apply, features included: {count / apply_wall:,.0f} people/s; {apply_processor / count * 1e6:.1f} "
        f"µs of the processor a person, {quiet:,.0f} people/s on {cores} quiet cores at best"
    )
    trees = against_lightgbm(options.rounds)
    print(f"a tree and row: {trees['ours']:.1f} ns as tables, {trees['lightgbm']:.1f} ns by LightGBM's predict")
    result = {
        "people": count,
        "cores": cores,
        "method": card.method,
        "fit": {"wall_s": wall, "processor_s": processor, "peak_gib": peak},
        "apply": {"people_per_s": count / apply_wall, "processor_us_per_person": apply_processor / count * 1e6},
        "ns_per_tree_and_row": trees,
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
