"""From expected OPKS to pixels: fit the mixture of `geometry.expected_error`, and see how well its discs hold.

    for split in train dev; do
      trustpose predict DATA/coco/$split --gt DATA/coco/${split}_gt.json --no-draw --out $split
    done
    python benchmarks/pixel_error.py --unseen default train/results.json dev/results.json

--results NAME TRAIN DEV are a network's results on `train` and `dev` (default: those of TRUSTPOSE_DATA), --unseen those
of one that is evaluated on the photos of val2017 only, as it was trained on train2017. For each, a calibrator is fitted
to `train`, and the errors of labelled keypoints are compared with the quality from models that did not see their photo.
--own NAME DEV are results on `dev` whose own trust alone is evaluated, such as those with a flip test, or in detected
boxes, where people are matched with the labelled ones as `trustpose audit` does; alone it needs no results on `train`:

    trustpose predict DATA/coco/dev --no-draw --out detected
    python benchmarks/pixel_error.py --own default dev/results.json --own detected detected/results.json


  fit        the six coefficients, by maximum likelihood on all results on `train`, beside the package's
  forms      one Gaussian, equation (1), and the mixture, (2): log likelihood per keypoint, and coverage of the discs
             that should hold 50, 80 and 95 %, on photos left out of the fit (five folds), and on a network left out
  dev        the same with the package's coefficients on `dev`, with 95 % intervals from drawing photos, as `trustpose
             audit` prints them; "own trust": by the quality in the file itself; "fitted": with the error model that
             was learnt with the trust, out of fold on `train`
  divided    coverage by kind of joint and by range of expected OPKS
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from coco_photos import ground_truth, numbers_of, results_files
from harness import COMMON, parser, run, table
from scipy.optimize import minimize

import trustpose as tp
from trustpose.calibration.fit import fit as fit_calibrator
from trustpose.calibration.options import FitOptions
from trustpose.evaluation.audit import audit
from trustpose.evaluation.record import Audit
from trustpose.geometry.expected_error import (
    FITTED,
    HIGHEST,
    LOWEST,
    Coefficients,
    area_of_person,
    error_of,
    gaussian_error,
    quality_if_labelled,
)
from trustpose.images import fold_of
from trustpose.io.coco.results import ResultsFile, common_photos, read_results
from trustpose.io.coco.truth import TruthFile
from trustpose.metrics.localisation import SHARES
from trustpose.metrics.matching import pair_with_people
from trustpose.poses import ExpectedError, Poses

ESTIMATORS = {name: name for name in ("simplepose", "simplepose_flip", "movenet-thunder")}
FOLDS = 5
ONE_GAUSSIAN = "one Gaussian"
MIXTURE = "mixture"


@dataclass(frozen=True, eq=False)
class Errors:
    """L labelled keypoints: distance to the label in units of √area, expected OPKS if labelled, sigma, fold."""

    distance: np.ndarray
    quality: np.ndarray
    sigma: np.ndarray
    fold: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Errors":
        return Errors(self.distance[rows], self.quality[rows], self.sigma[rows], self.fold[rows])

    @classmethod
    def joined(cls, parts: "list[Errors]") -> "Errors":
        names = ("distance", "quality", "sigma", "fold")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def errors_of(poses: Poses, truth: TruthFile) -> Errors:
    """Collect the errors of the matched poses."""
    person = pair_with_people(poses, truth.truth)
    poses, people = poses[person >= 0], truth.truth[person[person >= 0]]
    distance = np.linalg.norm(poses.xy - people.xy, axis=2) / np.sqrt(area_of_person(poses))[:, None]
    labelled = people.v > 0
    fold = np.broadcast_to(fold_of(poses.image_id, FOLDS)[:, None], labelled.shape)
    columns = (
        np.maximum(distance, 1e-4),
        quality_if_labelled(poses),
        np.broadcast_to(truth.sigmas(None), fold.shape),
        fold,
    )
    return Errors(*(column[labelled] for column in columns))


def expectation(errors: Errors, coefficients: Coefficients | None) -> ExpectedError:
    """Return the mixture, or with None the single Gaussian as one, in units of √area."""
    if coefficients is not None:
        error = error_of(errors.quality[None], errors.sigma, np.ones(1), coefficients)
        return ExpectedError(error.std[0], error.gross[0], error.gross_std[0])
    std = gaussian_error(np.clip(errors.quality, LOWEST, HIGHEST)[None], errors.sigma, np.ones(1))[0]
    return ExpectedError(std, np.zeros_like(std), std)


def log_likelihood(errors: Errors, coefficients: Coefficients | None) -> float:
    """Mean log density of the distance, in units of √area × k, so that keypoints count alike."""
    expected = expectation(errors, coefficients)
    density = np.zeros(len(errors.distance))
    for share, std in ((1 - expected.gross, expected.std), (expected.gross, expected.gross_std)):
        density += share * errors.distance / std**2 * np.exp(-(errors.distance**2) / (2 * std**2))
    return float(np.mean(np.log(np.maximum(density * 2 * errors.sigma, 1e-300))))


def fitted(errors: Errors) -> Coefficients:
    """Maximum likelihood, on at most 60,000 of the keypoints."""
    rows = np.random.default_rng(0).permutation(len(errors.distance))[:60_000]
    sample = errors[rows]
    start = np.array([*FITTED.share, *FITTED.size]).round(1)
    best = minimize(lambda x: -log_likelihood(sample, _coefficients(x)), start, method="BFGS", options={"gtol": 1e-5})
    return _coefficients(best.x.round(3))


def _coefficients(x: np.ndarray) -> Coefficients:
    a, b = x.tolist()[:3], x.tolist()[3:]
    return Coefficients((a[0], a[1], a[2]), (b[0], b[1], b[2]))


def quality_of(errors: Errors, coefficients: Coefficients | None) -> dict[str, float]:
    within = expectation(errors, coefficients).probability_within(errors.distance)
    coverage = {f"{share:.0%}": float(np.mean(within <= share)) for share in SHARES}
    return {"log likelihood": log_likelihood(errors, coefficients)} | coverage


def forms(networks: dict[str, Errors]) -> dict[str, dict[str, dict[str, float]]]:
    """Evaluate on photos and on networks that the fit has not seen."""
    everything = Errors.joined(list(networks.values()))
    rows: dict[str, dict[str, dict[str, float]]] = {ONE_GAUSSIAN: {}, MIXTURE: {}}
    rows[ONE_GAUSSIAN]["other photos"] = quality_of(everything, None)
    parts = [
        (everything[everything.fold == fold], fitted(everything[everything.fold != fold])) for fold in range(FOLDS)
    ]
    by_fold = [quality_of(*part) for part in parts]
    weights = [len(part.distance) for part, _ in parts]
    rows[MIXTURE]["other photos"] = {
        name: float(np.average([row[name] for row in by_fold], weights=weights)) for name in by_fold[0]
    }
    for name, errors in networks.items():
        family = name.split("_")[0]
        unlike = [part for label, part in networks.items() if label.split("_")[0] != family]
        if unlike:
            rows[ONE_GAUSSIAN][name] = quality_of(errors, None)
            rows[MIXTURE][name] = quality_of(errors, fitted(Errors.joined(unlike)))
    return rows


def read(path: Path, truth: TruthFile, photos: np.ndarray | None) -> tuple[TruthFile, ResultsFile]:
    """Read the estimator's own results, without trust, on these photos only; and the truth of the photos they cover."""
    results = read_results(path, truth=truth)
    poses = replace(results.poses, quality=None, visibility=None, visibility_label=None, pose_quality=None)
    rows = np.ones(len(poses), bool) if photos is None else np.isin(poses.image_id, photos)
    category_id = results.category_id[rows]
    results = replace(results, poses=poses[rows], score=poses.pose_score[rows], category_id=category_id)
    truth, (results,) = common_photos(truth, [results])
    return truth, results


