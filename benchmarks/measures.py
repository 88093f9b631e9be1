"""Intervals of joint angles and inclinations: what they hold, how wide they are, and whether their width says which
readings are off; beside plain propagation, one width a measure, width by the lowest score, quantile regression trees.

    python benchmarks/measures.py [--results NAME TRAIN DEV …] [--own NAME DEV …] [--lspet N]

--results are an estimator's results on `train` and `dev` (default: those of TRUSTPOSE_DATA). A calibrator is fitted to
those on val2017's photos of `train`. "train": readings of people whose trust, errors and intervals come from photos of
other folds; "dev": by the calibrator fitted to `train`, which has not seen these photos. --own are results on `dev`
with trust of their own whose intervals are measured as they are; a person found in a whole photo counts if a labelled
one is near. --lspet N measures the first N cleaned people of Leeds Sports Pose Extended, in labelled boxes: the bundled
default, and the networks of TRUSTPOSE_DATA with the calibrators that were fitted to COCO.

The measures are the eight joint angles, and the inclinations of trunk, neck and thighs. A cell is a measure and a level
(.5 .8 .9 .95); "outside": cells whose coverage differs from the level by more than photos drawn anew explain, after
Holm's correction at 5 %. The interval score (Gneiting and Raftery 2007), in degrees, is the mean over measures and
levels: lower is better. "r": Spearman's correlation of the 80 % interval's width with the error, mean over the angles,
and by how much it is above that of the lowest score of the reading's joints. "halves": coverage in the half of each
measure's readings with the shorter and the longer limbs (the shortest of the reading, in proportion to the person), and
with the lower and the higher expected OPKS (the lowest of the joints).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import lightgbm
import numpy as np
from calibration import lspet
from coco_photos import ground_truth, predict_all, results_files
from harness import COMMON, Cell, parser, run, table
from scipy.stats import norm, spearmanr

from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.fit import fit
from trustpose.calibration.measure_errors import MeasureIntervals, PoseErrors, fit_measure_errors
from trustpose.calibration.options import FitOptions
from trustpose.geometry.measures import Measure, fitted_measures, read
from trustpose.images import fold_of
from trustpose.io.coco.results import of_photos, read_results
from trustpose.io.coco.truth import TruthFile
from trustpose.measures.measure import measure
from trustpose.metrics.bootstrap import resample_counts
from trustpose.metrics.matching import pair_with_people
from trustpose.poses import Poses, Truth
from trustpose.predict.load import load
from trustpose.skeletons import COCO_17

ESTIMATORS = {"SimplePose": "simplepose", "MoveNet thunder": "movenet-thunder"}
NETWORKS = {
    "default": "default",
    "SimplePose": "networks/simplepose.onnx",
    "MoveNet thunder": "networks/movenet-thunder.onnx",
}
LEVELS = (0.5, 0.8, 0.9, 0.95)
FOLDS = 5
INCLINATIONS = ("trunk", "neck", "left_thigh", "right_thigh")
MEASURES = tuple(
    measure for measure in fitted_measures(COCO_17) if measure.kind == "angle" or measure.name in INCLINATIONS
)
_TREES = {"learning_rate": 0.05, "num_leaves": 8, "min_data_in_leaf": 40, "verbose": -1, "num_threads": 1, "seed": 0}


@dataclass(frozen=True, eq=False)
class Readings:
    """R labelled readings of one measure: low and high of each level (4, R) by method, the read and the labelled value
    (the labelled one in the turn of the read one), the lowest score of the joints, the shortest limb in proportion to
    the person, the lowest expected OPKS of the joints, the photo, whether readable."""

    measure: Measure
    ends: dict[str, tuple[np.ndarray, np.ndarray]]
    value: np.ndarray
    labelled: np.ndarray
    lowest: np.ndarray
    limb: np.ndarray
    quality: np.ndarray
    photo: np.ndarray
    readable: np.ndarray

    @property
    def error(self) -> np.ndarray:
        return np.abs(self.labelled - self.value)


def matched(poses: Poses, truth: TruthFile) -> tuple[Poses, Truth]:
    person = pair_with_people(poses, truth.truth)
    return poses[person >= 0], truth.truth[person[person >= 0]]


def readings_of(poses: Poses, truth: Truth, *, is_out_of_fold: bool) -> list[Readings]:
    """Read all measures; intervals are the poses' own, or out of fold by errors that other folds teach."""
    fold = fold_of(poses.image_id, FOLDS)
    errors = PoseErrors.of(poses, COCO_17)
    assert errors is not None
    ours = np.full((len(MEASURES), len(LEVELS), 2, len(poses)), np.nan)
    for number in range(FOLDS) if is_out_of_fold else (None,):
        rows = np.arange(len(poses)) if number is None else np.flatnonzero(fold == number)
        if number is None:
            model = poses.error_model and poses.error_model.measures
        else:
            others = np.flatnonzero(fold != number)
            model = fit_measure_errors(poses[others], truth[others], np.arange(len(others)), COCO_17)
        intervals, of_rows = MeasureIntervals(model, COCO_17), PoseErrors.of(poses[rows], COCO_17)
        assert of_rows is not None
        for column, item in enumerate(MEASURES):
            reading = read(item, COCO_17, poses.xy[rows])
            ours[column][:, :, rows] = intervals(item, reading, of_rows, LEVELS)
    plain = MeasureIntervals(None, COCO_17)
    readable = measure(poses, MEASURES).readable
    parts = []
    for column, item in enumerate(MEASURES):
        reading, label = read(item, COCO_17, poses.xy), read(item, COCO_17, truth.xy)
        rows = np.flatnonzero((truth.v[:, reading.joints] > 0).all(axis=1) & np.isfinite(label.value + reading.value))
        if not len(rows):  # LSPET labels no faces, and so no necks
            continue
        labelled = reading.value + item.difference(label.value, reading.value)
        ends = {"ours": ours[column], "plain propagation": plain(item, reading, errors, LEVELS)}
        lowest = poses.score[:, reading.joints].min(axis=1)
        by_method = {name: (both[:, 0][:, rows], both[:, 1][:, rows]) for name, both in ends.items()}
        if is_out_of_fold:
            by_method |= peers(item, poses, reading.joints, reading.value, labelled, lowest, fold, rows)
        parts.append(
            Readings(
                item,
                by_method,
                reading.value[rows],
                labelled[rows],
                lowest[rows],
                (reading.shortest / errors.size)[rows],
                errors.quality[np.ix_(rows, reading.joints)].min(axis=1),
                poses.image_id[rows],
                readable[rows, column],
            )
        )
    return parts


