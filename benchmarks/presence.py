"""Trust on detected people: presence, expected OKS and OPKS where nobody gives boxes, as a newcomer runs it first.

    python benchmarks/presence.py [--lspet N] [--only NAME ...]

On the photos of `dev`, on which nothing was fitted or chosen, from the models' own detectors: the default with and
without flip test, its fast setting likewise, and MoveNet multipose with its shipped calibrator.

  everybody   --min-presence 0: AP; presence's AUROC and ECE, also with the greedy matching by IoU instead of by
              presence, and, for the default, after the 200 surest unmatched boxes were judged by eye
              (presence_by_eye.json: "person", "loose": a person in a poor box, "picture", "none")
  shown       at the default threshold: people, share of the labelled people shown, share of those shown that are boxed
              people (precision), the same where the judgements count ("person" or "loose" is somebody)
  trade-off   at the default threshold, at the highest that shows .80 of the labelled people, at the lowest with a
              precision of .82, and at the lowest of all, .01: labelled people shown, and precision
  trust       of everybody and of those shown: pose and keypoint ECE, the 95 % range of a perfect estimator's pose ECE
              (expected OKS made exact by isotonic regression, photos drawn anew), bias, Pearson
  crowds      the same of those shown, in thirds of the labelled photos by crowd index
  lspet       the default's trust on the first N people of LSPET that it finds, of another domain
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from coco_photos import audited, ground_truth, photos_of, predict_all, thirds_by_crowding
from harness import DATA, parser, run, table
from scipy.optimize import isotonic_regression

import trustpose as tp
from trustpose.datasets.lspet import read_lspet
from trustpose.geometry.boxes import paired_iou
from trustpose.geometry.oks import oks
from trustpose.io.coco.truth import TruthFile
from trustpose.metrics.classification import binary_ranking, presence_targets
from trustpose.metrics.reliability import expected_calibration_error
from trustpose.poses import Poses, box_size
from trustpose.predict.base_predictor import present_people
from trustpose.predict.photos import Image

BY_EYE = Path(__file__).with_name("presence_by_eye.json")
LEAST_SHOWN, LEAST_PRECISION = 0.80, 0.82  # aimed at: of the labelled people, of those shown
Row = dict[str, Any]
MULTIPOSE = DATA / "networks" / "movenet-multipose.onnx"
MODELS: dict[str, tuple[str, Row]] = {
    "default": ("default", {}),
    "default, flip": ("default", {"flip": True}),
    "fast": ("default", {"fast": True}),
    "fast, flip": ("default", {"fast": True, "flip": True}),
    "MoveNet multipose": (str(MULTIPOSE), {"calibrator": "shipped:movenet-multipose", "min_box_score": 0.0}),
}


def everybody(name: str, photos: Iterable[Image]) -> tuple[Poses, float]:
    """All people of the photos, and the model's default threshold of presence."""
    model, options = MODELS[name]
    return predict_all(tp.load(model, min_presence=0, **options), photos), tp.load(model, **options).min_presence


def presence_row(truth: TruthFile, poses: Poses, somebody: np.ndarray | None) -> Row:
    """AUROC and ECE of the presence of all people. somebody (N,): judged by eye to be there, for those unmatched."""
    record, complete = audited(truth, poses), truth.images.id[truth.all_people_boxed]
    row: Row = {"people": len(poses), "AP": record.number("ap.AP")}
    row |= {"AUROC": record.presence.auroc, "ECE": record.presence.ece}
    by_iou = _matched_by_iou(poses, truth)
    row["AUROC by IoU"] = float(binary_ranking(poses.presence, by_iou).auroc)
    row["ECE by IoU"] = float(expected_calibration_error(poses.presence, by_iou.astype(np.float64)))
    if somebody is not None:
        target = (presence_targets(poses, truth.truth, poses.presence, complete)[0] >= 0) | somebody
        row["AUROC by eye"] = float(binary_ranking(poses.presence, target).auroc)
        row["ECE by eye"] = float(expected_calibration_error(poses.presence, target.astype(np.float64)))
    return row


