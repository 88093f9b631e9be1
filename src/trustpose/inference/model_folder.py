"""Model folders: model.onnx (runs anywhere), model.json (its `ModelSpec`), model.safetensors (to train on).

Needs the `train` extra. Loading runs no code: JSON, safetensors and ONNX hold none.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from trustpose.files import InputError, write_json
from trustpose.inference.spec import MODEL_JSON, ModelSpec
from trustpose.networks.checkpoints import convert, count_keypoints, read_tensors, recognise
from trustpose.networks.export import export_onnx
from trustpose.networks.layers import STRIDE
from trustpose.networks.zoo import ZOO, build
from trustpose.skeletons import SKELETONS, Skeleton
from trustpose.trust.hpcvnet import deepened

MODEL_ONNX, MODEL_WEIGHTS = "model.onnx", "model.safetensors"


@dataclass(frozen=True)
class Preparation:
    """How a project feeds its networks: channel order, (pixel / 255 − mean) / std, box padding (times each side)."""

    channels: str = "RGB"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    padding: float = 1.25


# What the projects' own test code does. pose_resnet: the first release (microsoft/human-pose-estimation.pytorch) fed
# BGR, the later one (leoxiaobin/deep-high-resolution-net.pytorch, COLOR_RGB: true) RGB; the files look the same.
# pytorch-pose subtracts MPII's mean and does not divide. MSPN widens boxes by 0.09 and 0.135 before its 4:3 crop.
PREPARATIONS: dict[str, Preparation] = {
    "pytorch-pose": Preparation(mean=(0.4404, 0.4440, 0.4327), std=(1.0, 1.0, 1.0)),
    "mspn": Preparation(channels="BGR", mean=(0.406, 0.456, 0.485), std=(0.225, 0.224, 0.229), padding=1.135),
}


@dataclass(frozen=True)
class Provenance:
    """What a model's JSON says of where it comes from."""

    name: str
    licence: str = "unknown"
    source: str = "unknown"


def import_checkpoint(
    file: Path,
    network: str,
    out: Path,
    *,
    family: str | None = None,
    height: int = 256,
    width: int = 192,
    skeleton: str | None = None,
    channels: str | None = None,
    provenance: Provenance,
) -> ModelSpec:
    """Turn a public checkpoint into a model folder at `out`, which must not exist yet.

    `network` is a zoo name; the number of keypoints is the checkpoint's. `family` (default: recognised from the tensor
    names) says whose names they are, and with them how pixels are fed; `channels` overrides their order. `skeleton`
    (default: COCO's for 17 keypoints, MPII's for 16) names the joints. Raises InputError naming a tensor that is
    missing or unexpected, or the option that does not fit.
    """
    if network not in ZOO:
        raise InputError(f"--network: expected one of {', '.join(ZOO)}, got {network!r}")
    tensors = read_tensors(file)
    family = recognise(tensors) if family is None else family
    if family == "imagenet":
        raise InputError(f"{file}: holds a classifier, which has no keypoints; train a network on it instead")
    names = _skeleton_for(tensors, family, skeleton, file)
    module = build(network, keypoints=len(names))
    try:
        module.load_state_dict(convert(tensors, module, family))
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    prepared = PREPARATIONS.get(family, Preparation())
    if channels is not None:
        prepared = Preparation(channels, prepared.mean, prepared.std, prepared.padding)
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
) -> ModelSpec:
    """Write model.onnx, model.json and model.safetensors as the new folder `out`, all or nothing; gives its spec.

    Raises InputError where `out` exists or cannot be written.
    """
    with new_folder(out) as folder:
        export_onnx(module, folder / MODEL_ONNX, height, width)
        save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, folder / MODEL_WEIGHTS)
        write_json(folder / MODEL_JSON, _json(network, skeleton, height, width, prepared, provenance))
    return ModelSpec.read(out)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to write into that becomes `out` once the block ends without an error, and else is gone.

    Raises InputError where `out` exists or cannot be written.
    """
    if out.exists():
        raise InputError(f"{out}: exists already, --out expects a new folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None
    try:
        yield temporary
        temporary.chmod(0o755)  # mkdtemp's folders are for their owner alone, and safetensors' files
        for path in temporary.iterdir():
            path.chmod(0o644)
        temporary.rename(out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def load_module(spec: ModelSpec) -> nn.Module:
    """The network of a model folder as a module with its weights, in evaluation mode; without its trust head.

    Raises InputError where the folder holds only an ONNX file, or weights that do not fit.
    """
    weights = spec.onnx.with_name(MODEL_WEIGHTS)
    if spec.network is None or not weights.is_file():
        raise InputError(f"{spec.onnx}: has no {MODEL_WEIGHTS} of a zoo network beside it, only ONNX to run")
    if spec.network not in ZOO:
        raise InputError(
            f"{spec.onnx.with_name(MODEL_JSON)}: field 'network': expected a zoo name, got {spec.network!r}"
        )
    module = build(spec.network, keypoints=len(spec.skeleton))
    try:
        module = deepened(module, spec.deepen) if spec.deepen else module
    except ValueError as error:
        raise InputError(f"{spec.onnx.with_name(MODEL_JSON)}: field 'deepen': {error}") from None
    tensors = read_tensors(weights)
    if spec.trust is not None:
        tensors = part_of(tensors, "network.")
    try:
        module.load_state_dict(convert(tensors, module, "trustpose"))
    except InputError as error:
        raise InputError(f"{weights}: {error}") from None
    return module.eval()


def part_of(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors of one part of a module, by their names in it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _json(
    network: str, skeleton: Skeleton, height: int, width: int, prepared: Preparation, provenance: Provenance
) -> dict[str, object]:
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
        "output": {
            "kind": "heatmaps",
            "name": "heatmaps",
            "keypoints": len(skeleton),
            "height": height // STRIDE,
            "width": width // STRIDE,
            "stride": STRIDE,
            "sigma": 2 * height / 256,  # the official recipes': 2 map pixels at 256×192, 3 at 384×288
        },
        "codec": "argmax-quarter",
        "skeleton": skeleton.name,
        "crop": {"padding": prepared.padding, "aspect": width / height},
    }


def _skeleton_for(tensors: dict[str, torch.Tensor], family: str, wanted: str | None, file: Path) -> Skeleton:
    """The skeleton whose size is that of the checkpoint's last heatmap layer."""
    if wanted is not None and wanted not in SKELETONS:
        raise InputError(f"--skeleton: expected one of {', '.join(SKELETONS)}, got {wanted!r}")
    if wanted is not None:
        return SKELETONS[wanted]
    try:
        count = count_keypoints(tensors, family)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    for name in ("coco17", "mpii16", "crowdpose14"):
        if len(SKELETONS[name]) == count:
            return SKELETONS[name]
    raise InputError(f"{file}: has {count} keypoints, which none of COCO, MPII and CrowdPose has; name a --skeleton")
