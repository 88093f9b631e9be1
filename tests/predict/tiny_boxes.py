"""A detector for tests: a person where a photo is red, with boxes of one size.

One convolution over 8 × 8 pixels: the mean of red, 0–1, and four numbers that are always the same.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.tiny_onnx import _field, _ints, _value_info

STRIDE, LONGEST = 8, 320
SIDES = np.array([20.0, 30, 24, 36])  # left, top, right, bottom, input pixels


def write_boxes(folder: Path, name: str = "boxes", stride: int = STRIDE, fill: float = 1.0, **spec: Any) -> Path:
    """folder/NAME.onnx with its JSON; `fill` scales its output; `spec` replaces top fields of the JSON."""
    weights = np.zeros((5, 3, stride, stride), "<f4")
    weights[0, 0] = fill / stride**2
    bias = np.concatenate([[0], SIDES]).astype("<f4")
    graph = b""
    node = b"".join(_field(1, tensor) for tensor in ("image", "w", "b")) + _field(2, "boxes") + _field(4, "Conv")
    graph += _field(1, node + _ints("kernel_shape", [stride] * 2) + _ints("strides", [stride] * 2)) + _field(2, "g")
    for tensor, array in (("w", weights), ("b", bias)):
        dims = b"".join(_field(1, side) for side in array.shape)
        graph += _field(5, dims + _field(2, 1) + _field(8, tensor) + _field(9, array.tobytes()))
    graph += _field(11, _value_info("image", [1, 3, "height", "width"]))
    graph += _field(12, _value_info("boxes", [1, 5, "rows", "columns"]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.onnx").write_bytes(_field(1, 8) + _field(8, _field(2, 13)) + _field(7, graph))
    side = f"multiple of 32, {LONGEST} usual"
    text: dict[str, Any] = {
        "onnx": f"{name}.onnx",
        "name": "red people",
        "licence": "Apache-2.0",
        "source": "tests/predict/tiny_boxes.py",
        "input": {
            **{"name": "image", "layout": "NCHW", "dtype": "float32", "height": side, "width": side},
            **{"channels": "RGB", "scale": "1/255", "mean": [0, 0, 0], "std": [1, 1, 1], "longest": LONGEST},
        },
        "output": {"kind": "boxes", "name": "boxes", "stride": STRIDE, "min_score": 0.3},
    }
    (folder / f"{name}.json").write_text(json.dumps(text | spec))
    return folder / f"{name}.onnx"


def photo_of_dots(width: int, height: int, *dots: tuple[float, float, int]) -> np.ndarray:
    """A grey-blue photo (H, W, 3) with a round spot at x, y of so strong a red, about as large as a cell of the map."""
    photo = np.zeros((height, width, 3))
    photo[..., 2] = 90
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    size = STRIDE * max(width, height) / LONGEST
    for x, y, red in dots:
        spot = np.exp(-(((columns - x) / size) ** 2)) * np.exp(-(((rows - y) / size) ** 2))[:, None]
        photo[..., 0] = np.maximum(photo[..., 0], red * spot)
    return photo.round().astype(np.uint8)


PICODET: dict[str, Any] = {
    "onnx": "picodet-s.onnx",
    "name": "PicoDet-S pedestrian 320",
    "licence": "Apache-2.0",
    "source": "PaddleDetection",
    "input": {
        **{"name": "image", "layout": "NCHW", "dtype": "float32", "height": 320, "width": 320, "channels": "RGB"},
        **{"scale": "1/255", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "resize": "stretched"},
    },
    "output": {
        **{"kind": "box-list", "scores": "transpose_8.tmp_0", "boxes": "concat_8.tmp_0"},
        **{"min_score": 0.15, "overlap": 0.6},
    },
}
"""The JSON of a real detector with listed boxes, `small-networks/picodet-s.onnx` of the data (docs/networks.md)."""
