"""The bundled model compared with other networks on the same photos.

    python benchmarks/default_model.py [--gt FILE --photos FOLDER] [--networks FOLDER]
                                       [--mediapipe FILE.task] [--head NAME=FOLDER …] [--draws N] [--rounds N]

Tables, then one line of JSON with all of them:

  poses       from ground-truth boxes: COCO AP and AR, AP if the true OKS ranked, mean OKS. Ours, its fast setting, ours
              with a second crop, SimplePose with flip test, MoveNet thunder as it is
  people      from whole photos: AP of boxes, recall at IoU 0.5, of close-ups too (people higher than 70 % of their
              photo), and COCO AP of the keypoints: ours, MoveNet multipose, and MediaPipe's pose
              landmarker (one person a photo) where its file is given
  boxes       AUROC of our scores: boxes of people (IoU of 0.5 or more with a labelled box) against others (below 0.1);
              and keypoint AP ranked by each score, without suppression
  trust       of ours from ground-truth boxes, with 95 % bootstrap intervals, and of other heads on its network (--head)
  speed       photos a second from file to poses on all CPUs, medians of several rounds (four people: four_people.py)
  memory      peak of a process that predicts 40 photos, MB

Nothing was chosen on the photos of dev_gt.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import trustpose as tp
from trustpose.evaluation.audit import audit
from trustpose.evaluation.rescoring import rescoring
from trustpose.files import InputError
from trustpose.formats.coco import ResultsFile, TruthFile, read_truth
from trustpose.geometry.boxes import paired_iou
from trustpose.metrics.binary_ranking import binary_ranking
from trustpose.metrics.box_average_precision import box_average_precision
from trustpose.metrics.matching import pair_oks
from trustpose.poses import Poses
from trustpose.predict.boxes import boxes_from_truth
from trustpose.predict.photos import Image

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
PRESENT, NOBODY = 0.5, 0.1  # IoU with a labelled box: at least, and below
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


def poses_of(predictor: Any, photos: list[Image]) -> Poses:
    """The poses of all people. Raises InputError if a photo cannot be read."""
    parts = []
    for prediction in predictor.stream(photos):
        if prediction.error is not None:
            raise prediction.error
        parts.append(prediction.poses)
    return Poses.concatenate(parts)


def audited(truth: TruthFile, poses: Poses, score: np.ndarray, draws: int) -> Any:
    results = ResultsFile(poses, score, np.full(len(poses), truth.category_id), "predictions in memory", "")
    return audit(truth, results, draws=draws)


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
    assert poses.image_id is not None and people.box is not None and people.image_id is not None
    box = poses.person_box()
    score = poses.ranking_score if poses.box_score is None else poses.box_score
    found = box_average_precision(box, score, poses.image_id, people.box, people.image_id, people.iscrowd)
    row = {f"box {name}": value for name, value in asdict(found).items()}
    height = truth.images.sizes(people.image_id)[:, 1]
    close = np.flatnonzero(((people.box[:, 3] - people.box[:, 1]) > CLOSE_UP * height) & ~people.iscrowd)
    overlaps = [paired_iou(people.box[[at]], box[poses.image_id == people.image_id[at]]).max(initial=0) for at in close]
    return row | {"close-ups": len(close), "close-up recall": float(np.mean(np.array(overlaps) >= PRESENT))}


def ranking_rows(truth: TruthFile, detected: Poses) -> dict[str, Row]:
    """AUROC and keypoint AP by each score of poses in a detector's boxes."""
    people = truth.truth
    assert detected.box is not None and detected.box_score is not None and detected.pose_quality is not None
    assert people.box is not None and detected.pose_score is not None and detected.presence is not None
    overlap = np.array(
        [
            paired_iou(people.box[people.image_id == image], box[None]).max(initial=0)
            for image, box in zip(detected.image_id, detected.box, strict=True)  # type: ignore[arg-type]
        ]
    )
    is_clear = (overlap >= PRESENT) | (overlap < NOBODY)
    scores = {
        "box score": detected.box_score,
        "mean peak × box score": detected.pose_score * detected.box_score,
        "expected OKS × box score": detected.pose_quality * detected.box_score,
        "presence": detected.presence,
        "presence × expected OKS": detected.presence * detected.pose_quality,
    }
    rows = {}
    for name, score in scores.items():
        area = float(binary_ranking(score[is_clear], overlap[is_clear] >= PRESENT).auroc)
        rows[name] = {"AUROC": area, "AP": audited(truth, detected, score, 0).number("ap.AP")}
    rows[name] |= {"somebody": int((overlap >= PRESENT).sum()), "nobody": int((overlap < NOBODY).sum())}
    return rows


