"""The effect of calibration for real estimators on real people, from their results files alone.

    python benchmarks/calibration.py [--results NAME TRAIN DEV]... [--method M] [--lspet N] [--without-boxes]

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
warnings. Only joints that both skeletons have count there, by the area box*0.53.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from coco_photos import audited, gains_of, ground_truth, numbers_of, predict_all, results_files
from harness import parser, run, table

from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.fit import fit
from trustpose.calibration.options import FitOptions
from trustpose.datasets.lspet import clean, read_lspet
from trustpose.files import InputError
from trustpose.images import Images
from trustpose.io.coco.results import ResultsFile, read_results
from trustpose.io.coco.truth import TruthFile
from trustpose.poses import Area, Poses
from trustpose.predict.boxes import boxes_from_truth
from trustpose.predict.load import load
from trustpose.predict.photos import Image
from trustpose.skeletons import COCO_17, LSP_14, Skeleton

ESTIMATORS = {"SimplePose, flip": "simplepose_flip", "MoveNet-thunder": "movenet-thunder"}
NUMBERS = {
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
Column = dict[str, list[float] | None]  # a number and its interval


@dataclass(frozen=True)
class People:
    """Labelled people, and how to measure on them."""

    truth: TruthFile
    area: Area
    draws: int


def compared(printed: Poses, score: np.ndarray, trusted: Poses, people: People) -> tuple[Column, Column]:
    """The printed scores and the calibrator's, measured on the same people; gain and share are in the latter column."""
    columns = []
    for poses, ranking in ((printed, score), (trusted, trusted.ranking_score)):
        record = audited(people.truth, poses, ranking, draws=people.draws, area=people.area)
        columns.append(dict.fromkeys(NUMBERS) | numbers_of(record, (name for name in NUMBERS if "." in name)))
    columns[1] |= gains_of(people.truth, trusted, score, people.draws, people.area)
    return columns[0], columns[1]


def read(file: Path, truth: TruthFile, with_boxes: bool) -> ResultsFile:
    results = read_results(file, truth=truth)
    return results if with_boxes else replace(results, poses=replace(results.poses, box=None))


def measure(
    train: People, dev: People, files: tuple[Path, Path], options: FitOptions, with_boxes: bool
) -> tuple[Calibrator, dict[str, Column]]:
    """The calibrator of one estimator, and its columns."""
    results, held_out = (read(file, people.truth, with_boxes) for file, people in zip(files, (train, dev), strict=True))
    fitted = fit(train.truth, results, options)
    calibrator = Calibrator.of(fitted.parts)
    on_train = compared(results.poses, results.score, fitted.out_of_fold, train)
    on_dev = compared(held_out.poses, held_out.score, calibrator(held_out.poses), dev)
    names = ("train, printed", "train, out of fold", "dev, printed", "dev, calibrated")
    return calibrator, dict(zip(names, (*on_train, *on_dev), strict=True))


def lspet(folder: Path, count: int, draws: int) -> tuple[People, list[Image], np.ndarray]:
    """The first `count` cleaned people as a ground truth of the joints that COCO has too, their photos with boxes, and
    the index of these joints in COCO's."""
    everybody = clean(read_lspet(folder / "joints.mat"))
    truth = everybody.truth[:count]
    assert truth.image_id is not None
    names = [everybody.file_name[image] for image in truth.image_id.tolist()]
    boxes = boxes_from_truth(truth).of_images(truth.image_id)
    rows = zip(names, boxes, truth.image_id.tolist(), strict=True)
    photos = [Image(folder / "images" / name, box, image) for name, box, image in rows]
    shared = tuple(name for name in COCO_17.keypoints if name in LSP_14.keypoints)
    in_coco = np.array([COCO_17.keypoints.index(name) for name in shared])
    skeleton = Skeleton("coco12", shared, (), COCO_17.sigmas_source, tuple(COCO_17.sigmas[in_coco].tolist()))
    images = Images(truth.image_id, [*names])
    file = TruthFile(
        truth.take_keypoints(LSP_14.index_in(skeleton)), images, skeleton, shared, 1, (1,), str(folder), ""
    )
    return People(file, "box*0.53", draws), photos, in_coco


def transferred(calibrator: Calibrator, options) -> tuple[dict[str, Column], list[str]]:
    """The calibrator's results on LSPET's people, and its warnings."""
    people, photos, joints = lspet(options.data / "lspet", options.lspet, options.draws)
    network = options.network or options.data / "networks" / "simplepose.onnx"
    printed = predict_all(load(network, flip=True), photos)
    trusted = calibrator(printed).take_keypoints(joints)
    before, after = compared(printed.take_keypoints(joints), printed.pose_score, trusted, people)
    shift = calibrator.shift(printed)
    lines = [f"{shift.share_outside:.1%} of the people further out than 99 % of the fitted", *shift.warnings()]
    return {"LSPET, printed": before, "LSPET, by COCO's calibrator": after}, lines


def shifts(calibrator: Calibrator, held_out: dict[str, Poses]) -> dict[str, dict[str, float]]:
    """How each estimator's poses differ from those that the calibrator was fitted on."""
    rows = {}
    for name, poses in held_out.items():
        shift = calibrator.shift(poses)
        distances = {key: getattr(shift, key) for key in ("score_distance", "feature_distance", "share_outside")}
        rows[name] = distances | {"warnings": len(shift.warnings())}
    return rows


def show(title: str, columns: dict[str, Column]) -> None:
    """Numbers down, columns across."""
    labelled = {name: {label: column[number] for number, label in NUMBERS.items()} for name, column in columns.items()}
    table(title, labelled, down=True)


def main(options):
    if options.lspet and options.without_boxes:
        raise InputError("--lspet is measured with boxes; leave --without-boxes out")
    train, dev = (People(ground_truth(options.data, split), "file", options.draws) for split in ("train", "dev"))
    result: dict[str, object] = {}
    calibrators, held_out = [], {}
    for name, *files in results_files(options, ESTIMATORS):
        fit_options = FitOptions(method=options.method, draws=options.draws)
        calibrator, columns = measure(train, dev, files, fit_options, not options.without_boxes)
        show(f"{name}: {calibrator.card.why}", columns)
        result[name] = {"method": calibrator.card.method} | columns
        calibrators.append(calibrator)
        held_out[name] = read(files[1], None, not options.without_boxes).poses
    first = next(iter(held_out))
    result["shifts"] = shifts(calibrators[0], held_out)
    table(f"dev people, beside those that {first}'s calibrator was fitted on", result["shifts"], ".3g")
    if options.lspet:
        columns, notes = transferred(calibrators[0], options)
        show(f"{first}, fitted on COCO, on {options.lspet} people of LSPET", columns)
        print("\n".join(f"  {note}" for note in notes))
        result["LSPET"] = {"notes": notes} | columns
    return result


if __name__ == "__main__":
    options_parser = parser(__doc__, "results", "draws", "data")
    options_parser.add_argument("--method", default="auto", help="as of trustpose calibrate fit")
    options_parser.add_argument("--lspet", type=int, default=0, metavar="N", help="people of LSPET to transfer to")
    options_parser.add_argument("--network", type=Path, help="what finds them; default: SimplePose")
    options_parser.add_argument("--without-boxes", action="store_true", help="leave boxes out of the results")
    run(main, options_parser)
