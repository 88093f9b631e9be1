"""Fit the probabilities of label errors on made-up errors, and print `reviews.probabilities.WEIGHTS`.

    python tools/fit_review.py --gt train_gt.json --results results.json [--photos gt.json] [--draws N]

A calibrator is fitted to the results; each photo's trust comes from the calibrator of the other folds. For each kind
5 % of the labels that can have the error are spoilt, N times with other seeds, and a logistic regression tells them
from right ones and from those that other kinds spoilt. --photos: only the photos of this ground truth, such as those
that the estimator has not seen.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from trustpose.calibration.fit import fit
from trustpose.calibration.options import FitOptions
from trustpose.calibration.score_maps import fit_logistic
from trustpose.io.coco.results import of_photos, read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.reviews.evidence import Evidence
from trustpose.reviews.hypotheses import HYPOTHESES, PERSON_KINDS, inputs_of, ratios_of
from trustpose.reviews.made_up_errors import spoil
from trustpose.reviews.probabilities import PRIOR


def weights_of(evidence: Evidence, seeds: range) -> dict[str, tuple[float, ...]]:
    """Fit each kind's weights on people whose labels are right but for made-up errors.

    A kind's errors are told from right labels, and from those that the other kinds spoilt.
    """
    inputs, targets = {kind: [] for kind in HYPOTHESES}, {kind: [] for kind in HYPOTHESES}
    for seed in seeds:
        for spoilt_kind in HYPOTHESES:
            truth, spoilt = spoil(evidence, spoilt_kind, PRIOR, seed)
            changed = replace(evidence, truth=truth)
            ratios = ratios_of(changed)
            for kind in HYPOTHESES:
                person, keypoint, columns = inputs_of(kind, changed, ratios)
                if spoilt.ndim == 1:
                    is_wrong = spoilt[person]
                else:
                    is_wrong = spoilt[person].any(axis=1) if kind in PERSON_KINDS else spoilt[person, keypoint]
                rows = np.arange(len(person)) if kind == spoilt_kind else np.flatnonzero(is_wrong)
                inputs[kind].append(columns[rows])
                targets[kind].append(is_wrong[rows] & (kind == spoilt_kind))
    weights = {}
    for kind in HYPOTHESES:
        target = np.concatenate(targets[kind]).astype(np.float64)
        weights[kind] = tuple(round(float(weight), 4) for weight in fit_logistic(np.concatenate(inputs[kind]), target))
    return weights


def main() -> None:
    """Print the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gt", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--draws", type=int, default=6)
    options = parser.parse_args()
    truth = read_coco_truth(options.gt)
    results = read_results(options.results, truth=truth)
    if options.photos is not None:
        photos = np.intersect1d(truth.images.id, read_coco_truth(options.photos).images.id)
        truth, results = of_photos(truth, results, photos)[:2]
    fitted = fit(truth, results, FitOptions(draws=1))
    poses = replace(fitted.out_of_fold, error_model=fitted.parts.errors)
    assert truth.skeleton is not None
    weights = weights_of(Evidence.of(truth.truth, poses, truth.skeleton), range(options.draws))
    print("WEIGHTS: dict[str, tuple[float, ...]] = {")
    for kind, of_kind in weights.items():
        print(f'    "{kind}": ({", ".join(map(str, of_kind))}),')
    print("}")


if __name__ == "__main__":
    main()
