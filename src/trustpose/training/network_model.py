"""The model folder of a trained network: its spec, and its files."""

from pathlib import Path

from torch import nn

from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.export.model_folder import write_tensors
from trustpose.export.onnx import export_coordinates, export_onnx
from trustpose.files import new_folder, write_json
from trustpose.models.crop_outputs import CoordinateOutput
from trustpose.models.spec import MODEL_JSON, MODEL_ONNX, MODEL_WEIGHTS, HeatmapOutput, InputSpec, ModelSpec
from trustpose.training.crops import MEAN, STD
from trustpose.training.recipe import Recipe


def gives_coordinates(recipe: Recipe) -> bool:
    """Whether the network's pose is in its coordinates, not in its heatmaps."""
    return recipe.train.objective in ("coordinates", "cascade", "coarse-to-fine")


def model_spec(recipe: Recipe, codec: HeatmapCodec, folder: Path) -> ModelSpec:
    """Return the spec of the trained network, for prediction."""
    return ModelSpec(
        onnx=folder / MODEL_ONNX,
        name=recipe.name,
        licence="unknown",
        source=f"trustpose train {recipe.name}",
        input=InputSpec("image", "NCHW", "float32", recipe.height, recipe.width, "RGB", 1 / 255, MEAN, STD),
        output=_output(recipe, codec),
        skeleton=recipe.data.joints,
        padding=recipe.data.padding,
        network=recipe.network,
        deepen=recipe.deepen,
        localisation=recipe.transformer.localisation,
    )


def _output(recipe: Recipe, codec: HeatmapCodec) -> HeatmapOutput | CoordinateOutput:
    keypoints = len(recipe.data.joints)
    if gives_coordinates(recipe):
        return CoordinateOutput(keypoints, ("x", "y", "score"), normalised=True, name="coordinates")
    return HeatmapOutput(
        keypoints=keypoints,
        height=codec.height,
        width=codec.width,
        stride=codec.stride,
        name="heatmaps",
        decoding=codec.decoding,
        convention=codec.convention,
        sigma=codec.sigma,
        temperature=codec.temperature,
    )


def save_network(folder: Path, spec: ModelSpec, network: nn.Module) -> None:
    """Write a network without a head as the new folder `folder`."""
    with new_folder(folder) as temporary:
        writes = export_coordinates if isinstance(spec.output, CoordinateOutput) else export_onnx
        writes(network, temporary / MODEL_ONNX, spec.input.height, spec.input.width)
        write_tensors(temporary / MODEL_WEIGHTS, network)
        write_json(temporary / MODEL_JSON, spec.to_json())
        ModelSpec.read(temporary)  # validate before publishing
