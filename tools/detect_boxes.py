"""Write the boxes that a detector finds in the photos of a ground truth, as COCO detections.

    python tools/detect_boxes.py --detector picodet-s.json --gt gt.json --photos FOLDER --out boxes.json
                                 [--fold N --other DETECTOR]

For `trustpose train default-trust`. --other finds the people of one of five folds of the photos instead: a detector
that was trained on the other four performs there as on new photos.
"""

import argparse
import sys
from pathlib import Path

from trustpose.files import InputError, find_shown, write_json
from trustpose.geometry.boxes import xyxy_to_xywh
from trustpose.images import fold_of
from trustpose.io.coco.truth import read_coco_truth
from trustpose.io.photos import read_image
from trustpose.models.runtime.backends import BoxDetector
from trustpose.models.spec import ModelSpec

FOLDS = 5


def run() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--detector", "--gt", "--photos", "--out"):
        parser.add_argument(option, type=Path, required=True)
    parser.add_argument("--fold", type=int)
    parser.add_argument("--other", type=Path)
    given = parser.parse_args()
    images = read_coco_truth(given.gt).images
    usual = BoxDetector(ModelSpec.read(given.detector))
    other = usual if given.other is None else BoxDetector(ModelSpec.read(given.other))
    found, names = [], images.names()
    for image, fold in zip(images.id.tolist(), fold_of(images.id, FOLDS).tolist(), strict=True):
        detector = other if fold == given.fold else usual
        boxes = detector(read_image(find_shown(given.photos, names[image])))
        assert boxes.score is not None
        found += [
            {"image_id": image, "category_id": 1, "bbox": box, "score": score}
            for box, score in zip(xyxy_to_xywh(boxes.xyxy).tolist(), boxes.score.tolist(), strict=True)
        ]
    write_json(given.out, found)
    print(f"{given.out}: {len(found)} boxes in {len(images.id)} photos")


if __name__ == "__main__":
    try:
        run()
    except InputError as error:
        sys.exit(f"{error}")
