"""The bundled model compared with other networks on the same photos.

    python benchmarks/default_model.py [--mediapipe FILE.task] [--head NAME=FOLDER …]

  poses       from ground-truth boxes: COCO AP and AR, AP if the true OKS ranked, mean OKS. Ours, its fast setting, ours
              with a second crop, SimplePose with flip test, MoveNet thunder as it is
  people      from whole photos: AP of boxes, recall at IoU 0.5, of close-ups too (people higher than 70 % of their
              photo), and COCO AP of the keypoints: ours, MoveNet multipose, and MediaPipe's pose
              landmarker (one person a photo) where its file is given
  ranking     keypoint AP of our poses in whole photos ranked by each of their scores, without suppression
  trust       of ours from ground-truth boxes, with 95 % bootstrap intervals, and of other heads on its network (--head)
  speed       photos a second from file to poses on all CPUs, medians of several rounds (four people: four_people.py)
  memory      peak of a process that predicts 40 photos, MB

Nothing was chosen on the photos of dev_gt.json.
"""

import statistics
import subprocess
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from coco_photos import audited, gains_of, numbers_of, photos_of, predict_all
from harness import DATA, in_turns, parser, run, table

import trustpose as tp
from trustpose.geometry.boxes import paired_iou
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.metrics.average_precision import box_average_precision
from trustpose.metrics.matching import pair_oks
from trustpose.poses import Poses
from trustpose.predict.boxes import boxes_from_truth

PRESENT = 0.5  # IoU with a labelled box
SECOND_CROP = 1.15  # padding
CLOSE_UP = 0.7  # of the photo's height
TRUST = {
    "pose.pearson": "r(pose, OKS)",
    "keypoint.pearson_pose_mean": "r(averages)",
    "keypoint.pearson": "r(keypoint, OPKS)",
    "keypoint.ece": "keypoint ECE",
    "pose.ece": "pose ECE",
    "visibility.labelled.f1": "labelled F1",
    "visibility.ternary.absent.f1": "ternary F1, absent",
    "visibility.ternary.occluded.f1": "ternary F1, occluded",
    "visibility.ternary.visible.f1": "ternary F1, visible",
    "visibility.ternary.total.f1": "ternary F1, total",
    "visibility.occluded.average_precision": "occluded, AP",
    "visibility.occluded.auroc": "occluded, AUROC",
    "visibility.occluded.best_f1": "occluded, best F1",
    "visibility.occluded.given_labelled.average_precision": "occluded given labelled, AP",
}
Row = dict[str, Any]


def precision(truth: TruthFile, poses: Poses, score: np.ndarray) -> Row:
    """AP, AR, AP by the true OKS; mean OKS where poses are labelled people's."""
    record = audited(truth, poses, score)
    row: Row = {name: record.number(f"ap.{name}") for name in ("AP", "AP50", "AP75", "APm", "APl", "AR")}
    row["oracle AP"] = record.number("oracle_ap.AP")
    if poses.annotation_id is not None:
        pairs = pair_oks(poses, truth.truth, sigmas=tp.SKELETONS["coco17"].sigmas, area="file")
        is_same = poses.annotation_id[pairs.pose] == truth.truth.annotation_id[pairs.person]
        row["mean OKS"] = float(pairs.oks[is_same].mean())
    return row


def boxes_row(truth: TruthFile, poses: Poses) -> Row:
    """Box AP and recall of the people found."""
    people = truth.truth
    box = poses.person_box()
    score = poses.ranking_score if poses.box_score is None else poses.box_score
    boxes = box_average_precision(box, score, poses.image_id, people.box, people.image_id, people.iscrowd)
    numbers = {f"box {name}": value for name, value in asdict(boxes).items()}
    height = truth.images.sizes(people.image_id)[:, 1]
    close = np.flatnonzero(((people.box[:, 3] - people.box[:, 1]) > CLOSE_UP * height) & ~people.iscrowd)
    overlaps = [
        paired_iou(people.box[[row]], box[poses.image_id == people.image_id[row]]).max(initial=0) for row in close
    ]
    return numbers | {"close-ups": len(close), "close-up recall": float(np.mean(np.array(overlaps) >= PRESENT))}


def ranking_rows(truth: TruthFile, detected: Poses) -> dict[str, Row]:
    """Keypoint AP of poses in a detector's boxes by each of their scores."""
    scores = {
        "box score": detected.box_score,
        "mean peak × box score": detected.pose_score * detected.box_score,
        "expected OKS × box score": detected.pose_quality * detected.box_score,
        "presence": detected.presence,
        "presence × expected OKS": detected.presence * detected.pose_quality,
    }
    return {name: {"AP": audited(truth, detected, score).number("ap.AP")} for name, score in scores.items()}


