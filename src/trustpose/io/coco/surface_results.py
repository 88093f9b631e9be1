"""Read and write estimated surfaces in the results format of the COCO DensePose task: `uv_shape` and `uv_data`.

Source: the task's results format. `uv_data` is a PNG as base64 whose red, green and blue are the part, U and V.
"""

import base64
import binascii
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from trustpose.codecs.surface import from_iuv, to_iuv
from trustpose.files import InputError, read_bytes, write_json
from trustpose.geometry.boxes import xywh_to_xyxy, xyxy_to_xywh
from trustpose.io.columns import Rows, parse_finite_json
from trustpose.poses.surfaces import Surfaces
from trustpose.skeletons.surface_parts import SURFACE_PARTS

_LARGEST_SIDE = 1 << 15
_LONGEST = 1 << 28  # characters of a PNG


def read_surface_results(path: str | Path) -> Surfaces:
    """Read surfaces from COCO DensePose results.

    Args:
        path: a JSON list of `{image_id, category_id, bbox, score, uv_shape, uv_data}`.

    Raises:
        InputError: naming the file, the result and the field.
    """
    rows = Rows.of(parse_finite_json(read_bytes(path), path), str(path), "result")
    image_id, score = rows.integers("image_id"), rows.numbers("score")
    box = rows.lists("bbox", 4)
    assert image_id is not None and score is not None and box is not None
    corners = xywh_to_xyxy(box)
    surfaces = [from_iuv(_read_image(rows, row), corners[row]) for row in range(len(rows))]
    return Surfaces(tuple(surfaces), image_id, score)


def _read_image(rows: Rows, row: int) -> UInt8[np.ndarray, "h w 3"]:
    """Return the IUV image of a row. Raises InputError."""
    shape, text = rows.rows[row].get("uv_shape"), rows.rows[row].get("uv_data")
    is_shape = isinstance(shape, list) and len(shape) == 3 and all(type(side) is int for side in shape)
    if not is_shape or shape[0] != 3 or not all(0 < side <= _LARGEST_SIDE for side in shape[1:]):
        raise rows.fail(row, "uv_shape", f"[3, height, width], sides up to {_LARGEST_SIDE}", shape)
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise rows.fail(row, "uv_data", "a PNG as base64", text)
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise rows.fail(row, "uv_data", "a PNG as base64", text) from None
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None or list(image.shape[:2]) != shape[1:]:
        size = "no image" if image is None else f"{image.shape[0]} × {image.shape[1]}"
        raise InputError(
            f"{rows.place(row)}: field 'uv_data': expected a PNG of {shape[1]} × {shape[2]} pixels, got {size}"
        )
    iuv = np.ascontiguousarray(image[..., ::-1])
    if iuv[..., 0].max() > len(SURFACE_PARTS):
        raise rows.fail(row, "uv_data", f"parts from 0 to {len(SURFACE_PARTS)}", int(iuv[..., 0].max()))
    return iuv


def write_surface_results(path: str | Path, surfaces: Surfaces) -> None:
    """Write surfaces as COCO DensePose results. Expected similarities are not in this format. Raises InputError."""
    write_json(path, [_result(surfaces, row) for row in range(len(surfaces))])


def _result(surfaces: Surfaces, row: int) -> dict[str, Any]:
    surface = surfaces.surfaces[row]
    iuv = to_iuv(surface)
    is_encoded, content = cv2.imencode(".png", np.ascontiguousarray(iuv[..., ::-1]))
    assert is_encoded
    return {
        "image_id": int(surfaces.image_id[row]),
        "category_id": 1,
        "bbox": xyxy_to_xywh(surface.box).tolist(),
        "score": float(surfaces.score[row]),
        "uv_shape": [3, *iuv.shape[:2]],
        "uv_data": base64.b64encode(content.tobytes()).decode("ascii"),
    }
