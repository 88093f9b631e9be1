"""Convert public checkpoints to model folders: which network it is, its options, and how its project uses it.

Needs the `train` extra.

Model folders of OpenPose's networks: bodies with fields, for whole photos, and hands and faces, for crops.
Preprocessing and decoding are OpenPose's: BGR, pixel / 256 − 0.5, for all of them; peaks of at least 0.1, ten samples
a link, and people of four joints, as in its authors' demonstration of 2017 and in pytorch-openpose; Lightweight
OpenPose keeps people of three. Of PifPaf's networks: RGB with ImageNet's mean and deviation, as OpenPifPaf's; decoding
is ours.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from trustpose.codecs.heatmaps import CODECS
from trustpose.export.model_folder import UNKNOWN, Provenance, save_model_folder, write_tensors
from trustpose.export.onnx import FIELD_TENSORS, export_fields, export_maps, export_onnx
from trustpose.files import InputError, new_folder, write_json
from trustpose.models.inputs import InputSpec
from trustpose.models.outputs.composite_fields import CompositeOutput
from trustpose.models.outputs.dense import HeatmapOutput
from trustpose.models.outputs.fields import FieldOutput
from trustpose.models.spec import MODEL_JSON, MODEL_ONNX, MODEL_WEIGHTS, ModelSpec
from trustpose.names import expected_one_of
from trustpose.networks import pifpaf
from trustpose.networks.checkpoints import convert, count_keypoints, recognise, zoo_network
from trustpose.networks.openpose import BODY_MAPS, GRID, PART_SKELETONS, STRIDE
from trustpose.networks.preparation import LICENCES, Preparation, preparation
from trustpose.networks.zoo import BOTTOM_UP, COMPOSITE_FIELDS, NETWORKS, PARTS, build
from trustpose.skeletons import COCO_17, SKELETONS, Skeleton, skeleton_of

COMPOSITE_PHOTO = (480, 640)
PHOTO, PART = (368, 656), (368, 368)
"""Usual height and width: OpenPose's for photos of 16 × 9, and its crops of hands and faces."""
_SIGMA = 7 / STRIDE  # cells; OpenPose's targets have 7 pixels


@dataclass(frozen=True)
class Size:
    """Height and width of the input, multiples of 8."""

    height: int
    width: int


def save_openpose_folder(
    out: Path, module: nn.Module, network: str, provenance: Provenance, size: Size | None = None
) -> ModelSpec:
    """Write the new model folder `out` of the zoo's `network`, one of `BODY_MAPS` or `PART_SKELETONS`; return its spec.

    size: of crops; of bodies the usual size, whose longer side photos get. None: OpenPose's. Raises InputError if `out`
    exists or cannot be written, or for a size that is no multiple of 8.
    """
    height, width = (PHOTO if network in BODY_MAPS else PART) if size is None else (size.height, size.width)
    if height % STRIDE or width % STRIDE:
        raise InputError(f"--size: expected multiples of {STRIDE}, got {height}x{width}")
    spec = replace(_spec(out, network, height, width, provenance), network=network)
    with new_folder(out) as folder:
        if isinstance(spec.output, FieldOutput):
            export_fields(module, folder / MODEL_ONNX, height, width, free_size=STRIDE)
        else:
            export_onnx(module, folder / MODEL_ONNX, height, width)
        write_tensors(folder / MODEL_WEIGHTS, module)
        write_json(folder / MODEL_JSON, spec.to_json())
    return ModelSpec.read(out)


def save_pifpaf_folder(
    out: Path, module: nn.Module, network: str, provenance: Provenance, size: Size | None = None
) -> ModelSpec:
    """Write the new model folder `out` of the zoo's `network`, one of `COMPOSITE_FIELDS`; return its spec.

    size: the usual size, whose longer side photos get; None: 480 × 640, the longer side of OpenPifPaf's evaluation on
    COCO but for a pixel. Raises InputError if `out` exists or cannot be written, or for a size that is no multiple of
    16.
    """
    height, width = COMPOSITE_PHOTO if size is None else (size.height, size.width)
    multiple = 2 * pifpaf.STRIDE
    if height % multiple or width % multiple:
        raise InputError(f"--size: expected multiples of {multiple}, got {height}x{width}")
    scale = Preparation()
    inputs = InputSpec("image", "NCHW", "float32", height, width, "RGB", 1 / 255, scale.mean, scale.std)
    inputs = replace(inputs, multiple=multiple, longest=max(height, width))
    output = CompositeOutput(len(COCO_17), float(pifpaf.STRIDE), pifpaf.LIMBS)
    names = (provenance.name, provenance.licence, provenance.source)
    spec = ModelSpec(out / MODEL_ONNX, *names, inputs, output, COCO_17, network=network)
    with new_folder(out) as folder:
        export_maps(module, CompositeOutput.kind, folder / MODEL_ONNX, height, width, free_size=multiple)
        write_tensors(folder / MODEL_WEIGHTS, module)
        write_json(folder / MODEL_JSON, spec.to_json())
    return ModelSpec.read(out)


