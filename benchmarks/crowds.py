"""One joint, one person: suppression and CrowdPose's association, on crowded and other photos of `dev`.

    python benchmarks/crowds.py [--boxes ours usual] [--model NETWORK] [--train N] [--fold F] [--deepcut]

One network predicts every box of `dev` photos once: of the bundled detector above 0.1 ("ours"), or of
DATA/coco/dev_detections.json, on 70 photos ("usual"). Poses are ranked by the mean of the keypoints' scores × the
box's. AP is COCO's, with 95 % intervals from drawing photos, on all photos and on thirds of those with people by their
crowd index; gains over no suppression are drawn in pairs.

  none                every box's pose
  OKS-NMS, soft-NMS   `trustpose suppress`, the threshold chosen
  pose NMS            AlphaPose's, all four parameters chosen as the paper does
  AlphaPose's code    the same with its published parameters, in pixels
  association         CrowdPose's: all peaks above a height are candidates, merged where they are near, and each joint
                      goes to one person. Who gets no joint is left without: its score there is 0. The height and the
                      distance, in σ of a Gaussian, times COCO's constant of the joint over their mean, are chosen
  OKS-NMS, ..         the same among the poses that OKS-NMS leaves, at a chosen OKS
  .. × box            edges weigh the peak's height × the box's score, so that one of two boxes of a person gets all
  .. keeps its peak   and a person that gets no joint keeps its own highest peak's place, with a score of 0

  DeepCut             with --deepcut: of the candidates of all boxes, `trustpose predict --association deepcut` as it is

"Chosen" is: of highest AP on N photos of `train`; `dev` is looked at once. A network that was itself trained on `train`
needs --fold: N photos of fold F of five, which its recipe (`data.fold`) held out.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from coco_photos import Split, ap_of, spread, thirds_by_crowding
from harness import Estimate, gains_over, hundredths, parser, run, table, with_gains

from trustpose.geometry.crops import transform
from trustpose.grouping.association import ASSOCIATIONS, JointAssociation
from trustpose.grouping.crowdpose import Association, JointCandidates
from trustpose.grouping.pose_nms import ALPHAPOSE, ALPHAPOSE_THRESHOLD, PoseDistance, choose_parameters
from trustpose.grouping.suppression import POSE_THRESHOLD, Method, suppress
from trustpose.images import fold_of
from trustpose.io.photos import MAX_PIXELS
from trustpose.metrics.bootstrap import resample_counts
from trustpose.poses import Poses
from trustpose.predict.boxes import boxes_from_detections
from trustpose.predict.detectors import load_detector
from trustpose.predict.load import load
from trustpose.predict.photos import Image, open_photo
from trustpose.predict.predictor import Predictor
from trustpose.skeletons import COCO_17

MIN_SCORE, PEAKS, LOWEST = 0.1, 4, 0.03
FOLDS = 5  # of the recipes
OKS_GRID = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
GRID: dict[Method, tuple[float, ...]] = {"oks-nms": OKS_GRID, "soft-oks-nms": (0.1, 0.2, 0.3, 0.5, 0.9, 1.5, 3.0)}
HEIGHTS, DISTANCES, OVERLAPS = (0.05, 0.2), (0.25, 0.5), (0.6, 0.8)
POSE_GRID = {
    "score_scale": (0.1, 0.3, 1.0),
    "distance_scale": (0.3, 1.0, 3.0),
    "balance": (0.3, 1.0, 3.0),
    "threshold": (0.3, 0.5, 0.7, 0.9),
}
Way = Callable[["Predicted"], tuple[Poses, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Predicted:
    """Poses of many photos with their score (N,), candidates of all their boxes, and the photos with their labels."""

    poses: Poses
    score: np.ndarray
    xy: np.ndarray  # (C, 2) image pixels
    height: np.ndarray  # (C,)
    size: np.ndarray  # (C,) a Gaussian's σ, image pixels
    person: np.ndarray  # (C,) row of its pose
    joint: np.ndarray
    split: Split


def predict(
    predictor: Predictor, data: Path, split: str, boxes_of: str, photos: int | None = None, fold: int | None = None
) -> Predicted:
    """Predict the poses and candidates of all boxes, of so many photos, spread over those of a fold."""
    everything, listed = Split.read(data, split), None
    ids = everything.image_id
    if boxes_of == "usual":
        listed = boxes_from_detections(data / "coco" / f"{split}_detections.json", everything.file.category_id)
        ids = np.unique(listed.image_id)
    if fold is not None:
        ids = ids[fold_of(ids, FOLDS) == fold]
    chosen, detector = everything.select(spread(ids, photos)), load_detector("default", min_score=MIN_SCORE)
    parts, scores, rows, offset = [], [], [], 0
    for photo in chosen.photos():
        is_detected = listed is None
        boxes = detector(open_photo(photo, MAX_PIXELS)) if is_detected else listed[listed.image_id == photo.image_id]
        poses, candidates = predict_boxes(predictor, replace(photo, boxes=boxes))
        parts.append(poses)
        scores.append(poses.pose_score * boxes.score)
        rows.append((*candidates[:3], candidates[3] + offset, candidates[4]))
        offset += len(poses)
    candidates = [np.concatenate(column) for column in zip(*rows, strict=True)]
    return Predicted(Poses.concatenate(parts), np.concatenate(scores), *candidates, chosen)


def predict_boxes(predictor: Predictor, photo: Image) -> tuple[Poses, tuple[np.ndarray, ...]]:
    """Poses of one photo's boxes; candidates: places, heights, sizes, boxes and joints."""
    job = predictor._prepare(photo)
    boxes, crops = job.boxes, job.crops
    ids, codec = np.full(len(boxes), photo.image_id), predictor.codec
    if not len(boxes):
        nobody = Poses(np.zeros((0, 17, 2)), np.zeros((0, 17)), np.zeros(0), box=boxes.xyxy, image_id=ids)
        return nobody, (np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0, int), np.zeros(0, int))
    outputs, _ = predictor.runtime.with_trust(crops.pixels, crops.box_share, None)
    keypoints, peaks = codec.decode(outputs), codec.candidates(outputs, min_score=LOWEST, max_per_map=PEAKS)
    poses = Poses(
        transform(crops.to_image, keypoints.xy),
        keypoints.score,
        keypoints.score.mean(axis=1),
        box=boxes.xyxy,
        image_id=ids,
    )
    xy = transform(crops.to_image[peaks.input], peaks.xy[:, None])[:, 0]
    growth = np.sqrt(np.abs(np.linalg.det(crops.to_image[peaks.input][:, :, :2])))
    size = codec.sigma * codec.stride * growth
    return poses, (xy, peaks.score.astype(float), size, peaks.input, peaks.joint)


