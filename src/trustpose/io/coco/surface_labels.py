"""Read and write people with labelled surfaces in the layout of DensePose-COCO: `dp_I dp_U dp_V dp_x dp_y dp_masks`.

Source: the data format of the COCO DensePose task.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from trustpose.files import InputError, read_bytes
from trustpose.geometry.boxes import xywh_to_xyxy, xyxy_to_xywh
from trustpose.images import Images
from trustpose.io.coco.labels import check_boxes
from trustpose.io.coco.run_length_text import read_run_lengths, run_lengths_value
from trustpose.io.coco.truth import images_of_rows
from trustpose.io.columns import Rows, ids_among, own_ids, parse_finite_json
from trustpose.json_records import short
from trustpose.poses.run_lengths import RunLengths
from trustpose.poses.surfaces import MASK_SIDE, SurfaceTruth
from trustpose.skeletons.surface_parts import MASK_PARTS, SURFACE_PARTS

_RANGES: dict[str, tuple[float, str]] = {  # of the fields of points: the largest value, and what is expected
    "dp_x": (MASK_SIDE, f"numbers from 0 to {MASK_SIDE}"),
    "dp_y": (MASK_SIDE, f"numbers from 0 to {MASK_SIDE}"),
    "dp_I": (len(SURFACE_PARTS), f"whole numbers from 0 to {len(SURFACE_PARTS)}"),
    "dp_U": (1, "numbers from 0 to 1"),
    "dp_V": (1, "numbers from 0 to 1"),
}
POINT_FIELDS = tuple(_RANGES)


def read_surface_truth(path: str | Path) -> SurfaceTruth:
    """Read the people of a DensePose-COCO file. People without points on their surface are there too: evaluation
    ignores estimates of them.

    Args:
        path: a JSON file with `images` and `annotations`. A person with points has all of `dp_I`, `dp_U`, `dp_V`,
            `dp_x`, `dp_y`, lists of one length, and may have `dp_masks`.

    Returns:
        The people, in the order of the file.

    Raises:
        InputError: naming the file, the annotation and the field.
    """
    value = parse_finite_json(read_bytes(path), path)
    for field in ("images", "annotations"):
        if not isinstance(value, dict) or field not in value:
            raise InputError(f"{path}: field '{field}' is missing, expected people in the layout of DensePose-COCO")
    images, texts = images_of_rows(Rows.of(value["images"], str(path), "image"))
    people = Rows.of(value["annotations"], str(path), "annotation")
    ids, _ = own_ids(people, "id")
    image_id = ids_among(people, "image_id", images.id, texts, "field 'images'")
    box = people.lists("bbox", 4)
    area = people.numbers("area", optional=True)
    assert box is not None
    check_boxes(people, box, images.sizes(image_id))
    points = [_points(people, row) for row in range(len(people))]
    counts = [of_person.shape[1] for of_person in points]
    if not sum(counts):
        raise InputError(f"{path}: field 'annotations': none has points ({', '.join(POINT_FIELDS)})")
    x, y, part, u, v = np.concatenate(points, axis=1)
    box_area = box[:, 2] * box[:, 3] * 0.53
    return SurfaceTruth(
        box=xywh_to_xyxy(box),
        image_id=image_id,
        annotation_id=ids,
        area=box_area if area is None else np.where(np.isnan(area), box_area, area),
        masks=tuple(_masks(people, row) for row in range(len(people))),
        person=np.repeat(np.arange(len(people)), counts),
        part=part.astype(np.int64),
        uv=np.stack([u, v], axis=1),
        xy_box=np.stack([x, y], axis=1),
        images=images,
    )


def _points(people: Rows, row: int) -> Float[np.ndarray, "5 P"]:
    """Return the points of a person, a row for each of `POINT_FIELDS`. Raises InputError."""
    person = people.rows[row]
    if person.get("dp_x") is None:
        return np.zeros((len(POINT_FIELDS), 0))
    columns: list[Float[np.ndarray, " P"]] = []
    for field, (largest, expected) in _RANGES.items():
        values: Any = person.get(field)
        if not isinstance(values, list) or set(map(type, values)) - {int, float}:
            raise people.fail(row, field, f"a list of {expected}", values)
        column = np.array(values, np.float64)
        if len(column) != len(person["dp_x"]):
            raise people.fail(row, field, f"{len(person['dp_x'])} numbers, as in 'dp_x'", len(column))
        is_wrong = (column < 0) | (column > largest) | ((column % 1 != 0) if field == "dp_I" else False)
        if is_wrong.any():
            raise people.fail(row, field, expected, float(column[is_wrong][0]))
        columns.append(column)
    return np.stack(columns)


def _masks(people: Rows, row: int) -> tuple[RunLengths | None, ...] | None:
    """Return the masks of a person; None without. Raises InputError."""
    values = people.rows[row].get("dp_masks")
    if values is None:
        return None
    if not isinstance(values, list) or len(values) > len(MASK_PARTS):
        raise people.fail(row, "dp_masks", f"a list of at most {len(MASK_PARTS)} masks", values)
    masks: list[RunLengths | None] = []
    for number, value in enumerate(values):
        name = f"{people.place(row)}: field 'dp_masks.{number}"
        if not value:  # [] for a part that is not visible
            masks.append(None)
            continue
        if not isinstance(value, dict):
            raise InputError(f"{name}': expected run lengths, {{size, counts}}, got {short(value)}")
        try:
            mask = read_run_lengths(value)
        except ValueError as error:
            field, _, message = str(error).partition(": ")
            raise InputError(f"{name}.{field}': {message}") from None
        if (mask.height, mask.width) != (MASK_SIDE, MASK_SIDE):
            side = f"{MASK_SIDE}, {MASK_SIDE}"
            raise InputError(f"{name}.size': expected {side}, got {mask.height}, {mask.width}")
        masks.append(mask)
    return tuple(masks)


def surface_truth_value(truth: SurfaceTruth, images: Images) -> dict[str, Any]:
    """Return the JSON value of people with labelled surfaces, which `read_surface_truth` reads. Points without
    coordinates on the chart have 0, 0 there."""
    return {
        "images": images.to_json(),
        "annotations": [_annotation(truth, row) for row in range(len(truth))],
        "categories": [{"id": 1, "name": "person", "supercategory": "person", "keypoints": [], "skeleton": []}],
    }


def _annotation(truth: SurfaceTruth, row: int) -> dict[str, Any]:
    points, masks = truth.points_of(row), truth.masks[row]
    x, y = truth.xy_box[points].T.tolist()
    u, v = np.nan_to_num(truth.uv[points]).T.tolist()
    value = {
        "id": int(truth.annotation_id[row]),
        "image_id": int(truth.image_id[row]),
        "category_id": 1,
        "iscrowd": 0,
        "area": float(truth.area[row]),
        "bbox": xyxy_to_xywh(truth.box[row]).tolist(),
    }
    if x:
        value |= dict(zip(POINT_FIELDS, (x, y, truth.part[points].tolist(), u, v), strict=True))
    return value if masks is None else value | {"dp_masks": _mask_values(masks)}


def _mask_values(masks: Sequence[RunLengths | None]) -> list[Any]:
    return [[] if mask is None else run_lengths_value(mask) for mask in masks]