def peers(item, poses, joints, value, labelled, lowest, fold, rows) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the intervals of one width per measure, of width by the lowest score, and of quantile regression trees on
    the joints' scores, trust, the value and the person's size, each out of fold."""
    error, fold, value, lowest = (labelled - value)[rows], fold[rows], value[rows], lowest[rows]
    size = np.sqrt(np.prod(np.diff(poses.person_box()[rows].reshape(-1, 2, 2), axis=1)[:, 0], axis=1))
    score, quality = poses.score[np.ix_(rows, joints)], poses.quality[np.ix_(rows, joints)]
    limbs = np.linalg.norm(np.diff(poses.xy[np.ix_(rows, joints)], axis=1), axis=2) / size[:, None]
    features = np.column_stack([score, quality, limbs, value, size, poses.pose_quality[rows]])
    ends = {name: np.empty((2, len(LEVELS), len(rows))) for name in ("one width", "lowest score", "quantile trees")}
    for number in range(FOLDS):
        inside, others = fold == number, fold != number
        borders = np.quantile(lowest[others], np.arange(1, 5) / 5)
        cells = [np.searchsorted(borders, lowest[part]) for part in (others, inside)]
        for index, level in enumerate(LEVELS):
            ends["one width"][:, index, inside] = _around(np.quantile(np.abs(error[others]), level))
            widths = np.array([np.quantile(np.abs(error[others][cells[0] == cell]), level) for cell in range(5)])
            ends["lowest score"][:, index, inside] = _around(widths[cells[1]])
            for end, share in enumerate(((1 - level) / 2, (1 + level) / 2)):
                trees = lightgbm.train(
                    _TREES | {"objective": "quantile", "alpha": share},
                    lightgbm.Dataset(features[others], error[others]),
                    100,
                )
                ends["quantile trees"][end, index, inside] = trees.predict(features[inside])
    low, high = item.limits
    clipped = {name: np.clip(value + both, low, high) for name, both in ends.items()}
    return {name: (both[0], both[1]) for name, both in clipped.items()}


def _around(width: np.ndarray | float) -> np.ndarray:
    both = np.stack([-np.asarray(width), np.asarray(width)])
    return both[:, None] if both.ndim == 1 else both


def coverage(readings: Readings, method: str, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of labelled values within the intervals (4,), and their standard deviations, from drawing
    photos."""
    low, high = readings.ends[method]
    inside = (readings.labelled >= low - 1e-9) & (readings.labelled <= high + 1e-9)  # (4, R)
    photos, row = np.unique(readings.photo, return_inverse=True)
    sums = np.stack([np.bincount(row, weights=level, minlength=len(photos)) for level in inside.astype(float)])
    counts = np.bincount(row, minlength=len(photos))
    weights = resample_counts(len(photos), draws)
    drawn = (weights @ sums.T) / (weights @ counts)[:, None]
    return inside.mean(axis=1), drawn.std(axis=0)


