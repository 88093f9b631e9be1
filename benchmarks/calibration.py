"""The effect of calibration for real estimators on real people, from their results files alone.

    python benchmarks/calibration.py [--results NAME TRAIN DEV]... [--method M] [--draws N] [--lspet N]
                                     [--without-boxes]

For each estimator a calibrator is fitted on its results on `train_gt.json`. Shown are the printed scores beside the
calibrator's, first on those people out of fold (each photo by models that saw no photo of its fold), then on the people
of `dev_gt.json`, on which nothing was fitted or chosen; 95 % intervals from drawing photos, the same for both columns:

  r(pose, OKS)        Pearson of the pose's score with its OKS
  r(averages)         Pearson of average keypoint score with average OPKS over all keypoints, unlabelled ones counting 0
  r(keypoint, OPKS)   the same for each keypoint
  ECE                 15 equal-width bins, of the pose's score and of the keypoints'
  labelled F1         labelled or not; † by the best threshold on printed scores, chosen on these very people
  ternary F1          absent, occluded, visible by the most probable, weighted by support
  AP gain, closed     over ranking by the printed score, and its share of the headroom

The results came from ground-truth boxes, and a calibrator reads how a pose lies in its box. --without-boxes leaves the
boxes out of the results, so that the box around the pose's own keypoints takes their place: what scores and poses tell.

--lspet N adds N people of Leeds Sports Pose Extended (cleaned, ground-truth boxes), whom --network finds and the first
estimator's calibrator, fitted on COCO, judges: another distribution, reported as it is, with the calibrator's
warnings. Only joints that both skeletons have count there, by the area box*0.53. Last comes one line of JSON.
"""

import argparse
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.fit import fit
from trustpose.calibration.options import FitOptions
from trustpose.datasets.lspet import clean, read_lspet
from trustpose.evaluation.audit import audit
from trustpose.evaluation.record import Audit
from trustpose.evaluation.rescoring import rescoring
from trustpose.files import InputError
from trustpose.formats.coco import ResultsFile, TruthFile, read_results, read_truth
from trustpose.images import Images
from trustpose.metrics.bootstrap import DRAWS
from trustpose.poses import Area, Poses
from trustpose.predict.boxes import boxes_from_truth
from trustpose.predict.load import load
from trustpose.predict.photos import Image
from trustpose.skeletons import COCO_17, LSP_14, Skeleton

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
DEFAULT = (("SimplePose, flip", "simplepose_flip"), ("MoveNet-thunder", "movenet-thunder"))
ROWS = {
    "pose.pearson": "r(pose, OKS)",
    "keypoint.pearson_pose_mean": "r(averages)",
    "keypoint.pearson": "r(keypoint, OPKS)",
    "pose.ece": "pose ECE",
    "keypoint.ece": "keypoint ECE",
    "visibility.labelled.f1": "labelled F1",
    "visibility.ternary.total.f1": "ternary F1",
    "ap.AP": "AP",
    "oracle_ap.AP": "AP by the true OKS",
    "gain": "AP gain",
    "closed": "headroom closed",
}
Value = tuple[float, ...] | None  # the number, then its interval
Column = dict[str, Value]


@dataclass(frozen=True)
class People:
    """Labelled people, and how to measure on them."""

    truth: TruthFile
    area: Area
    draws: int


def audited(poses: Poses, score: np.ndarray, people: People) -> Audit:
    results = ResultsFile(poses, score, np.full(len(poses), people.truth.category_id), "results in memory", "")
    return audit(people.truth, results, area=people.area, draws=people.draws)


def compared(printed: Poses, score: np.ndarray, trusted: Poses, people: People) -> tuple[Column, Column]:
    """The printed scores and the calibrator's, measured on the same people; gain and share are in the latter column."""
    columns = []
    for poses, ranking in ((printed, score), (trusted, trusted.ranking_score)):
        record = audited(poses, ranking, people)
        column: Column = dict.fromkeys(ROWS)
        for name in ROWS:
            if name not in ("gain", "closed") and (value := record.number(name)) is not None:
                column[name] = (value, *record.intervals.get(name, ()))
        columns.append(column)
    worth = rescoring(people.truth, trusted, score, trusted.ranking_score, area=people.area, draws=people.draws)
    columns[1]["gain"] = (worth.gain, *worth.intervals["gain"])
    columns[1]["closed"] = None if worth.closed is None else (worth.closed, *worth.intervals["closed"])
    return columns[0], columns[1]


def of_boxes(results: ResultsFile, without: bool) -> ResultsFile:
    return replace(results, poses=replace(results.poses, box=None)) if without else results


def measure(
    train: People, dev: People, files: tuple[Path, Path], options: FitOptions, without_boxes: bool
) -> tuple[Calibrator, dict[str, Column]]:
    """The calibrator of one estimator, and its columns."""
    known = of_boxes(read_results(files[0], truth=train.truth), without_boxes)
    fitted = fit(train.truth, known, options)
    calibrator = Calibrator.of(fitted.parts)
    columns: dict[str, Column] = {}
    columns["train, printed"], columns["train, out of fold"] = compared(
        known.poses, known.score, fitted.out_of_fold, train
    )
    held_out = of_boxes(read_results(files[1], truth=dev.truth), without_boxes)
    columns["dev, printed"], columns["dev, calibrated"] = compared(
        held_out.poses, held_out.score, calibrator(held_out.poses), dev
    )
    return calibrator, columns


