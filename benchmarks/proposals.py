r"""What boxes of people hold: errors of the detector, proposals drawn like them, and joints of other people.

    python benchmarks/proposals.py [--train N] [--networks FOLDER] [--draws N] [--data FOLDER]

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

Last comes one line of JSON. Needs TRUSTPOSE_DATA.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.datasets.augment import HRNET
from trustpose.datasets.detected_boxes import PRESENT
from trustpose.datasets.proposals import ProposalGenerator, fit_proposals
from trustpose.formats.coco import read_truth
from trustpose.formats.photos import MAX_PIXELS
from trustpose.geometry.boxes import paired_iou
from trustpose.geometry.crops import Boxes
from trustpose.metrics.average_precision import evaluate
from trustpose.metrics.average_precision_bootstrap import average_precision_replicates
from trustpose.metrics.bootstrap import interval, resample_counts
from trustpose.metrics.crowding import interference
from trustpose.poses import Poses, Truth
from trustpose.predict.detectors import load_detector
from trustpose.predict.load import load
from trustpose.predict.photos import Image, open_photo
from trustpose.skeletons import COCO_17

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
PERCENTILES = (5, 25, 50, 75, 95)
DRAWS, EACH = 50, 3  # boxes a person: for percentiles, for AP
NETWORKS = ("plain", "PGPG", "SSTN", "both")


def matched(data: Path, split: str, most: int | None) -> tuple[Truth, np.ndarray]:
    """Labelled people whom a detected box overlaps by half, and the best box of each (N, 4)."""
    file, detector, rows, boxes = read_truth(data / "coco" / f"{split}_gt.json"), load_detector("default"), [], []
    truth, names = file.truth, dict(zip(file.images.id.tolist(), file.images.file_name, strict=True))
    assert truth.box is not None and truth.image_id is not None
    labelled = (truth.v > 0).any(axis=1)
    ids = np.unique(truth.image_id[labelled])
    if most is not None:
        ids = ids[np.unique(np.linspace(0, len(ids) - 1, most).astype(int))]
    for image in ids.tolist():
        photo = Image(data / "coco" / split / str(names[image]), None, image)
        found = detector(open_photo(photo, MAX_PIXELS)).xyxy
        for row in np.flatnonzero(labelled & (truth.image_id == image)).tolist():
            overlap = paired_iou(found, truth.box[row : row + 1])
            if overlap.max(initial=0) >= PRESENT:
                rows.append(row)
                boxes.append(found[overlap.argmax()])
    return truth[np.array(rows)], np.array(boxes, dtype=np.float64)


def offsets(boxes: np.ndarray, box: np.ndarray) -> dict[str, list[float]]:
    """Percentiles of boxes (N, D, 4) beside the labelled ones (N, 4)."""
    offset = (boxes - box[:, None]) / np.tile(box[:, 2:] - box[:, :2], 2)[:, None]
    columns = dict(zip(("x0", "y0", "x1", "y1"), offset.reshape(-1, 4).T, strict=True))
    columns["IoU"] = paired_iou(boxes, box[:, None]).ravel()
    return {name: np.percentile(values, PERCENTILES).round(3).tolist() for name, values in columns.items()}


def learnt(data: Path, train: int) -> ProposalGenerator:
    truth, boxes = matched(data, "train", train)
    assert truth.box is not None
    return fit_proposals(truth.xy, truth.v > 0, truth.box, boxes, COCO_17)


def proposals(generator: ProposalGenerator, truth: Truth, boxes: np.ndarray) -> dict[str, dict[str, list[float]]]:
    box, random = truth.box, np.random.default_rng(0)
    assert box is not None
    drawn = generator.draw(truth.xy, truth.v > 0, box, random, DRAWS)
    scale = np.clip(random.normal(0, HRNET.scale, (len(box), DRAWS, 1)), -HRNET.scale, HRNET.scale) / 2
    size = np.tile(box[:, 2:] - box[:, :2], 2)[:, None]
    augmented = box[:, None] + scale * size * [-1, -1, 1, 1]
    return {
        "detector": offsets(boxes[:, None], box),
        "drawn": offsets(drawn, box),
        "augmentation": offsets(augmented, box),
    }


class Measured:
    """AP of networks on `dev`, in boxes as right and as wrong as they may be; draws: of photos, for intervals."""

    def __init__(self, data: Path, generator: ProposalGenerator, found: Truth, boxes: np.ndarray, draws: int) -> None:
        file = read_truth(data / "coco" / "dev_gt.json")
        assert file.truth.image_id is not None and found.image_id is not None
        self.folder, self.names, self.truth = data / "coco" / "dev", file.images.names(), file.truth
        self.image_id = np.unique(self.truth.image_id)
        self.counts = resample_counts(len(self.image_id), draws)
        some = self.truth[np.flatnonzero((self.truth.v > 0).any(axis=1))]
        assert some.box is not None and some.image_id is not None
        drawn = generator.draw(some.xy, some.v > 0, some.box, np.random.default_rng(0), EACH)
        self.boxes = {"labelled": [(some.box, some.image_id)], "detected": [(boxes, found.image_id)]}
        self.boxes["drawn"] = [(drawn[:, at], some.image_id) for at in range(EACH)]

    def of(self, network: Path) -> dict[str, tuple[float, np.ndarray]]:
        """AP and its draws in each kind of boxes, the mean over several sets of them."""
        predictor, found = load(network), {}
        for kind, several in self.boxes.items():
            aps, drawn = zip(*(self._precision(predictor, *one) for one in several), strict=True)
            found[kind] = float(np.mean(aps)), np.mean(drawn, axis=0)
        return found

    def _precision(self, predictor: Any, boxes: np.ndarray, image_id: np.ndarray) -> tuple[float, np.ndarray]:
        of_photo = [np.flatnonzero(image_id == one) for one in self.image_id]
        photos = [
            Image(self.folder / self.names[one], Boxes(boxes[rows], image_id[rows]), one)
            for one, rows in zip(self.image_id.tolist(), of_photo, strict=True)
        ]
        poses = Poses.concatenate([prediction.poses for prediction in predictor.stream(photos)])
        assert poses.pose_score is not None
        evaluation = evaluate(poses, self.truth, poses.pose_score, sigmas=COCO_17.sigmas, area="file")
        images = (np.searchsorted(self.image_id, one) for one in (poses.image_id, self.truth.image_id))
        return evaluation.summary().AP, average_precision_replicates(evaluation, self.counts, *images, ("all",))["AP"]


def compare(folder: Path, measured: Measured) -> dict[str, dict[str, list[float]]]:
    """AP with its interval, and what is gained over the plain network with its interval, by network and boxes."""
    found = {name: measured.of(folder / name) for name in NETWORKS if (folder / name).is_dir()}
    table: dict[str, dict[str, list[float]]] = {}
    for name, row in found.items():
        table[name] = {}
        for kind, (ap, drawn) in row.items():
            plain, of_plain = found[NETWORKS[0]][kind]
            table[name][kind] = [ap, *interval(drawn), ap - plain, *interval(drawn - of_plain)]
    return table


def joints_of_others(data: Path) -> dict[str, dict[str, object]]:
    table: dict[str, dict[str, object]] = {}
    for name, path in {
        "COCO dev": data / "coco" / "dev_gt.json",
        "COCO val2017": data / "coco" / "val2017_gt.json",
        "CrowdPose val": data / "crowdpose" / "crowdpose_val.json",
    }.items():
        file = read_truth(path)
        found = interference(file.truth)
        own = found.own_joints.any(axis=1)
        table[name] = {
            "people": int(own.sum()),
            "joints of others per own": float(np.nanmean(found.ratio)),
            "share of joints": found.share,
            "people with any": float((found.other_joints[own].sum(axis=1) > 0).mean()),
            "boxes with another's": dict(zip(file.keypoint_names, found.occupied.round(3).tolist(), strict=True)),
        }
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--networks", type=Path)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    data, folder = arguments.data, arguments.networks
    if folder is not None and not (folder / NETWORKS[0]).is_dir():
        parser.error(f"--networks: {folder} has no folder {NETWORKS[0]}")
    generator, dev = learnt(data, arguments.train), matched(data, "dev", None)
    printed: dict[str, Any] = {"interference": joints_of_others(data), "proposals": proposals(generator, *dev)}
    for title, table in printed.items():
        print(title)
        for name, row in table.items():
            print(f"  {name:16s} {row}")
    if folder is not None:
        printed["networks"] = compare(folder, Measured(data, generator, *dev, arguments.draws))
        print("networks")
        for name, row in printed["networks"].items():
            cells = ["{:.1f} ({:.1f}–{:.1f}) {:+.1f} ({:.1f}–{:.1f})".format(*(100 * v for v in row[k])) for k in row]
            print(f"  {name:8s}" + "".join(f"{k} {cell:40s}" for k, cell in zip(row, cells, strict=True)))
    print(json.dumps(printed))


if __name__ == "__main__":
    main()
