"""Keypoints shared out to boxes: MultiPoseNet's pose residual network beside rules without a network.

    python benchmarks/pose_residual.py [--model FOLDER] [--split val2017 | held-out | boxed] [--rule optimal authors]
    python benchmarks/pose_residual.py [--model FOLDER] --maps NETWORK [--photos train | dev]

FOLDER is what `trustpose train pose-residual` wrote. The labelled keypoints and boxes of a photo are given, whose is
whose is not; AP is COCO's, each person's score being its number of keypoints.

  nearest centre   a keypoint suits best the box whose centre is nearest, in units of the box's half sides
  highest score    a keypoint suits every box that it is in, by its own score; labelled keypoints all have 1
  network          a keypoint suits a box by the network's probability around it

How a keypoint is then chosen, --rule: "optimal" is the assignment with the largest sum, "authors" the rule of the
authors' code, "shared" a box's best keypoint, even if others take it, too.

  val2017    its 6,352 people with labelled keypoints
  held-out   fold 0 of 40 of train2017's labels, on which the network was not trained: to choose on
  boxed      the photos of `train` and `dev` that are from val2017, all of whose people have boxes: with those of people
             without labelled keypoints, too, as in the authors' evaluation

With --maps the keypoints are the peaks of a bottom-up network's heatmaps (`trustpose train bottom-up-tags`), of its
`min_peak` or more, and the boxes the default detector's; beside them stands the network's own grouping. A person's
score is the mean of its keypoints'. Photos are those of `dev`, or those of `train` that are from val2017 and in fold 0
of 4, which the network has not seen: to choose on.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from coco_photos import Split, ground_truth, of_photos
from harness import parser, run, table

import trustpose as tp
from trustpose.codecs import Outputs
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.datasets.label_arrays import read_label_arrays
from trustpose.geometry.crops import transform
from trustpose.grouping.box_assignment import (
    ResidualAssignment,
    chosen_groups,
    highest_scores,
    nearest_centre_scores,
)
from trustpose.grouping.box_grids import BoxGrid
from trustpose.grouping.groups import Groups
from trustpose.grouping.photo_keypoints import Grouping, group_photos, photo_keypoints
from trustpose.images import fold_of
from trustpose.io.photos import MAX_PIXELS
from trustpose.metrics.bootstrap import resample_counts
from trustpose.poses import Poses, Truth
from trustpose.predict.bottom_up import BottomUpNetwork
from trustpose.predict.detectors import Detector, load_detector
from trustpose.predict.photos import Image, open_photo

GRID = BoxGrid()
PRINTED = {"AP": 0.892, "AP50": 0.978, "AP75": 0.921, "AR": 0.917}
Preference = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def grouping(preference: Preference, rule: str) -> Grouping:
    """Return the grouping of a photo's keypoints by how well they suit its boxes."""

    def group(xy, joint, score, box):
        return chosen_groups(preference(xy, joint, score, box), joint, score, GRID.keypoints, rule)

    return group


def preferences(model: Path | None) -> dict[str, Preference]:
    """Return how well keypoints suit boxes, by name."""
    by_name: dict[str, Preference] = {
        "nearest centre": lambda xy, joint, score, box: nearest_centre_scores(xy, box, GRID),  # noqa: ARG005
        "highest score": lambda xy, joint, score, box: highest_scores(xy, score, box, GRID),  # noqa: ARG005
    }
    if model is not None:
        from trustpose.networks.multi_pose_net import read_residual, residual_function

        by_name["network"] = ResidualAssignment(residual_function(read_residual(model)), GRID).scores
    return by_name


def labels(data: Path, name: str) -> Split:
    """Return the labels of a split."""
    if name == "held-out":
        file = read_label_arrays(data / "coco" / "labels_train2017.npz")
        split = Split(data / "coco", file, np.sort(file.images.id))
        return split.select(split.image_id[fold_of(split.image_id, 40) == 0])
    val2017 = Split.read(data, "val2017")
    if name == "val2017":
        return val2017
    parts = [of_photos(ground_truth(data, part).truth, val2017.image_id) for part in ("train", "dev")]
    truth = Truth.concatenate(parts)
    return Split(val2017.folder, replace(val2017.file, truth=truth), np.unique(truth.image_id))


