"""The JSON of each JPEG in a shard: a person's labels in the JPEG's pixels (`datasets.shards` lists the fields)."""

import math
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np
from jaxtyping import Bool, Float

from trustpose.datasets.people import PersonLabels, PersonSample
from trustpose.files import InputError
from trustpose.poses import SEGMENT

_FURTHEST = 1e6  # pixels; and 1 / the smallest scale


def labels_of(sample: PersonSample) -> dict[str, Any]:
    """Return the JSON of a person's JPEG."""
    scale, shift = np.diagonal(sample.affine), sample.affine[:, 2]
    low, high = sample.box.reshape(2, 2) * scale + shift
    keypoints = np.c_[sample.xy * scale + shift, sample.v]
    keypoints[sample.v == 0] = 0  # as COCO does for absent ones
    labels: dict[str, Any] = {
        "image_id": sample.image_id,
        "annotation_id": sample.annotation_id,
        "keypoints": keypoints.ravel().tolist(),
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "area": sample.area * float(scale.prod()) if math.isfinite(sample.area) else None,
        "affine": sample.affine.tolist(),
    }
    if sample.area_source != SEGMENT:
        labels["area_source"] = sample.area_source
    for name in ("has_joint", "has_visibility"):
        column: np.ndarray = getattr(sample, name)
        if not column.all():
            labels[name] = column.tolist()
    return labels


def labels_from(
    records: Sequence[Any], count: int, names: Sequence[str]
) -> tuple[PersonLabels, Float[np.ndarray, "N 2 3"]]:
    """Convert each person's JSON to labels in photo pixels, K = `count`, and affines from photo to JPEG.

    Raises InputError, naming the first of `names` with invalid JSON.
    """
    for labels, name in zip(records, names, strict=True):
        if not isinstance(labels, dict):
            raise InputError(f"{name}.json: expected an object with keypoints, bbox and affine")
        area, ids = labels.get("area"), (labels.get("image_id"), labels.get("annotation_id"))
        is_area = area is None or (isinstance(area, (int, float)) and 0 <= area <= _FURTHEST**2)
        if not (all(map(_is_id, ids)) and is_area):
            raise InputError(
                f"{name}.json: expected whole numbers image_id and annotation_id, and a number or null as area"
            )
    affine = _numbers(records, "affine", (2, 3), names)
    keypoints = _numbers(records, "keypoints", (count, 3), names)
    box = _numbers(records, "bbox", (4,), names)
    scale, shift = np.diagonal(affine, axis1=1, axis2=2), affine[..., 2]  # (N, 2)
    is_plain = (scale >= 1 / _FURTHEST).all(axis=1) & (affine[:, 0, 1] == 0) & (affine[:, 1, 0] == 0)
    if not is_plain.all():
        name = names[int(np.argmin(is_plain))]
        raise InputError(f"{name}.json: field 'affine': expected [[sx, 0, tx], [0, sy, ty]] with sx and sy above 0")
    is_v = np.isin(keypoints[..., 2], (0, 1, 2)).all(axis=1)
    if not is_v.all():
        raise InputError(f"{names[int(np.argmin(is_v))]}.json: field 'keypoints': expected v in 0, 1, 2")
    v = keypoints[..., 2].astype(np.int64)
    xy = (keypoints[..., :2] - shift[:, None]) / scale[:, None]
    corners = np.stack([box[:, :2], box[:, :2] + box[:, 2:]], axis=1)  # (N, 2, 2)
    area = np.array(
        [math.nan if labels.get("area") is None else labels["area"] for labels in records], dtype=np.float64
    )
    labels = PersonLabels(
        xy=np.where((v > 0)[..., None], xy, 0.0),
        v=v,
        box=((corners - shift[:, None]) / scale[:, None]).reshape(-1, 4),
        area=area / scale.prod(axis=1),
        image_id=np.array([labels["image_id"] for labels in records], dtype=np.int64),
        annotation_id=np.array([labels["annotation_id"] for labels in records], dtype=np.int64),
        has_joint=_flags(records, "has_joint", count, names),
        has_visibility=_flags(records, "has_visibility", count, names),
        area_source=np.array([str(labels.get("area_source", SEGMENT)) for labels in records], dtype=np.str_),
    )
    return labels, affine


def _is_id(value: Any) -> TypeGuard[int]:
    return type(value) is int and value.bit_length() < 64


def _numbers(
    records: Sequence[Any], field: str, shape: tuple[int, ...], names: Sequence[str]
) -> Float[np.ndarray, "N ..."]:
    """Return a field of all people's labels, (N, *shape). Raises InputError naming the first of another size."""
    array, is_good = np.zeros((len(records), 0)), np.zeros(len(records), np.bool_)
    try:
        array = np.array([labels.get(field) for labels in records], dtype=np.float64).reshape(len(records), -1)
        is_good = (np.abs(array) <= _FURTHEST).all(axis=1) & (array.shape[1] == math.prod(shape))
    except (TypeError, ValueError):  # different lengths, or not numbers
        if len(records) > 1:
            parts = [_numbers([labels], field, shape, [name]) for labels, name in zip(records, names, strict=True)]
            return np.concatenate(parts)
    if not is_good.all():
        name = names[int(np.argmin(is_good))]
        raise InputError(f"{name}.json: field '{field}': expected {math.prod(shape)} finite numbers of pixels")
    return array.reshape(len(records), *shape)


def _flags(records: Sequence[Any], field: str, count: int, names: Sequence[str]) -> Bool[np.ndarray, "N K"]:
    """Return flags in the same way, all true for people without the field."""
    all_flags = np.ones((len(records), count), np.bool_)
    for row, (labels, name) in enumerate(zip(records, names, strict=True)):
        flags = np.asarray(labels[field]) if field in labels else all_flags[row]
        if flags.shape != (count,) or flags.dtype != np.bool_:
            raise InputError(f"{name}.json: field '{field}': expected {count} booleans")
        all_flags[row] = flags
    return all_flags
