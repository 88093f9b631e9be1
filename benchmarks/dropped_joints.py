"""Calibration of results whose estimator writes missing joints as 0, 0, 0, as OpenPose does.

    python benchmarks/dropped_joints.py [--results FILE GROUND_TRUTH SHARE]... [--method M]

Made of real results on real people: of each file the SHARE of joints with the lowest scores become 0, 0, 0; box and
annotation_id are left out, as OpenPose has none, and the pose's score is the mean of its joints' scores. A calibrator
is fitted on the people of one half of the photos and applied to those of the other half. "as found at 0, 0" uses the
dropped joints at the written position, as trustpose did before it handled missing keypoints; "as missing" leaves them
out of boxes, pairing and features. r, ECE and AP are an audit's, of the half that nothing was fitted on; r and ECE over
the results that are paired with a person, whose share stands last. The last line is JSON.
"""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.fit import fit
from trustpose.calibration.options import FitOptions
from trustpose.datasets.folds import fold_of
from trustpose.evaluation.audit import audit
from trustpose.formats.coco import ResultsFile, TruthFile, read_results, read_truth
from trustpose.poses import Poses

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
DEFAULT = (
    ("results/simplepose.train.json", "coco/train_gt.json", "0.2"),
    ("results/movenet-thunder.train.json", "coco/train_gt.json", "0.2"),
    ("results/movenet-thunder.dev.json", "coco/dev_gt.json", "0.2"),
)
ROWS = {
    "pose.pearson": "r(pose, OKS)",
    "keypoint.pearson_pose_mean": "r(averages)",
    "pose.ece": "pose ECE",
    "ap.AP": "AP",
}


def drop_joints(poses: Poses, share: float) -> tuple[Poses, np.ndarray]:
    """The poses as an estimator without boxes writes them that drops this share of its joints, and which it dropped."""
    assert poses.score is not None
    dropped = poses.score <= np.quantile(poses.score, share)
    score = np.where(dropped, 0.0, poses.score)
    xy = np.where(dropped[..., None], 0.0, poses.xy)
    return Poses(xy=xy, score=score, pose_score=score.mean(axis=1), image_id=poses.image_id), dropped


def half_of(truth: TruthFile, half: int) -> TruthFile:
    """The photos and people of one half."""
    assert truth.truth.image_id is not None
    kept = np.flatnonzero(fold_of(truth.images.id, 2) == half)
    images = truth.images[kept]
    return replace(truth, truth=truth.truth[fold_of(truth.truth.image_id, 2) == half], images=images)


def results_of(poses: Poses, score: np.ndarray, truth: TruthFile, half: int) -> ResultsFile:
    assert poses.image_id is not None
    rows = fold_of(poses.image_id, 2) == half
    return ResultsFile(poses[rows], score[rows], np.full(rows.sum(), truth.category_id), "results in memory", "")


def measured(truth: TruthFile, results: ResultsFile) -> dict[str, float | None]:
    record = audit(truth, results, draws=0)
    paired = record.inputs["results"]["paired"] / record.inputs["results"]["results"]
    return {name: record.number(name) for name in ROWS} | {"paired": paired}


def before_and_after(truth: TruthFile, poses: Poses, options: FitOptions) -> tuple[dict, dict]:
    """The audit's numbers on the second half by the printed scores, and by those of a calibrator of the first half."""
    assert poses.pose_score is not None
    fitted = Calibrator.of(fit(half_of(truth, 0), results_of(poses, poses.pose_score, truth, 0), options).parts)
    held_out = results_of(poses, poses.pose_score, truth, 1)
    trusted = fitted(held_out.poses)
    rescored = replace(held_out, poses=trusted, score=trusted.ranking_score)
    people = half_of(truth, 1)
    return measured(people, held_out), measured(people, rescored)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", nargs=3, action="append", metavar=("FILE", "GROUND_TRUTH", "SHARE"))
    parser.add_argument("--method", default="trees")
    arguments = parser.parse_args()
    options = FitOptions(method=arguments.method, draws=10)
    found = {}
    for file, ground_truth, share in arguments.results or DEFAULT:
        truth = read_truth(DATA / ground_truth)
        poses, dropped = drop_joints(read_results(DATA / file, truth=truth).poses, float(share))
        whole = float((~dropped.any(axis=1)).mean())
        print(f"\n{file}: {dropped.mean():.1%} of the joints dropped, {1 - whole:.0%} of the people have one or more")
        columns = {}
        known = {"as found at 0, 0": poses, "as missing": replace(poses, missing=dropped)}
        for name, some in known.items():
            columns[f"{name}, printed"], columns[f"{name}, calibrated"] = before_and_after(truth, some, options)
        print(f"{'':28}" + "".join(f"{label:>14}" for label in (*ROWS.values(), "paired")))
        for name, column in columns.items():
            print(f"{name:28}" + "".join(f"{column[row]:14.3f}" for row in (*ROWS, "paired")))
        found[file] = {"share": dropped.mean(), "people": 1 - whole, "columns": columns}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
