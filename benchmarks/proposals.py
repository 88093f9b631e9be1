"""What boxes of people hold: errors of the detector, proposals drawn like them, and joints of other people.

    python benchmarks/proposals.py [--train N] [--data FOLDER]

  proposals      AlphaPose's (`datasets.proposals`): offsets of the bundled detector's boxes from the labelled ones they
                 overlap by half, on `dev` and in units of the sides, and those drawn for the same poses, as learnt on N
                 photos of `train`. Percentiles 5, 25, 50, 75 and 95, and those of the overlap (IoU). "augmentation" has
                 HRNet's random scale, ± 0.35, instead
  interference   joints of other people in the boxes of labelled people (CrowdPose, section 4): of COCO and of CrowdPose

Last comes one line of JSON. Needs TRUSTPOSE_DATA.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np

from trustpose.datasets.augment import HRNET
from trustpose.datasets.detected_boxes import PRESENT
from trustpose.datasets.proposals import fit_proposals
from trustpose.formats.coco import read_truth
from trustpose.formats.photos import MAX_PIXELS
from trustpose.geometry.boxes import paired_iou
from trustpose.metrics.crowding import interference
from trustpose.poses import Truth
from trustpose.predict.detectors import load_detector
from trustpose.predict.photos import Image, open_photo
from trustpose.skeletons import COCO_17

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
PERCENTILES = (5, 25, 50, 75, 95)
DRAWS = 50


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


def proposals(data: Path, train: int) -> dict[str, dict[str, list[float]]]:
    truth, boxes = matched(data, "train", train)
    assert truth.box is not None
    generator = fit_proposals(truth.xy, truth.v > 0, truth.box, boxes, COCO_17)
    truth, boxes = matched(data, "dev", None)
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


def joints_of_others(data: Path) -> dict[str, dict[str, object]]:
    table: dict[str, dict[str, object]] = {}
    for name, path in {
        "COCO dev": data / "coco" / "dev_gt.json",
        "COCO val2017": data / "coco" / "val2017_gt.json",
        "CrowdPose val": data / "crowdpose" / "crowdpose_val.json",
    }.items():
        file = read_truth(path)
        found = interference(file.truth)
        own = found.own.any(axis=1)
        table[name] = {
            "people": int(own.sum()),
            "joints of others per own": float(np.nanmean(found.ratio)),
            "share of joints": found.share,
            "people with any": float((found.others[own].sum(axis=1) > 0).mean()),
            "boxes with another's": dict(zip(file.keypoint_names, found.occupied.round(3).tolist(), strict=True)),
        }
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    printed = {
        "interference": joints_of_others(arguments.data),
        "proposals": proposals(arguments.data, arguments.train),
    }
    for title, table in printed.items():
        print(title)
        for name, row in table.items():
            print(f"  {name:16s} {row}")
    print(json.dumps(printed))


if __name__ == "__main__":
    main()
