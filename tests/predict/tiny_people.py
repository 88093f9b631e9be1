"""A single-stage network for tests with a constant output: three people at fixed places of any input."""

import json
from pathlib import Path

import numpy as np

from tests.tiny_onnx import _field, _value_info

SCORES = np.array([0.9, 0.4, 0.05])


def people_table(seed: int = 0) -> np.ndarray:
    """(3, 56): 17 × (y, x, score), then ymin, xmin, ymax, xmax, score; places 0–1 across the input."""
    table = np.random.default_rng(seed).uniform(0.1, 0.5, (3, 56)).astype(np.float32)
    table[:, 53:55] = table[:, 51:53] + 0.25
    table[:, 55] = SCORES
    return table


def write_people(folder: Path, table: np.ndarray | None = None, side: int | str = "side", **spec: object) -> Path:
    """folder/people.onnx with its JSON; `side` fixes the input's height and width; `spec` replaces top fields."""
    table = people_table() if table is None else table
    tensor = b"".join(_field(1, length) for length in (1, *table.shape)) + _field(2, 1) + _field(8, "w")
    tensor += _field(9, table.astype("<f4").tobytes())
    node = _field(1, "w") + _field(2, "people") + _field(4, "Identity")
    graph = _field(1, node) + _field(2, "g") + _field(5, tensor)
    sides: list[int | str] = ["height", "width"] if isinstance(side, str) else [side, side]
    graph += _field(11, _value_info("image", [1, *sides, 3])) + _field(12, _value_info("people", [1, *table.shape]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "people.onnx").write_bytes(_field(1, 8) + _field(8, _field(2, 13)) + _field(7, graph))
    size = "multiple of 32, 256 usual" if isinstance(side, str) else side
    text: dict[str, object] = {
        "name": "always three people",
        "licence": "Apache-2.0",
        "source": "tests/predict/tiny_people.py",
        "input": {
            **{"name": "image", "layout": "NHWC", "dtype": "float32", "height": size, "width": size, "channels": "RGB"},
            **{"scale": 1, "mean": [0, 0, 0], "std": [1, 1, 1]},
        },
        "output": {
            **{"kind": "people", "shape": [1, len(table), 56], "normalised": True, "keypoints": 17},
            "order": "17 x (y, x, score), then ymin, xmin, ymax, xmax, score",
        },
        "skeleton": "coco17",
    }
    (folder / "people.json").write_text(json.dumps(text | spec))
    return folder / "people.onnx"
