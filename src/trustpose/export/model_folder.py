"""Write model folders: model.onnx (runs anywhere), model.json (its `ModelSpec`), model.safetensors (for training).

Needs the `train` extra. Loading runs no code: JSON, safetensors and ONNX contain none.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from trustpose.export.onnx import SIMCC_TENSORS, export_onnx, export_simcc
from trustpose.files import InputError, atomic_write, new_folder, write_json
from trustpose.models.spec import MODEL_JSON, MODEL_ONNX, MODEL_WEIGHTS, ModelSpec
from trustpose.networks.checkpoints import convert, count_keypoints, recognise, zoo_network
from trustpose.networks.layers import STRIDE
from trustpose.networks.preparation import Preparation, preparation
from trustpose.networks.zoo import NETWORKS, SIMCC, build
from trustpose.skeletons import SKELETONS, Skeleton, name_or_object, skeleton_of

_ASK_CHANNELS = (
    "a {family} file does not say which order of colours it was trained with: --channels rgb or bgr is needed (bgr for "
    "Microsoft's human-pose-estimation.pytorch, and for deep-high-resolution-net.pytorch with COLOR_RGB: false)"
)


@dataclass(frozen=True)
class Provenance:
    """The origin of a model, for its JSON."""

    name: str
    licence: str = "unknown"
    source: str = "unknown"


def import_checkpoint(
    tensors: dict[str, torch.Tensor],
    network: str,
    out: Path,
    *,
    file: Path,
    family: str | None = None,
    height: int = 256,
    width: int = 192,
    skeleton: str | None = None,
    channels: str | None = None,
    provenance: Provenance,
) -> ModelSpec:
    """Convert the tensors of a public checkpoint, `file`, to a model folder at `out`, which must not exist yet.

    `network` is a zoo name; the number of keypoints is the checkpoint's. `family` (default: recognised from the tensor
    names) is the project, which determines preprocessing and decoding; `channels` overrides the channel order, and is
    required if the family does not determine it. `skeleton` (default: COCO's for 17 keypoints, MPII's for 16) names the
    joints. Raises InputError naming a missing or unexpected tensor, the file's actual network, or the option that does
    not match.
    """
    if network not in NETWORKS:
        raise InputError(f"--network: expected one of {', '.join(NETWORKS)}, got {network!r}")
    try:
        family = recognise(tensors) if family is None else family
        _check_network(tensors, family, network)
        _check_size(tensors, height, width)
        names = _skeleton_for(tensors, family, skeleton)
        prepared = preparation(family, network, len(names))
        if channels is None and prepared.channels is None:
            raise InputError(_ASK_CHANNELS.format(family=family))
        module = build(network, keypoints=len(names), height=height, width=width)
        module.load_state_dict(convert(tensors, module, family))
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    prepared = replace(prepared, channels=channels or prepared.channels)
    return save_model_folder(
        out,
        module,
        network=network,
        skeleton=names,
        height=height,
        width=width,
        prepared=prepared,
        provenance=provenance,
    )


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


def _check_network(tensors: dict[str, torch.Tensor], family: str, network: str) -> None:
    if family == "imagenet":
        raise InputError("holds a classifier, which has no keypoints; train a network on it instead")
    found = zoo_network(tensors, family)
    if found is not None and not network.startswith(found):
        article = "an" if family[0] in "em" else "a"
        raise InputError(f"this is {article} {family} ({found}), you asked for {network}")


def _check_size(tensors: dict[str, torch.Tensor], height: int, width: int) -> None:
    """Check the size: a SimCC network classifies the columns and rows of crops of one size."""
    rows = {name.rpartition("cls_")[2]: len(one) for name, one in tensors.items() if ".cls_" in name and one.dim()}
    found = rows.get("y.weight", 2 * height), rows.get("x.weight", 2 * width)
    if found != (2 * height, 2 * width):
        its = f"{found[0] // 2}x{found[1] // 2}"
        raise InputError(f"--size: expected {its}, the crops that its classifiers are for, got {height}x{width}")


def _skeleton_for(tensors: dict[str, torch.Tensor], family: str, wanted: str | None) -> Skeleton:
    """Return the skeleton with the number of keypoints of the checkpoint's last heatmap layer."""
    if wanted is not None:
        return skeleton_of(wanted)
    count = count_keypoints(tensors, family)
    for name in ("coco17", "mpii16", "crowdpose14"):
        if len(SKELETONS[name]) == count:
            return SKELETONS[name]
    raise InputError(f"has {count} keypoints, which none of COCO, MPII and CrowdPose has; name a --skeleton")