def _matched_by_iou(poses: Poses, truth: TruthFile) -> np.ndarray:
    """Which poses are present if pairs are taken in the order of their IoU, not of presence."""
    best = np.zeros(len(poses))
    for image in np.unique(poses.image_id):
        rows = np.flatnonzero(poses.image_id == image)
        true = truth.truth.box[truth.truth.image_id == image]
        if len(true):
            best[rows] = paired_iou(poses.box[rows][:, None], true).max(axis=1)
    return presence_targets(poses, truth.truth, best, truth.images.id)[0] >= 0


def judged(poses: Poses, kinds: tuple[str, ...]) -> np.ndarray:
    """Which of the poses (N,) were judged by eye to be of one of these kinds."""
    is_judged = np.zeros(len(poses), np.bool_)
    for entry in json.loads(BY_EYE.read_text()):
        if entry["judgement"] in kinds:
            x, y, width, height = entry["box"]
            rows = np.flatnonzero(poses.image_id == entry["image_id"])
            same = paired_iou(poses.box[rows], np.array([x, y, x + width, y + height])) > 0.9
            is_judged[rows[same]] = True
    return is_judged


def shown_at(truth: TruthFile, poses: Poses, threshold: float) -> tuple[Poses, np.ndarray, Row]:
    """Who is shown at the threshold: poses (n,), the truth row of the person for whom each is the one box (n,), -1 for
    none, and the shares of people and boxes."""
    people = truth.truth
    poses = present_people(poses, threshold)
    person, _ = presence_targets(poses, people, poses.presence, truth.images.id)
    labelled = (people.v > 0).any(axis=1)
    row: Row = {"threshold": threshold, "shown": len(poses)}
    row["labelled people shown"] = float(labelled[person[person >= 0]].sum() / labelled.sum())
    row["precision"] = float((person >= 0).mean())
    return poses, person, row


def shown_row(truth: TruthFile, poses: Poses, threshold: float, is_judged: bool) -> Row:
    """The shares at one threshold, by eye too."""
    poses, person, row = shown_at(truth, poses, threshold)
    if is_judged:
        row["precision by eye"] = float(((person >= 0) | judged(poses, ("person", "loose"))).mean())
        row["… in a good box"] = float(((person >= 0) | judged(poses, ("person",))).mean())
    return row


def trade_off(truth: TruthFile, poses: Poses, threshold: float) -> dict[str, Row]:
    """The shares at the default threshold and at others that reach what was aimed at; a row only where one does."""
    rows = [shown_at(truth, poses, number)[2] for number in np.arange(1, 100) / 100]
    complete = [row for row in rows if row["labelled people shown"] >= LEAST_SHOWN]
    precise = [row for row in rows if row["precision"] >= LEAST_PRECISION]
    table = {"default threshold": shown_at(truth, poses, threshold)[2]}
    table |= {f"{LEAST_SHOWN:.2f} shown": complete[-1]} if complete else {}
    table |= {f"precision {LEAST_PRECISION:.2f}": precise[0]} if precise else {}
    return table | {"lowest threshold": rows[0]}


def trust_row(truth: TruthFile, poses: Poses, draws: int) -> Row:
    """Calibration of expected OKS and OPKS over paired people."""
    record = audited(truth, poses)
    details = record.details
    expected, true = details.pose_score[details.measured], details.oks[details.measured]
    photo = details.poses.image_id[details.measured]
    low, high = perfect_range(expected, true, photo, draws)
    keypoint = details.keypoint_score.mean() - details.opks.mean()
    return {
        "pairs": len(true),
        "pose ECE": record.number("pose.ece"),
        "perfect": f"{low:.3f}–{high:.3f}",
        "pose bias": float(expected.mean() - true.mean()),
        "r(pose)": record.number("pose.pearson"),
        "keypoint ECE": record.number("keypoint.ece"),
        "keypoint bias": float(keypoint),
        "r(keypoint)": record.number("keypoint.pearson"),
    }


