"""How the default's presence was fitted, and what else was tried, on photos of `train`.

    python benchmarks/presence_fit.py [--cache FOLDER] [--photos N]

The default predicts the photos that its networks have not seen (those of val2017: 1,374), without presence and without
corrections of what it expects; its results are kept in --cache and read from there the next time. All is
cross-validated by photo, in the folds of `tools/fit_presence.py`, whose functions fit:

  presence    AUROC and ECE of the box score alone, of logistic regressions on fewer features, on those of the model as
              shipped, and of gradient-boosted trees on more
  ranking     AP (COCO's, with everybody) of products of presence, expected OKS and box score, and with soft-NMS
  F1          of the people shown at each threshold, by which min_presence was chosen: precision among boxed people,
              recall among labelled ones
  min_score   what `predict --min-score` saves: crops that the network need not see, who is then shown at the default
              threshold, and AP of those shown and of everybody
  skipped     the same for boxes that prediction skips if it is asked for those shown alone, and which count as doubles
              of others (least_box_score of the model's presence); also on `dev`
  expected    mean expected OKS and OPKS less the true ones, before they are corrected for detected boxes
  somebody    what would be nearer to who is there than to whom the labellers boxed: slope and offset of the logit of
              the shipped presence, fitted where another detector (DATA/train_detections.json) is as sure as LEVEL that
              an unmatched box holds a person. Its ECE on `dev` by the labels, and where benchmarks/presence_by_eye.json
              corrects them
  before      the same results and those of `dev` read as the version before presence was told apart wrote them:
              P(person) × expected OKS × box score against OKS, P(person) × expected OPKS against OPKS
"""

import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
from coco_photos import ap_of, ground_truth, in_photos, photos_of, predict_all, results_of
from harness import DATA, parser, run, table
from presence import Row, judged, shown_at

import trustpose as tp
from trustpose.calibration.metrics import find_targets
from trustpose.calibration.presence import Features, PresenceModel, PresenceTargets, best_threshold
from trustpose.calibration.score_maps import fit_logistic, logit, sigmoid
from trustpose.evaluation.audit import audit
from trustpose.geometry.boxes import paired_iou, xywh_to_xyxy
from trustpose.grouping.suppression import suppress
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import TruthFile
from trustpose.metrics.classification import PRESENT_IOU, binary_ranking, presence_targets
from trustpose.metrics.matching import same_image_pairs, take_best_first
from trustpose.metrics.reliability import expected_calibration_error
from trustpose.models.outputs.trust import TrustOutput, on_lines
from trustpose.models.spec import MODEL_JSON, ModelSpec, default_folder
from trustpose.poses import Poses, box_size

sys.path.insert(0, str(Path(__file__).parents[1]))
from tools.fit_presence import cleared, corrections, presence_inputs

CACHE = Path("out") / "presence_fit"  # git ignores it
MIN_SCORES = (0.25, 0.26, 0.27, 0.28, 0.3, 0.35)
LEAST_SCORES = (0.25, 0.28, 0.3, 0.33, 0.36, 0.38, 0.4)
LEVELS = (0.95, 0.9, 0.7, 0.5)  # scores from which the other detector is believed
BEFORE_PRESENCE = 0.2  # P(person) below which the version before left a box out
FEWER = ("box score", "quality", "person", "overlap", "similarity")
TREES = {"n_estimators": 150, "learning_rate": 0.04, "num_leaves": 15, "min_child_samples": 40, "reg_lambda": 5.0}
TREES |= {"subsample": 0.8, "subsample_freq": 1, "colsample_bytree": 0.7}


def predicted(file: Path, part: str, truth: TruthFile) -> Poses:
    """The default's people in the photos of `truth`, from `file` if it exists: `presence` is the head's P(person), and
    nothing is corrected."""
    if not file.exists():
        with tempfile.TemporaryDirectory() as folder:
            model = Path(shutil.copytree(default_folder(), Path(folder) / "default"))
            spec = cleared(json.loads((model / MODEL_JSON).read_text(encoding="utf-8")))
            del spec["fast"]  # its folder is not beside this copy
            (model / MODEL_JSON).write_text(json.dumps(spec), encoding="utf-8")
            file.parent.mkdir(parents=True, exist_ok=True)
            photos = photos_of(truth, DATA / "coco" / part)
            predict_all(tp.load(model, min_presence=0), photos).save(file)
    return replace(read_results(file, truth=truth).poses, skeleton=truth.skeleton)