def suppression(method: Method, threshold: float, distance: PoseDistance | None = None) -> Way:
    def way(people: Predicted) -> tuple[Poses, np.ndarray]:
        options = {"method": method, "threshold": threshold, "sigmas": COCO_17.sigmas, "distance": distance}
        remaining = suppress(people.poses, people.score, **options, area="box" if distance else "crop")
        return people.poses[remaining.keep], remaining.score[remaining.keep]

    return way


def association(overlap: float, height: float, distance: float, weighted: bool, keeps: bool) -> Way:
    """CrowdPose's, after OKS-NMS above `overlap`; `weighted`: edges weigh the height times the box's score."""
    return shared_out(Association(height, distance, overlap if overlap < 1 else None, weighted, keeps, PEAKS))


def shared_out(method: JointAssociation) -> Way:
    def way(people: Predicted) -> tuple[Poses, np.ndarray]:
        poses, image_id = people.poses, people.poses.image_id
        poses = replace(poses, box_score=people.score / np.maximum(poses.pose_score, 1e-9))
        order = np.argsort(image_id[people.person], kind="stable")
        of_photo, parts = image_id[people.person[order]], []
        for image in np.unique(image_id):
            inside = np.flatnonzero(image_id == image)
            rows = order[slice(*np.searchsorted(of_photo, [image, image + 1]))]
            person = people.person[rows] - inside[0]
            candidates = JointCandidates(
                people.xy[rows], people.size[rows], people.height[rows], person, people.joint[rows]
            )
            parts.append(method.apply(poses[inside], candidates, COCO_17))
        remaining = Poses.concatenate(parts)
        return remaining, remaining.ranking_score

    return way


def precision(people: Predicted, way: Way) -> float:
    return ap_of(*way(people), people.split.truth)


