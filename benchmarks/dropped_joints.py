"""Calibration of results whose estimator writes missing joints as 0, 0, 0, as OpenPose does.

    python benchmarks/dropped_joints.py [--results FILE GROUND_TRUTH SHARE]... [--method M]

Made of real results on real people: of each file the SHARE of joints with the lowest scores become 0, 0, 0; box and
annotation_id are left out, as OpenPose has none, and the pose's score is the mean of its joints' scores. A calibrator
is fitted on the people of one half of the photos and applied to those of the other half. "as found at 0, 0" uses the
dropped joints at the written position, as trustpose did before it handled missing keypoints; "as missing" leaves them
out of boxes, pairing and features. r, ECE and AP are an audit's, of the half that nothing was fitted on; r and ECE over
the results that are paired with a person, whose share stands last.
"""

from dataclasses import replace

import numpy as np
from coco_photos import audited, results_of
from harness import parser, run, table

from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.fit import fit
from trustpose.calibration.options import FitOptions
from trustpose.images import fold_of
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.poses import Poses

DEFAULT = (
    ("results/simplepose.train.json", "coco/train_gt.json", "0.2"),
    ("results/movenet-thunder.train.json", "coco/train_gt.json", "0.2"),
    ("results/movenet-thunder.dev.json", "coco/dev_gt.json", "0.2"),
)
NUMBERS = {
    "pose.pearson": "r(pose, OKS)",
    "keypoint.pearson_pose_mean": "r(averages)",
    "pose.ece": "pose ECE",
    "ap.AP": "AP",
}


def drop_joints(poses: Poses, share: float) -> tuple[Poses, np.ndarray]:
    """The poses as an estimator without boxes writes them that drops this share of its joints, and which it dropped."""
    dropped = poses.score <= np.quantile(poses.score, share)
    score = np.where(dropped, 0.0, poses.score)
    xy = np.where(dropped[..., None], 0.0, poses.xy)
    return Poses(xy=xy, score=score, pose_score=score.mean(axis=1), image_id=poses.image_id), dropped


def half_of(truth: TruthFile, poses: Poses, half: int) -> tuple[TruthFile, Poses]:
    """The photos of one half, with their people and poses."""
    images = truth.images[np.flatnonzero(fold_of(truth.images.id, 2) == half)]
    people = truth.truth[fold_of(truth.truth.image_id, 2) == half]
    return replace(truth, truth=people, images=images), poses[fold_of(poses.image_id, 2) == half]


def measured(truth: TruthFile, poses: Poses, score: np.ndarray) -> dict[str, float | None]:
    record = audited(truth, poses, score)
    counts = record.inputs["results"]
    return {name: record.number(name) for name in NUMBERS} | {"paired": counts["paired"] / counts["results"]}


def before_and_after(truth: TruthFile, poses: Poses, options: FitOptions) -> tuple[dict, dict]:
    """The audit's numbers on the second half by the printed scores, and by those of a calibrator of the first half."""
    people, first = half_of(truth, poses, 0)
    calibrator = Calibrator.of(fit(people, results_of(truth, first, first.pose_score), options).parts)
    people, held_out = half_of(truth, poses, 1)
    trusted = calibrator(held_out)
    return measured(people, held_out, held_out.pose_score), measured(people, trusted, trusted.ranking_score)


def main(options):
    fit_options = FitOptions(method=options.method, draws=10)
    result = {}
    for file, labels, share in options.results or DEFAULT:
        truth = read_coco_truth(options.data / labels)
        poses, dropped = drop_joints(read_results(options.data / file, truth=truth).poses, float(share))
        people = 1 - float((~dropped.any(axis=1)).mean())
        columns = {}
        for name, way in {"as found at 0, 0": poses, "as missing": replace(poses, missing=dropped)}.items():
            columns[f"{name}, printed"], columns[f"{name}, calibrated"] = before_and_after(truth, way, fit_options)
        print(f"\n{file}: {dropped.mean():.1%} of the joints dropped, {people:.0%} of the people have one or more")
        labelled = {
            name: {NUMBERS.get(key, key): value for key, value in column.items()} for name, column in columns.items()
        }
        table("", labelled)
        result[file] = {"share": dropped.mean(), "people": people, "columns": columns}
    return result


if __name__ == "__main__":
    options_parser = parser(__doc__, "data")
    options_parser.add_argument(
        "--results",
        nargs=3,
        action="append",
        metavar=("FILE", "GROUND_TRUTH", "SHARE"),
        help="files in the folder of the data sets, and the share of joints to drop; several times",
    )
    options_parser.add_argument("--method", default="trees", help="as of trustpose calibrate fit")
    run(main, options_parser)
