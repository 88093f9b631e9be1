"""The model that comes with the package, beside the networks that it can be compared with, on the same photos.

    python benchmarks/default_model.py [--gt FILE --photos FOLDER] [--networks FOLDER] [--mediapipe FILE.task]
                                       [--draws N] [--rounds N]

Four tables, then one line of JSON with all of it:

  poses       from ground-truth boxes: COCO AP and AR, AP if the true OKS ranked, mean OKS. Ours, its fast setting and
              SimplePose with flip test and DARK, MoveNet thunder as it is
  people      from whole photos: AP of boxes, recall at IoU 0.5, and COCO AP of the keypoints of the people found: our
              detector with our network, MoveNet multipose
  trust       what ours says of its poses from ground-truth boxes, with 95 % intervals from drawing photos
  speed       photos a second from file to poses on all CPUs, in turn over several rounds, medians: ours, MoveNet
              multipose, and MediaPipe's pose landmarker (one person a photo) where its file is given

Photos are those of dev_gt.json in TRUSTPOSE_DATA, on which nothing was trained or chosen.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

import trustpose as tp
from trustpose.audit.build import audit
from trustpose.audit.rescoring import rescoring
from trustpose.files import InputError
from trustpose.formats.coco import ResultsFile, TruthFile, read_truth
from trustpose.metrics.box_average_precision import box_average_precision
from trustpose.metrics.matching import pair_oks
from trustpose.poses import Poses
from trustpose.predict.boxes import boxes_from_truth
from trustpose.predict.photos import Image

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
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
}
Row = dict[str, Any]


def poses_of(predictor: Any, photos: list[Image]) -> Poses:
    """Everybody's poses. Raises InputError where a photo cannot be read."""
    parts = []
    for prediction in predictor.stream(photos):
        if prediction.error is not None:
            raise prediction.error
        parts.append(prediction.poses)
    return Poses.concatenate(parts)


def audited(truth: TruthFile, poses: Poses, score: np.ndarray, draws: int) -> Any:
    results = ResultsFile(poses, score, np.full(len(poses), truth.category_id), "predictions in memory", "")
    return audit(truth, results, replicates=draws)


def precision(truth: TruthFile, poses: Poses, score: np.ndarray) -> Row:
    """AP, AR, AP by the true OKS; mean OKS where poses are labelled people's."""
    record = audited(truth, poses, score, 0)
    row: Row = {name: record.number(f"ap.{name}") for name in ("AP", "AP50", "AP75", "APm", "APl", "AR")}
    row["oracle AP"] = record.number("oracle_ap.AP")
    if poses.annotation_id is not None:
        assert truth.truth.annotation_id is not None
        pairs = pair_oks(poses, truth.truth, sigmas=tp.SKELETONS["coco17"].sigmas, area="file")
        own = poses.annotation_id[pairs.pose] == truth.truth.annotation_id[pairs.person]
        row["mean OKS"] = float(pairs.oks[own].mean())
    return row


def boxes_row(truth: TruthFile, poses: Poses) -> Row:
    """Box AP and recall of the people found."""
    people = truth.truth
    assert poses.box is not None and poses.box_score is not None and poses.image_id is not None
    assert people.box is not None and people.image_id is not None
    found = box_average_precision(
        poses.box, poses.box_score, poses.image_id, people.box, people.image_id, people.iscrowd
    )
    return {f"box {name}": value for name, value in asdict(found).items()}


def trust_row(truth: TruthFile, poses: Poses, draws: int) -> Row:
    record = audited(truth, poses, poses.ranking_score, draws)
    row: Row = {}
    for name, label in TRUST.items():
        value = record.number(name)
        row[label] = None if value is None else [value, *record.intervals.get(name, ())]
    assert poses.pose_score is not None
    worth = rescoring(truth, poses, poses.pose_score, poses.ranking_score, replicates=draws)
    row["AP gain"] = [worth.gain, *worth.intervals.get("gain", ())]
    row["headroom closed"] = None if worth.closed is None else [worth.closed, *worth.intervals.get("closed", ())]
    return row


