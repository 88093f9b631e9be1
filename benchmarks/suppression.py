"""NMS, soft-NMS or a better score: the comparison of OKS-Net's table VI, on real people found by a real detector.

    python benchmarks/suppression.py [--model NETWORK_OR_FOLDER] [--flip] [--data FOLDER] [--draws N]

Every box of DATA/dev_detections.json is predicted once. Poses are the same everywhere; columns differ in the ranking
score, rows in the treatment of overlapping poses. AP and AR are COCO's, on the photos that have detections, with 95 %
intervals from drawing photos; gains, over no suppression in the same column and over the two usual rankings in the same
row, are drawn in pairs, on the same photos.

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
DATA/train_detections.json, one for each row and column, from the grids below; dev is looked at once. A trust head that
was trained on those photos says more of them than of others, so for its column the choice is a little less sure. Areas
of poses are those of their crops. Crowd regions are missing in these labels, so poses in crowds count as false, and AP
is lower than on official files. Below stand the paper's numbers, of other networks on all of val2017. The speed is of
suppression alone, one process, the best of five times. Last comes one line of JSON.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trustpose.files import InputError
from trustpose.formats.coco import read_truth
from trustpose.grouping.suppression import Method, suppress
from trustpose.metrics.average_precision import MAX_DETECTIONS, Evaluation, evaluate
from trustpose.metrics.average_precision_bootstrap import average_precision_replicates
from trustpose.metrics.bootstrap import DRAWS, interval, resample_counts
from trustpose.metrics.diagnosis_scores import highest_oks
from trustpose.metrics.matching import best_in_image, pair_oks
from trustpose.poses import Poses, Truth
from trustpose.predict.boxes import boxes_from_detections
from trustpose.predict.load import load
from trustpose.predict.photos import Image
from trustpose.predict.top_down import Predictor
from trustpose.skeletons import COCO_17

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
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
PRINTED = {  # OKS-Net, table VI: AP of NMS, SoftNMS and OKS-net
    "Hourglass-4": (73.5, 73.5, 74.1),
    "ResNet-101": (71.4, 71.5, 71.9),
    "HRNet-W32": (74.4, 74.3, 75.1),
}
Value = tuple[float, float, float]  # a number and its interval


@dataclass(frozen=True)
class People:
    """The poses on I photos, their labelled people, and the rankings: each pose's score (N,) by name."""

    poses: Poses
    truth: Truth
    image_ids: np.ndarray
    rankings: dict[str, np.ndarray]


@dataclass(frozen=True)
class Cell:
    """One ranking with one suppression: AP and AR (0–1) with intervals, and the draws of AP."""

    threshold: float
    ap: Value
    ar: Value
    draws: np.ndarray


def find_people(predictor: Predictor, data: Path, split: str) -> People:
    """Predict on every photo that has detections. Raises InputError."""
    truth = read_truth(data / f"{split}_gt.json")
    boxes = boxes_from_detections(data / f"{split}_detections.json", truth.category_id)
    image_ids = np.unique(boxes.image_id)
    names = dict(zip(truth.images.id.tolist(), truth.images.file_name, strict=True))
    unknown = next((at for at in image_ids.tolist() if at not in names), None)
    if unknown is not None:
        raise InputError(f"{data / f'{split}_detections.json'}: image {unknown} is not in {split}_gt.json")
    photos = [
        Image(data / split / str(names[at]), some, at)
        for at, some in zip(image_ids.tolist(), boxes.of_images(image_ids), strict=True)
    ]
    parts = []
    for prediction in predictor.stream(photos):
        if prediction.error is not None:
            raise prediction.error
        parts.append(prediction.poses)
    assert truth.truth.image_id is not None
    people = truth.truth[np.flatnonzero(np.isin(truth.truth.image_id, image_ids))]
    poses = Poses.concatenate(parts)
    return People(poses, people, image_ids, rank(poses, people))


