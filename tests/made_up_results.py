"""Results for any COCO ground truth: its labels with noise and made-up scores."""

from typing import Any

import numpy as np

_FIELDS = ("keypoints", "keypoints_21", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")


def made_up_results(truth: dict[str, Any], *, noise: float = 2.0, seed: int = 0) -> list[dict[str, Any]]:
    """A result for each annotation with keypoints, `noise` pixels beside its labels, in all its keypoint fields."""
    random = np.random.default_rng(seed)
    results = []
    for annotation in truth["annotations"]:
        if not annotation.get("keypoints"):
            continue
        result = {"image_id": annotation["image_id"], "category_id": annotation["category_id"]}
        for field in _FIELDS:
            if field in annotation:
                labels = np.reshape(annotation[field], (-1, 3)).astype(float)
                xy = labels[:, :2] + random.normal(0, noise, (len(labels), 2))
                result[field] = np.c_[xy, random.uniform(0.01, 1, len(labels))].round(4).ravel().tolist()
        results.append(result | {"score": round(random.random(), 4), "bbox": annotation["bbox"]})
    return results
