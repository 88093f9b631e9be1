"""How many labelled people a calibrator needs.

    python benchmarks/calibration_people.py [--results NAME TRAIN DEV]... [--seeds 3]

Of each estimator's results on `train`, photos are drawn at random until they hold 50, 100, … people; a calibrator is
fitted on those (`--method auto`) and applied to `dev`. Each number is the mean over the seeds of an
audit's on dev; the first row is the estimator's own scores. The last line is JSON.
"""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from trustpose.calibration.calibrator import Calibrator
from trustpose.evaluation.audit import audit
from trustpose.evaluation.record import Audit
from trustpose.formats.coco import ResultsFile, TruthFile, read_results, read_truth
from trustpose.formats.coco.together import common_photos

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
DEFAULT = [
    (name, DATA / f"results/{stem}.train.json", DATA / f"results/{stem}.dev.json")
    for name, stem in (("SimplePose", "simplepose_flip"), ("MoveNet thunder", "movenet-thunder"))
]
PEOPLE = (50, 100, 200, 500, 1000, 2000)
NUMBERS = {"r(pose, OKS)": "pose.pearson", "r(keypoint)": "keypoint.pearson", "pose ECE": "pose.ece", "AP": "ap.AP"}


def some_photos(truth: TruthFile, people: int, seed: int) -> TruthFile:
    """Photos at random, until they hold this many people with labelled keypoints."""
    labelled = truth.truth.num_keypoints > 0
    assert truth.truth.image_id is not None
    order = np.random.default_rng(seed).permutation(truth.images.id)
    counts = np.array([(labelled & (truth.truth.image_id == one)).sum() for one in order])
    chosen = order[: int(np.searchsorted(counts.cumsum(), people)) + 1]
    images = truth.images[np.flatnonzero(np.isin(truth.images.id, chosen))]
    return replace(truth, truth=truth.truth[np.isin(truth.truth.image_id, chosen)], images=images)


def numbers_of(record: Audit) -> dict[str, float | None]:
    return {name: record.number(field) for name, field in NUMBERS.items()}


def trusted(calibrator: Calibrator, results: ResultsFile) -> ResultsFile:
    """The results as `calibrate apply` writes them."""
    poses = calibrator(results.poses)
    return replace(results, poses=poses, score=poses.ranking_score)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", nargs=3, action="append", metavar=("NAME", "TRAIN", "DEV"))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    train, dev = read_truth(DATA / "coco" / "train_gt.json"), read_truth(DATA / "coco" / "dev_gt.json")
    result: dict[str, dict[str, dict[str, float | None]]] = {}
    for name, train_results, dev_results in options.results or DEFAULT:
        on_dev = read_results(dev_results, truth=dev)
        rows: dict[str, dict[str, float | None]] = {"printed": numbers_of(audit(dev, on_dev, draws=0))}
        for people in PEOPLE:
            runs, methods = [], []
            for seed in range(options.seeds):
                part, (results,) = common_photos(
                    some_photos(train, people, seed), [read_results(train_results, truth=train)]
                )
                calibrator = Calibrator.fit(part, results, seed=seed)
                methods.append(calibrator.card.method)
                runs.append(numbers_of(audit(dev, trusted(calibrator, on_dev), draws=0)))
            rows[f"{people} ({', '.join(methods)})"] = {
                number: float(np.mean([run[number] for run in runs])) for number in NUMBERS
            }
        print(f"\n{name}\n| fitted on | {' | '.join(NUMBERS)} |\n|---|{'---|' * len(NUMBERS)}")
        for row, values in rows.items():
            print(f"| {row} | {' | '.join(f'{values[number]:.3f}' for number in NUMBERS)} |", flush=True)
        result[name] = rows
    print(json.dumps(result))


if __name__ == "__main__":
    main()