@dataclass(frozen=True, eq=False)
class DetectedKeypoints:
    """What a photo's maps and a detector give: keypoints xy (N, 2), joint (N,), score (N,), boxes (P, 4)."""

    image_id: int
    xy: np.ndarray
    joint: np.ndarray
    score: np.ndarray
    box: np.ndarray

    def poses(self, group: Grouping) -> Poses:
        groups = group(self.xy, self.joint, self.score, self.box)
        groups = groups.best_first()
        people = Groups(groups.row[groups.score > 0], groups.score[groups.score > 0])
        image_id = np.full(len(people), self.image_id)
        return Poses(people.take(self.xy), people.take(self.score), people.score, image_id=image_id)


def detected(network: BottomUpNetwork, detector: Detector, photo: Image) -> tuple[DetectedKeypoints, Poses]:
    """Return a photo's keypoints and boxes, and the people by the network's own grouping."""
    pixels = open_photo(photo, MAX_PIXELS)
    arrays, _, to_image = network.run(pixels)
    output = network.output
    heatmaps = arrays[list(output.tensors).index("heatmaps")].astype(np.float32)
    codec = HeatmapCodec(*heatmaps.shape[:1:-1], output.stride, output.sigma, output.decoding, offset=output.offset)
    peaks = codec.candidates(Outputs([heatmaps]), min_score=output.min_peak, max_per_map=30)
    xy = transform(to_image[None], peaks.xy[None].astype(np.float64))[0]
    own = network(pixels)
    own = Poses(own.xy, own.score, own.pose_score, image_id=np.full(len(own), photo.image_id))
    box = detector(pixels).xyxy
    return DetectedKeypoints(photo.image_id, xy, peaks.joint, peaks.score.astype(np.float64), box), own


def on_photos(options) -> dict[str, Any]:
    """AP on whole photos, by way of grouping."""
    split = Split.read(options.data, options.photos)
    if options.photos == "train":
        ids = np.intersect1d(split.image_id, ground_truth(options.data, "val2017").images.id)
        split = split.select(ids[fold_of(ids, 4) == 0])
    network, detector = tp.load(options.maps, threads=1).network, load_detector("default")
    keypoints, own = zip(*(detected(network, detector, photo) for photo in split.photos()), strict=True)
    ways = {f"the network's own, {network.output.kind}": Poses.concatenate(own)}
    for name, preference in preferences(options.model).items():
        for rule in options.rule:
            group = grouping(preference, rule)
            ways[f"{name}, {rule}"] = Poses.concatenate([photo.poses(group) for photo in keypoints])
    counts = resample_counts(len(split.image_id), options.draws)
    rows = {name: numbers(split, poses, counts) | {"poses": len(poses)} for name, poses in ways.items()}
    table(f"{options.photos}, {len(split.image_id):,} photos, detected keypoints and boxes", rows)
    return {"photos": len(split.image_id), "ap": rows}


def numbers(split: Split, poses: Poses, counts: np.ndarray) -> dict[str, Any]:
    """Return COCO's numbers with their intervals."""
    return {name: number.interval for name, number in split.average_precision(poses, poses.pose_score, counts).items()}


def main(options):
    if options.maps is not None:
        return on_photos(options)
    split = labels(options.data, options.split)
    keypoints, counts = photo_keypoints(split.truth), resample_counts(len(split.image_id), options.draws)
    rows = {}
    for name, preference in preferences(options.model).items():
        for rule in options.rule:
            rows[f"{name}, {rule}"] = numbers(split, group_photos(keypoints, grouping(preference, rule)), counts)
    shown = rows | {"printed by the authors' code": PRINTED} if options.split == "val2017" else rows
    table(f"{options.split}, {len(split.image_id):,} photos, {len(split.truth):,} boxes", shown)
    return {"photos": len(split.image_id), "boxes": len(split.truth), "ap": rows}


if __name__ == "__main__":
    options_parser = parser(__doc__, "data", "draws")
    add = options_parser.add_argument
    add("--model", type=Path, help="folder of a trained pose residual network")
    add("--split", choices=("val2017", "held-out", "boxed"), default="val2017", help="whose keypoints and boxes")
    add(
        "--rule",
        nargs="+",
        choices=("optimal", "authors", "shared"),
        default=["optimal"],
        help="how to choose",
    )
    add("--maps", type=Path, help="folder of a bottom-up network whose keypoints are shared out")
    add("--photos", choices=("train", "dev"), default="dev", help="photos for --maps")
    run(main, options_parser)
