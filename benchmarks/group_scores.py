"""How to rank the people that a bottom-up network finds: by its method's own score, or by its joints.

    python benchmarks/group_scores.py --model FOLDER

FOLDER is a model that finds the people of whole photos, such as one of `trustpose train bottom-up`. Its people in `dev`
are ranked by

  own              the score of its method: for fields OpenPose's, the sum of joints' and links' scores over the number
                   of joints, for tags the mean over all joints, for centres the centre's
  mean of joints   the mean of the joints' scores, 0 for missing ones
  found joints     the mean over the joints that are not missing
  number           how many joints there are

COCO's AP with 95 % intervals from drawing photos, and gains over the method's own score, drawn in pairs.
"""

import numpy as np
from coco_photos import average_precision, ground_truth, photos_of, predict_all
from harness import parser, run, table, with_interval

import trustpose as tp
from trustpose.metrics.bootstrap import resample_counts
from trustpose.poses import Poses


def rankings(poses: Poses) -> dict[str, np.ndarray]:
    """Scores (N,) by name."""
    present = np.ones(poses.score.shape, bool) if poses.missing is None else ~poses.missing
    total, number = np.where(present, poses.score, 0).sum(axis=1), present.sum(axis=1)
    return {
        "own": poses.pose_score,
        "mean of joints": total / poses.keypoint_count,
        "found joints": total / np.maximum(number, 1),
        "number": number.astype(float),
    }


def main(options):
    file, predictor = ground_truth(options.data, "dev"), tp.load(options.model)
    ids = np.sort(file.images.id)
    poses = predict_all(predictor, photos_of(file, options.data / "coco" / "dev", ids))
    counts = resample_counts(len(ids), options.draws)
    precisions = {
        name: average_precision(poses, score, file.truth, ids, counts) for name, score in rankings(poses).items()
    }
    own_summary, own_draws = precisions["own"]
    rows = {
        name: {
            "AP": with_interval(summary.AP, draws["AP"]),
            "over own": with_interval(summary.AP - own_summary.AP, draws["AP"] - own_draws["AP"]),
        }
        for name, (summary, draws) in precisions.items()
    }
    table("ranked by", rows, over_own="+.3f")
    return {
        "model": predictor.name,
        "people": len(poses),
        "AP": {name: [*row["AP"], *row["over own"]] for name, row in rows.items()},
    }


if __name__ == "__main__":
    options_parser = parser(__doc__, "draws", "data")
    options_parser.add_argument("--model", required=True, help="model that finds the people of whole photos")
    run(main, options_parser)
