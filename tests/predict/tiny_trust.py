"""A small heatmap network as an old exporter wrote them: opset 8, batch 1, batch norm with `spatial` 0, Clip by
attribute, weights among the inputs. The same in torch, written on its own; and heads that read what others do not.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from tests.networks.random_weights import randomise
from trustpose.geometry.crops import affine_to_crop, cut_out, grow_box
from trustpose.heads.heads import Trust
from trustpose.io.coco.truth import read_coco_truth
from trustpose.io.photos import read_image
from trustpose.models.spec import ModelSpec
from trustpose.predict.boxes import boxes_from_truth

HEIGHT, WIDTH = 64, 48
FEATURES, BACKBONE = "active4", "active1"  # 6 × 16 × 12 and 10 × 4 × 3
# convolutions: inputs, outputs, side and stride, and what follows each: the last makes the heatmaps
_LAYERS = [
    (3, 8, 4, 4, "Clip"),
    (8, 10, 4, 4, "Relu"),
    (10, 6, 1, 1, "Relu"),
    (6, 6, 4, 4, "Relu"),
    (6, 6, 1, 1, "Relu"),
]
_TURNED = 3  # the one that is transposed
_LAST = (6, 17, 1, 1, None)


def weights() -> dict[str, np.ndarray]:
    """The network's weights, by name."""
    random = np.random.default_rng(0)
    made: dict[str, np.ndarray] = {}
    for index, (inputs, outputs, side, _, active) in enumerate([*_LAYERS, _LAST]):
        shape = (inputs, outputs, side, side) if index == _TURNED else (outputs, inputs, side, side)
        made[f"w{index}"] = random.normal(size=shape) / np.sqrt(inputs * (1 if index == _TURNED else side * side))
        if active:
            for name, low in (("scale", 0.5), ("shift", -0.5), ("mean", -0.5), ("variance", 0.5)):
                made[f"{name}{index}"] = random.uniform(low, low + 1, outputs)
    return {name: value.astype(np.float32) for name, value in made.items()}


def in_torch(image: Tensor) -> dict[str, Tensor]:
    """What the network gives for normalised crops (B, 3, H, W): "heatmaps", "features" and "backbone"."""
    known = {name: torch.from_numpy(value) for name, value in weights().items()}
    maps, x = {}, image
    for index, (_, _, _, stride, active) in enumerate(_LAYERS):
        x = (F.conv_transpose2d if index == _TURNED else F.conv2d)(x, known[f"w{index}"], stride=stride)
        x = F.batch_norm(
            x, known[f"mean{index}"], known[f"variance{index}"], known[f"scale{index}"], known[f"shift{index}"]
        )
        x = x.clamp(0, 6) if active == "Clip" else x.relu()
        maps[f"active{index}"] = x
    heatmaps = F.conv2d(x, known[f"w{len(_LAYERS)}"])
    return {"heatmaps": heatmaps, "features": maps[FEATURES], "backbone": maps[BACKBONE]}


