"""Photos of people made of coloured dots, in COCO's layout."""

import json
from pathlib import Path

import cv2
import numpy as np

from tests.training.tiny import COLOURS
from trustpose.skeletons import COCO_17


def write_photos_of_dots(folder: Path, count: int = 9) -> Path:
    """Write photos of two people each into a folder; return the folder."""
    (folder / "train").mkdir()
    random = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(1, count + 1):
        photo = random.integers(0, 30, (96, 128, 3), dtype=np.uint8)
        images.append({"id": number, "file_name": f"{number}.png", "width": 128, "height": 96})
        for side in (0, 64):
            xy = random.integers((side + 6, 6), (side + 58, 90), (17, 2))
            for (x, y), colour in zip(xy.tolist(), COLOURS, strict=True):
                photo[y - 2 : y + 3, x - 2 : x + 3] = colour
            keypoints = [value for x, y in xy.tolist() for value in (x, y, 2)]
            common = {"image_id": number, "category_id": 1, "iscrowd": 0, "area": 2000, "bbox": [side + 2, 2, 60, 92]}
            annotations.append({"id": len(annotations) + 1, "num_keypoints": 17, "keypoints": keypoints, **common})
        cv2.imwrite(str(folder / "train" / f"{number}.png"), photo[..., ::-1])
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints), "skeleton": []}]
    text = json.dumps({"images": images, "annotations": annotations, "categories": categories})
    (folder / "train_gt.json").write_text(text)
    return folder