def speeds(runs: dict[str, Callable[[], Any]], photos: int, rounds: int) -> Row:
    """Photos a second of each, in turn, and ours as a multiple of each."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    rows: Row = {}
    for name, taken in seconds.items():
        ratio = statistics.median(other / own for own, other in zip(seconds["ours"], taken, strict=True))
        rows[name] = {"photos/s": photos / statistics.median(taken), "ours is faster by": ratio}
    return rows


def show(title: str, table: dict[str, Row]) -> None:
    """Rows below each other, numbers to three places."""
    print(f"\n{title}")
    names = list(dict.fromkeys(name for row in table.values() for name in row))
    width = max(map(len, [*table, ""])) + 2
    print(" " * width + "  ".join(f"{name:>10}" for name in names))
    for label, row in table.items():
        print(f"{label:<{width}}" + "  ".join(f"{_cell(row.get(name)):>{max(10, len(name))}}" for name in names))


def _cell(value: Any) -> str:
    return "–" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gt", type=Path, default=DATA / "coco" / "dev_gt.json")
    parser.add_argument("--photos", type=Path, default=DATA / "coco" / "dev")
    parser.add_argument("--networks", type=Path, default=DATA / "networks")
    parser.add_argument("--mediapipe", type=Path, help="MediaPipe's pose landmarker bundle")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5, help="of the speed test; 0 leaves it out")
    return parser.parse_args()


def run(given: argparse.Namespace) -> None:
    truth = read_truth(given.gt)
    images = truth.images
    boxes = boxes_from_truth(truth.truth).of_images(images.id)
    paths = [given.photos / str(name) for name in images.file_name]
    whole = [Image(path, None, int(image)) for path, image in zip(paths, images.id, strict=True)]
    boxed = [replace(photo, boxes=box) for photo, box in zip(whole, boxes, strict=True)]

    ours, fast = tp.load("default", flip=True), tp.load("default", fast=True, flip=True)
    multipose = tp.load(given.networks / "movenet-multipose.onnx", min_score=0.0)
    result: Row = {"poses": {}, "people": {}, "trust": {}, "speed": {}}
    for name, predictor in {
        "ours": ours,
        "ours, fast": fast,
        "SimplePose": tp.load(given.networks / "simplepose.onnx", flip=True, decoding="dark"),
        "MoveNet thunder": tp.load(given.networks / "movenet-thunder.onnx"),
    }.items():
        poses = poses_of(predictor, boxed)
        assert poses.pose_score is not None
        result["poses"][name] = precision(truth, poses, poses.pose_score)
        if name.startswith("ours"):
            result["poses"][f"{name}, by its expected OKS"] = precision(truth, poses, poses.ranking_score)
            result["trust" + name.removeprefix("ours")] = trust_row(truth, poses, given.draws)
    for name, predictor in {"ours": ours, "ours, fast": fast, "MoveNet multipose": multipose}.items():
        found = poses_of(predictor, whole)
        result["people"][name] = boxes_row(truth, found) | precision(truth, found, found.ranking_score)
    if given.rounds:
        plain, quick = tp.load("default"), tp.load("default", fast=True)
        runs: dict[str, Callable[[], Any]] = {
            "ours": lambda: poses_of(plain, whole),
            "ours, fast": lambda: poses_of(quick, whole),
            "ours, flip": lambda: poses_of(ours, whole),
            "MoveNet multipose": lambda: poses_of(multipose, whole),
        }
        if given.mediapipe is not None:
            mediapipe = tp.load(f"mediapipe:{given.mediapipe}")
            runs["MediaPipe"] = lambda: poses_of(mediapipe, whole)
        result["speed"] = speeds(runs, len(whole), given.rounds)
    show("Poses from ground-truth boxes", result["poses"])
    show("People found in whole photos", result["people"])
    for title in ("trust", "trust, fast"):
        print(f"\n{title.capitalize()}, from ground-truth boxes")
        for label, value in result[title].items():
            interval = "" if value is None or len(value) < 3 else f" ({value[1]:.3f}–{value[2]:.3f})"
            print(f"{label:<22}" + ("–" if value is None else f"{value[0]:.3f}{interval}"))
    if result["speed"]:
        show("Speed, files to poses", result["speed"])
    print(json.dumps(result))


if __name__ == "__main__":
    try:
        run(arguments())
    except InputError as error:
        sys.exit(f"{error}")
