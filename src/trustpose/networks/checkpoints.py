"""Recognise the project and network of public checkpoints, and rename their tensors to ours.

Conversion is strict: every tensor of the network has to come from the file and every tensor of the file has to be used,
else InputError names it. `checkpoint_files` reads the files.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trustpose.files import InputError
from trustpose.names import expected_one_of
from trustpose.networks.shuffle_net import VARIANTS
from trustpose.networks.tensor_names import COUNTER, FAMILIES, Family

_HEATMAP_LAYERS = (
    "head.weight",
    "head.final_layer.weight",
    "stacks.0.head.weight",
    "stages.0.up.0.head.conv.weight",
)  # one in each of our networks
_OPENPOSE = {  # a layer that gives heatmaps, and by their number the rest of the zoo's name
    "Mconv7_stage0_L1": ("openpose-2019", {26: "-body25"}),
    "conv5_5_CPM_L2": ("openpose-2017", {16: "-body15", 19: "-body18"}),
    "conv6_2_CPM": ("openpose", {22: "-hand", 71: "-face"}),
}
_RTMPOSE = {384: "-t", 512: "-s", 768: "-m", 1024: "-l", 1280: "-x"}  # channels of the last stage
_DEPTHS = {6: "-r50", 23: "-r101", 36: "-r152"}  # blocks in the third layer of a ResNet


def recognise(state_dict: Mapping[str, Tensor]) -> str:
    """Return the family with these tensor names, one of `tensor_names.FAMILIES`.

    Raises InputError for unknown names.
    """
    for family in FAMILIES.values():
        if family.matches(state_dict):
            return family.name
    first_names = ", ".join(list(state_dict)[:3])
    raise InputError(f"tensor names: expected those of {', '.join(FAMILIES)}, got {first_names}, …")


def count_keypoints(state_dict: Mapping[str, Tensor], family: str | None = None) -> int:
    """Return the number of keypoints K of the network in this file, to build a matching network.

    Raises InputError if it has no heatmap layer (such as a classifier).
    """
    name = recognise(state_dict) if family is None else family
    for tensor_name, tensor in state_dict.items():
        if any(target in _HEATMAP_LAYERS for target in _family(name).targets(tensor_name)) and tensor.dim():
            return tensor.shape[0]
    raise InputError(f"tensor names: expected a layer that makes heatmaps, got none ({name})")


def zoo_network(state_dict: Mapping[str, Tensor], family: str) -> str | None:
    """Return the zoo's name for the network in a file of `family`, by its tensors' names and shapes: "hrnet-w32".

    Only the kind, "hrnet", if the zoo has none of its size; None for a kind that is not in the papers.
    """
    if family in ("openpose", "lightweight-openpose"):
        return _openpose(state_dict) if family == "openpose" else family
    if family == "openpifpaf":
        return _pifpaf(state_dict)
    shapes = {target: tensor.shape for name, tensor in state_dict.items() for target in _family(family).targets(name)}

    def count(pattern: str) -> int:
        return len({match[1] for name in shapes if (match := re.match(pattern, name))})

    if count(r"head\.(gau)\."):
        return "rtmpose" + _RTMPOSE.get(shapes.get("head.final_layer.weight", (0, 0))[1], "")
    stacks, stages = count(r"stacks\.(\d+)\."), count(r"stages\.(\d+)\.down\.")
    if stacks or stages:
        return f"hourglass-{stacks}" if stacks else f"mspn-{stages}"
    head = shapes.get("head.weight", torch.Size())
    if count(r"backbone\.(stages\.2)\."):
        return "hrnet" + (f"-w{head[1]}" if len(head) == 4 and head[1] in (32, 48) else "")
    blocks = count(r"backbone\.features\.layer3\.(\d+)\.")
    if blocks and count(r"backbone\.features\.layer1\.0\.(se)\."):
        return "fastpose" + _DEPTHS.get(blocks, "")
    if blocks and count(r"(neck)\."):
        return "simple-baseline" + _DEPTHS.get(blocks, "")
    return None


def _pifpaf(state_dict: Mapping[str, Tensor]) -> str:
    """Return which of OpenPifPaf's networks it is, by its last convolution or its blocks; "pifpaf" if none has them."""
    widths = {widths[-1]: variant for variant, (_, widths) in VARIANTS.items()}
    last = state_dict.get("base_net.conv5.0.weight")
    if last is not None:
        variant = widths.get(len(last))
        return "pifpaf" if variant is None else f"pifpaf-shufflenetv2{variant}"
    blocks = {name.split(".")[2] for name in state_dict if name.startswith("base_net.block4.")}
    return "pifpaf" + _DEPTHS.get(len(blocks), "")


def _openpose(state_dict: Mapping[str, Tensor]) -> str:
    """Return which of OpenPose's networks it is, by the number of heatmaps; its kind only, if none has this many."""
    for layer, (kind, suffixes) in _OPENPOSE.items():
        if f"{layer}.weight" in state_dict:
            return kind + suffixes.get(len(state_dict[f"{layer}.weight"]), "")
    return "openpose"


def convert(state_dict: Mapping[str, Tensor], network: nn.Module, family: str | None = None) -> dict[str, Tensor]:
    """Return the state dict for `network.load_state_dict`, from one with the names of `family` (default: recognised).

    If `family` is ImageNet's, only the backbone is taken from the file: the classifier is ignored, neck and head stay
    as in `network`. Raises InputError naming a tensor that is missing, unexpected or of another shape.
    """
    name = recognise(state_dict) if family is None else family
    ours: dict[str, Tensor] = network.state_dict()
    renamed = _rename(state_dict, _family(name), ours)
    _refuse_missing(renamed, _family(name), ours)
    return ours | renamed


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise InputError(f"family: {expected_one_of(FAMILIES, name)}")
    return FAMILIES[name]


def _rename(state_dict: Mapping[str, Tensor], family: Family, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for name, tensor in state_dict.items():
        targets = [target for target in family.targets(name) if target in ours]
        if not targets and family.drops(name):
            continue
        if not targets:
            raise InputError(f"{name}: unexpected tensor; the network has none that it could be ({family.name})")
        for target in targets:
            if ours[target].shape == (*tensor.shape, 1, 1):  # a fully connected layer for a 1×1 convolution
                tensor = tensor[..., None, None]
            if tensor.shape != ours[target].shape:
                expected, got = tuple(ours[target].shape), tuple(tensor.shape)
                raise InputError(f"{name}: expected shape {expected}, as {target} has, got {got}")
            if target in renamed:
                raise InputError(f"{name}: unexpected tensor; {target} has come from another already ({family.name})")
            renamed[target] = tensor
    return renamed


def _refuse_missing(renamed: dict[str, Tensor], family: Family, ours: Mapping[str, Tensor]) -> None:
    """Fill in counters that old files lack and biases that have no effect before batch norm (as zeros)."""
    for name, tensor in ours.items():
        if name in renamed or not family.gives(name):
            continue
        if name.endswith(COUNTER):
            continue
        if not family.has_biases and name.endswith(".conv.bias"):
            renamed[name] = torch.zeros_like(tensor)
            continue
        raise InputError(f"{family.source_name(name)}: missing tensor; the network needs it for {name} ({family.name})")
