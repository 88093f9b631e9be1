"""Initialise a network of the zoo: random or ImageNet weights, or a trained network."""

from pathlib import Path

import torch
from torch import nn

from trustpose.export.onnx import evaluation_mode
from trustpose.files import InputError
from trustpose.heads.hpcvnet import add_heatmap_layers
from trustpose.models.runtime.weights import load_module
from trustpose.models.spec import ModelSpec
from trustpose.networks.checkpoint_files import read_tensors
from trustpose.networks.checkpoints import convert
from trustpose.networks.deep_pose import DeepPose
from trustpose.networks.movenet import MoveNetPose
from trustpose.networks.onnx_weights import read_onnx_weights
from trustpose.networks.symmetric_transformer import SymmetricTransformer, frozen_branch, symmetric
from trustpose.networks.zoo import NETWORKS, build
from trustpose.training.recipe import Recipe, check_network


def starting_network(recipe: Recipe, model: Path | None, maps_per_keypoint: int = 1) -> nn.Module:
    """Return the recipe's network, initialised by its strategy or, if given, with the weights of `model`.

    `model`: a model folder of the same network; or a checkpoint file (.pth, .safetensors) of a pose network or, for the
    backbone only, of an ImageNet classifier; or the ONNX file of a pose network with the same layers in the same order.
    maps_per_keypoint: more than one in a network of volumes.
    Raises InputError if it does not match, if a strategy that starts from a trained network has none, and if ImageNet
    weights cannot be downloaded.
    """
    check_network(recipe)
    keypoints = len(recipe.data.joints) * maps_per_keypoint
    if model is not None:
        network = _from_model(recipe, keypoints, model)
    elif recipe.strategy.starts_from == "trained":
        raise InputError(f"{recipe.name}: starts from a trained {recipe.network}; give its folder or file as --model")
    elif recipe.strategy.starts_from == "imagenet":
        network = _from_imagenet(recipe.network, keypoints)
    else:
        network = build(recipe.network, keypoints)
    if isinstance(network, DeepPose):
        _set_skeleton(network, recipe)
    is_deepened = model is not None and model.is_dir() and ModelSpec.read(model).deepen > 0
    if recipe.deepen and not is_deepened:
        try:
            network = add_heatmap_layers(network, recipe.deepen)
        except ValueError as error:
            raise InputError(f"deepen: {recipe.network} cannot have more layers ({error})") from None
    localisation = recipe.transformer.localisation
    return (
        network if localisation is None or isinstance(network, SymmetricTransformer) else _transformed(network, recipe)
    )


def parallel_branch(network: nn.Module, recipe: Recipe) -> nn.Module | None:
    """Return the frozen parallel branch of a network with a symmetric transformer, None if the recipe has none.

    Raises InputError for a recipe with a trust head.
    """
    if not isinstance(network, SymmetricTransformer) or not recipe.transformer.parallel:
        return None
    if recipe.head is not None:
        raise InputError(
            f"transformer.parallel: expected 0 with head {recipe.head}; train the network first, then the head on it"
        )
    return frozen_branch(network.network)


def _transformed(network: nn.Module, recipe: Recipe) -> nn.Module:
    """Put a symmetric transformer around the network; its localisation network sees crops of half the size."""
    name, size = str(recipe.transformer.localisation), (recipe.height, recipe.width)
    try:
        transformed = symmetric(network, name)
        with evaluation_mode(transformed), torch.no_grad():
            transformed.localisation(torch.zeros(1, 3, *size))
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0].removeprefix("localisation: ")
        raise InputError(
            f"transformer.localisation: {name} cannot see half of {size[0]} × {size[1]} pixels ({reason})"
        ) from None
    return transformed


def _set_skeleton(network: DeepPose, recipe: Recipe) -> None:
    try:
        network.for_skeleton(recipe.data.joints)
    except ValueError as error:
        raise InputError(f"data.{error}") from None


def _from_model(recipe: Recipe, keypoints: int, model: Path) -> nn.Module:
    if model.is_dir():
        spec = ModelSpec.read(model)
        expected = (recipe.network, recipe.data.joints.keypoints)
        if spec.deepen not in (0, recipe.deepen):
            raise InputError(f"{model}: has {spec.deepen} more layers, the recipe has {recipe.deepen}, see --deepen")
        if (spec.network, spec.skeleton.keypoints) != expected:
            raise InputError(
                f"{model}: holds {spec.network} of {spec.skeleton.name}, the recipe expects {recipe.network} of "
                f"{recipe.data.skeleton}"
            )
        if spec.localisation not in (None, recipe.transformer.localisation):
            raise InputError(f"{model}: has localisation {spec.localisation!r}, see --transformer.localisation")
        return load_module(spec)
    network = build(recipe.network, keypoints)
    try:
        is_onnx = model.suffix == ".onnx"
        if isinstance(network, MoveNetPose) and is_onnx:
            network.read(model)
            return network
        network.load_state_dict(read_onnx_weights(model, network) if is_onnx else convert(read_tensors(model), network))
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(str(model)) else f"{model}: {error}") from None
    return network


def _from_imagenet(name: str, keypoints: int) -> nn.Module:
    try:
        return NETWORKS[name](keypoints=keypoints, pretrained=True)
    except TypeError as error:
        if "pretrained" not in str(error):
            raise
        raise InputError(
            f"strategy.starts_from: no ImageNet weights of {name} can be downloaded; give a checkpoint as --model, or "
            "--strategy.starts_from=scratch"
        ) from None
    except Exception as error:  # each source raises its own errors
        reason = (str(error) or type(error).__name__).splitlines()[0][:150]
        raise InputError(
            f"strategy.starts_from: the ImageNet weights of {name} cannot be downloaded ({reason}); give a checkpoint "
            "as --model, or --strategy.starts_from=scratch"
        ) from None
