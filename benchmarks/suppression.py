"""NMS, soft-NMS or a better score: the comparison of OKS-Net's table VI, on real people found by a real detector.

    python benchmarks/suppression.py [--model NETWORK_OR_FOLDER] [--flip]

Every box of DATA/coco/dev_detections.json is predicted once. Poses are the same everywhere; columns differ in the
ranking score, rows in the treatment of overlapping poses. AP and AR are COCO's, on the photos that have detections,
with 95 % intervals from drawing photos; gains, over no suppression in the same column and over the two usual rankings
in the same row, are drawn in pairs, on the same photos.

  network              the mean of the keypoints' scores, boxes left aside
  network × box        times the box's score: the usual top-down ranking
  above 0.2 × box      of the keypoints that score above 0.2 only, as HRNet's and SimpleBaseline's code has it
  expected OKS × box   what a trust head says in place of the network (--model FOLDER of `trustpose train`)
  true OKS             the highest OKS with any labelled person, 0 for who is not labelled; it knows of no duplicates

  none                           every box's pose
  OKS-NMS                        poses are dropped whose OKS with a better one is above the threshold
  soft Gaussian, choice of 20    HRNet's code: soft-NMS decides which 20 poses of a photo stay, scores stay as they were
  soft Gaussian, soft linear     soft-NMS: scores are lowered, and poses ranked by that

0.9 is HRNet's threshold, for Gaussian decay its σ. "chosen" are the thresholds of highest AP on
DATA/coco/train_detections.json, one for each row and column, from the grids below; dev is looked at once. A trust head
that was trained on those photos says more of them than of others, so for its column the choice is a little less sure.
Areas of poses are those of their crops. Crowd regions are missing in these labels, so poses in crowds count as false,
and AP is lower than on official files. The speed is of suppression alone, one process, the best of five times.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from coco_photos import Split, ap_of, predict_all
from harness import Estimate, Interval, gains_over, hundredths, parser, run, table, timed

from trustpose.files import InputError
from trustpose.grouping.suppression import Method, suppress
from trustpose.metrics.average_precision import MAX_DETECTIONS
from trustpose.metrics.bootstrap import resample_counts
from trustpose.metrics.diagnosis import highest_oks
from trustpose.metrics.matching import best_in_image, pair_oks
from trustpose.poses import Poses, Truth
from trustpose.predict.boxes import boxes_from_detections
from trustpose.predict.load import load
from trustpose.predict.predictor import Predictor
from trustpose.skeletons import COCO_17

USUAL, HRNETS = "network × box", "above 0.2 × box"
HRNET_THRESHOLD = 0.9
WAYS: dict[str, Method] = {
    "none": "none",
    "OKS-NMS": "oks-nms",
    "soft Gaussian, choice of 20": "soft-oks-nms",
    "soft Gaussian": "soft-oks-nms",
    "soft linear": "soft-oks-nms-linear",
}
_OKS_GRID = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
GRID: dict[Method, tuple[float, ...]] = {
    "oks-nms": _OKS_GRID,
    "soft-oks-nms-linear": _OKS_GRID,
    "soft-oks-nms": (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.5, 3.0),
}


@dataclass(frozen=True)
class People:
    """The poses on the photos, and the rankings: each pose's score (N,) by name."""

    split: Split
    poses: Poses
    rankings: dict[str, np.ndarray]


@dataclass(frozen=True)
class Treated:
    """One ranking with one suppression: AP and AR (0–1)."""

    threshold: float
    precision: dict[str, Estimate]


def find_people(predictor: Predictor, data: Path, name: str) -> People:
    """Predict on every photo that has detections."""
    everything = Split.read(data, name)
    boxes = boxes_from_detections(data / "coco" / f"{name}_detections.json", everything.file.category_id)
    split = everything.select(np.unique(boxes.image_id))
    of_photo = boxes.of_images(split.image_id)
    photos = [replace(photo, boxes=detected) for photo, detected in zip(split.photos(), of_photo, strict=True)]
    poses = predict_all(predictor, photos)
    return People(split, poses, rank(poses, split.truth))


def rank(poses: Poses, truth: Truth) -> dict[str, np.ndarray]:
    """Each pose's score (N,) by the name of the ranking."""
    above = poses.score > 0.2
    mean_above = np.where(above, poses.score, 0).sum(axis=1) / np.maximum(above.sum(axis=1), 1)
    rankings = {
        "network": poses.pose_score,
        USUAL: poses.pose_score * poses.box_score,
        HRNETS: mean_above * poses.box_score,
    }
    if poses.pose_quality is not None:
        rankings["expected OKS × box"] = poses.ranking_score
    labelled = truth[np.flatnonzero((truth.v > 0).any(axis=1))]
    pairs = pair_oks(poses, labelled, sigmas=COCO_17.sigmas, area="file")
    return rankings | {"true OKS": highest_oks(pairs, len(poses))}