def perfect_range(expected: np.ndarray, true: np.ndarray, photo: np.ndarray, draws: int) -> tuple[float, float]:
    """The 95 % range of the ECE of an estimator that is exactly calibrated, with as many people."""
    order, exact = np.argsort(expected, kind="stable"), np.empty(len(expected))
    exact[order] = isotonic_regression(true[order]).x
    random, rows = np.random.default_rng(0), [np.flatnonzero(photo == image) for image in np.unique(photo)]
    values = []
    for _ in range(draws):
        drawn = np.concatenate([rows[number] for number in random.integers(0, len(rows), len(rows))])
        values.append(expected_calibration_error(exact[drawn].clip(0, 1), true[drawn]))
    return tuple(np.quantile(values, (0.025, 0.975)).tolist())


def lspet_row(count: int, draws: int) -> Row:
    """Expected OKS of the default on LSPET's people, each the pose that ranks highest in its photo."""
    labels = read_lspet(DATA / "lspet")
    files = list(labels.file_name.items())[:count]
    photos = [Image(DATA / "lspet" / "images" / name, None, image) for image, name in files]
    poses, _ = everybody("default", photos)
    rows_by_image = [np.flatnonzero(poses.image_id == image) for image in np.unique(poses.image_id)]
    best = np.array([rows[np.argmax(poses.ranking_score[rows])] for rows in rows_by_image])
    poses, skeleton = poses[best], tp.SKELETONS["coco17"]
    names = labels.truth.skeleton.keypoints
    theirs = [joint for joint, name in enumerate(names) if name in skeleton.keypoints]
    ours = [skeleton.index(names[joint]) for joint in theirs]
    people = labels.truth[np.searchsorted(labels.truth.image_id, poses.image_id)]
    area = box_size(people.box).prod(axis=1) * 0.53
    true = oks(poses.xy[:, ours], people.xy[:, theirs], people.v[:, theirs], area, skeleton.sigmas[ours])
    rows = np.flatnonzero(np.isfinite(true))
    expected = poses.pose_quality[rows]
    low, high = perfect_range(expected, true[rows], poses.image_id[rows], draws)
    return {
        "people": len(rows),
        "expected OKS": float(expected.mean()),
        "true OKS, their 12 joints": float(true[rows].mean()),
        "pose ECE": float(expected_calibration_error(expected, true[rows])),
        "perfect": f"{low:.3f}–{high:.3f}",
        "r(pose)": float(np.corrcoef(expected, true[rows])[0, 1]),
        "presence": float(poses.presence[rows].mean()),
    }


def main(options):
    truth = ground_truth(DATA, "dev")
    photos = photos_of(truth, DATA / "coco" / "dev")
    result: dict[str, dict[str, Row]] = {
        name: {} for name in ("everybody", "shown", "trade-off", "trust", "crowds", "lspet")
    }
    thirds = dict(zip(("least", "middle", "most"), thirds_by_crowding(truth.truth), strict=True))
    for name in options.only:
        poses, threshold = everybody(name, photos)
        is_judged = name == "default"
        somebody = judged(poses, ("person",)) if is_judged else None
        shown = present_people(poses, threshold)
        result["everybody"][name] = presence_row(truth, poses, somebody)
        result["shown"][name] = shown_row(truth, poses, threshold, is_judged)
        for label, row in trade_off(truth, poses, threshold).items():
            result["trade-off"][f"{name}, {label}"] = row
        result["trust"][f"{name}, everybody"] = trust_row(truth, poses, options.draws)
        result["trust"][f"{name}, shown"] = trust_row(truth, shown, options.draws)
        for third, images in thirds.items():
            inside = shown[np.flatnonzero(np.isin(shown.image_id, images))]
            result["crowds"][f"{name}, {third} crowded"] = trust_row(truth, inside, options.draws)
    if options.lspet:
        result["lspet"]["default"] = lspet_row(options.lspet, options.draws)
    for title, rows in result.items():
        if rows:
            table(title, rows)
    return result


if __name__ == "__main__":
    options_parser = parser(__doc__, "draws")
    options_parser.add_argument("--lspet", type=int, default=300, help="people; 0: none")
    models = {"choices": list(MODELS), "default": list(MODELS)}
    options_parser.add_argument("--only", nargs="+", **models, help="these models alone")
    run(main, options_parser)