def outside(shares: np.ndarray, deviations: np.ndarray) -> int:
    """Return how many cells (M, 4) differ from their level, after Holm's correction."""
    p_values = np.sort(2 * norm.sf(np.abs(shares - LEVELS) / np.maximum(deviations, 1e-9)).ravel())
    limits = 0.05 / np.arange(len(p_values), 0, -1)
    return int(np.cumprod(p_values < limits).sum())


def interval_score(readings: Readings, method: str) -> float:
    low, high = readings.ends[method]
    beyond = np.maximum(low - readings.labelled, 0) + np.maximum(readings.labelled - high, 0)
    return float(np.mean(high - low + 2 / (1 - np.array(LEVELS)[:, None]) * beyond))


def correlation(readings: Readings, method: str) -> float:
    low, high = readings.ends[method]
    return float(spearmanr((high - low)[LEVELS.index(0.8)], readings.error)[0])


def report(title: str, parts: list[Readings], draws: int) -> dict[str, dict[str, Cell]]:
    """Print and return a row for each method."""
    rows: dict[str, dict[str, Cell]] = {}
    angles = [part for part in parts if part.measure.kind == "angle"]
    by_score = [float(spearmanr(-part.lowest, part.error)[0]) for part in angles]
    for method in parts[0].ends:
        by_measure = [coverage(part, method, draws) for part in parts]
        shares, deviations = (np.stack([row[index] for row in by_measure]) for index in (0, 1))
        gains = np.array([correlation(part, method) for part in angles]) - by_score
        means = {f"{level:g}": float(mean) for level, mean in zip(LEVELS, shares.mean(axis=0), strict=True)}
        rows[method] = means | {
            "outside": f"{outside(shares, deviations)} of {shares.size}",
            "interval score": float(np.mean([interval_score(part, method) for part in parts])),
            "r": float(np.mean(gains) + np.mean(by_score)),
            "r above lowest score": float(np.mean(gains)),
            "least": float(gains.min()),
        }
    table(title, rows, interval_score=".1f")
    trusted, scored = trusted_half(parts)
    numbers = {
        "readings": sum(len(part.value) for part in parts),
        "readable": float(np.mean(np.concatenate([part.readable for part in parts]))),
        "error, narrowest half": round(trusted, 1),
        "error, highest scores": round(scored, 1),
    }
    table(title, {"readings that are labelled": numbers})
    halves = coverage_of_halves(parts, draws)
    table(f"{title}, halves", halves)
    return rows | {"all": numbers} | halves


def coverage_of_halves(parts: list[Readings], draws: int) -> dict[str, dict[str, Cell]]:
    """Return the coverage of our intervals, mean over measures, in halves by limb and by quality."""
    rows: dict[str, dict[str, Cell]] = {}
    for name, column in (("limbs", "limb"), ("expected OPKS", "quality")):
        for side in ("lower", "upper"):
            by_measure = [coverage(half(part, column, is_upper=side == "upper"), "ours", draws) for part in parts]
            shares, deviations = (np.stack([row[index] for row in by_measure]) for index in (0, 1))
            means = {f"{level:g}": float(mean) for level, mean in zip(LEVELS, shares.mean(axis=0), strict=True)}
            rows[f"{name}, {side} half"] = means | {"outside": f"{outside(shares, deviations)} of {shares.size}"}
    return rows


