"""Small files in the layout of DensePose-COCO, and random surfaces."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.codecs.surface import from_iuv
from trustpose.geometry.surface_mesh import SurfaceMesh
from trustpose.io.coco.run_length_text import format_runs
from trustpose.io.coco.surface_labels import POINT_FIELDS
from trustpose.poses.run_lengths import RunLengths
from trustpose.poses.surfaces import Surface, Surfaces


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


def random_mesh(seed: int = 0, vertices: int = 400, points: int = 150) -> SurfaceMesh:
    """Return vertices at random on their charts, with the distances of random points in space."""
    rng = np.random.default_rng(seed)
    part = np.concatenate([np.arange(1, 25), rng.integers(1, 25, vertices - 24)])
    row = np.concatenate([np.arange(points), rng.integers(0, points, vertices - points)])
    xyz = rng.random((points, 3)) * 0.4
    distance = np.linalg.norm(xyz[:, None] - xyz[None], axis=2)
    return SurfaceMesh(part, rng.random((vertices, 2)), row, distance[np.tril_indices(points, -1)].astype(np.float32))


def random_evaluation(seed: int = 0, photos: int = 30) -> tuple[dict[str, Any], Surfaces]:
    """Return labels in the layout of DensePose-COCO, people without points and masks among them, and estimates of all
    qualities."""
    rng = np.random.default_rng(seed)
    images = [{"id": number, "width": 300, "height": 280, "file_name": f"{number}.jpg"} for number in range(photos)]
    annotations: list[dict[str, Any]] = []
    estimates: list[tuple[int, Surface, float]] = []
    for image in images:
        for _ in range(rng.integers(0, 5)):
            side = rng.uniform(30, 140, 2)
            corner = rng.uniform(0, [300 - side[0], 280 - side[1]])
            person, points = _random_person(rng, image["id"], len(annotations) + 1, corner, side)
            annotations.append(person)
            estimates += [
                (image["id"], _random_estimate(rng, corner, side, points), float(rng.random()))
                for _ in range(rng.integers(0, 3))
            ]
    value = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    surfaces = tuple(surface for _, surface, _ in estimates)
    image_id = np.array([number for number, *_ in estimates])
    return value, Surfaces(surfaces, image_id, np.array([score for *_, score in estimates]))


def _random_person(
    rng: np.random.Generator, image: int, number: int, corner: np.ndarray, side: np.ndarray
) -> tuple[dict[str, Any], tuple[np.ndarray, ...]]:
    count = int(rng.integers(1, 60))
    part = rng.integers(1, 25, count) * (rng.random(count) >= 0.05)
    uv, xy = rng.random((count, 2)), rng.uniform(0, 255, (count, 2))
    mask = np.zeros((256, 256), np.bool_)
    low, high = rng.integers(0, 60, 2), rng.integers(150, 256, 2)
    mask[low[0] : high[0], low[1] : high[1]] = True
    person = {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [*corner.tolist(), *side.tolist()],
        "area": float(side.prod() * rng.uniform(0.3, 1)),
        "segmentation": [],
    }
    if rng.random() < 0.75:
        columns = (xy[:, 0], xy[:, 1], part, uv[:, 0], uv[:, 1])
        person |= {name: column.tolist() for name, column in zip(POINT_FIELDS, columns, strict=True)}
        if rng.random() < 0.9:
            person["dp_masks"] = [{"size": [256, 256], "counts": format_runs(RunLengths.of(mask).runs)}]
    return person, (part, uv, xy, mask)


def _random_estimate(
    rng: np.random.Generator, corner: np.ndarray, side: np.ndarray, points: tuple[np.ndarray, ...]
) -> Surface:
    part, uv, xy, mask = points
    box = np.concatenate([corner + rng.normal(0, 3, 2), np.maximum(side + rng.normal(0, 3, 2), 5)])
    width, height = box[2:].astype(int)
    is_inside = mask[np.ix_(np.arange(height) * 256 // height, np.arange(width) * 256 // width)]
    iuv = rng.integers(0, 256, (height, width, 3))
    iuv[..., 0] = np.where(is_inside, 1, iuv[..., 0] % 25 * (rng.random((height, width)) < 0.02))
    column, row = (xy * side / 255 + corner - box[:2]).astype(int).T
    noise = rng.uniform(0, 0.25)
    for index in np.flatnonzero((row >= 0) & (column >= 0) & (row < height) & (column < width)):
        number = part[index] if rng.random() > noise else rng.integers(0, 25)
        estimate = np.clip(np.rint((uv[index] + rng.normal(0, noise / 2, 2)) * 255), 0, 255)
        iuv[row[index], column[index]] = [number, *estimate]
    return from_iuv(iuv.astype(np.uint8), np.concatenate([box[:2], box[:2] + box[2:]]))