class DiscsOnDev:
    """Coverage of discs on `dev`, of several estimators and ways to expect errors."""

    def __init__(self, truth: TruthFile, draws: int) -> None:
        self.truth, self.draws = truth, draws
        self.numbers: dict[str, dict[str, list[float]]] = {}
        self.divided: dict[str, dict[str, dict[str, float | int | None]]] = {}

    def add(self, name: str, results: ResultsFile) -> None:
        """Audit with the mixture's own discs, and with those of the error model that came with the trust."""
        ways = {"mixture": replace(results, poses=replace(results.poses, error_model=None))}
        ways |= {} if results.poses.error_model is None else {"fitted": results}
        for way, file in ways.items():
            record = audit(self.truth, file, draws=self.draws)
            self.numbers[f"{name}, {way}"] = rounded_numbers(record)
            rows = record.pixels.joints | {f"OPKS {name}": row for name, row in record.pixels.by_quality.items()}
            self.divided[f"{name}, {way}"] = {label: {**row.coverage, "n": row.n} for label, row in rows.items()}


def rounded_numbers(record: Audit) -> dict[str, list[float]]:
    names = [f"pixels.{name}" for name in ("coverage.50", "coverage.80", "coverage.95", "median_ratio")]
    return {
        name.removeprefix("pixels."): [round(float(value), 4) for value in values]
        for name, values in numbers_of(record, names).items()
    }


