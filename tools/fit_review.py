"""Fit the probabilities of label errors on made-up errors, and print `reviews.probabilities.WEIGHTS`.

    python tools/fit_review.py --gt train_gt.json --results results.json [--photos gt.json] [--draws N]

A calibrator is fitted to the results; each photo's trust comes from the calibrator of the other folds. For each kind
5 % of the labels that can have the error are spoilt, N times with other seeds, and a logistic regression tells them
from the right ones. --photos: only the photos of this ground truth, such as those that the estimator has not seen.
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
from trustpose.reviews.hypotheses import HYPOTHESES, inputs_of
from trustpose.reviews.made_up_errors import spoil
from trustpose.reviews.probabilities import PRIOR


def weights_of(evidence: Evidence, seeds: range) -> dict[str, tuple[float, ...]]:
    """Fit each kind's weights on people whose labels are right but for made-up errors."""
    weights = {}
    for kind in HYPOTHESES:
        inputs, targets = [], []
        for seed in seeds:
            truth, spoilt = spoil(evidence, kind, PRIOR, seed)
            person, keypoint, columns = inputs_of(kind, replace(evidence, truth=truth))
            inputs.append(columns)
            targets.append(spoilt[person] if spoilt.ndim == 1 else spoilt[person, keypoint])
        fitted = fit_logistic(np.concatenate(inputs), np.concatenate(targets).astype(np.float64))
        weights[kind] = tuple(round(float(weight), 4) for weight in fitted)
    return weights


def main() -> None:
    """Print the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gt", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--draws", type=int, default=10)
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
