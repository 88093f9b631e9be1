"""COCO keypoint ground truth files in."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from trustpose.data.columns import Rows, parse_finite_json
from trustpose.files import InputError, read_bytes
from trustpose.geometry.boxes import xywh_to_xyxy
from trustpose.poses import Truth
from trustpose.skeletons import Skeleton, find_skeleton


@dataclass(frozen=True)
class Images:
    """The I photos of a ground truth file; a name or size that the file does not give is None or 0."""

    id: Int[np.ndarray, " I"]
    file_name: list[str | None]
    width: Int[np.ndarray, " I"]
    height: Int[np.ndarray, " I"]

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True)
class TruthFile:
    """A COCO ground truth file: its people of one category, its photos, and what identifies it."""

    truth: Truth
    images: Images
    skeleton: Skeleton | None
    keypoint_names: tuple[str, ...]
    category_id: int
    category_ids: tuple[int, ...]
    path: str
    sha256: str


def read_truth(path: str | Path, category: str | int | None = None) -> TruthFile:
    """Read a COCO keypoint ground truth file.

    All annotations of the category are rows, people with only a box too (xy and v are 0). `category`, a name or id, is
    needed only where several have keypoints. `area` and `box` are None where no annotation has them.
    Raises InputError.
    """
    content = read_bytes(path)
    value = parse_finite_json(content, path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected an object with images, annotations and categories")
    for field in ("images", "annotations", "categories"):
        if field not in value:
            raise InputError(f"{path}: field '{field}' is missing, expected a COCO ground truth file")
    images = _read_images(Rows.of(value["images"], str(path), "image"))
    categories = Rows.of(value["categories"], str(path), "category")
    chosen, ids = _choose_category(categories, category)
    annotations = Rows.of(value["annotations"], str(path), "annotation")
    truth, names = _read_annotations(annotations, images, ids, chosen)
    return TruthFile(
        truth=truth,
        images=images,
        skeleton=find_skeleton(names),
        keypoint_names=names,
        category_id=chosen["id"],
        category_ids=tuple(ids.tolist()),
        path=str(path),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _read_images(rows: Rows) -> Images:
    if not len(rows):
        raise InputError(f"{rows.path}: field 'images': expected at least one image, got an empty list")
    ids = rows.integers("id")
    assert ids is not None
    rows.unique("id", ids)
    names = [row.get("file_name") for row in rows.rows]
    for at, name in enumerate(names):
        if name is not None and not isinstance(name, str):
            raise rows.fail(at, "file_name", "a text", name)
    sizes = [rows.integers(side, optional=True) for side in ("width", "height")]
    width, height = (np.zeros(len(rows), dtype=np.int64) if side is None else np.maximum(side, 0) for side in sizes)
    return Images(ids, names, width, height)


def _choose_category(rows: Rows, wanted: str | int | None) -> tuple[dict[str, Any], np.ndarray]:
    """The category to read and all category ids."""
    ids = rows.integers("id")
    if ids is None or not len(ids):
        raise InputError(f"{rows.path}: field 'categories': expected at least one category, got an empty list")
    rows.unique("id", ids)
    for at, row in enumerate(rows.rows):
        names = row.get("keypoints", [])
        if not isinstance(names, list) or any(not isinstance(name, str) for name in names):
            raise rows.fail(at, "keypoints", "a list of names", names)
    if wanted is not None:
        found = [row for row in rows.rows if wanted in (row["id"], row.get("name"), str(row["id"]))]
    else:
        found = [row for row in rows.rows if row.get("keypoints")] or rows.rows
    if len(found) != 1:
        names = ", ".join(str(row.get("name", row["id"])) for row in rows.rows[:5])
        asked = "several categories" if wanted is None else f"no category {wanted!r}"
        raise InputError(f"{rows.path}: field 'categories': {asked} ({names}), expected one, chosen by its name or id")
    return found[0], ids


def _read_annotations(
    rows: Rows, images: Images, category_ids: np.ndarray, category: dict[str, Any]
) -> tuple[Truth, tuple[str, ...]]:
    all_categories = rows.integers("category_id")
    assert all_categories is not None
    rows.known("category_id", all_categories, category_ids, "field 'categories'")
    ids, image_id = rows.integers("id"), rows.integers("image_id")
    assert ids is not None and image_id is not None
    rows.unique("id", ids)
    rows.known("image_id", image_id, images.id, "field 'images'")
    if (all_categories != category["id"]).any():
        keep = all_categories == category["id"]
        rows = Rows(rows.path, rows.noun, [row for row, is_kept in zip(rows.rows, keep, strict=True) if is_kept])
        ids, image_id = ids[keep], image_id[keep]
    names = tuple(category.get("keypoints", ()))
    keypoints = _read_labels(rows, names)
    names = names or tuple(f"keypoint_{i}" for i in range(keypoints.shape[1]))
    area, box = rows.numbers("area", optional=True), rows.lists("bbox", 4, optional=True, what=" (x, y, width, height)")
    for field, column in (("area", area), ("bbox", None if box is None else box[:, 2:].min(axis=1))):
        if column is not None and not (column >= 0).all():
            at = int(np.argmin(column >= 0))
            raise rows.fail(at, field, "a number of at least 0", None if np.isnan(column[at]) else column[at])
    iscrowd, num_keypoints = rows.integers("iscrowd", optional=True), rows.integers("num_keypoints", optional=True)
    v = keypoints[:, :, 2].astype(np.int64)
    if num_keypoints is not None:
        num_keypoints = np.where(num_keypoints < 0, np.count_nonzero(v > 0, axis=1), num_keypoints)
    truth = Truth(
        xy=keypoints[:, :, :2],
        v=v,
        area=area,
        area_source=np.array([str(row.get("area_source", "segment")) for row in rows.rows], dtype=object),
        box=None if box is None else xywh_to_xyxy(box),
        iscrowd=None if iscrowd is None else iscrowd > 0,
        image_id=image_id,
        annotation_id=ids,
        num_keypoints=num_keypoints,
    )
    return truth, names


def _read_labels(rows: Rows, names: tuple[str, ...]) -> np.ndarray:
    """x, y, v (N, K, 3); zeros for people with only a box."""
    count = len(names)
    if not count:
        first = next((row["keypoints"] for row in rows.rows if isinstance(row.get("keypoints"), list)), None)
        if first is None or len(first) == 0 or len(first) % 3:
            raise InputError(f"{rows.path}: field 'keypoints': no category names any, no annotation has 3K numbers")
        count = len(first) // 3
    table = rows.lists("keypoints", 3 * count, optional=True, what=f" (x, y, v of {count} keypoints)")
    if table is None:
        table = np.zeros((len(rows), 3 * count))
    keypoints = np.nan_to_num(table).reshape(-1, count, 3)
    wrong = ~np.isin(keypoints[:, :, 2], (0, 1, 2)).all(axis=1)
    if wrong.any():
        at = int(np.argmax(wrong))
        value = next(v for v in keypoints[at, :, 2] if v not in (0, 1, 2))
        raise rows.fail(at, "keypoints", "v in 0, 1, 2", float(value))
    return keypoints