def memory(model: str, photos: list[Path]) -> float:
    """The most memory, MB, of a process that predicts photos."""
    # not ru_maxrss: a child inherits its parent's on Linux
    script = (
        "import sys, trustpose; trustpose.load(sys.argv[1])(sys.argv[2:]); "
        "print(*(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run([sys.executable, "-c", script, model, *map(str, photos)], capture_output=True, check=True)
    return float(done.stdout.split()[-2]) / 1000


def trust_row(truth: TruthFile, poses: Poses, draws: int) -> Row:
    record = audited(truth, poses, poses.ranking_score, draws)
    row: Row = {}
    for name, label in TRUST.items():
        value = record.number(name)
        row[label] = None if value is None else [value, *record.intervals.get(name, ())]
    assert poses.pose_score is not None
    worth = rescoring(truth, poses, poses.pose_score, poses.ranking_score, draws=draws)
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
    parser.add_argument("--head", action="append", default=[], help="NAME=FOLDER: another head on the same network")
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

    simplepose, thunder, multipose_file = (
        given.networks / f"{name}.onnx" for name in ("simplepose", "movenet-thunder", "movenet-multipose")
    )
    everybody: Row = {"min_presence": 0}  # as average precision needs
    ours = tp.load("default", flip=True, **everybody)
    multipose = tp.load(multipose_file, min_box_score=0.0)
    peers = {"MoveNet multipose": multipose}
    if given.mediapipe is not None:
        peers["MediaPipe"] = tp.load(f"mediapipe:{given.mediapipe}", skeleton="coco17")
    result: Row = {"poses": {}, "people": {}, "boxes": {}, "trust": {}, "heads": {}, "speed": {}, "memory": {}}
    fast, careful = (
        tp.load("default", flip=True, **everybody, **options)
        for options in ({"fast": True}, {"second_crop": SECOND_CROP})
    )
    for name, predictor in {
        "ours": ours,
        "ours, fast": fast,
        "ours, two crops": careful,
        "SimplePose": tp.load(simplepose, flip=True, codec="dark"),
        "MoveNet thunder": tp.load(thunder),
    }.items():
        poses = poses_of(predictor, boxed)
        assert poses.pose_score is not None
        result["poses"][name] = precision(truth, poses, poses.pose_score)
        if poses.pose_quality is not None:
            result["poses"][f"{name}, by its expected OKS"] = precision(truth, poses, poses.ranking_score)
        if name == "ours":
            result["trust"] = trust_row(truth, poses, given.draws)
        if name in ("ours, fast", "ours, two crops"):
            result["heads"][name] = trust_row(truth, poses, given.draws)
    for name, folder in (one.split("=", 1) for one in given.head):
        result["heads"][name] = trust_row(truth, poses_of(tp.load(folder, flip=True), boxed), given.draws)
    for name, predictor in {"ours": ours, "ours, fast": fast, "ours, two crops": careful, **peers}.items():
        found = poses_of(predictor, whole)
        result["people"][name] = boxes_row(truth, found) | precision(truth, found, found.ranking_score)
    result["boxes"] = ranking_rows(truth, poses_of(ours, whole))
    if given.rounds:
        runs: dict[str, Any] = {
            "ours": tp.load("default"),
            "ours, fast": tp.load("default", fast=True),
            "ours, flip": ours,
            "ours, two crops": careful,
            **peers,
        }
        timed = {name: partial(poses_of, predictor, whole) for name, predictor in runs.items()}
        result["speed"] = speeds(timed, len(whole), given.rounds)
        for name, model in {"ours": "default", "MoveNet multipose": str(multipose_file)}.items():
            result["memory"][name] = {"MB": memory(model, paths[:40])}
    print_tables(result)


def print_tables(result: Row) -> None:
    show("Poses from ground-truth boxes", result["poses"])
    show("People found in whole photos", result["people"])
    show("Boxes with and without a person", result["boxes"])
    for title, trust in {"ours": result["trust"], **result["heads"]}.items():
        print(f"\nTrust, from ground-truth boxes: {title}")
        for label, value in trust.items():
            interval = "" if value is None or len(value) < 3 else f" ({value[1]:.3f}–{value[2]:.3f})"
            print(f"{label:<28}" + ("–" if value is None else f"{value[0]:.3f}{interval}"))
    if result["speed"]:
        show("Speed, files to poses", result["speed"])
    if result["memory"]:
        show("Memory", result["memory"])
    print(json.dumps(result))


if __name__ == "__main__":
    try:
        run(arguments())
    except InputError as error:
        sys.exit(f"{error}")
