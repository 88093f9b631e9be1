"""One joint, one person: suppression and CrowdPose's association, on crowded and other photos of `dev`.

    python benchmarks/crowds.py [--boxes ours usual] [--model NETWORK] [--train N] [--fold F] [--deepcut] …

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
needs --fold: N photos of fold F of five, which its recipe (`data.fold`) held out. Last comes one line of JSON. Needs
TRUSTPOSE_DATA.
"""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from trustpose.datasets.folds import fold_of
from trustpose.formats.coco import read_truth
from trustpose.formats.photos import MAX_PIXELS
from trustpose.geometry.crops import Boxes, transform
from trustpose.grouping.association import ASSOCIATIONS, JointAssociation
from trustpose.grouping.crowdpose import Association, JointCandidates
from trustpose.grouping.pose_nms import ALPHAPOSE, ALPHAPOSE_THRESHOLD, PoseDistance, choose_parameters
from trustpose.grouping.suppression import POSE_THRESHOLD, Method, suppress
from trustpose.metrics.average_precision import evaluate
from trustpose.metrics.average_precision_bootstrap import average_precision_replicates
from trustpose.metrics.bootstrap import interval, resample_counts
from trustpose.metrics.crowding import crowd_index
from trustpose.poses import Poses, Truth
from trustpose.predict.boxes import boxes_from_detections
from trustpose.predict.detectors import load_detector
from trustpose.predict.load import load
from trustpose.predict.photos import Image, open_photo
from trustpose.predict.top_down import Predictor
from trustpose.skeletons import COCO_17

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
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
Way = Callable[["Found"], tuple[Poses, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Found:
    """Poses of many photos with their score (N,), candidates of all their boxes, and the photos' labels."""

    poses: Poses
    score: np.ndarray
    xy: np.ndarray  # (C, 2) image pixels
    height: np.ndarray  # (C,)
    size: np.ndarray  # (C,) a Gaussian's σ, image pixels
    person: np.ndarray  # (C,) row of its pose
    joint: np.ndarray
    truth: Truth
    image_ids: np.ndarray

    def of_photos(self, image_ids: np.ndarray) -> "Found":
        """The same on some photos only; candidates stay."""
        labelled = self.truth[np.flatnonzero(np.isin(self.truth.image_id, image_ids))]
        return replace(self, truth=labelled, image_ids=image_ids)


def find(
    predictor: Predictor, data: Path, split: str, boxes_of: str, most: int | None = None, fold: int | None = None
) -> Found:
    """Predict the poses and candidates of all boxes, of `most` photos, spread over those of a fold."""
    file = read_truth(data / "coco" / f"{split}_gt.json")
    names = dict(zip(file.images.id.tolist(), file.images.file_name, strict=True))
    ids, listed = np.unique(file.images.id), None
    if boxes_of == "usual":
        listed = boxes_from_detections(data / "coco" / f"{split}_detections.json", file.category_id)
        ids = np.unique(listed.image_id)
    if fold is not None:
        ids = ids[fold_of(ids, FOLDS) == fold]
    if most is not None:
        ids = ids[np.unique(np.linspace(0, len(ids) - 1, most).astype(int))]
    detector, parts, scores, rows, offset = load_detector("default", min_score=MIN_SCORE), [], [], [], 0
    for image in ids.tolist():
        photo = Image(data / "coco" / split / str(names[image]), None, image)
        boxes = detector(open_photo(photo, MAX_PIXELS)) if listed is None else listed[listed.image_id == image]
        poses, candidates = predicted(predictor, replace(photo, boxes=boxes))
        parts.append(poses)
        scores.append(poses.pose_score * boxes.score)
        rows.append((*candidates[:3], candidates[3] + offset, candidates[4]))
        offset += len(poses)
    assert file.truth.image_id is not None
    truth = file.truth[np.flatnonzero(np.isin(file.truth.image_id, ids))]
    candidates = [np.concatenate(column) for column in zip(*rows, strict=True)]
    return Found(Poses.concatenate(parts), np.concatenate(scores), *candidates, truth, ids)


def predicted(predictor: Predictor, photo: Image) -> tuple[Poses, tuple[np.ndarray, ...]]:
    """Poses of one photo's boxes; candidates: places, heights, sizes, boxes and joints."""
    job = predictor._prepare(photo)
    boxes: Boxes = job.boxes
    ids, codec = np.full(len(boxes), photo.image_id), predictor.codec
    if not len(boxes):
        nobody = Poses(np.zeros((0, 17, 2)), np.zeros((0, 17)), np.zeros(0), box=boxes.xyxy, image_id=ids)
        return nobody, (np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0, int), np.zeros(0, int))
    outputs, _ = predictor.runtime.with_trust(job.crops, job.box_share, None)
    places, several = codec.decode(outputs), codec.candidates(outputs, min_score=LOWEST, max_per_map=PEAKS)
    poses = Poses(
        transform(job.to_image, places.xy), places.score, places.score.mean(axis=1), box=boxes.xyxy, image_id=ids
    )
    xy = transform(job.to_image[several.input], several.xy[:, None])[:, 0]
    growth = np.sqrt(np.abs(np.linalg.det(job.to_image[several.input][:, :, :2])))
    size = codec.sigma * codec.stride * growth
    return poses, (xy, several.score.astype(float), size, several.input, several.joint)


def suppression(method: Method, threshold: float, distance: PoseDistance | None = None) -> Way:
    def way(found: Found) -> tuple[Poses, np.ndarray]:
        how = {"method": method, "threshold": threshold, "sigmas": COCO_17.sigmas, "distance": distance}
        left = suppress(found.poses, found.score, **how, area="box" if distance else "crop")
        return found.poses[left.keep], left.score[left.keep]

    return way


def association(overlap: float, height: float, distance: float, weighted: bool, keeps: bool) -> Way:
    """CrowdPose's, after OKS-NMS above `overlap`; `weighted`: edges weigh the height times the box's score."""
    return shared_out(Association(height, distance, overlap if overlap < 1 else None, weighted, keeps, PEAKS))


def shared_out(how: JointAssociation) -> Way:
    def way(found: Found) -> tuple[Poses, np.ndarray]:
        poses, image_id = found.poses, found.poses.image_id
        assert image_id is not None and poses.pose_score is not None
        poses = replace(poses, box_score=found.score / np.maximum(poses.pose_score, 1e-9))
        order = np.argsort(image_id[found.person], kind="stable")
        of_photo, parts = image_id[found.person[order]], []
        for image in np.unique(image_id):
            people = np.flatnonzero(image_id == image)
            rows = order[slice(*np.searchsorted(of_photo, [image, image + 1]))]
            person = found.person[rows] - people[0]
            some = JointCandidates(found.xy[rows], found.size[rows], found.height[rows], person, found.joint[rows])
            parts.append(how.apply(poses[people], some, COCO_17))
        left = Poses.concatenate(parts)
        return left, left.ranking_score

    return way


def measured(found: Found, way: Way, counts: np.ndarray) -> tuple[float, np.ndarray]:
    """AP and its draws."""
    poses, score = way(found)
    rows = np.flatnonzero(np.isin(poses.image_id, found.image_ids))
    poses, score = poses[rows], score[rows]
    evaluation = evaluate(poses, found.truth, score, sigmas=COCO_17.sigmas, area="file")
    assert poses.image_id is not None and found.truth.image_id is not None
    images = (np.searchsorted(found.image_ids, one) for one in (poses.image_id, found.truth.image_id))
    return evaluation.summary().AP, average_precision_replicates(evaluation, counts, *images, ("all",))["AP"]


def precision(found: Found, way: Way) -> float:
    poses, score = way(found)
    return evaluate(poses, found.truth, score, sigmas=COCO_17.sigmas, area="file").summary().AP


def choose(train: Found) -> tuple[dict[str, Way], dict[str, str]]:
    """The ways to compare, with what was chosen on `train`."""
    ways, chosen = {"none": suppression("none", 0.0)}, {}
    for name, method in (("OKS-NMS", "oks-nms"), ("soft-NMS, Gaussian", "soft-oks-nms")):
        options = {threshold: suppression(method, threshold) for threshold in GRID[method]}
        best = max(options, key=lambda threshold: precision(train, options[threshold]))
        ways[name], chosen[name] = options[best], f"{best:g}"
    distance, threshold, _ = choose_parameters(
        lambda how, at: precision(train, suppression("pose-nms", at, how)), PoseDistance(), POSE_THRESHOLD, POSE_GRID
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


def compare(dev: Found, ways: dict[str, Way], draws: int) -> dict[str, dict[str, list[float]]]:
    """AP and gain over none, with intervals, on all photos and thirds of those with people."""
    labelled = np.unique(dev.truth.image_id[(dev.truth.v > 0).any(axis=1)])
    thirds = np.array_split(labelled[np.argsort(crowd_index(dev.truth, labelled), kind="stable")], 3)
    sets = {"all": dev} | {
        name: dev.of_photos(np.sort(ids)) for name, ids in zip(("low", "middle", "high"), thirds, strict=True)
    }
    table: dict[str, dict[str, list[float]]] = {name: {} for name in ways}
    for part, found in sets.items():
        counts = resample_counts(len(found.image_ids), draws)
        base = measured(found, ways["none"], counts)
        for name, way in ways.items():
            ap, drawn = measured(found, way, counts)
            low, high = interval(drawn - base[1])
            table[name][part] = [ap, *interval(drawn), ap - base[0], low, high]
    return table


def show(title: str, table: dict[str, dict[str, list[float]]], chosen: dict[str, str]) -> None:
    print(f"\n{title:28s}" + "".join(f"{part:>36s}" for part in next(iter(table.values()))) + "   chosen on train")
    for name, row in table.items():
        cells = []
        for values in row.values():
            ap, low, high, gain, least, most = (100 * value for value in values)
            cells.append(f"{ap:.1f} ({low:.1f}–{high:.1f}) {gain:+.1f} ({least:.1f}–{most:.1f})")
        print(f"{name:28s}" + "".join(f"{cell:>36s}" for cell in cells) + f"   {chosen.get(name, '')}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", nargs="+", choices=("ours", "usual"), default=["ours", "usual"])
    parser.add_argument("--model", default=None)
    parser.add_argument("--train", type=int, default=150)
    parser.add_argument("--fold", type=int, choices=range(FOLDS))
    parser.add_argument("--deepcut", action="store_true")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    model = arguments.model or arguments.data / "small-networks" / "tinypose.onnx"
    predictor = load(model)
    assert isinstance(predictor, Predictor)
    printed: dict[str, object] = {}
    for boxes in arguments.boxes:
        ways, chosen = choose(find(predictor, arguments.data, "train", boxes, arguments.train, arguments.fold))
        dev = find(predictor, arguments.data, "dev", boxes)
        if arguments.deepcut:
            ways["DeepCut"] = shared_out(ASSOCIATIONS["deepcut"])
        table = compare(dev, ways, arguments.draws)
        show(f"{boxes}, {len(dev.poses)} poses", table, chosen)
        printed[boxes] = {"AP": table, "chosen": chosen, "poses": len(dev.poses), "photos": len(dev.image_ids)}
    print(json.dumps(printed))


if __name__ == "__main__":
    main()
