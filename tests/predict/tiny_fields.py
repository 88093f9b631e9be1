"""Bottom-up networks for tests with constant outputs: the maps of given people."""

import json
from pathlib import Path

import numpy as np

from tests.tiny_onnx import _field, _value_info
from trustpose.codecs.centres import CentrePoseCodec
from trustpose.codecs.composite_fields import CompositeCodec, joint_sizes
from trustpose.codecs.disks import DiskCodec
from trustpose.codecs.fields import FieldCodec
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.codecs.tags import encode_tags
from trustpose.geometry.crops import Grid
from trustpose.skeletons import COCO_17

WIDTH, HEIGHT, STRIDE = 256, 192, 4
CODEC = HeatmapCodec(WIDTH // STRIDE, HEIGHT // STRIDE, float(STRIDE), sigma=1.0, decoding="dark")


def made_up_people(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """People side by side in 256 × 192 input pixels: xy (P, 17, 2), labelled (P, 17), one wrist of the first is not."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 1, 4), np.linspace(0, 1, 5))
    grid = np.stack([x, y], axis=-1).reshape(-1, 2)[:17] * (45, 150)
    corner = np.array([[15 + 80 * at, 15] for at in range(count)])
    xy = grid + corner[:, None] + rng.uniform(-3, 3, (count, 17, 2))
    labelled = np.ones((count, 17), bool)
    labelled[0, COCO_17.index("left_wrist")] = False
    return xy, labelled


def boxes_of(xy: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Boxes xyxy (P, 4) three pixels beyond the labelled joints."""
    low, high = (np.where(labelled[..., None], xy, end * np.inf) for end in (1, -1))
    return np.concatenate([low.min(axis=1) - 3, high.max(axis=1) + 3], axis=1)


def write_fields(folder: Path, xy: np.ndarray, labelled: np.ndarray, **output: object) -> Path:
    """folder/fields.onnx with its JSON, a network that sees these people in any photo; `output` adds fields there."""
    fields = FieldCodec(COCO_17.edges, CODEC.grid).encode(xy, labelled, CODEC.width, CODEC.height)
    return write_maps(folder, "fields", {"heatmaps": CODEC.encode_people(xy, labelled), "fields": fields}, output)


def write_tags(folder: Path, xy: np.ndarray, labelled: np.ndarray, coarser: int = 1, **output: object) -> Path:
    """folder/tags.onnx, a network whose tags have cells `coarser` times as large."""
    size = CODEC.width // coarser, CODEC.height // coarser
    grid = Grid((float(STRIDE * coarser),) * 2, STRIDE * (coarser - 1) / 2)
    tags = encode_tags(xy, labelled, grid, *size)
    return write_maps(folder, "tags", {"heatmaps": CODEC.encode_people(xy, labelled), "tags": tags}, output)


def write_centres(folder: Path, xy: np.ndarray, labelled: np.ndarray, **output: object) -> Path:
    """folder/centres.onnx, with the people's boxes `boxes_of`."""
    maps, _ = CentrePoseCodec(CODEC).encode(boxes_of(xy, labelled), xy, labelled)
    tensors = {"centre": maps.centre[None], "sides": maps.sides, "joints": maps.joints, "heatmaps": maps.heatmaps}
    return write_maps(folder, "centres", tensors, output)


def write_boxed(folder: Path, xy: np.ndarray, labelled: np.ndarray, **output: object) -> Path:
    """folder/boxed.onnx, with the people's boxes `boxes_of` and keypoints that nobody shares out yet."""
    maps, _ = CentrePoseCodec(CODEC).encode(boxes_of(xy, labelled), xy, labelled)
    tensors = {"centre": maps.centre[None], "sides": maps.sides, "heatmaps": maps.heatmaps}
    return write_maps(folder, "boxed", tensors, output)


def write_composites(folder: Path, xy: np.ndarray, labelled: np.ndarray, **output: object) -> Path:
    """folder/composite-fields.onnx, a network with PifPaf's fields."""
    size = joint_sizes(np.full(len(xy), 90.0**2), COCO_17.sigmas)
    fields = CompositeCodec(COCO_17.edges, CODEC.grid).encode(xy, labelled, size, CODEC.width, CODEC.height)
    tensors = {
        name: field.reshape(-1, *field.shape[2:])
        for name, field in zip(("intensity", "association"), fields, strict=True)
    }
    return write_maps(folder, "composite-fields", tensors, output)


def write_disks(
    folder: Path, xy: np.ndarray, labelled: np.ndarray, *, with_masks: bool = False, **output: object
) -> Path:
    """folder/disks.onnx, a network with PersonLab's maps; `with_masks`: each person is its box's pixels."""
    codec = DiskCodec(COCO_17.edges, CODEC.grid, 16.0)
    disks, short, middle, _ = codec.encode(xy, labelled, CODEC.width, CODEC.height)
    tensors, fields = {"disks": disks, "short": short, "middle": middle}, {"radius": 16, **output}
    if with_masks:
        masks = np.zeros((len(xy), CODEC.height, CODEC.width), np.bool_)
        for mask, (x0, y0, x1, y1) in zip(masks, np.rint(boxes_of(xy, labelled) / STRIDE).astype(int), strict=True):
            mask[y0 : y1 + 1, x0 : x1 + 1] = True
        person, long, _ = codec.encode_people(xy, labelled, masks)
        tensors, fields = tensors | {"person": person, "long": long}, {"person": "person", "long": "long", **fields}
    return write_maps(folder, "disks", tensors, fields)


def write_maps(folder: Path, kind: str, tensors: dict[str, np.ndarray], output: dict[str, object]) -> Path:
    """folder/KIND.onnx with its JSON: a network with these maps (C, h, w) for any photo; `output` adds fields there."""
    graph = b""
    for name, array in tensors.items():
        shape = (1, *array.shape)
        tensor = b"".join(_field(1, length) for length in shape) + _field(2, 1) + _field(8, f"{name}_constant")
        graph += _field(5, tensor + _field(9, array.astype("<f4").tobytes()))
        graph += _field(12, _value_info(name, list(shape)))
    nodes = [_field(1, f"{name}_constant") + _field(2, name) + _field(4, "Identity") for name in tensors]
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, "g") + graph
    graph += _field(11, _value_info("image", [1, 3, HEIGHT, WIDTH]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{kind}.onnx").write_bytes(_field(1, 8) + _field(8, _field(2, 13)) + _field(7, graph))
    text: dict[str, object] = {
        "name": "always the same people",
        "licence": "Apache-2.0",
        "source": "tests/predict/tiny_fields.py",
        "input": {
            **{"name": "image", "layout": "NCHW", "dtype": "float32", "height": HEIGHT, "width": WIDTH},
            **{"channels": "RGB", "scale": 1, "mean": [0, 0, 0], "std": [1, 1, 1]},
        },
        "output": {"kind": kind, "keypoints": 17, "stride": STRIDE} | output,
        "skeleton": "coco17",
    }
    (folder / f"{kind}.json").write_text(json.dumps(text))
    return folder / f"{kind}.onnx"
