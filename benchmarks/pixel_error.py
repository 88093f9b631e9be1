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

Tables, then one line of JSON with all of them:

  fit        the six coefficients, by maximum likelihood on all results on `train`, beside the package's
  forms      one Gaussian, equation (1), and the mixture, (2): log likelihood per keypoint, and coverage of the discs
             that should hold 50, 80 and 95 %, on photos left out of the fit (five folds), and on a network left out
  dev        the same with the package's coefficients on `dev`, with 95 % intervals from drawing photos, as `trustpose
             audit` prints them; "own trust": by the quality in the file itself; "fitted": with the error model that
             was learnt with the trust, out of fold on `train`
  divided    coverage by kind of joint and by range of expected OPKS
"""

import argparse
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

import trustpose as tp
from trustpose.calibration.fit import fit as fit_calibrator
from trustpose.calibration.options import FitOptions
from trustpose.datasets.folds import fold_of
from trustpose.evaluation.audit import audit
from trustpose.evaluation.record import Audit
from trustpose.formats.coco import ResultsFile, TruthFile, read_results, read_truth
from trustpose.formats.coco.together import common_photos
from trustpose.geometry.expected_error import (
    FITTED,
    HIGHEST,
    LOWEST,
    Coefficients,
    error_of,
    expected_error,
    gaussian_error,
)
from trustpose.metrics.pairing import pair_with_people
from trustpose.metrics.pixel_error import SHARES
from trustpose.poses import ExpectedError, Poses

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
NETWORKS = ("simplepose", "simplepose_flip", "movenet-thunder")
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
    """Collect the errors of the matched poses. The area is the one that `expected_error` uses, 0.53 of the box."""
    people, sigmas = truth.truth, truth.sigmas(None)
    person = pair_with_people(poses, people)
    poses, person = poses[person >= 0], person[person >= 0]
    unit = expected_error(replace(poses, quality=np.full(poses.xy.shape[:2], 0.5), visibility=None), sigmas=sigmas)
    one = error_of(np.full((1, len(sigmas)), 0.5), sigmas, np.ones(1))
    assert unit is not None and poses.quality is not None and poses.visibility is not None
    distance = np.linalg.norm(poses.xy - people.xy[person], axis=2) * one.std / unit.std
    labelled = people.v[person] > 0
    quality = poses.quality / np.maximum(1 - poses.visibility[..., 0], 1e-300)
    assert poses.image_id is not None
    fold = np.broadcast_to(fold_of(poses.image_id, FOLDS)[:, None], labelled.shape)
    sigma = np.broadcast_to(sigmas, labelled.shape)
    return Errors(np.maximum(distance, 1e-4)[labelled], quality[labelled], sigma[labelled], fold[labelled])


def expectation(errors: Errors, coefficients: Coefficients | None) -> ExpectedError:
    """Return the mixture, or with None the single Gaussian as one, in units of √area."""
    if coefficients is not None:
        found = error_of(errors.quality[None], errors.sigma, np.ones(1), coefficients)
        return ExpectedError(found.std[0], found.gross[0], found.gross_std[0])
    std = gaussian_error(np.clip(errors.quality, LOWEST, HIGHEST)[None], errors.sigma, np.ones(1))[0]
    return ExpectedError(std, np.zeros_like(std), std)


def log_likelihood(errors: Errors, coefficients: Coefficients | None) -> float:
    """Mean log density of the distance, in units of √area × k, so that keypoints count alike."""
    found = expectation(errors, coefficients)
    density = np.zeros(len(errors.distance))
    for share, std in ((1 - found.gross, found.std), (found.gross, found.gross_std)):
        density += share * errors.distance / std**2 * np.exp(-(errors.distance**2) / (2 * std**2))
    return float(np.mean(np.log(np.maximum(density * 2 * errors.sigma, 1e-300))))


def fitted(errors: Errors) -> Coefficients:
    """Maximum likelihood, on at most 60,000 of the keypoints."""
    rows = np.random.default_rng(0).permutation(len(errors.distance))[:60_000]
    some = errors[rows]
    start = np.array([*FITTED.share, *FITTED.size]).round(1)
    found = minimize(lambda x: -log_likelihood(some, _coefficients(x)), start, method="BFGS", options={"gtol": 1e-5})
    return _coefficients(found.x.round(3))


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
    each = [quality_of(*part) for part in parts]
    weights = [len(part.distance) for part, _ in parts]
    rows[MIXTURE]["other photos"] = {
        name: float(np.average([one[name] for one in each], weights=weights)) for name in each[0]
    }
    for name, errors in networks.items():
        others = [one for other, one in networks.items() if other.split("_")[0] != name.split("_")[0]]
        if others:
            rows[ONE_GAUSSIAN][name] = quality_of(errors, None)
            rows[MIXTURE][name] = quality_of(errors, fitted(Errors.joined(others)))
    return rows


def read(path: Path, truth: TruthFile, photos: np.ndarray | None) -> tuple[TruthFile, ResultsFile]:
    """Read the estimator's own results, without trust, on these photos only; and the truth of the photos they cover."""
    found = read_results(path, truth=truth)
    poses = replace(found.poses, quality=None, visibility=None, visibility_label=None, pose_quality=None)
    assert poses.pose_score is not None and poses.image_id is not None
    kept = np.ones(len(poses), bool) if photos is None else np.isin(poses.image_id, photos)
    found = replace(found, poses=poses[kept], score=poses.pose_score[kept], category_id=found.category_id[kept])
    truth, (found,) = common_photos(truth, [found])
    return truth, found


def show_forms(rows: dict[str, dict[str, dict[str, float]]]) -> None:
    print(
        f"\n{'':14s}{'held out':18s}{'log likelihood':>15s}" + "".join(f"{f'in {share:.0%}':>9s}" for share in SHARES)
    )
    for form, tested in rows.items():
        for name, one in tested.items():
            numbers = "".join(f"{one[f'{share:.0%}']:9.3f}" for share in SHARES)
            print(f"{form:14s}{name:18s}{one['log likelihood']:15.3f}{numbers}")


Numbers = dict[str, tuple[float, ...]]
Divided = dict[str, dict[str, dict[str, float | int | None]]]


def measure(
    dev: dict[str, Numbers], divided: Divided, name: str, truth: TruthFile, results: ResultsFile, draws: int
) -> None:
    """Audit with the mixture's own discs, and with those of the error model that came with the trust."""
    plain = replace(results, poses=replace(results.poses, error_model=None))
    for label, one in ((f"{name}, mixture", plain), (f"{name}, fitted", results)):
        if label.endswith("mixture") or one.poses.error_model is not None:
            record = audit(truth, one, draws=draws)
            dev[label], divided[label] = numbers_of(record), rows_of(record)


def numbers_of(record: Audit) -> Numbers:
    names = ["coverage.50", "coverage.80", "coverage.95", "median_ratio"]
    numbers = {name: (record.number(f"pixels.{name}"), *record.intervals[f"pixels.{name}"]) for name in names}
    return {
        name: tuple(round(float(value), 4) for value in values if value is not None) for name, values in numbers.items()
    }


def rows_of(record: Audit) -> dict[str, dict[str, float | int | None]]:
    """Coverage by kind of joint and by range of expected OPKS."""
    rows = record.pixels.joints | {f"OPKS {name}": one for name, one in record.pixels.by_quality.items()}
    return {name: {**one.coverage, "n": one.n} for name, one in rows.items()}


def show_divided(divided: Divided) -> None:
    for label, rows in divided.items():
        print(f"\n{label:30s}" + "".join(f"{name:>8s}" for name in ("50", "80", "95", "n")))
        for name, one in rows.items():
            numbers = "".join("       –" if one[key] is None else f"{one[key]:8.3f}" for key in ("50", "80", "95"))
            print(f"{name:30s}{numbers}{one['n']:8d}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", nargs=3, action="append", metavar=("NAME", "TRAIN", "DEV"))
    parser.add_argument("--unseen", nargs=3, action="append", default=[], metavar=("NAME", "TRAIN", "DEV"))
    parser.add_argument("--own", nargs=2, action="append", default=[], metavar=("NAME", "DEV"))
    parser.add_argument("--draws", type=int, default=1000)
    arguments = parser.parse_args()
    results = arguments.results or ([] if arguments.own and not arguments.unseen else shared_results())
    unseen = np.array([image["id"] for image in json.loads((DATA / "coco" / "val2017_gt.json").read_bytes())["images"]])
    files = [(*names, None) for names in results] + [(*names, unseen) for names in arguments.unseen]
    truths = {split: read_truth(DATA / "coco" / f"{split}_gt.json") for split in ("train", "dev")}
    networks, dev, divided = dict[str, Errors](), dict[str, Numbers](), Divided()
    for name, train, test, photos in files:
        truth, fitting = read(Path(train), truths["train"], photos)
        fit = fit_calibrator(truth, fitting, FitOptions(method="trees"))
        networks[name] = errors_of(fit.out_of_fold, truth)
        plain = read(Path(test), truths["dev"], None)[1]
        calibrated = replace(plain, poses=tp.Calibrator.of(fit.parts)(plain.poses))
        measure(dev, divided, name, truths["dev"], calibrated, arguments.draws)
    for name, test in [*((name, test) for name, _, test, _ in files), *arguments.own]:
        printed = read_results(test, truth=truths["dev"])
        if printed.poses.quality is not None:
            measure(dev, divided, f"{name}, own trust", truths["dev"], printed, arguments.draws)
    written = fit_and_forms(networks) if networks else {}
    print(f"\n{'dev':34s}" + "".join(f"{name:>26s}" for name in next(iter(dev.values()))))
    for name, numbers in dev.items():
        print(f"{name:34s}" + "".join(f"{f'{v:.3f} ({low:.3f}–{high:.3f})':>26s}" for v, low, high in numbers.values()))
    show_divided(divided)
    print(json.dumps(written | {"dev": dev, "divided": divided}))


def fit_and_forms(networks: dict[str, Errors]) -> dict[str, Any]:
    """Print the coefficients that fit these networks, and both forms on what their fit has not seen."""
    found = fitted(Errors.joined(list(networks.values())))
    print(f"fit: share {found.share}, size {found.size}; the package has share {FITTED.share}, size {FITTED.size}")
    rows = forms(networks)
    show_forms(rows)
    return {"fit": {"share": found.share, "size": found.size}, "forms": rows}


def shared_results() -> list[tuple[str, Path, Path]]:
    folder = DATA / "results"
    return [(name, folder / f"{name}.train.json", folder / f"{name}.dev.json") for name in NETWORKS]


if __name__ == "__main__":
    main()
