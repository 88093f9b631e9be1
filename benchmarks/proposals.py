r"""What boxes of people hold: errors of the detector, proposals drawn like them, and joints of other people.

    python benchmarks/proposals.py [--train N] [--networks FOLDER]

  proposals      AlphaPose's (`datasets.proposals`): offsets of the bundled detector's boxes from the labelled ones they
                 overlap by half, on `dev` and in units of the sides, and those drawn for the same poses, as learnt on N
                 photos of `train`. Percentiles 5, 25, 50, 75 and 95, and those of the overlap (IoU). "augmentation" has
                 HRNet's random scale, ± 0.35, instead
  interference   joints of other people in the boxes of labelled people (CrowdPose, section 4): of COCO and of CrowdPose
  networks       AP on `dev` of networks trained with and without AlphaPose's two parts: in the labelled boxes
                 ("labelled"), in the detector's own of the people whom it finds ("detected"), and in three boxes a
                 person drawn as above ("drawn", the mean of three APs). 95 % intervals from drawing photos, gains over
                 "plain" in pairs. With --networks, whose folders are named by what they were trained with:

    trustpose shard --gt DATA/coco/train_gt.json --images DATA/coco/train --margin 1.8 --out shards
    python tools/detect_boxes.py --detector src/trustpose/models/default-detector --gt DATA/coco/train_gt.json \
        --photos DATA/coco/train --out boxes.json
    train="--data shards --model DATA/small-networks/tinypose.onnx --out"
    trustpose train crowdpose --data.interference=0 $train FOLDER/plain
    trustpose train crowdpose --data.interference=0 --data.proposals=boxes.json $train FOLDER/PGPG
    trustpose train alphapose $train FOLDER/SSTN
    trustpose train alphapose --data.proposals=boxes.json $train FOLDER/both
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from coco_photos import Split, predict_all, spread
from harness import Estimate, gains_over, hundredths, parser, run, table, with_gains

from trustpose.datasets.augment import HRNET
from trustpose.datasets.detected_boxes import PRESENT
from trustpose.datasets.proposals import ProposalGenerator, fit_proposals
from trustpose.files import InputError
from trustpose.geometry.boxes import paired_iou
from trustpose.geometry.crops import Boxes
from trustpose.io.coco.truth import read_coco_truth
from trustpose.io.photos import MAX_PIXELS
from trustpose.metrics.bootstrap import resample_counts
from trustpose.metrics.crowding import interference
from trustpose.poses import Truth
from trustpose.predict.detectors import load_detector
from trustpose.predict.load import load
from trustpose.predict.photos import open_photo
from trustpose.skeletons import COCO_17

PERCENTILES = (5, 25, 50, 75, 95)
DRAWS, EACH = 50, 3  # boxes a person: for percentiles, for AP
NETWORKS = ("plain", "PGPG", "SSTN", "both")


def matched(data: Path, split: str, photos: int | None) -> tuple[Truth, np.ndarray]:
    """Labelled people whom a detected box overlaps by half, and the best box of each (N, 4)."""
    everything, detector, rows, boxes = Split.read(data, split), load_detector("default"), [], []
    truth = everything.truth
    labelled = (truth.v > 0).any(axis=1)
    for photo in everything.select(spread(np.unique(truth.image_id[labelled]), photos)).photos():
        detected = detector(open_photo(photo, MAX_PIXELS)).xyxy
        for row in np.flatnonzero(labelled & (truth.image_id == photo.image_id)).tolist():
            overlap = paired_iou(detected, truth.box[row : row + 1])
            if overlap.max(initial=0) >= PRESENT:
                rows.append(row)
                boxes.append(detected[overlap.argmax()])
    return truth[np.array(rows)], np.array(boxes, dtype=np.float64)


def offsets(boxes: np.ndarray, box: np.ndarray) -> dict[str, list[float]]:
    """Percentiles of boxes (N, D, 4) beside the labelled ones (N, 4)."""
    offset = (boxes - box[:, None]) / np.tile(box[:, 2:] - box[:, :2], 2)[:, None]
    columns = dict(zip(("x0", "y0", "x1", "y1"), offset.reshape(-1, 4).T, strict=True))
    columns["IoU"] = paired_iou(boxes, box[:, None]).ravel()
    return {name: np.percentile(values, PERCENTILES).round(3).tolist() for name, values in columns.items()}


def learnt(data: Path, train: int) -> ProposalGenerator:
    truth, boxes = matched(data, "train", train)
    return fit_proposals(truth.xy, truth.v > 0, truth.box, boxes, COCO_17)


def proposals(generator: ProposalGenerator, truth: Truth, boxes: np.ndarray) -> dict[str, dict[str, list[float]]]:
    box, random = truth.box, np.random.default_rng(0)
    drawn = generator.draw(truth.xy, truth.v > 0, box, random, DRAWS)
    scale = np.clip(random.normal(0, HRNET.scale, (len(box), DRAWS, 1)), -HRNET.scale, HRNET.scale) / 2
    size = np.tile(box[:, 2:] - box[:, :2], 2)[:, None]
    augmented = box[:, None] + scale * size * [-1, -1, 1, 1]
    return {
        "detector": offsets(boxes[:, None], box),
        "drawn": offsets(drawn, box),
        "augmentation": offsets(augmented, box),
    }


class BoxKinds:
    """`dev` with boxes as right and as wrong as they may be, to measure AP of networks in each kind."""

    def __init__(self, data: Path, generator: ProposalGenerator, people: Truth, boxes: np.ndarray, draws: int) -> None:
        dev = Split.read(data, "dev")
        self.split = dev.select(np.unique(dev.truth.image_id))
        self.counts = resample_counts(len(self.split.image_id), draws)
        everybody = dev.truth[np.flatnonzero((dev.truth.v > 0).any(axis=1))]
        drawn = generator.draw(everybody.xy, everybody.v > 0, everybody.box, np.random.default_rng(0), EACH)
        self.boxes = {"labelled": [(everybody.box, everybody.image_id)], "detected": [(boxes, people.image_id)]}
        self.boxes["drawn"] = [(drawn[:, number], everybody.image_id) for number in range(EACH)]

    def measure(self, network: Path) -> dict[str, Estimate]:
        """AP in each kind of boxes, the mean over several sets of them."""
        predictor, row = load(network), {}
        for kind, sets in self.boxes.items():
            precisions = [self._precision(predictor, Boxes(*boxes)) for boxes in sets]
            value = float(np.mean([precision.value for precision in precisions]))
            row[kind] = Estimate(value, np.mean([precision.draws for precision in precisions], axis=0))
        return row

    def _precision(self, predictor: Any, boxes: Boxes) -> Estimate:
        of_photo = boxes.of_images(self.split.image_id)
        photos = [replace(photo, boxes=inside) for photo, inside in zip(self.split.photos(), of_photo, strict=True)]
        poses = predict_all(predictor, photos)
        return self.split.average_precision(poses, poses.pose_score, self.counts)["AP"]


def joints_of_others(data: Path) -> dict[str, dict[str, object]]:
    rows: dict[str, dict[str, object]] = {}
    for name, path in {
        "COCO dev": data / "coco" / "dev_gt.json",
        "COCO val2017": data / "coco" / "val2017_gt.json",
        "CrowdPose val": data / "crowdpose" / "crowdpose_val.json",
    }.items():
        file = read_coco_truth(path)
        joints = interference(file.truth)
        is_labelled = joints.own_joints.any(axis=1)
        rows[name] = {
            "people": int(is_labelled.sum()),
            "joints of others per own": float(np.nanmean(joints.ratio)),
            "share of joints": joints.share,
            "people with any": float((joints.other_joints[is_labelled].sum(axis=1) > 0).mean()),
            "boxes with another's": dict(zip(file.keypoint_names, joints.occupied.round(3).tolist(), strict=True)),
        }
    return rows


def main(options):
    data, folder = options.data, options.networks
    if folder is not None and not (folder / NETWORKS[0]).is_dir():
        raise InputError(f"--networks: {folder} has no folder {NETWORKS[0]}")
    generator, dev = learnt(data, options.train), matched(data, "dev", None)
    result: dict[str, Any] = {"interference": joints_of_others(data), "proposals": proposals(generator, *dev)}
    by_joint = {name: row["boxes with another's"] for name, row in result["interference"].items()}
    numbers = {name: dict(list(row.items())[:4]) for name, row in result["interference"].items()}
    table("interference", numbers)
    table("boxes with another's", by_joint, down=True)
    for name, row in result["proposals"].items():
        rows = {column: dict(zip(map(str, PERCENTILES), values, strict=True)) for column, values in row.items()}
        table(f"proposals, {name}, percentiles", rows)
    if folder is not None:
        kinds = BoxKinds(data, generator, *dev, options.draws)
        precisions = {name: kinds.measure(folder / name) for name in NETWORKS if (folder / name).is_dir()}
        gains = gains_over(NETWORKS[0], precisions)
        table("networks", hundredths(precisions), ".1f")
        table("over plain", hundredths(gains), "+.1f")
        result["networks"] = with_gains(precisions, gains)
    return result


if __name__ == "__main__":
    options_parser = parser(__doc__, "draws", "data")
    options_parser.add_argument("--train", type=int, default=400, help="photos to learn from")
    options_parser.add_argument("--networks", type=Path, help="folder of the trained networks")
    run(main, options_parser)