def left_over(people: People, ranking: str, way: str, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """The rows that are left and all rows' scores."""
    score, poses = people.rankings[ranking], people.poses
    treated = suppress(poses, score, method=WAYS[way], threshold=threshold, sigmas=COCO_17.sigmas, area="crop")
    if "choice" not in way:
        return np.flatnonzero(treated.keep), treated.score
    return np.sort(best_in_image(poses.image_id, treated.score, MAX_DETECTIONS)), score


def choose(people: People, ranking: str, way: str) -> float:
    """The threshold of highest AP."""
    grid, precisions = GRID[WAYS[way]], []
    for threshold in grid:
        rows, score = left_over(people, ranking, way, threshold)
        precisions.append(ap_of(people.poses[rows], score[rows], people.split.truth))
    return grid[int(np.argmax(precisions))]


def measure(people: People, ranking: str, way: str, threshold: float, counts: np.ndarray) -> Treated:
    rows, score = left_over(people, ranking, way, threshold)
    return Treated(threshold, people.split.average_precision(people.poses[rows], score[rows], counts))


def compare(dev: People, train: People, counts: np.ndarray) -> dict[str, dict[str, Treated]]:
    """Each suppression with each ranking."""
    treated: dict[str, dict[str, Treated]] = {}
    for way in WAYS:
        treated[way] = {name: measure(dev, name, way, HRNET_THRESHOLD, counts) for name in dev.rankings}
    for way in list(WAYS)[1:]:
        treated[f"{way}, chosen"] = {
            name: measure(dev, name, way, choose(train, name, way), counts) for name in dev.rankings
        }
    return treated


def speed(people: People) -> dict[str, int]:
    """Poses a second of each method, the best of five."""
    rates: dict[str, int] = {}
    for way, method in WAYS.items():
        if way != "none" and "choice" not in way:
            timings = [timed(lambda: left_over(people, USUAL, way, HRNET_THRESHOLD)) for _ in range(5)]  # noqa: B023
            rates[method] = round(len(people.poses) / min(timing.seconds for timing in timings))
    return rates


def transposed(rows: dict[str, dict[str, Estimate]]) -> dict[str, dict[str, Estimate]]:
    return {column: {name: row[column] for name, row in rows.items()} for column in next(iter(rows.values()))}


def report(treated: dict[str, dict[str, Treated]]) -> dict[str, dict[str, dict[str, object]]]:
    """Print the tables; return them by suppression and ranking."""
    numbers = {
        title: {way: {name: cell.precision[title] for name, cell in row.items()} for way, row in treated.items()}
        for title in ("AP", "AR")
    }
    for title, rows in numbers.items():
        table(title, hundredths(rows), ".1f")
    gains = {"AP over none": gains_over("none", numbers["AP"])}
    for base in (USUAL, HRNETS):
        gains[f"AP over {base}"] = transposed(gains_over(base, transposed(numbers["AP"])))
    for title, rows in gains.items():
        table(title, hundredths(rows), "+.1f")
    chosen = {way: row for way, row in treated.items() if way.endswith("chosen")}
    table("thresholds", {way: {name: cell.threshold for name, cell in row.items()} for way, row in chosen.items()}, "g")

    def rounded(value: Interval) -> Interval:
        return [round(number, 4) for number in value]

    return {
        way: {
            name: {"threshold": None if way == "none" else cell.threshold}
            | {title: rounded(rows[way][name].interval) for title, rows in (numbers | gains).items()}
            for name, cell in row.items()
        }
        for way, row in treated.items()
    }


def main(options):
    model = options.model or options.data / "networks" / "simplepose.onnx"
    predictor = load(model, flip=options.flip)
    if not isinstance(predictor, Predictor) or predictor.spec.skeleton.keypoints != COCO_17.keypoints:
        raise InputError(f"{model}: expected a top-down network of COCO's keypoints")
    dev, train = (find_people(predictor, options.data, name) for name in ("dev", "train"))
    photos = len(dev.split.image_id)
    labelled = int((dev.split.truth.v > 0).any(axis=1).sum())
    counts = {"poses": len(dev.poses), "photos": photos, "people": labelled}
    print(", ".join(f"{number} {name}" for name, number in counts.items()) + f", {'with' * options.flip or 'no'} flip")
    rows = report(compare(dev, train, resample_counts(photos, options.draws)))
    speeds = speed(dev)
    print("suppression alone: " + ", ".join(f"{method} {rate} poses/s" for method, rate in speeds.items()))
    return counts | {"flip": options.flip, "poses_per_second": speeds, "rows": rows}


if __name__ == "__main__":
    options_parser = parser(__doc__, "flip", "draws", "data")
    options_parser.add_argument("--model", type=Path, help="a network or the folder of a head; default: SimplePose")
    run(main, options_parser)