def _spec(out: Path, network: str, height: int, width: int, provenance: Provenance) -> ModelSpec:
    body = BODY_MAPS.get(network)
    inputs = InputSpec("image", "NCHW", "float32", height, width, "BGR", 1 / 256, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    if body is not None:
        inputs = replace(inputs, multiple=STRIDE, longest=max(height, width))
    skeleton = SKELETONS[PART_SKELETONS[network] if body is None else body.skeleton]
    output = _part(skeleton, height, width) if body is None else _body(network, skeleton)
    names = (provenance.name, provenance.licence, provenance.source)
    return ModelSpec(out / MODEL_ONNX, *names, inputs, output, skeleton)


def _body(network: str, skeleton: Skeleton) -> FieldOutput:
    body = BODY_MAPS[network]
    output = FieldOutput(
        len(skeleton),
        float(STRIDE),
        body.limbs,
        *FIELD_TENSORS,
        background=True,
        offset=GRID.offset,
        sigma=_SIGMA,
        order="scores" if "2019" in network else "limbs",
        redundant=body.redundant,
        field_order=None if body.maps == tuple(range(len(body.limbs))) else body.maps,
    )
    return replace(output, min_parts=3, min_score=0.2) if network == "lightweight-openpose" else output


def _part(skeleton: Skeleton, height: int, width: int) -> HeatmapOutput:
    decoding, convention = CODECS["dark"]
    return HeatmapOutput(
        len(skeleton),
        height // STRIDE,
        width // STRIDE,
        float(STRIDE),
        "heatmaps",
        decoding,
        convention,
        sigma=_SIGMA,
        offset=GRID.offset,
        background=True,
    )


HEIGHT, WIDTH = 256, 192  # of crops, if no size is given
_ASK_CHANNELS = (
    "a {family} file does not say which order of colours it was trained with: --channels rgb or bgr is needed (bgr for "
    "Microsoft's human-pose-estimation.pytorch, and for deep-high-resolution-net.pytorch with COLOR_RGB: false)"
)


def import_checkpoint(
    tensors: dict[str, torch.Tensor],
    network: str,
    out: Path,
    *,
    file: Path,
    family: str | None = None,
    height: int | None = None,
    width: int | None = None,
    skeleton: str | None = None,
    channels: str | None = None,
    provenance: Provenance,
) -> ModelSpec:
    """Convert the tensors of a public checkpoint, `file`, to a model folder at `out`, which must not exist yet.

    `network` is a zoo name; the number of keypoints is the checkpoint's. `family` (default: recognised from the tensor
    names) is the project, which determines preprocessing and decoding, and the licence where `provenance` has none;
    `channels` overrides the channel order, and is required if the family does not determine it. `skeleton` (default:
    COCO's for 17 keypoints, MPII's for 16) names the joints. height, width: None for the network's usual input. Raises
    InputError naming a missing or unexpected tensor, the file's actual network, or the option that does not match.
    """
    if network not in NETWORKS:
        raise InputError(f"--network: {expected_one_of(NETWORKS, network)}")
    try:
        family = recognise(tensors) if family is None else family
        _check_network(tensors, family, network)
        if provenance.licence == UNKNOWN:
            provenance = replace(provenance, licence=LICENCES.get(family, UNKNOWN))
        if any(network in networks for networks in (BOTTOM_UP, COMPOSITE_FIELDS, PARTS)):
            _refuse_options(network, skeleton=skeleton, channels=channels)
            module = build(network)
            module.load_state_dict(convert(tensors, module, family))
            size = None if height is None or width is None else Size(height, width)
            save = save_pifpaf_folder if network in COMPOSITE_FIELDS else save_openpose_folder
            return save(out, module, network, provenance, size)
        height, width = height or HEIGHT, width or WIDTH
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


def _check_network(tensors: dict[str, torch.Tensor], family: str, network: str) -> None:
    if family == "imagenet":
        raise InputError("holds a classifier, which has no keypoints; train a network on it instead")
    recognised = zoo_network(tensors, family)
    if recognised is not None and not network.startswith(recognised):
        article = "an" if family[0] in "emo" else "a"
        raise InputError(f"this is {article} {family} ({recognised}), you asked for {network}")


def _check_size(tensors: dict[str, torch.Tensor], height: int, width: int) -> None:
    """Check the size: a SimCC network classifies the columns and rows of crops of one size."""
    rows = {
        name.rpartition("cls_")[2]: len(tensor) for name, tensor in tensors.items() if ".cls_" in name and tensor.dim()
    }
    size = rows.get("y.weight", 2 * height), rows.get("x.weight", 2 * width)
    if size != (2 * height, 2 * width):
        its = f"{size[0] // 2}x{size[1] // 2}"
        raise InputError(f"--size: expected {its}, the crops that its classifiers are for, got {height}x{width}")


def _skeleton_for(tensors: dict[str, torch.Tensor], family: str, chosen_skeleton: str | None) -> Skeleton:
    """Return the skeleton with the number of keypoints of the checkpoint's last heatmap layer."""
    if chosen_skeleton is not None:
        return skeleton_of(chosen_skeleton)
    count = count_keypoints(tensors, family)
    for name in ("coco17", "mpii16", "crowdpose14"):
        if len(SKELETONS[name]) == count:
            return SKELETONS[name]
    raise InputError(f"has {count} keypoints, which none of COCO, MPII and CrowdPose has; name a --skeleton")


def _refuse_options(network: str, **options: str | None) -> None:
    """Raise InputError for options that a network with fixed keypoints and channel order does not take."""
    for name, value in options.items():
        if value is not None:
            raise InputError(f"--{name}: {network} has its own, leave it out")
