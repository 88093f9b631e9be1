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
from coco_photos import Split, predict_all
from harness import gains_over, parser, run, table, with_gains

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
    dev, predictor = Split.read(options.data, "dev"), tp.load(options.model)
    poses = predict_all(predictor, dev.photos())
    counts = resample_counts(len(dev.image_id), options.draws)
    precisions = {name: dev.average_precision(poses, score, counts) for name, score in rankings(poses).items()}
    gains = gains_over("own", precisions)
    rows = {name: {"AP": precisions[name]["AP"].interval, "over own": gains[name]["AP"].interval} for name in gains}
    table("ranked by", rows, over_own="+.3f")
    return {
        "model": predictor.name,
        "people": len(poses),
        "AP": {name: row["AP"] for name, row in with_gains(precisions, gains).items()},
    }


if __name__ == "__main__":
    options_parser = parser(__doc__, "draws", "data")
    options_parser.add_argument("--model", required=True, help="model that finds the people of whole photos")
    run(main, options_parser)