def out_of_fold(inputs: np.ndarray, target: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Presence (N,) by gradient-boosted trees that were fitted to the other folds."""
    presence = np.empty(len(target))
    for left_out in np.unique(fold):
        inside = fold == left_out
        trees = lightgbm.LGBMClassifier(**TREES, n_jobs=1, verbose=-1).fit(inputs[~inside], target[~inside])
        presence[inside] = np.asarray(trees.predict_proba(inputs[inside]))[:, 1]
    return presence


def more_features(poses: Poses) -> np.ndarray:
    """What only the trees read (N, 13): joints' visibility, expected OPKS, where the labelled joints lie in the box."""
    labelled = 1 - poses.visibility[..., 0]
    ordered = np.sort(labelled, axis=1)
    is_likely = (labelled > 0.5)[..., None]
    low, high = (np.where(is_likely, poses.xy, far) for far in (np.inf, -np.inf))
    tight = np.concatenate([low.min(axis=1), high.max(axis=1)], axis=1)
    tight = np.where(np.isfinite(tight), tight, poses.box)
    size = np.maximum(box_size(poses.box), 1.0)
    columns = [labelled.mean(axis=1), ordered[:, :5].mean(axis=1), ordered[:, -5:].mean(axis=1)]
    columns += [*poses.visibility[..., 1:].mean(axis=1).T, poses.quality.mean(axis=1)]
    columns += [paired_iou(tight, poses.box), np.log(size[:, 0] / size[:, 1]), np.log(size.prod(axis=1))]
    columns += [*((tight - poses.box) / np.tile(size, 2)).T]
    return np.stack(columns, axis=1)


def presence_table(
    poses: Poses, features: Features, targets: PresenceTargets, fold: np.ndarray
) -> tuple[dict[str, Row], np.ndarray]:
    """AUROC and ECE of each way, out of fold, and the presence (N,) of the model as shipped."""
    present = targets.present
    fewer = {name: features[name] for name in FEWER}
    as_shipped = PresenceModel.fit(features, targets, fold, {})[1]
    inputs = np.concatenate([np.stack([*features.values()], axis=1), more_features(poses)], axis=1)
    ways = {
        "box score": poses.box_score,
        "logistic, " + ", ".join(FEWER): PresenceModel.fit(fewer, targets, fold, {})[1],
        "logistic, as shipped": as_shipped,
        "trees, as shipped": out_of_fold(inputs[:, : len(features)], present, fold),
        "trees, and joints and their place": out_of_fold(inputs, present, fold),
    }
    rows: dict[str, Row] = {}
    for name, presence in ways.items():
        error = expected_calibration_error(presence.astype(np.float64), present.astype(np.float64))
        rows[name] = {"AUROC": float(binary_ranking(presence, present).auroc), "ECE": error}
    return rows, as_shipped


def ranking_table(poses: Poses, truth: TruthFile) -> dict[str, Row]:
    """AP of the products by which people may rank, everybody counted."""
    presence, quality, box = poses.presence, poses.pose_quality, poses.box_score
    sigmas = truth.skeleton.sigmas
    shipped = presence * quality
    soft = suppress(poses, shipped, method="soft-oks-nms", threshold=0.5, sigmas=sigmas, area="crop").score
    scores = {
        "presence × expected OKS, as shipped": shipped,
        "the same after soft-NMS": soft,
        "presence × expected OKS × box score": shipped * box,
        "expected OKS × box score": quality * box,
        "presence": presence,
        "box score": box,
    }
    return {name: {"AP": float(ap_of(poses, score, truth.truth))} for name, score in scores.items()}


def f1_table(presence: np.ndarray, targets: PresenceTargets) -> dict[str, Row]:
    """Precision, recall and F1 at thresholds of presence."""
    rows: dict[str, Row] = {}
    best = best_threshold(presence, targets)
    for threshold in sorted({*np.arange(0.3, 0.71, 0.05).round(2).tolist(), best}):
        shown = presence >= threshold
        precision, recall = targets.present[shown].mean(), targets.labelled[shown].sum() / targets.people
        f1 = 2 * precision * recall / (precision + recall)
        rows[f"{threshold:.2f}" + " (best)" * (threshold == best)] = {
            "people": int(shown.sum()),
            "precision": float(precision),
            "recall": float(recall),
            "F1": float(f1),
        }
    return rows


def somebody_table(train: TruthFile, poses: Poses, dev: TruthFile, dev_poses: Poses) -> dict[str, Row]:
    """ECE on `dev`, by labels and by eye, of the shipped presence and of presence that counts the people of another
    detector as well as those of the labellers. Both poses have the shipped presence."""
    present = presence_targets(poses, train.truth, poses.presence, train.images.id)[0] >= 0
    labels = presence_targets(dev_poses, dev.truth, dev_poses.presence, dev.images.id)[0] >= 0
    by_eye = labels | judged(dev_poses, ("person",))
    detections = json.loads((DATA / "coco" / "train_detections.json").read_text(encoding="utf-8"))
    image = np.array([detection["image_id"] for detection in detections])
    box = xywh_to_xyxy(np.array([detection["bbox"] for detection in detections], np.float64))
    score = np.array([detection["score"] for detection in detections])
    shown = {"as shipped": dev_poses.presence}
    inside = np.isin(poses.image_id, image)
    for level in LEVELS:
        sure = score >= level
        pose, row = same_image_pairs(poses.image_id, image[sure])
        overlap = paired_iou(poses.box[pose], box[sure][row])
        near = np.flatnonzero(overlap >= PRESENT_IOU)
        near = near[np.lexsort((-overlap[near], -poses.presence[pose[near]], ~present[pose[near]]))]
        detected = np.full(len(poses), -1)
        take_best_first(pose[near], row[near], detected)
        target = (present | (detected >= 0))[inside].astype(np.float64)
        slope, offset = fit_logistic(logit(poses.presence[inside])[:, None], target)
        shown[f"another detector, {level:.2f}"] = sigmoid(slope * logit(dev_poses.presence) + offset)
    rows: dict[str, Row] = {}
    for name, presence in shown.items():
        numbers: Row = {"mean presence": float(presence.mean())}
        for truth, target in (("by labels", labels), ("by eye", by_eye)):
            numbers |= {
                f"share {truth}": float(target.mean()),
                f"ECE {truth}": float(expected_calibration_error(presence, target.astype(np.float64))),
            }
        rows[name] = numbers
    return rows


def with_presence(poses: Poses, score: float, trust: TrustOutput) -> Poses:
    """Poses in boxes from a score on, with the presence that prediction gives where it skips the others."""
    parts = []
    for _, photo in poses.by_image():
        is_skipped = photo.box_score < score
        people = photo[np.flatnonzero(~is_skipped)]
        parts.append(replace(people, presence=trust.presence(people, people.presence, photo.box[is_skipped])))
    return Poses.concatenate(parts)


def skipped_table(truth: TruthFile, poses: Poses, trust: TrustOutput) -> dict[str, Row]:
    """Who is shown if boxes below a score are skipped; `presence` of the poses is the head's P(person)."""
    rows = {}
    for score in LEAST_SCORES:
        boxed = with_presence(poses, score, trust)
        shown, _, row = shown_at(truth, boxed, trust.presence.min_presence)
        row = {"crops saved": 1 - len(boxed) / len(poses)} | row
        row["AP of those shown"] = float(ap_of(shown, shown.ranking_score, truth.truth))
        rows[f"{score:.2f}"] = row
    return rows


def min_score_table(truth: TruthFile, poses: Poses, trust: TrustOutput) -> dict[str, Row]:
    """What is left if boxes below a score are not looked at; `presence` of the poses is the head's P(person)."""
    rows = {}
    for min_score in MIN_SCORES:
        boxed = poses[np.flatnonzero(poses.box_score >= min_score)]
        boxed = replace(boxed, presence=trust.presence(boxed, boxed.presence))
        shown, _, row = shown_at(truth, boxed, trust.presence.min_presence)
        row = {"crops saved": 1 - len(boxed) / len(poses)} | row
        for name, people in (("AP of those shown", shown), ("AP of everybody", boxed)):
            row[name] = float(ap_of(people, people.ranking_score, truth.truth))
        rows[f"{min_score:.2f}"] = row
    return rows


def before_row(truth: TruthFile, poses: Poses) -> Row:
    """Numbers of the version before: one product for whether and how well, doubles ranked lower by soft-NMS."""
    poses = poses[np.flatnonzero(poses.presence >= BEFORE_PRESENCE)]
    quality = poses.presence * poses.pose_quality
    sigmas = truth.skeleton.sigmas
    score = suppress(
        poses, quality * poses.box_score, method="soft-oks-nms", threshold=0.5, sigmas=sigmas, area="crop"
    ).score
    products = replace(poses, presence=None, pose_quality=quality, quality=poses.quality * poses.presence[:, None])
    results = results_of(truth, products, score)
    by_score, by_quality = (audit(truth, results, score=name, draws=0) for name in ("score", None))
    return {
        "people": len(poses),
        "pose ECE of score": by_score.number("pose.ece"),
        "of pose_quality": by_quality.number("pose.ece"),
        "keypoint ECE": by_score.number("keypoint.ece"),
        "AP": by_score.number("ap.AP"),
    }


def main(options):
    train, dev = (ground_truth(DATA, split) for split in ("train", "dev"))
    is_unseen = np.isin(train.images.id, ground_truth(DATA, "val2017").images.id) & train.all_people_boxed
    train = in_photos(train, train.images.id[is_unseen][: options.photos])
    raw = predicted(options.cache / f"train-{len(train.images)}.json", "train", train)
    lines = corrections(raw, train)
    poses = replace(raw, **on_lines({"pose_quality": raw.pose_quality}, lines))
    features, targets, fold = presence_inputs([poses], train)
    assert len(fold) == len(poses), "all people of these photos have boxes"
    result: dict[str, dict[str, Row]] = {}
    result["presence"], presence = presence_table(poses, features, targets, fold)
    result["ranking"] = ranking_table(replace(poses, presence=presence), train)
    result["F1"] = f1_table(presence, targets)
    matched = find_targets(raw, train.truth, train.skeleton.sigmas, "file")
    matched = matched.of(np.flatnonzero(~matched.unmatched))
    result["expected"] = {
        "OKS": {"too high by": float(raw.pose_quality[matched.rows].mean() - matched.oks.mean())},
        "OPKS": {"too high by": float(raw.quality[matched.rows].mean() - matched.opks.mean())},
    }
    raw_dev = predicted(options.cache / f"dev-{len(dev.images)}.json", "dev", dev)
    trust = ModelSpec.read(default_folder()).trust
    corrected = [
        replace(part, **on_lines({"pose_quality": part.pose_quality}, trust.detected)) for part in (raw, raw_dev)
    ]
    shipped = [replace(part, presence=trust.presence(part, part.presence)) for part in corrected]
    result["min_score"] = min_score_table(train, corrected[0], trust)
    result["skipped"] = skipped_table(train, corrected[0], trust)
    result["skipped, dev"] = skipped_table(dev, corrected[1], trust)
    result["somebody"] = somebody_table(train, shipped[0], dev, shipped[1])
    result["before"] = {"train": before_row(train, raw), "dev": before_row(dev, raw_dev)}
    print(
        f"{len(train.images)} photos, {len(poses)} people in boxes of the default's detector, {targets.people} labelled"
    )
    for title, rows in result.items():
        table(title, rows)
    return result


if __name__ == "__main__":
    options_parser = parser(__doc__)
    options_parser.add_argument("--cache", type=Path, default=CACHE, help="results that were predicted before")
    options_parser.add_argument("--photos", type=int, help="of train, the first N; default: all")
    run(main, options_parser)
