"""Accuracy without labels: whether 95 % intervals hold the labelled people's, also under shifts nothing was fitted on.

    python benchmarks/photo_shifts.py --out FOLDER
    python benchmarks/estimate.py FOLDER [--splits N] [--sets N] [--lspet N]
    python benchmarks/photo_shifts.py --out FOLDER --split dev
    python benchmarks/estimate.py FOLDER --dev

`train`: a calibrator is fitted to half of the photos of val2017 in `train`, and estimates the mean OKS and AP of sets
of 50 and of 200 of the others, with and without faults (`photo_shifts.py`), for SimplePose and MoveNet thunder. A
split's sets are drawn from its other half. What a distance from the fitted people does to a mean is learnt from the
faults of the other kinds: a row's own is left out, mild and strong, of both networks.

--dev: the bundled default with its trust, and both networks with calibrators of all these photos, once on all of `dev`.

  held        share of sets whose true number lies within the 95 % interval
  width       mean width of the interval
  error       mean absolute difference; "fitted mean": that of the fitted half's true mean
  learnt      constants of `calibration.accuracy.SHIFT_ERROR`, from all kinds
"""

import json
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from calibration import lspet
from coco_photos import predict_all
from harness import Cell, parser, run, table
from photo_shifts import KINDS, NETWORKS, photos_of_split, results_path, truth_with
from scipy.optimize import minimize

from trustpose.calibration.accuracy import SHIFT_ERROR, AccuracyShift, Expectation, ExpectedAccuracy, ShiftError
from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.fit import fit
from trustpose.calibration.metrics import find_targets
from trustpose.calibration.options import FitOptions
from trustpose.calibration.shift import DistributionShiftWarning
from trustpose.files import write_json
from trustpose.io.coco.results import ResultsFile, of_photos, read_results
from trustpose.io.coco.truth import TruthFile
from trustpose.metrics.average_precision import evaluate
from trustpose.poses import Area, Poses, Truth
from trustpose.predict.load import load
from trustpose.skeletons import COCO_17

SIZES = (50, 200)
FITTED = ("SimplePose", "MoveNet thunder")
ZERO = {"mean OKS": 0.0, "AP": 0.0}
TAIL = 1.8  # of few kinds of shift, so that the worst kinds that are left out hold about nine tenths; chosen on `train`


@dataclass(frozen=True)
class Row:
    """One number of one set of photos: the true one, the fitted half's true mean, and what is expected of it."""

    name: str
    kind: str
    size: int
    number: str
    true: float
    fitted: float
    value: float
    variance: float
    slope: float
    quality: float
    shape: float

    @property
    def family(self) -> str:
        return self.kind.removesuffix(", mild")

    def held(self, error: ShiftError) -> tuple[bool, float, float]:
        """Return whether the interval holds the true number, its width, and how far the number is off."""
        expected = Expectation(self.value, self.variance, self.slope)
        estimate = expected.interval(AccuracyShift(self.quality, self.shape), error)
        return estimate.low <= self.true <= estimate.high, estimate.high - estimate.low, abs(estimate.value - self.true)


def rows_of_set(
    name: str, kind: str, size: int, poses: Poses, truth: Truth, fitted: dict[str, float], area: Area = "file"
) -> list[Row]:
    """Measure and expect the numbers of the poses of a set of photos."""
    targets = find_targets(poses, truth, COCO_17.sigmas, area)
    matched = poses[targets.rows[~targets.unmatched]]
    assert poses.error_model is not None and poses.error_model.accuracy is not None and matched.image_id is not None
    accuracy = ExpectedAccuracy(poses.error_model.accuracy, matched, COCO_17)
    true = {
        "mean OKS": float(targets.oks[~targets.unmatched].mean()),
        "AP": evaluate(matched, truth, matched.ranking_score, sigmas=COCO_17.sigmas, area=area).summary().AP,
    }
    expected = {
        "mean OKS": accuracy.mean_oks(),
        "AP": accuracy.average_precision(matched.ranking_score, matched.image_id),
    }
    rows = []
    for number, value in expected.items():
        columns = (true[number], fitted[number], value.value, value.variance, value.slope)
        rows.append(Row(name, kind, size, number, *columns, accuracy.shift.quality, accuracy.shift.shape))
    return rows


