"""Load the weights of a model folder as torch modules: the network alone, or with its trust head.

Needs the `train` extra. The base install imports this file only on request.
"""

import torch
from torch import nn

from trustpose.addresses import REPOSITORY
from trustpose.files import InputError
from trustpose.heads.hpcvnet import add_heatmap_layers
from trustpose.heads.network import TrustNetwork, attach
from trustpose.models.outputs.volumes import VolumeOutput
from trustpose.models.spec import MODEL_JSON, MODEL_WEIGHTS, ModelSpec
from trustpose.networks.checkpoint_files import read_tensors
from trustpose.networks.checkpoints import convert
from trustpose.networks.symmetric_transformer import symmetric
from trustpose.networks.zoo import NETWORKS, build


def load_module(spec: ModelSpec) -> nn.Module:
    """Return the network of a model folder as a module with its weights, in evaluation mode, without its trust head.

    Raises InputError if the folder holds only an ONNX file, or weights that do not match.
    """
    weights = spec.training_weights
    if spec.network is None or not weights.is_file():
        note = "" if weights.parent == spec.onnx.parent else f" ({weights}: no such file; it is in {REPOSITORY} only)"
        raise InputError(f"{spec.onnx}: has no {MODEL_WEIGHTS} of a zoo network beside it, only ONNX to run{note}")
    if spec.network not in NETWORKS:
        raise InputError(
            f"{spec.onnx.with_name(MODEL_JSON)}: field 'network': expected a zoo name, got {spec.network!r}"
        )
    channels = len(spec.skeleton) * (spec.output.depth if isinstance(spec.output, VolumeOutput) else 1)
    try:
        module = build(spec.network, keypoints=channels, height=spec.input.height, width=spec.input.width)
    except ValueError as error:
        raise InputError(f"{spec.onnx.with_name(MODEL_JSON)}: field 'input': {error}") from None
    try:
        module = add_heatmap_layers(module, spec.deepen) if spec.deepen else module
    except ValueError as error:
        raise InputError(f"{spec.onnx.with_name(MODEL_JSON)}: field 'deepen': {error}") from None
    try:
        module = module if spec.localisation is None else symmetric(module, spec.localisation)
    except ValueError as error:
        raise InputError(f"{spec.onnx.with_name(MODEL_JSON)}: field 'localisation': {error}") from None
    tensors = read_tensors(weights)
    if spec.trust is not None:
        tensors = _part_of(tensors, "network.")
    try:
        module.load_state_dict(convert(tensors, module, "trustpose"))
    except InputError as error:
        raise InputError(f"{weights}: {error}") from None
    return module.eval()


def load_trust_network(spec: ModelSpec) -> TrustNetwork:
    """Return the network and head of a model folder as one module with their weights, in evaluation mode.

    Raises InputError if the folder has only ONNX, an unknown head, or weights that do not match.
    """
    network, trust = load_module(spec), spec.trust
    if trust is None:
        raise InputError(f"{spec.onnx.with_name(MODEL_JSON)}: has no field 'trust', expected one with a head")
    try:
        module = attach(trust.head, network, spec.input.height, spec.input.width, **trust.options)
    except (TypeError, ValueError) as error:
        raise InputError(f"{spec.onnx.with_name(MODEL_JSON)}: field 'trust': {error}") from None
    weights = spec.training_weights
    try:
        module.head.load_state_dict(_part_of(read_tensors(weights), "head."))
    except RuntimeError as error:  # torch's list of missing, unexpected and misshapen tensors
        raise InputError(f"{weights}: head: {' '.join(str(error).split())[:200]}") from None
    return module.eval()


def _part_of(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the tensors of one part of a module, by their names in it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