def choose(train: Predicted) -> tuple[dict[str, Way], dict[str, str]]:
    """The ways to compare, with what was chosen on `train`."""
    ways, chosen = {"none": suppression("none", 0.0)}, {}
    for name, method in (("OKS-NMS", "oks-nms"), ("soft-NMS, Gaussian", "soft-oks-nms")):
        options = {threshold: suppression(method, threshold) for threshold in GRID[method]}
        best = max(options, key=lambda threshold: precision(train, options[threshold]))
        ways[name], chosen[name] = options[best], f"{best:g}"
    distance, threshold, _ = choose_parameters(
        lambda distance, threshold: precision(train, suppression("pose-nms", threshold, distance)),
        PoseDistance(),
        POSE_THRESHOLD,
        POSE_GRID,
    )
    ways["pose NMS"] = suppression("pose-nms", threshold, distance)
    scales = (distance.score_scale, distance.distance_scale, distance.balance, threshold)
    chosen["pose NMS"] = "σ₁ {:g}, σ₂ {:g}, λ {:g}, η {:g}".format(*scales)
    ways["pose NMS, AlphaPose's code"] = suppression("pose-nms", ALPHAPOSE_THRESHOLD, ALPHAPOSE)
    grids = {  # overlaps, heights, distances, weighted, keeps
        "association": ((1.0,), HEIGHTS, DISTANCES, (False,), (False,)),
        "OKS-NMS, association": (OVERLAPS, HEIGHTS, DISTANCES, (False,), (False,)),
        ".. × box": (OVERLAPS, HEIGHTS, DISTANCES, (True,), (False,)),
        ".. × box, keeps its peak": (OVERLAPS, HEIGHTS, DISTANCES, (True,), (True,)),
    }
    for name, grid in grids.items():
        options = {choice: association(*choice) for choice in product(*grid)}
        best = max(options, key=lambda choice: precision(train, options[choice]))
        ways[name], chosen[name] = options[best], "overlap {:g}, height {:g}, distance {:g} σ".format(*best)
    return ways, chosen


def compare(dev: Predicted, ways: dict[str, Way], draws: int) -> dict[str, dict[str, Estimate]]:
    """AP on all photos and on thirds of those with people."""
    thirds = zip(("low", "middle", "high"), thirds_by_crowding(dev.split.truth), strict=True)
    parts = {"all": dev.split} | {name: dev.split.select(ids) for name, ids in thirds}
    counts = {part: resample_counts(len(split.image_id), draws) for part, split in parts.items()}
    precisions: dict[str, dict[str, Estimate]] = {}
    for name, way in ways.items():
        poses, score = way(dev)
        precisions[name] = {}
        for part, split in parts.items():
            rows = np.flatnonzero(np.isin(poses.image_id, split.image_id))
            precisions[name][part] = split.average_precision(poses[rows], score[rows], counts[part])["AP"]
    return precisions


def main(options):
    predictor = load(options.model or options.data / "small-networks" / "tinypose.onnx")
    assert isinstance(predictor, Predictor)
    result: dict[str, object] = {}
    for boxes in options.boxes:
        ways, chosen = choose(predict(predictor, options.data, "train", boxes, options.train, options.fold))
        dev = predict(predictor, options.data, "dev", boxes)
        if options.deepcut:
            ways["DeepCut"] = shared_out(ASSOCIATIONS["deepcut"])
        precisions = compare(dev, ways, options.draws)
        gains = gains_over("none", precisions)
        table(f"{boxes}, {len(dev.poses)} poses, AP", hundredths(precisions), ".1f")
        shown = {name: {**row, "chosen on train": chosen.get(name, "")} for name, row in hundredths(gains).items()}
        table("over none", shown, "+.1f")
        record = with_gains(precisions, gains)
        result[boxes] = {"AP": record, "chosen": chosen, "poses": len(dev.poses), "photos": len(dev.split.image_id)}
    return result


if __name__ == "__main__":
    options_parser = parser(__doc__, "draws", "data")
    add = options_parser.add_argument
    add("--boxes", nargs="+", choices=("ours", "usual"), default=["ours", "usual"], help="whose boxes")
    add("--model", help="a top-down network; default: TinyPose")
    add("--train", type=int, default=150, help="photos to choose on")
    add("--fold", type=int, choices=range(FOLDS), help="of train, which the network has not seen")
    add("--deepcut", action="store_true", help="DeepCut, too")
    run(main, options_parser)