def write_network(
    folder: Path, batch: int | str = 1, after: list[onnx.NodeProto] | None = None, **spec: object
) -> Path:
    """folder/old.onnx with its JSON. `after`: nodes from "made" to "maps" behind the last layer, for constants "one",
    1.0, and "rows", [1, 17, 16, 12]; `spec` replaces top fields of the JSON."""
    known = weights() | {"one": np.ones(1, np.float32), "rows": np.array([1, 17, 16, 12])}
    nodes, last = [], "data"
    for index, (_, _, side, stride, active) in enumerate([*_LAYERS, _LAST]):
        kind = "ConvTranspose" if index == _TURNED else "Conv"
        made = f"sum{index}" if active else "made" if after else "maps"
        shape = {"kernel_shape": [side, side], "strides": [stride, stride]}
        nodes.append(helper.make_node(kind, [last, f"w{index}"], [made], **shape))
        if active:
            statistics = [f"{name}{index}" for name in ("scale", "shift", "mean", "variance")]
            nodes.append(helper.make_node("BatchNormalization", [made, *statistics], [f"normed{index}"], spatial=0))
            limits = {"min": 0.0, "max": 6.0} if active == "Clip" else {}
            nodes.append(helper.make_node(active, [f"normed{index}"], [f"active{index}"], **limits))
        last = f"active{index}"
    tensors = [numpy_helper.from_array(value, name) for name, value in known.items()]
    inputs = [helper.make_tensor_value_info("data", TensorProto.FLOAT, [batch, 3, HEIGHT, WIDTH])]
    inputs += [helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in tensors]
    outputs = [helper.make_tensor_value_info("maps", TensorProto.FLOAT, [batch, 17, 16, 12])]
    graph = helper.make_graph([*nodes, *(after or [])], "old", inputs, outputs, tensors)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 8)], ir_version=3), folder / "old.onnx")
    text: dict[str, object] = {
        "input": {
            **{"name": "data", "layout": "NCHW", "dtype": "float32", "height": HEIGHT, "width": WIDTH},
            **{"channels": "RGB", "scale": "1/255", "mean": [0.5, 0.4, 0.6], "std": [0.25, 0.2, 0.3]},
        },
        "output": {"kind": "heatmaps", "keypoints": 17, "height": 16, "width": 12, "stride": 4},
        "skeleton": "coco17",
        "crop": {"padding": 1.25},
    }
    (folder / "old.json").write_text(json.dumps(text | spec))
    return folder / "old.onnx"


def normalised(pixels: np.ndarray) -> Tensor:
    """RGB crops (B, H, W, 3) as the network's spec asks for them, (B, 3, H, W)."""
    scaled = (pixels / 255 - np.array([0.5, 0.4, 0.6])) / np.array([0.25, 0.2, 0.3])
    return torch.from_numpy(scaled.transpose(0, 3, 1, 2).astype(np.float32))


def crops(count: int, seed: int = 0) -> np.ndarray:
    """Noise in coarse and fine grains (count, H, W, 3), so that crops differ where it matters."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, HEIGHT // 16, WIDTH // 16, 3)).repeat(16, axis=1).repeat(16, axis=2)
    return ((3 * coarse + random.integers(0, 256, (count, HEIGHT, WIDTH, 3))) // 4).astype(np.uint8)


def real_crops(data_dir: Path, spec: ModelSpec, count: int) -> np.ndarray:
    """The first people of COCO's dev photos, cut out as the network wants them (count, H, W, 3)."""
    truth = read_coco_truth(data_dir / "coco" / "dev_gt.json")
    names = dict(zip(truth.images.id.tolist(), truth.images.file_name, strict=True))
    boxes = boxes_from_truth(truth.truth)
    grown = grow_box(boxes.xyxy[:count], spec.padding, spec.input.width / spec.input.height)
    affines = affine_to_crop(grown, *spec.codec.crop_extent(spec.input.width, spec.input.height))
    return np.stack(
        [
            cut_out(
                read_image(data_dir / "coco" / "dev" / names[int(image)]), affine, spec.input.width, spec.input.height
            )
            for image, affine in zip(boxes.image_id, affines, strict=False)
        ]
    )


class PeaksHead(nn.Module):
    """A head that reads heatmaps alone and fills every field."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, heatmaps: Tensor) -> Trust:
        peaks = heatmaps.amax(dim=(2, 3))  # (B, K)
        quality = peaks.sigmoid()
        visibility = (peaks[:, :, None] * self.scale).softmax(dim=-1)
        return Trust(quality=quality, visibility=visibility, pose_quality=quality.mean(dim=1))


class TwoMapsHead(nn.Module):
    """A head that reads two maps and the heatmaps, in an order that is not the alphabet's."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.deep = nn.Linear(6, 17), nn.Linear(10, 17)

    def forward(self, features: Tensor, backbone: Tensor, heatmaps: Tensor) -> Trust:
        x = self.wide(features.mean(dim=(2, 3))) + self.deep(backbone.amax(dim=(2, 3)))
        return Trust(quality=(x + heatmaps.amax(dim=(2, 3))).sigmoid())


def random_head(head: nn.Module) -> nn.Module:
    return randomise(head).eval()
