"""A small ONNX network written byte by byte, for tests: it finds seventeen colours.

One convolution over 4 × 4 pixels: heatmap k is the mean of (pixel · direction k), and the colours stand on a sphere, so
each map is highest where its own colour is. Written by the field numbers of onnx.proto3, so that no package is needed.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

GREY = 128.0
RADIUS = 100.0


def _spread(count: int) -> np.ndarray:
    """Directions (count, 3) well apart on the unit sphere: a Fibonacci spiral."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    return np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], axis=1)


DIRECTIONS = _spread(17)


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def _field(tag: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(tag << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(tag << 3 | 2) + _varint(len(content)) + content


def _value_info(name: str, shape: list[int | str]) -> bytes:
    dims = b"".join(_field(1, _field(1 if isinstance(side, int) else 2, side)) for side in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))


def _ints(name: str, values: list[int]) -> bytes:
    return _field(5, _field(1, name) + b"".join(_field(8, value) for value in values) + _field(20, 7))


def write_network(
    folder: Path, batch: int | str = "batch", fill: float | None = None, *, is_free: bool = False, **spec: object
) -> Path:
    """folder/colours.onnx with its JSON; `fill` overwrites the weights; `spec` replaces top fields of the JSON.

    is_free: any multiple of 4 pixels goes in, 256 × 192 usually.
    """
    inside: list[int | str] = ["height", "width"] if is_free else [256, 192]
    outside: list[int | str] = ["h", "w"] if is_free else [64, 48]
    weights = np.repeat(np.repeat(DIRECTIONS[:, :, None, None] / 16, 4, axis=2), 4, axis=3).astype("<f4")
    if fill is not None:
        weights[:] = fill
    tensor = b"".join(_field(1, side) for side in weights.shape) + _field(2, 1) + _field(8, "w")
    tensor += _field(9, weights.tobytes())
    node = _field(1, "data") + _field(1, "w") + _field(2, "maps") + _field(4, "Conv")
    node += _ints("kernel_shape", [4, 4]) + _ints("strides", [4, 4])
    graph = _field(1, node) + _field(2, "g") + _field(5, tensor)
    graph += _field(11, _value_info("data", [batch, 3, *inside])) + _field(
        12, _value_info("maps", [batch, 17, *outside])
    )
    model = _field(1, 8) + _field(8, _field(2, 13)) + _field(7, graph)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "colours.onnx").write_bytes(model)
    text: dict[str, Any] = {
        "onnx": "colours.onnx",
        "name": "seventeen colours",
        "licence": "Apache-2.0",
        "source": "tests/tiny_onnx.py",
        "input": {
            **{"name": "data", "layout": "NCHW", "dtype": "float32", "height": 256, "width": 192, "channels": "RGB"},
            **{"scale": 1, "mean": [GREY] * 3, "std": [RADIUS] * 3},
        },
        "output": {"kind": "heatmaps", "keypoints": 17, "height": 64, "width": 48, "stride": 4},
        "skeleton": "coco17",
        "crop": {"padding": 1.0, "aspect": 0.75},
    }
    if is_free:
        text["input"] |= {"height": "multiple of 4, 256 usual", "width": "multiple of 4, 192 usual"}
        text["output"] = {"kind": "heatmaps", "keypoints": 17, "stride": 4}
    (folder / "colours.json").write_text(json.dumps(text | spec))
    return folder / "colours.onnx"


def photo_of_people(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A grey photo (H, W, 3), `count` people as soft dots of seventeen colours at xy (N, 17, 2), their boxes (N, 4).

    Boxes are 240 × 320 pixels, a map pixel is 5, and a dot's highest map pixel is the one whose 4 × 4 crop pixels lie
    about it: that pixel's centre is 1.5 crop pixels, 1.875 image pixels, beyond its place by the codec's convention.
    """
    rng = np.random.default_rng(seed)
    xy = np.zeros((count, 17, 2))
    boxes = np.zeros((count, 4))
    for person in range(count):
        low = np.array([person * 240 + rng.integers(0, 17), rng.integers(0, 10)])
        boxes[person] = np.concatenate([low, low + np.array([240, 320])])
        cells = rng.permutation(5 * 7)[:17]
        xy[person] = low + np.stack([cells % 5, cells // 5], axis=1) * 45 + rng.uniform(18, 28, (17, 2))
    sides = (max(count, 1) * 240 + 17, 330)
    across, down = (
        np.exp(-((np.arange(side)[:, None] - xy[..., axis].ravel()) ** 2) / 200) for axis, side in enumerate(sides)
    )  # (W, 17 N) and (H, 17 N): a dot is the product of two bells, and the sum of dots one of matrices
    colours = np.tile(DIRECTIONS, (count, 1)).T  # (3, 17 N)
    photo = GREY + RADIUS * np.stack([(down * channel) @ across.T for channel in colours], axis=2)
    return np.rint(np.clip(photo, 0, 255)).astype(np.uint8), xy, boxes