def fit_and_forms(networks: dict[str, Errors]) -> dict[str, Any]:
    """Print the coefficients that fit these networks, and both forms on what their fit has not seen."""
    best = fitted(Errors.joined(list(networks.values())))
    print(f"fit: share {best.share}, size {best.size}; the package has share {FITTED.share}, size {FITTED.size}")
    rows = forms(networks)
    table("held out", {f"{form}, {name}": row for form, tested in rows.items() for name, row in tested.items()})
    return {"fit": {"share": best.share, "size": best.size}, "forms": rows}


def main(options):
    asks_for_own_only = options.own and not options.unseen and not options.results
    files = [(*row, None) for row in ([] if asks_for_own_only else results_files(options, ESTIMATORS))]
    val2017 = json.loads((options.data / "coco" / "val2017_gt.json").read_bytes())
    files += [(*row, np.array([image["id"] for image in val2017["images"]])) for row in options.unseen]
    truths = {split: ground_truth(options.data, split) for split in ("train", "dev")}
    networks, dev = dict[str, Errors](), DiscsOnDev(truths["dev"], options.draws)
    for name, train, test, photos in files:
        truth, fitting = read(Path(train), truths["train"], photos)
        fit = fit_calibrator(truth, fitting, FitOptions(method="trees"))
        networks[name] = errors_of(fit.out_of_fold, truth)
        plain = read(Path(test), truths["dev"], None)[1]
        dev.add(name, replace(plain, poses=tp.Calibrator.of(fit.parts)(plain.poses)))
    for name, test in [*((name, test) for name, _, test, _ in files), *options.own]:
        printed = read_results(test, truth=truths["dev"])
        if printed.poses.quality is not None:
            dev.add(f"{name}, own trust", printed)
    fit_record = fit_and_forms(networks) if networks else {}
    table("dev", dev.numbers)
    for label, rows in dev.divided.items():
        table(label, rows)
    return fit_record | {"dev": dev.numbers, "divided": dev.divided}


if __name__ == "__main__":
    options_parser = parser(__doc__, "results", "draws", "data")
    unseen = {"default": [], "help": "the same, evaluated on photos of val2017 only"}
    options_parser.add_argument("--unseen", **COMMON["results"] | unseen)
    options_parser.add_argument(
        "--own", nargs=2, action="append", default=[], metavar=("NAME", "DEV"), help="results whose own trust counts"
    )
    run(main, options_parser)
