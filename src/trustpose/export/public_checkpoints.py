"""Convert public checkpoints to model folders: which network it is, its options, and how its project uses it.

Needs the `train` extra.
"""

from dataclasses import replace
from pathlib import Path

import torch

from trustpose.export.model_folder import UNKNOWN, Provenance, save_model_folder
from trustpose.export.openpose_folder import Size, save_openpose_folder
from trustpose.files import InputError
from trustpose.models.spec import ModelSpec
from trustpose.names import expected_one_of
from trustpose.networks.checkpoints import convert, count_keypoints, recognise, zoo_network
from trustpose.networks.preparation import LICENCES, preparation
from trustpose.networks.zoo import BOTTOM_UP, NETWORKS, PARTS, build
from trustpose.skeletons import SKELETONS, Skeleton, skeleton_of

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
        if network in BOTTOM_UP or network in PARTS:
            _refuse_options(network, skeleton=skeleton, channels=channels)
            module = build(network)
            module.load_state_dict(convert(tensors, module, family))
            size = None if height is None or width is None else Size(height, width)
            return save_openpose_folder(out, module, network, provenance, size)
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
        article = "an" if family[0] in "em" else "a"
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
