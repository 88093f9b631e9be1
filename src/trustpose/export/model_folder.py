"""Write model folders: model.onnx (runs anywhere), model.json (its `ModelSpec`), model.safetensors (for training).

Needs the `train` extra. Loading runs no code: JSON, safetensors and ONNX contain none.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from trustpose.export.onnx import SIMCC_TENSORS, export_onnx, export_simcc
from trustpose.files import atomic_write, new_folder, write_json
from trustpose.models.spec import MODEL_JSON, MODEL_ONNX, MODEL_WEIGHTS, ModelSpec
from trustpose.networks.layers import STRIDE
from trustpose.networks.preparation import Preparation
from trustpose.networks.zoo import SIMCC
from trustpose.skeletons import Skeleton, name_or_object

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Provenance:
    """The origin of a model, for its JSON."""

    name: str
    licence: str = UNKNOWN
    source: str = UNKNOWN


def save_model_folder(
    out: Path,
    module: nn.Module,
    *,
    network: str,
    skeleton: Skeleton,
    height: int,
    width: int,
    prepared: Preparation,
    provenance: Provenance,
    free_size: int | None = None,
) -> ModelSpec:
    """Write model.onnx, model.json and model.safetensors atomically as the new folder `out`; return its spec.

    free_size: for a heatmap network that also takes any multiple of this many pixels, up to whole photos; height ×
    width is then the usual size, used by top-down prediction. Raises InputError if `out` exists or cannot be written,
    ValueError if a network supports only one size.
    """
    if free_size is not None and (network in SIMCC or height % free_size or width % free_size):
        raise ValueError(f"free_size: expected None for SimCC, or a divisor of {height} and {width}, got {free_size}")
    with new_folder(out) as folder:
        if network in SIMCC:
            export_simcc(module, folder / MODEL_ONNX, height, width)
        else:
            export_onnx(module, folder / MODEL_ONNX, height, width, free_size=free_size)
        write_tensors(folder / MODEL_WEIGHTS, module)
        text = _json(network, skeleton, height, width, prepared, provenance)
        if free_size is not None:
            for side, usual in (("height", height), ("width", width)):
                text["input"][side] = f"multiple of {free_size}, {usual} usual"
        write_json(folder / MODEL_JSON, text)
    return ModelSpec.read(out)


def write_tensors(path: Path, module: nn.Module) -> None:
    """Write a module's tensors as a safetensors file. Raises InputError if it cannot be written."""
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()})
    with atomic_write(path) as file:
        file.write(content)


def _json(
    network: str, skeleton: Skeleton, height: int, width: int, prepared: Preparation, provenance: Provenance
) -> dict[str, Any]:
    padding = list(prepared.padding) if isinstance(prepared.padding, tuple) else prepared.padding
    cutting = {"cutting": prepared.cutting} if prepared.cutting != "affine" else {}
    return {
        "onnx": MODEL_ONNX,
        "name": provenance.name,
        "licence": provenance.licence,
        "source": provenance.source,
        "network": network,
        "input": {
            "name": "image",
            "layout": "NCHW",
            "dtype": "float32",
            "height": height,
            "width": width,
            "channels": prepared.channels,
            "scale": "1/255",
            "mean": list(prepared.mean),
            "std": list(prepared.std),
        },
        **(_simcc if network in SIMCC else _heatmaps)(len(skeleton), height, width, prepared),
        "skeleton": name_or_object(skeleton),
        "crop": {"padding": padding, "aspect": width / height} | cutting,
    }


def _heatmaps(keypoints: int, height: int, width: int, prepared: Preparation) -> dict[str, object]:
    """Return the fields 'output' and 'codec' of a heatmap network."""
    reading = {name: getattr(prepared, name) for name in ("smoothing", "offset", "score_scale", "score_offset")}
    output = {
        "kind": "heatmaps",
        "name": "heatmaps",
        "keypoints": keypoints,
        "height": height // STRIDE,
        "width": width // STRIDE,
        "stride": STRIDE,
        "sigma": 2 * height / 256 if prepared.sigma is None else prepared.sigma,
        **{name: value for name, value in reading.items() if value is not None},
    }
    return {"output": output, "codec": prepared.codec}


def _simcc(keypoints: int, height: int, width: int, _: Preparation) -> dict[str, object]:
    """Return these fields of a SimCC network, decoded as in mmpose's evaluation."""
    output = {
        "kind": "simcc",
        "x": SIMCC_TENSORS[0],
        "y": SIMCC_TENSORS[1],
        "keypoints": keypoints,
        "split": 2,
        "sigma": [round((side / 8) ** 0.5, 2) for side in (width, height)],  # as in RTMPose's recipes, for any size
        "score": "lower",
        "flip_shift": 0,
    }
    return {"output": output, "codec": "simcc"}