def half(readings: Readings, column: str, *, is_upper: bool) -> Readings:
    """Return the half of the readings with the lower or the upper values of a column."""
    values = getattr(readings, column)
    rows = np.argsort(values, kind="stable")
    rows = np.sort(rows[len(rows) // 2 :] if is_upper else rows[: len(rows) // 2])
    low, high = readings.ends["ours"]
    columns = {
        name: getattr(readings, name)[rows] for name in ("value", "labelled", "lowest", "limb", "quality", "photo")
    }
    return replace(readings, **columns, ends={"ours": (low[:, rows], high[:, rows])}, readable=readings.readable[rows])


def trusted_half(parts: list[Readings]) -> tuple[float, float]:
    """Return the mean error, over measures, of the half of the readings with the narrowest 80 % intervals, and of the
    half with the highest lowest scores."""

    def mean_error(key: Callable[[Readings], np.ndarray]) -> float:
        return float(np.mean([part.error[np.argsort(key(part))[: len(part.error) // 2]].mean() for part in parts]))

    return (
        mean_error(lambda part: np.subtract(*reversed([ends[1] for ends in part.ends["ours"]]))),
        mean_error(lambda part: -part.lowest),
    )


def main(options):
    truth = {split: ground_truth(options.data, split) for split in ("train", "dev")}
    unseen = np.intersect1d(truth["train"].images.id, ground_truth(options.data, "val2017").images.id)
    record, calibrators = {}, {}
    for name, train, dev in results_files(options, ESTIMATORS) if options.results or not options.own else []:
        files = of_photos(truth["train"], read_results(train, truth=truth["train"]), unseen)[:2]
        fitted = fit(*files, FitOptions())
        held_out = matched(replace(fitted.out_of_fold, error_model=fitted.parts.errors), files[0])
        record[f"{name}, train"] = report(f"{name}, train", readings_of(*held_out, is_out_of_fold=True), options.draws)
        poses = Calibrator.of(fitted.parts)(read_results(dev, truth=truth["dev"]).poses)
        parts = readings_of(*matched(poses, truth["dev"]), is_out_of_fold=False)
        record[f"{name}, dev"] = report(f"{name}, dev", parts, options.draws)
        calibrators[name] = Calibrator.of(fitted.parts)
    for name, dev in options.own or ():
        poses = read_results(dev, truth=truth["dev"]).poses
        parts = readings_of(*matched(poses, truth["dev"]), is_out_of_fold=False)
        record[f"{name}, dev"] = report(f"{name}, dev", parts, options.draws)
    if options.lspet:
        people, photos, _ = lspet(options.data / "lspet", options.lspet, options.draws)
        of_coco = people.truth.truth.take_keypoints(people.truth.skeleton.index_in(COCO_17, "mark"), COCO_17)
        labelled = replace(people.truth, truth=of_coco, skeleton=COCO_17)
        for name, network in NETWORKS.items():
            if name != "default" and name not in calibrators:
                continue
            poses = predict_all(load(network if name == "default" else options.data / network), photos)
            if name != "default":
                print(*calibrators[name].warnings(poses), sep="\n")
                poses = calibrators[name](poses)
            parts = readings_of(*matched(poses, labelled), is_out_of_fold=False)
            record[f"{name}, LSPET"] = report(f"{name}, LSPET", parts, options.draws)
    return record


if __name__ == "__main__":
    options_parser = parser(__doc__, "data", draws=1000)
    options_parser.add_argument("--results", **COMMON["results"])
    options_parser.add_argument(
        "--own", nargs=2, action="append", metavar=("NAME", "DEV"), help="results on dev with trust of their own"
    )
    options_parser.add_argument("--lspet", type=int, default=0, metavar="N", help="people of LSPET")
    run(main, options_parser)