def split_rows(options, name: str, split: int) -> Iterator[Row]:
    """Yield the rows of sets of one split of the photos."""
    base, results = files_with(options.folder, options.data, name, "none", options.photos)
    random = np.random.default_rng(split)
    drawn = random.permutation(base.images.id)
    half, others = np.sort(drawn[: len(drawn) // 2]), drawn[len(drawn) // 2 :]
    truth, results = of_photos(base, results, half)[:2]
    fitted = fit(truth, results, FitOptions(method="trees", draws=1))
    calibrator, poses = Calibrator.of(fitted.parts), fitted.out_of_fold
    (first, second) = rows_of_set(name, "none", 0, replace(poses, error_model=fitted.parts.errors), truth.truth, ZERO)
    means = {first.number: first.true, second.number: second.true}
    for kind in KINDS:
        labels, results = files_with(options.folder, options.data, name, kind, options.photos)
        inside = np.intersect1d(others, np.unique(labels.truth.image_id))
        part, of_part = of_photos(labels, results, inside)[:2]
        yield from drawn_sets(options, name, kind, calibrator(of_part.poses), part.truth, means, random)
    if options.lspet:
        poses, labels = lspet_poses(options, name)
        yield from drawn_sets(options, name, "LSPET", calibrator(poses), labels, means, random, "box*0.53")


@cache
def files_with(folder: Path, data: Path, name: str, kind: str, photos: int) -> tuple[TruthFile, ResultsFile]:
    """Return the labels of photos with a fault, and a network's results on them."""
    labels = truth_with(kind, photos_of_split(data, "train", kind, photos))
    return labels, read_results(results_path(folder, "train", name, kind), truth=labels)


def drawn_sets(options, name, kind, poses, truth, means, random, area: Area = "file") -> Iterator[Row]:
    """Yield the rows of sets of photos that are drawn from these."""
    images = np.unique(truth.image_id)
    for size in SIZES:
        for _ in range(options.sets):
            photos = random.choice(images, min(size, len(images)), replace=False)
            people = truth[np.flatnonzero(np.isin(truth.image_id, photos))]
            yield from rows_of_set(name, kind, size, poses[np.isin(poses.image_id, photos)], people, means, area)


_LSPET: dict[str, tuple[Poses, Truth]] = {}


def lspet_poses(options, name: str) -> tuple[Poses, Truth]:
    """Return a network's poses of LSPET's people, and these with COCO's joints."""
    if name not in _LSPET:
        people, photos, _ = lspet(options.data / "lspet", options.lspet, 1)
        assert people.truth.skeleton is not None
        labels = people.truth.truth.take_keypoints(people.truth.skeleton.index_in(COCO_17, "mark"), COCO_17)
        network = NETWORKS[name]
        poses = predict_all(load(network if name == "default" else options.data / network), photos)
        _LSPET[name] = poses, labels
    return _LSPET[name]


def fit_shift_error(rows: list[Row]) -> ShiftError:
    """Return the constants under which the differences of mean OKS are likeliest, each kind of fault counting alike."""
    rows = [row for row in rows if row.number == "mean OKS"]
    difference, variance, quality, shape = (
        np.array([row.true - row.value for row in rows]),
        np.array([row.variance for row in rows]),
        np.array([row.quality for row in rows]),
        np.array([row.shape for row in rows]),
    )
    families, family = np.unique([row.family for row in rows], return_inverse=True)
    weight = 1 / np.bincount(family)[family] / len(families)

    def loss(constants: np.ndarray) -> float:
        floor, scale_quality, scale_shape, bias = constants
        total = variance + floor**2 + (scale_quality * quality) ** 2 + (scale_shape * shape) ** 2
        return float(weight @ (np.log(total) + (difference - bias * quality) ** 2 / total))

    best = minimize(loss, [0.01, 0.2, 0.2, -0.1], bounds=[(0.0, 0.1), (0.01, 2), (0.01, 2), (-1, 1)])
    return ShiftError(*(round(float(number), 3) for number in best.x), tail=TAIL)


def summary(rows: list[Row], error: ShiftError) -> dict[str, Cell]:
    """Return a line of the table."""
    held, width, off = np.array([row.held(error) for row in rows]).T
    mean_off = float(np.mean([abs(row.fitted - row.true) for row in rows]))
    true, expected = float(np.mean([row.true for row in rows])), float(np.mean([row.value for row in rows]))
    distances = {name: float(np.mean([getattr(row, name) for row in rows])) for name in ("quality", "shape")}
    numbers = {"true": true, "expected": expected, "held": float(held.mean()), "width": float(width.mean())}
    return numbers | {"error": float(off.mean()), "fitted mean": mean_off} | distances


def cached_rows(options) -> list[Row]:
    """Return the rows of all splits, each kept in the folder."""
    rows = []
    for name in FITTED:
        for split in range(options.splits):
            path = options.folder / "splits" / f"{name}-{split}-{options.sets}-{options.lspet}.json"
            if not path.exists():
                write_json(path, [asdict(row) for row in split_rows(options, name, split)])
                print(f"{name}, split {split}", flush=True)
            rows += [Row(**row) for row in json.loads(path.read_text())]
    return rows


def rows_of_dev(options) -> list[Row]:
    """Return the rows of `dev` as it is and with faults, by what the package knows."""
    rows = []
    for name in NETWORKS:
        calibrator = None
        if name != "default":
            labels, results = files_with(options.folder, options.data, name, "none", options.photos)
            calibrator = Calibrator.of(fit(labels, results, FitOptions(method="trees", draws=1)).parts)
        for kind in KINDS:
            truth = truth_with(kind, photos_of_split(options.data, "dev", kind, options.photos))
            poses = read_results(results_path(options.folder, "dev", name, kind), truth=truth).poses
            poses = poses if calibrator is None else calibrator(poses)
            rows += rows_of_set(name, kind, len(truth.images), poses, truth.truth, ZERO)
    return rows


def of_dev(options) -> dict[str, dict[str, Cell]]:
    """Print and return the numbers of `dev`."""
    lines: dict[str, dict[str, Cell]] = {}
    for row in rows_of_dev(options):
        expected = Expectation(row.value, row.variance, row.slope)
        estimate = expected.interval(AccuracyShift(row.quality, row.shape))
        lines[f"{row.name}, {row.kind}, {row.number}"] = {
            "true": row.true,
            "expected": [estimate.value, estimate.low, estimate.high],
            "held": "yes" if estimate.low <= row.true <= estimate.high else "no",
        }
    table("dev", lines)
    return lines


def main(options):
    warnings.simplefilter("ignore", DistributionShiftWarning)
    if options.dev:
        return of_dev(options)
    record = {}
    rows = cached_rows(options)
    for number in ("mean OKS", "AP"):
        for size in SIZES:
            lines = {}
            for kind in (*KINDS, *(["LSPET"] if options.lspet else [])):
                inside = [row for row in rows if (row.number, row.size, row.kind) == (number, size, kind)]
                error = fit_shift_error([row for row in rows if row.family != inside[0].family or kind == "none"])
                lines[kind] = summary(inside, error)
            table(f"{number}, {size} photos", lines)
            record[f"{number}, {size}"] = lines
    learnt = fit_shift_error(rows)
    table("learnt", {"all kinds": asdict(learnt), "in the package": asdict(SHIFT_ERROR)})
    return record | {"learnt": asdict(learnt)}


if __name__ == "__main__":
    options_parser = parser(__doc__, "data")
    options_parser.add_argument("folder", type=Path, help="of photo_shifts.py")
    options_parser.add_argument("--splits", type=int, default=40, help="of the photos into halves")
    options_parser.add_argument("--sets", type=int, default=2, help="of each size, kind and split")
    options_parser.add_argument("--photos", type=int, default=700, help="of train, with a fault (as photo_shifts.py)")
    options_parser.add_argument("--lspet", type=int, default=600, help="people of LSPET; 0: none")
    options_parser.add_argument("--dev", action="store_true", help="measure on dev instead")
    run(main, options_parser)
