"""How to rank the people that a bottom-up network finds: by its method's own score, or by its joints.

    python benchmarks/group_scores.py --model FOLDER [--draws N] [--data FOLDER]

FOLDER is a model that finds the people of whole photos, such as one of `trustpose train bottom-up`. Its people in `dev`
are ranked by

  own              the score of its method: for fields OpenPose's, the sum of joints' and links' scores over the number
                   of joints found, for tags the mean over all joints, for centres the centre's
  mean of joints   the mean of the joints' scores, 0 for those that were not found
  found joints     the mean over the joints that were found
  number           how many joints were found

COCO's AP, with 95 % intervals from drawing photos, and gains over the own score, drawn in pairs; then one line of JSON.
Needs TRUSTPOSE_DATA.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np

import trustpose as tp
from trustpose.formats.coco import read_truth
from trustpose.metrics.average_precision import evaluate
from trustpose.metrics.average_precision_bootstrap import average_precision_replicates
from trustpose.metrics.bootstrap import interval, resample_counts
from trustpose.poses import Poses
from trustpose.predict.photos import Image
from trustpose.skeletons import COCO_17

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def rankings(poses: Poses) -> dict[str, np.ndarray]:
    assert poses.score is not None and poses.pose_score is not None
    found = np.ones(poses.score.shape, bool) if poses.missing is None else ~poses.missing
    total, number = np.where(found, poses.score, 0).sum(axis=1), found.sum(axis=1)
    means = {"mean of joints": total / poses.keypoint_count, "found joints": total / np.maximum(number, 1)}
    return {"own": poses.pose_score, **means, "number": number.astype(float)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    file, predictor = read_truth(arguments.data / "coco" / "dev_gt.json"), tp.load(arguments.model)
    names, ids = file.images.names(), np.sort(file.images.id)
    photos = [Image(arguments.data / "coco" / "dev" / names[one], None, one) for one in ids.tolist()]
    poses = Poses.concatenate([found.poses for found in predictor.stream(photos) if len(found.poses)])
    images = [np.searchsorted(ids, one) for one in (poses.image_id, file.truth.image_id)]
    counts, table, own = resample_counts(len(ids), arguments.draws), {}, None
    for name, score in rankings(poses).items():
        evaluation = evaluate(poses, file.truth, score, sigmas=COCO_17.sigmas, area="file")
        ap = evaluation.summary().AP
        drawn = average_precision_replicates(evaluation, counts, *images, ("all",))["AP"]
        own = (ap, drawn) if own is None else own
        table[name] = [ap, *interval(drawn), ap - own[0], *interval(drawn - own[1])]
        print(f"{name:16s}" + "{:.3f} ({:.3f}–{:.3f}) {:+.3f} ({:+.3f}–{:+.3f})".format(*table[name]), flush=True)
    print(json.dumps({"model": predictor.name, "people": len(poses), "AP": table}))


if __name__ == "__main__":
    main()