def memory(model: str, photos: list[Path]) -> float:
    """The most memory, MB, of a process that predicts photos."""
    # not ru_maxrss: a child inherits its parent's on Linux
    script = (
        "import sys, trustpose; trustpose.load(sys.argv[1])(sys.argv[2:]); "
        "print(*(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    finished = subprocess.run([sys.executable, "-c", script, model, *map(str, photos)], capture_output=True, check=True)
    return float(finished.stdout.split()[-2]) / 1000


def trust_row(truth: TruthFile, poses: Poses, draws: int) -> Row:
    """The numbers of an audit with their intervals, and what ranking by our trust gains over the network's scores."""
    record = audited(truth, poses, draws=draws)
    worth = gains_of(truth, poses, poses.pose_score, draws)
    row = {TRUST[name]: number for name, number in numbers_of(record, TRUST).items()}
    return row | {"AP gain": worth["gain"], "headroom closed": worth["closed"]}


def speeds(predictors: dict[str, Any], photos: list[Any], rounds: int) -> Row:
    """Photos a second of each, in turn, and ours as a multiple of each."""
    work = {name: partial(predict_all, predictor, photos) for name, predictor in predictors.items()}
    timings = in_turns(work, rounds, warm_up=False)
    seconds = {name: [timing.seconds for timing in turns] for name, turns in timings.items()}
    ratios = {name: [a / b for a, b in zip(turns, seconds["ours"], strict=True)] for name, turns in seconds.items()}
    return {
        name: {
            "photos/s": len(photos) / statistics.median(turns),
            "ours is faster by": statistics.median(ratios[name]),
        }
        for name, turns in seconds.items()
    }


def main(options):
    truth = read_coco_truth(options.gt)
    whole = photos_of(truth, options.photos)
    boxes = boxes_from_truth(truth.truth).of_images(truth.images.id)
    boxed = [replace(photo, boxes=people) for photo, people in zip(whole, boxes, strict=True)]

    simplepose, thunder, multipose_file = (
        options.networks / f"{name}.onnx" for name in ("simplepose", "movenet-thunder", "movenet-multipose")
    )
    everybody = {"flip": True, "min_presence": 0}  # as average precision needs
    ours = {
        "ours": tp.load("default", **everybody),
        "ours, fast": tp.load("default", fast=True, **everybody),
        "ours, two crops": tp.load("default", second_crop=SECOND_CROP, **everybody),
    }
    peers = {"MoveNet multipose": tp.load(multipose_file, min_box_score=0.0)}
    if options.mediapipe is not None:
        peers["MediaPipe"] = tp.load(f"mediapipe:{options.mediapipe}", skeleton="coco17")
    result: Row = {"poses": {}, "people": {}, "ranking": {}, "trust": {}, "heads": {}, "speed": {}, "memory": {}}
    rivals = {"SimplePose": tp.load(simplepose, flip=True, codec="dark"), "MoveNet thunder": tp.load(thunder)}
    for name, predictor in (ours | rivals).items():
        poses = predict_all(predictor, boxed)
        result["poses"][name] = precision(truth, poses, poses.pose_score)
        if poses.pose_quality is not None:
            result["poses"][f"{name}, by its expected OKS"] = precision(truth, poses, poses.ranking_score)
        if name in ours:
            result["heads"][name] = trust_row(truth, poses, options.draws)
    result["trust"] = result["heads"].pop("ours")
    for name, folder in (head.split("=", 1) for head in options.head):
        poses = predict_all(tp.load(folder, flip=True), boxed)
        result["heads"][name] = trust_row(truth, poses, options.draws)
    for name, predictor in (ours | peers).items():
        poses = predict_all(predictor, whole)
        result["people"][name] = boxes_row(truth, poses) | precision(truth, poses, poses.ranking_score)
        if name == "ours":
            result["ranking"] = ranking_rows(truth, poses)
    table("poses from ground-truth boxes", result["poses"])
    table("people found in whole photos", result["people"])
    table("people found, ranked by", result["ranking"])
    table("trust, from ground-truth boxes", {"ours": result["trust"], **result["heads"]}, down=True)
    if options.rounds:
        plain = {"ours": tp.load("default"), "ours, fast": tp.load("default", fast=True)}
        slow = {"ours, flip": ours["ours"], "ours, two crops": ours["ours, two crops"]}
        result["speed"] = speeds({**plain, **slow, **peers}, whole, options.rounds)
        table("speed, files to poses", result["speed"], ".2f")
        for name, model in {"ours": "default", "MoveNet multipose": str(multipose_file)}.items():
            result["memory"][name] = {"MB": memory(model, [photo.source for photo in whole[:40]])}
        table("memory", result["memory"], ".0f")
    return result


if __name__ == "__main__":
    options_parser = parser(__doc__, "draws", "rounds", "mediapipe")
    add = options_parser.add_argument
    add("--gt", type=Path, default=DATA / "coco" / "dev_gt.json", help="ground truth")
    add("--photos", type=Path, default=DATA / "coco" / "dev", help="folder of its photos")
    add("--networks", type=Path, default=DATA / "networks", help="folder of the peers")
    add("--head", action="append", default=[], help="NAME=FOLDER: another head on the same network")
    run(main, options_parser)
