"""A small network for hands or faces, written byte by byte: it finds what is red."""

import json
from pathlib import Path

import numpy as np

from tests.tiny_onnx import _field, _ints, _value_info

SIDE = 64


def write_part(folder: Path, skeleton: str, keypoints: int) -> Path:
    """A network whose heatmaps are the red of 4 × 4 crop pixels, each brighter by 1 % than the one before."""
    weights = np.zeros((keypoints, 3, 4, 4), "<f4")
    weights[:, 0] = (1 + np.arange(keypoints)[:, None, None] / 100) / 16
    tensor = b"".join(_field(1, side) for side in weights.shape) + _field(2, 1) + _field(8, "w")
    tensor += _field(9, weights.tobytes())
    node = _field(1, "data") + _field(1, "w") + _field(2, "maps") + _field(4, "Conv")
    node += _ints("kernel_shape", [4, 4]) + _ints("strides", [4, 4])
    graph = _field(1, node) + _field(2, "g") + _field(5, tensor)
    graph += _field(11, _value_info("data", ["batch", 3, SIDE, SIDE]))
    graph += _field(12, _value_info("maps", ["batch", keypoints, SIDE // 4, SIDE // 4]))
    folder.mkdir()
    (folder / "red.onnx").write_bytes(_field(1, 8) + _field(8, _field(2, 13)) + _field(7, graph))
    pixels = {"name": "data", "layout": "NCHW", "dtype": "float32", "height": SIDE, "width": SIDE, "channels": "RGB"}
    spec = {
        "input": pixels | {"scale": "1/255", "mean": [0, 0, 0], "std": [1, 1, 1]},
        "output": {"kind": "heatmaps", "keypoints": keypoints, "height": 16, "width": 16, "stride": 4, "offset": 1.5},
        "skeleton": skeleton,
        "crop": {"padding": 1.0},
    }
    (folder / "red.json").write_text(json.dumps(spec))
    return folder / "red.onnx"
