"""Label errors: how well `trustpose review` finds made-up ones of each kind, beside simple scores.

    python benchmarks/review.py [--results NAME TRAIN DEV …] [--share S] [--seeds N]

A share of the labels that can have an error of a kind are spoilt (`reviews.made_up_errors`), one kind at a time, with
other seeds than those of `tools/fit_review.py`, and once all kinds together ("mixture", each of them on people whose
labels the earlier ones left alone). Trust: on the photos of val2017 in `train` from calibrators of the other folds, the
kinds' weights from the other half of the photos; on `dev` from a calibrator of all these photos, and the weights of the
package, which are SimplePose's. All labels that can have the error are ranked.

  AP         average precision of the probability; "ratio": of the likelihood ratio alone
  precision  among as many labels as were spoilt
  distance   AP of the distance from estimate to label, pixels; "score": of the raw score × (1 − OPKS), and for v = 0 of
             the raw score
  formula    AP of the expected OPKS minus the OPKS; for v = 0 of the expected OPKS
  ECE        expected calibration error of the probability, with the kind alone at this share
  jitter     position errors that are as small as good labellers' differences (OPKS .5 to .85), for comparison
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from coco_photos import ground_truth, results_files
from harness import COMMON, Cell, parser, run, table

sys.path.append(str(Path(__file__).parents[1] / "tools"))
from fit_review import weights_of

from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.fit import fit
from trustpose.calibration.options import FitOptions
from trustpose.images import fold_of
from trustpose.io.coco.results import of_photos, read_results
from trustpose.metrics.classification import binary_ranking
from trustpose.metrics.reliability import expected_calibration_error
from trustpose.reviews.evidence import Evidence
from trustpose.reviews.hypotheses import HYPOTHESES
from trustpose.reviews.made_up_errors import spoil
from trustpose.reviews.probabilities import WEIGHTS, probabilities_of
from trustpose.skeletons import COCO_17

ESTIMATORS = {"SimplePose": "simplepose", "MoveNet thunder": "movenet-thunder"}
FIRST_SEED = 1000  # fits use those from 0


def average_precision(target: np.ndarray, score: np.ndarray) -> float:
    return float(binary_ranking(score, target).average_precision)


def baselines(evidence: Evidence, person: np.ndarray, keypoint: np.ndarray) -> dict[str, np.ndarray]:
    """Return the simple scores of labels; of a whole person their means."""
    opks = np.where(evidence.truth.v > 0, np.exp(-((evidence.distance / evidence.scale) ** 2) / 2), 0)
    is_labelled, expected = evidence.truth.v > 0, np.nan_to_num(evidence.quality)
    score = np.nan_to_num(evidence.poses.score)
    unlabelled = expected * (1 - evidence.chance[..., 0])
    scores = {
        "distance": np.where(is_labelled, evidence.distance, 0),
        "score": np.where(is_labelled, score * (1 - opks), score),
        "formula": np.where(is_labelled, expected - opks, unlabelled),
    }
    return {
        name: values.mean(axis=1)[person] if (keypoint < 0).all() else values[person, keypoint]
        for name, values in scores.items()
    }


def row(evidence: Evidence, kind: str, share: float, seeds: range, weights, *, jitter: bool = False) -> dict[str, Cell]:
    """Return the numbers of a kind, mean over the seeds."""
    rows = []
    for seed in seeds:
        truth, spoilt = spoil(evidence, kind, share, seed, jitter=jitter)
        changed = replace(evidence, truth=truth)
        suspects = probabilities_of(changed, weights)[kind]
        person, keypoint, probability = suspects.person, suspects.keypoint, suspects.probability
        target = spoilt[person] if spoilt.ndim == 1 else spoilt[person, keypoint]
        ratio = HYPOTHESES[kind](changed).ratio[person if spoilt.ndim == 1 else (person, keypoint)]
        rows.append(measured(target, probability, ratio, baselines(changed, person, keypoint)))
    return {name: float(np.mean([numbers[name] for numbers in rows])) for name in rows[0]}


def measured(
    target: np.ndarray, probability: np.ndarray, ratio: np.ndarray, others: dict[str, np.ndarray]
) -> dict[str, float]:
    first = np.argsort(-probability, kind="stable")[: target.sum()]
    return {
        "spoilt": int(target.sum()),
        "AP": average_precision(target, probability),
        "precision": float(target[first].mean()),
        "ratio": average_precision(target, ratio),
        **{name: average_precision(target, score) for name, score in others.items()},
        "ECE": expected_calibration_error(probability, target.astype(np.float64)),
    }


def mixture(evidence: Evidence, share: float, seeds: range, weights) -> dict[str, dict[str, Cell]]:
    """Return the numbers of the kinds when all are in the same labels, each with this share."""
    by_kind: dict[str, list[dict[str, float]]] = {kind: [] for kind in HYPOTHESES}
    for seed in seeds:
        changed, wrong = evidence, {}
        taken = np.zeros(evidence.truth.v.shape, bool)
        for number, kind in enumerate(HYPOTHESES):
            truth, spoilt = spoil(changed, kind, share, seed * len(HYPOTHESES) + number)
            of_keypoints = np.broadcast_to(spoilt[:, None] if spoilt.ndim == 1 else spoilt, taken.shape)
            partner = of_keypoints | (of_keypoints[:, COCO_17.flip_index] if "swapped" in kind else False)
            clash = (partner & taken).any(axis=1)  # the person keeps the labels of the earlier kinds
            keep = ~clash
            xy = np.where(keep[:, None, None], truth.xy, changed.truth.xy)
            v = np.where(keep[:, None], truth.v, changed.truth.v)
            changed = replace(changed, truth=replace(truth, xy=xy, v=v, num_keypoints=None))
            wrong[kind] = spoilt & (keep if spoilt.ndim == 1 else keep[:, None])
            taken |= partner & keep[:, None]
        changed = replace(evidence, truth=changed.truth)
        probabilities = probabilities_of(changed, weights)
        for kind, spoilt in wrong.items():
            person, keypoint = probabilities[kind].person, probabilities[kind].keypoint
            ratio = HYPOTHESES[kind](changed).ratio[person if spoilt.ndim == 1 else (person, keypoint)]
            target = spoilt[person] if spoilt.ndim == 1 else spoilt[person, keypoint]
            others = baselines(changed, person, keypoint)
            by_kind[kind].append(measured(target, probabilities[kind].probability, ratio, others))
    return {
        f"{kind}, mixture": {name: float(np.mean([numbers[name] for numbers in rows])) for name in rows[0]}
        for kind, rows in by_kind.items()
    }


def rows_of(evidence: Evidence, options, weights) -> dict[str, dict[str, Cell]]:
    seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
    rows = {kind: row(evidence, kind, options.share, seeds, weights) for kind in HYPOTHESES}
    rows["position, jitter"] = row(evidence, "position", options.share, seeds, weights, jitter=True)
    return rows | mixture(evidence, options.share, seeds, weights)


def main(options):
    truth = {split: ground_truth(options.data, split) for split in ("train", "dev")}
    unseen = np.intersect1d(truth["train"].images.id, ground_truth(options.data, "val2017").images.id)
    record = {}
    for name, train, dev in results_files(options, ESTIMATORS):
        labels, results = of_photos(truth["train"], read_results(train, truth=truth["train"]), unseen)[:2]
        fitted = fit(labels, results, FitOptions(draws=1))
        evidence = Evidence.of(labels.truth, replace(fitted.out_of_fold, error_model=fitted.parts.errors), COCO_17)
        half = fold_of(evidence.truth.image_id, 2)
        halves = []
        for number in (0, 1):
            weights = weights_of(evidence[np.flatnonzero(half != number)], range(5))
            halves.append(rows_of(evidence[np.flatnonzero(half == number)], options, weights))
        record[f"{name}, train"] = {
            kind: {
                number: halves[0][kind][number] + halves[1][kind][number]
                if number == "spoilt"
                else (halves[0][kind][number] + halves[1][kind][number]) / 2
                for number in halves[0][kind]
            }
            for kind in halves[0]
        }
        table(f"{name}, train, out of fold", record[f"{name}, train"], spoilt=".0f")
        poses = Calibrator.of(fitted.parts)(read_results(dev, truth=truth["dev"]).poses)
        evidence = Evidence.of(truth["dev"].truth, poses, COCO_17)
        record[f"{name}, dev"] = rows_of(evidence, options, WEIGHTS)
        table(f"{name}, dev", record[f"{name}, dev"], spoilt=".0f")
    return record


if __name__ == "__main__":
    options_parser = parser(__doc__, "data")
    options_parser.add_argument("--results", **COMMON["results"])
    options_parser.add_argument("--share", type=float, default=0.05, help="share of the labels that are spoilt")
    options_parser.add_argument("--seeds", type=int, default=5, help="draws of spoilt labels")
    run(main, options_parser)