def rank(poses: Poses, truth: Truth) -> dict[str, np.ndarray]:
    """Each pose's score (N,) by the name of the ranking."""
    assert poses.score is not None and poses.pose_score is not None and poses.box_score is not None
    above = poses.score > 0.2
    mean_above = np.where(above, poses.score, 0).sum(axis=1) / np.maximum(above.sum(axis=1), 1)
    found = {
        "network": poses.pose_score,
        USUAL: poses.pose_score * poses.box_score,
        HRNETS: mean_above * poses.box_score,
    }
    if poses.pose_quality is not None:
        found["expected OKS × box"] = poses.ranking_score
    labelled = truth[np.flatnonzero((truth.v > 0).any(axis=1))]
    pairs = pair_oks(poses, labelled, sigmas=COCO_17.sigmas, area="file")
    return found | {"true OKS": highest_oks(pairs, len(poses))}


def left_over(people: People, ranking: str, way: str, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """The rows that are left and all rows' scores."""
    score, poses = people.rankings[ranking], people.poses
    found = suppress(poses, score, method=WAYS[way], threshold=threshold, sigmas=COCO_17.sigmas, area="crop")
    if "choice" not in way:
        return np.flatnonzero(found.keep), found.score
    assert poses.image_id is not None
    return np.sort(best_in_image(poses.image_id, found.score, MAX_DETECTIONS)[0]), score


def evaluated(people: People, ranking: str, way: str, threshold: float) -> tuple[Evaluation, np.ndarray]:
    """COCO evaluation of the remaining poses, and their rows."""
    rows, score = left_over(people, ranking, way, threshold)
    return evaluate(people.poses[rows], people.truth, score[rows], sigmas=COCO_17.sigmas, area="file"), rows


def choose(people: People, ranking: str, way: str) -> float:
    """The threshold of highest AP."""
    grid = GRID[WAYS[way]]
    ap = [evaluated(people, ranking, way, threshold)[0].summary().AP for threshold in grid]
    return grid[int(np.argmax(ap))]


def measure(people: People, ranking: str, way: str, threshold: float, counts: np.ndarray) -> Cell:
    evaluation, rows = evaluated(people, ranking, way, threshold)
    assert people.poses.image_id is not None and people.truth.image_id is not None
    pose_image = np.searchsorted(people.image_ids, people.poses.image_id[rows])
    person_image = np.searchsorted(people.image_ids, people.truth.image_id)
    draws = average_precision_replicates(evaluation, counts, pose_image, person_image, ("all",))
    summary = evaluation.summary()
    return Cell(threshold, (summary.AP, *interval(draws["AP"])), (summary.AR, *interval(draws["AR"])), draws["AP"])


def compare(dev: People, train: People, counts: np.ndarray) -> dict[str, dict[str, Cell]]:
    """Rows of the table, each a cell for every ranking."""
    table: dict[str, dict[str, Cell]] = {}
    for way in WAYS:
        table[way] = {name: measure(dev, name, way, HRNET_THRESHOLD, counts) for name in dev.rankings}
    for way in list(WAYS)[1:]:
        table[f"{way}, chosen"] = {
            name: measure(dev, name, way, choose(train, name, way), counts) for name in dev.rankings
        }
    return table


def gain(cell: Cell, base: Cell) -> Value:
    """AP of one over another, with the interval over the same draws."""
    return (cell.ap[0] - base.ap[0], *interval(cell.draws - base.draws))


def speed(people: People) -> dict[str, int]:
    """Poses a second of each method, the best of five."""
    found: dict[str, int] = {}
    for way, method in WAYS.items():
        if way == "none" or "choice" in way:
            continue
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            left_over(people, USUAL, way, HRNET_THRESHOLD)
            seconds.append(time.perf_counter() - started)
        found[method] = round(len(people.poses) / min(seconds))
    return found


def show(title: str, table: dict[str, dict[str, str]]) -> None:
    columns = list(next(iter(table.values())))
    widths = [max(len(name), *(len(row[name]) for row in table.values())) + 3 for name in columns]
    print(f"\n{title:38}" + "".join(f"{name:>{width}}" for name, width in zip(columns, widths, strict=True)))
    for label, row in table.items():
        print(f"{label:38}" + "".join(f"{row[name]:>{width}}" for name, width in zip(columns, widths, strict=True)))


def gains_of(table: dict[str, dict[str, Cell]]) -> dict[str, dict[str, dict[str, Value]]]:
    """AP over no suppression in the same column, and over the usual rankings in the same row, by name."""
    gains = {
        "none": {
            way: {name: gain(cell, table["none"][name]) for name, cell in row.items()} for way, row in table.items()
        }
    }
    for base in (USUAL, HRNETS):
        gains[base] = {way: {name: gain(cell, row[base]) for name, cell in row.items()} for way, row in table.items()}
    return gains


def report(table: dict[str, dict[str, Cell]], speeds: dict[str, int]) -> None:
    """Tables, and the paper's numbers."""

    def text(value: Value, sign: str = "") -> str:
        return f"{100 * value[0]:{sign}.1f} ({100 * value[1]:.1f} to {100 * value[2]:.1f})"

    show("AP", {way: {name: text(cell.ap) for name, cell in row.items()} for way, row in table.items()})
    show("AR", {way: {name: text(cell.ar) for name, cell in row.items()} for way, row in table.items()})
    for base, found in gains_of(table).items():
        show(
            f"AP over {base}", {way: {name: text(one, "+") for name, one in row.items()} for way, row in found.items()}
        )
    chosen = {way: row for way, row in table.items() if way.endswith("chosen")}
    show(
        "thresholds", {way: {name: f"{cell.threshold:g}" for name, cell in row.items()} for way, row in chosen.items()}
    )
    print("\nOKS-Net paper, table VI, AP on val2017 with SimpleBaseline's detections: NMS, SoftNMS, OKS-net")
    for network, values in PRINTED.items():
        print(f"  {network:14}" + "   ".join(f"{value:.1f}" for value in values))
    print("suppression alone: " + ", ".join(f"{method} {rate} poses/s" for method, rate in speeds.items()))


def plain(table: dict[str, dict[str, Cell]]) -> dict[str, dict[str, dict[str, object]]]:
    """The table as JSON's values."""

    def rounded(value: Value) -> list[float]:
        return [round(one, 4) for one in value]

    gains = gains_of(table)
    return {
        way: {
            name: {
                "threshold": None if way == "none" else cell.threshold,
                "AP": rounded(cell.ap),
                "AR": rounded(cell.ar),
                **{f"AP over {base}": rounded(found[way][name]) for base, found in gains.items()},
            }
            for name, cell in row.items()
        }
        for way, row in table.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=DATA / "networks" / "simplepose.onnx")
    parser.add_argument("--flip", action=argparse.BooleanOptionalAction, default=False, help="average mirrored crops")
    parser.add_argument("--data", type=Path, default=DATA / "coco", help="{dev,train}_{gt,detections}.json and photos")
    parser.add_argument("--draws", type=int, default=DRAWS, help="of photos, for the intervals")
    options = parser.parse_args()
    try:
        predictor = load(options.model, flip=options.flip)
        if not isinstance(predictor, Predictor) or predictor.spec.skeleton.keypoints != COCO_17.keypoints:
            raise InputError(f"{options.model}: expected a top-down network of COCO's keypoints")
        dev, train = (find_people(predictor, options.data, split) for split in ("dev", "train"))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    labelled = int((dev.truth.v > 0).any(axis=1).sum())
    counts = {"poses": len(dev.poses), "photos": len(dev.image_ids), "people": labelled}
    print(", ".join(f"{number} {name}" for name, number in counts.items()) + f", {'with' * options.flip or 'no'} flip")
    table = compare(dev, train, resample_counts(len(dev.image_ids), options.draws))
    report(table, speeds := speed(dev))
    print(
        json.dumps(
            counts | {"flip": options.flip, "poses_per_second": speeds, "rows": plain(table)}, ensure_ascii=False
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
