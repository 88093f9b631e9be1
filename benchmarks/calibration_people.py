"""How many labelled people a calibrator needs.

    python benchmarks/calibration_people.py [--results NAME TRAIN DEV]... [--seeds 3]

Of each estimator's results on `train`, photos are drawn at random until they hold 50, 100, … people; a calibrator is
fitted on those (`--method auto`) and applied to `dev`. Each number is the mean over the seeds of an audit's on dev; the
first row is the estimator's own scores.
"""

from dataclasses import replace

import numpy as np
from coco_photos import audited, ground_truth, results_files
from harness import parser, run, table

from trustpose.calibration.calibrator import Calibrator
from trustpose.evaluation.record import Audit
from trustpose.io.coco.results import common_photos, read_results
from trustpose.io.coco.truth import TruthFile

PEOPLE = (50, 100, 200, 500, 1000, 2000)
NUMBERS = {"r(pose, OKS)": "pose.pearson", "r(keypoint)": "keypoint.pearson", "pose ECE": "pose.ece", "AP": "ap.AP"}


def drawn_photos(truth: TruthFile, people: int, seed: int) -> TruthFile:
    """Photos at random, until they hold this many people with labelled keypoints."""
    labelled = truth.truth.num_keypoints > 0
    order = np.random.default_rng(seed).permutation(truth.images.id)
    counts = np.array([(labelled & (truth.truth.image_id == image)).sum() for image in order])
    chosen = order[: int(np.searchsorted(counts.cumsum(), people)) + 1]
    images = truth.images[np.flatnonzero(np.isin(truth.images.id, chosen))]
    return replace(truth, truth=truth.truth[np.isin(truth.truth.image_id, chosen)], images=images)


def numbers_of(record: Audit) -> dict[str, float | None]:
    return {name: record.number(field) for name, field in NUMBERS.items()}


def main(options):
    train, dev = (ground_truth(options.data, split) for split in ("train", "dev"))
    result: dict[str, dict[str, dict[str, float | None]]] = {}
    for name, train_results, dev_results in results_files(options):
        on_dev = read_results(dev_results, truth=dev)
        rows = {"printed": numbers_of(audited(dev, on_dev.poses, on_dev.score))}
        for people in PEOPLE:
            runs, methods = [], []
            for seed in range(options.seeds):
                results = read_results(train_results, truth=train)
                part, (results,) = common_photos(drawn_photos(train, people, seed), [results])
                calibrator = Calibrator.fit(part, results, seed=seed)
                methods.append(calibrator.card.method)
                runs.append(numbers_of(audited(dev, calibrator(on_dev.poses))))
            means = {number: float(np.mean([numbers[number] for numbers in runs])) for number in NUMBERS}
            rows[f"{people} ({', '.join(methods)})"] = means
        table(f"{name}, fitted on", rows)
        result[name] = rows
    return result


if __name__ == "__main__":
    options_parser = parser(__doc__, "results", "data")
    options_parser.add_argument("--seeds", type=int, default=3, help="random choices of photos")
    run(main, options_parser)
