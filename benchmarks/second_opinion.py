"""The effect of a second opinion: calibrators of one network's results that also read another's on the same people.

    python benchmarks/second_opinion.py [--results NAME TRAIN DEV]... [--first NAME]... [--all-beside NAME]...

For each ordered pair of networks a calibrator (trees) of the first is fitted on its results on the people of
`train_gt.json`, without and with the second's results beside it, and applied to the people of `dev_gt.json`, on which
nothing was fitted or chosen. Only photos of val2017 are used for fitting, as most public networks were trained on those
of train2017 and look too good there. A network that finds people by itself, as the first, needs the others' results in
its own boxes (`trustpose predict --boxes`): results in labelled boxes would tell who is labelled. --first limits the
first networks, --all-beside also gives one network all the others at once.

  kept              whether the fit reads the second, or leaves it out as it improves too little; dev is then "without"
  r(pose, OKS)      Pearson of expected OKS with OKS
  r(averages)       Pearson of average expected OPKS with average OPKS, over all keypoints, unlabelled ones counting 0
  r(keypoint)       Pearson of expected OPKS with OPKS, each keypoint
  gain              in explained variance of OKS and OPKS, out of fold, with its 95 % interval (paired draws of photos)

Default: SimplePose with flip and MoveNet thunder, from `results/`.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from coco_photos import ground_truth, results_files
from harness import cell, parser, run, table

from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.fit import fit, prepare
from trustpose.calibration.metrics import Scores, evaluate_scores
from trustpose.calibration.opinions import Second
from trustpose.calibration.options import FitOptions
from trustpose.files import InputError
from trustpose.io.coco.results import ResultsFile, read_results
from trustpose.io.coco.truth import TruthFile

NUMBERS = {
    "pose.pearson": "r(pose, OKS)",
    "keypoint.pearson_pose_mean": "r(averages)",
    "keypoint.pearson": "r(keypoint)",
}


@dataclass(frozen=True)
class Network:
    """A network's results on both parts, on train in photos of val2017 alone."""

    name: str
    train: ResultsFile
    dev: ResultsFile

    def second(self, part: str) -> Second:
        results = self.train if part == "train" else self.dev
        return Second(results.poses, self.name, Path(results.path).name, results.sha256)


def unseen(results: ResultsFile, images: np.ndarray) -> ResultsFile:
    keep = np.isin(results.poses.image_id, images)
    if not keep.any():
        raise InputError(f"{results.path}: has no result in a photo of val2017")
    return replace(results, poses=results.poses[keep], score=results.score[keep], category_id=results.category_id[keep])


def on_dev(calibrator: Calibrator, first: Network, seconds: list[Network], truth: TruthFile) -> dict[str, float]:
    """The numbers of the calibrated results on dev, including results on no person, as out of fold."""
    poses = calibrator(first.dev.poses, second=[network.second("dev") for network in seconds] or None)
    task = prepare(truth, first.dev, FitOptions(folds=2, draws=1))
    rows = task.targets.rows
    numbers = evaluate_scores(Scores(poses.quality[rows], poses.pose_quality[rows]), task.sample)
    return {name: number.value for name, number in numbers.items() if number is not None}


def measured(first: Network, seconds: list[Network], truths: dict[str, TruthFile], draws: int) -> dict[str, object]:
    options = FitOptions(method="trees", draws=draws)
    second = [network.second("train") for network in seconds]
    calibrator = Calibrator.of(fit(truths["train"], first.train, options, second=second).parts)
    card = calibrator.card

    def values(numbers: dict) -> dict[str, float]:
        return {name: value[0] for name, value in numbers.items() if value}

    return {
        "kept": [opinion.name for opinion in card.opinions if opinion.kept],
        "opinions": {str(opinion.name): opinion.change for opinion in card.opinions},
        "without": values(card.opinions[0].before) if second else {},
        "tried": values(card.opinions[0].after) if second else {},
        "out of fold": values(card.after),
        "dev": on_dev(calibrator, first, seconds, truths["dev"]),
    }


def row_of(record: dict, alone: dict) -> dict[str, object]:
    """What the table shows: numbers without → with the second opinion, out of fold and on dev, and the gain."""
    is_single = len(record["opinions"]) == 1
    row: dict[str, object] = {"kept": ", ".join(record["kept"]) or "no"}
    if len(record["kept"]) == len(record["opinions"]):
        row["kept"] = "yes"
    for part, numbers in (("out of fold", record["tried" if is_single else "out of fold"]), ("dev", record["dev"])):
        row |= {
            f"{label}, {part}": f"{cell(alone[part][name])} → {cell(numbers[name])}" for name, label in NUMBERS.items()
        }
    gain = next(iter(record["opinions"].values()))["explained"]
    return row | {"gain, out of fold": cell(gain, "+.3f") if is_single else ""}


def main(options):
    truths = {part: ground_truth(options.data, part) for part in ("train", "dev")}
    images = ground_truth(options.data, "val2017").images.id
    networks = []
    for name, train, dev in results_files(options):
        on_train = unseen(read_results(train, truth=truths["train"]), images)
        networks.append(Network(name, on_train, read_results(dev, truth=truths["dev"])))
    result: dict[str, dict] = {}
    for first in [network for network in networks if options.first is None or network.name in options.first]:
        others = [network for network in networks if network is not first]
        alone = result[first.name] = measured(first, [], truths, options.draws)
        rows = {}
        for group in [[network] for network in others] + ([others] if first.name in options.all_beside else []):
            names = " + ".join(network.name for network in group)
            record = result[f"{first.name}, {names}"] = measured(first, group, truths, options.draws)
            rows[names if len(group) == 1 else "all others"] = row_of(record, alone)
        table(f"{first.name}, and beside it", rows)
    return result


if __name__ == "__main__":
    options_parser = parser(__doc__, "results", "draws", "data")
    options_parser.add_argument("--first", metavar="NAME", action="append", help="only these as the first")
    options_parser.add_argument(
        "--all-beside", metavar="NAME", action="append", default=[], help="give it all the others at once, too"
    )
    run(main, options_parser)
