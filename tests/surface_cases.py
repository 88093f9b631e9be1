"""Small files in the layout of DensePose-COCO, and random surfaces."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.poses.surfaces import Surface


def person_value(points: int = 5, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """Return an annotation with random points and no masks."""
    rng = np.random.default_rng(seed)
    value = {
        "id": 7,
        "image_id": 3,
        "category_id": 1,
        "iscrowd": 0,
        "area": 1200.0,
        "bbox": [10.0, 20.0, 40.0, 60.0],
        "dp_x": rng.uniform(0, 255, points).tolist(),
        "dp_y": rng.uniform(0, 255, points).tolist(),
        "dp_I": rng.integers(1, 25, points).astype(float).tolist(),
        "dp_U": rng.uniform(0, 1, points).tolist(),
        "dp_V": rng.uniform(0, 1, points).tolist(),
    }
    return value | changes


def surface_file(path: Path, *people: dict[str, Any]) -> Path:
    """Write people to a file with one photo of 100 × 120 pixels, number 3."""
    images = [{"id": 3, "file_name": "3.jpg", "width": 100, "height": 120}]
    categories = [{"id": 1, "name": "person"}]
    path.write_text(json.dumps({"images": images, "annotations": list(people), "categories": categories}))
    return path


def random_surface(seed: int, height: int = 20, width: int = 15) -> Surface:
    """Return a surface whose parts and coordinates are random in each pixel."""
    rng = np.random.default_rng(seed)
    part = rng.integers(0, 25, (height, width)).astype(np.uint8)
    uv = rng.uniform(0, 1, (height, width, 2)).astype(np.float32) * (part > 0)[..., None]
    return Surface(part, uv.astype(np.float32), np.array([3.0, 4.0, 3.0 + width, 4.0 + height]))
