"""The effect of a second opinion: calibrators of one network's results that also read another's on the same people.

    python benchmarks/second_opinion.py [--results NAME TRAIN DEV]... [--first NAME]... [--all-beside NAME]...
                                        [--draws N]

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

Default: SimplePose with flip and MoveNet thunder, from `results/`. Last comes one line of JSON.
"""

import argparse
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.fit import fit, prepare
from trustpose.calibration.metrics import Scores, evaluate_scores
from trustpose.calibration.options import FitOptions
from trustpose.calibration.second import Second
from trustpose.files import InputError
from trustpose.formats.coco import ResultsFile, TruthFile, read_results, read_truth
from trustpose.metrics.bootstrap import DRAWS

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
DEFAULT = (("SimplePose", "simplepose_flip"), ("MoveNet thunder", "movenet-thunder"))
ROWS = {
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
    assert results.poses.image_id is not None
    keep = np.isin(results.poses.image_id, images)
    if not keep.any():
        raise InputError(f"{results.path}: has no result in a photo of val2017")
    return replace(results, poses=results.poses[keep], score=results.score[keep], category_id=results.category_id[keep])


def on_dev(calibrator: Calibrator, network: Network, seconds: list[Network], truth: TruthFile) -> dict[str, float]:
    """The numbers of the calibrated results on dev, including results on no person, as out of fold."""
    poses = calibrator(network.dev.poses, second=[one.second("dev") for one in seconds] or None)
    task = prepare(truth, network.dev, FitOptions(folds=2, draws=1))
    rows = task.targets.rows
    assert poses.quality is not None and poses.pose_quality is not None
    found = evaluate_scores(Scores(poses.quality[rows], poses.pose_quality[rows]), task.sample)
    return {name: one.value for name, one in found.items() if one is not None}


def measured(first: Network, seconds: list[Network], truths: dict[str, TruthFile], draws: int) -> dict[str, object]:
    options = FitOptions(method="trees", draws=draws)
    second = [one.second("train") for one in seconds]
    calibrator = Calibrator.of(fit(truths["train"], first.train, options, second=second).parts)
    card = calibrator.card
    return {
        "kept": [opinion.name for opinion in card.opinions if opinion.kept],
        "opinions": {str(opinion.name): opinion.change for opinion in card.opinions},
        "without": {name: value[0] for name, value in card.opinions[0].before.items() if value} if second else {},
        "tried": {name: value[0] for name, value in card.opinions[0].after.items() if value} if second else {},
        "out of fold": {name: value[0] for name, value in card.after.items() if value},
        "dev": on_dev(calibrator, first, seconds, truths["dev"]),
    }


def show(first: str, second: str, found: dict, alone: dict) -> None:
    """One line: numbers without → with the second, out of fold and on dev."""
    with_it = found["tried"] if len(found["opinions"]) == 1 else found["out of fold"]
    cells = [f"{alone['out of fold'][name]:.3f} → {with_it[name]:.3f}" for name in ROWS]
    cells += [f"{alone['dev'][name]:.3f} → {found['dev'][name]:.3f}" for name in ROWS]
    gain = next(iter(found["opinions"].values()))["explained"]
    worth = f"{gain[0]:+.3f} ({gain[1]:+.3f}, {gain[2]:+.3f})" if len(found["opinions"]) == 1 else ""
    kept = "yes" if len(found["kept"]) == len(found["opinions"]) else ", ".join(found["kept"]) or "no"
    print(f"{first:17}{second:17}{kept:20}" + "".join(f"{cell:16}" for cell in cells) + worth, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", nargs=3, action="append", metavar=("NAME", "TRAIN", "DEV"), help="several times")
    parser.add_argument("--first", metavar="NAME", action="append", help="only these as the first; default: each")
    parser.add_argument("--all-beside", metavar="NAME", action="append", default=[], help="give it all the others")
    parser.add_argument("--draws", type=int, default=DRAWS, help="of photos, for the intervals")
    options = parser.parse_args()
    chosen = options.results or [
        (name, *(DATA / "results" / f"{file}.{part}.json" for part in ("train", "dev"))) for name, file in DEFAULT
    ]
    result: dict[str, dict] = {}
    try:
        truths = {part: read_truth(DATA / "coco" / f"{part}_gt.json") for part in ("train", "dev")}
        images = read_truth(DATA / "coco" / "val2017_gt.json").images.id
        networks = []
        for name, train, dev in chosen:
            files = [read_results(file, truth=truths[part]) for file, part in ((train, "train"), (dev, "dev"))]
            networks.append(Network(name, unseen(files[0], images), files[1]))
        label = "".join(f"{name:16}" for name in ROWS.values())
        print(f"{'':54}{'out of fold':48}dev\n{'first':17}{'second':17}{'kept':20}{label}{label}gain, out of fold")
        for first in [one for one in networks if options.first is None or one.name in options.first]:
            others = [one for one in networks if one is not first]
            alone = result[first.name] = measured(first, [], truths, options.draws)
            groups = [[one] for one in others] + ([others] if first.name in options.all_beside else [])
            for group in groups:
                names = " + ".join(one.name for one in group)
                result[f"{first.name}, {names}"] = found = measured(first, group, truths, options.draws)
                show(first.name, names if len(group) == 1 else "all others", found, alone)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