def lspet(folder: Path, count: int, draws: int) -> tuple[People, list[Image], np.ndarray]:
    """The first `count` cleaned people as a ground truth of the joints that COCO has too, their photos with boxes, and
    the index of these joints in COCO's."""
    everybody = clean(read_lspet(folder / "joints.mat"))
    truth = everybody.truth[:count]
    assert truth.image_id is not None
    names = [everybody.file_name[at] for at in truth.image_id.tolist()]
    boxes = boxes_from_truth(truth).of_images(truth.image_id)
    every = zip(names, boxes, truth.image_id.tolist(), strict=True)
    photos = [Image(folder / "images" / name, box, at) for name, box, at in every]
    shared = tuple(name for name in COCO_17.keypoints if name in LSP_14.keypoints)
    in_coco = np.array([COCO_17.keypoints.index(name) for name in shared])
    skeleton = Skeleton("coco12", shared, (), COCO_17.sigmas_source, tuple(COCO_17.sigmas[in_coco].tolist()))
    images = Images(truth.image_id, [*names])
    file = TruthFile(
        truth.take_keypoints(LSP_14.index_in(skeleton)), images, skeleton, shared, 1, (1,), str(folder), ""
    )
    return People(file, "box*0.53", draws), photos, in_coco


def transferred(calibrator: Calibrator, network: Path, count: int, draws: int) -> tuple[dict[str, Column], list[str]]:
    """The calibrator's results on LSPET's people, and its warnings."""
    people, photos, joints = lspet(DATA / "lspet", count, draws)
    parts = []
    for prediction in load(network, flip=True).stream(photos):
        if prediction.error is not None:
            raise prediction.error
        parts.append(prediction.poses)
    printed = Poses.concatenate(parts)
    assert printed.pose_score is not None
    trusted = calibrator(printed).take_keypoints(joints)
    before, after = compared(printed.take_keypoints(joints), printed.pose_score, trusted, people)
    shift = calibrator.shift(printed)
    lines = [f"{shift.share_outside:.1%} of the people further out than 99 % of the fitted", *shift.warnings()]
    return {"LSPET, printed": before, "LSPET, by COCO's calibrator": after}, lines


def shifts(calibrator: Calibrator, others: dict[str, Poses]) -> dict[str, dict[str, float]]:
    """How each estimator's poses differ from those that the calibrator was fitted on."""
    found = {}
    for name, poses in others.items():
        shift = calibrator.shift(poses)
        found[name] = {
            "score_distance": shift.score_distance,
            "feature_distance": shift.feature_distance,
            "share_outside": shift.share_outside,
            "warnings": len(shift.warnings()),
        }
        print(
            f"  {name:20}"
            + "".join(f"{label.replace('_', ' ')} {value:.3g}   " for label, value in found[name].items())
        )
    return found


def cell(value: Value) -> str:
    if value is None:
        return "–"
    return f"{value[0]:.3f}" + (f" [{value[1]:.3f}, {value[2]:.3f}]" if len(value) == 3 else "")


def show(title: str, columns: dict[str, Column]) -> None:
    """Numbers down, columns across."""
    print(f"\n{title}")
    widths = {name: max(len(name), *(len(cell(column[row])) for row in ROWS)) + 3 for name, column in columns.items()}
    print(f"{'':20}" + "".join(f"{name:>{width}}" for name, width in widths.items()))
    for row, label in ROWS.items():
        print(f"{label:20}" + "".join(f"{cell(columns[name][row]):>{width}}" for name, width in widths.items()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", nargs=3, action="append", metavar=("NAME", "TRAIN", "DEV"), help="several times")
    parser.add_argument("--method", default="auto")
    parser.add_argument("--draws", type=int, default=DRAWS, help="of photos, for the intervals")
    parser.add_argument("--lspet", type=int, default=0, metavar="N", help="people of LSPET to transfer to")
    parser.add_argument("--network", type=Path, default=DATA / "networks" / "simplepose.onnx", help="what finds them")
    parser.add_argument("--without-boxes", action="store_true", help="leave boxes out of the results")
    options = parser.parse_args()
    if options.lspet and options.without_boxes:
        parser.error("--lspet is measured with boxes")
    folder = DATA / "results"
    chosen = options.results or [
        (name, folder / f"{file}.train.json", folder / f"{file}.dev.json") for name, file in DEFAULT
    ]
    result: dict[str, object] = {}
    try:
        train, dev = (
            People(read_truth(DATA / "coco" / f"{part}_gt.json"), "file", options.draws) for part in ("train", "dev")
        )
        calibrators = []
        for name, *files in chosen:
            calibrator, columns = measure(
                train,
                dev,
                (Path(files[0]), Path(files[1])),
                FitOptions(options.method, draws=options.draws),
                options.without_boxes,
            )
            show(f"{name}: {calibrator.card.why}", columns)
            result[name] = {"method": calibrator.card.method} | columns
            calibrators.append(calibrator)
        first = chosen[0][0]
        print(f"\ndev people, beside those that {first}'s calibrator was fitted on:")
        held_out = {name: of_boxes(read_results(file), options.without_boxes).poses for name, _, file in chosen}
        result["shifts"] = shifts(calibrators[0], held_out)
        if options.lspet:
            columns, notes = transferred(calibrators[0], options.network, options.lspet, options.draws)
            show(f"{first}, fitted on COCO, on {options.lspet} people of LSPET", columns)
            print("\n".join(f"  {note}" for note in notes))
            result["LSPET"] = {"notes": notes} | columns
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
