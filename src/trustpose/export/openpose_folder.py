"""Model folders of OpenPose's networks: bodies with fields, for whole photos, and hands and faces, for crops.

Preprocessing and decoding are OpenPose's: BGR, pixel / 256 − 0.5, for all of them; peaks of at least 0.1, ten samples a
link, and people of four joints, as in its authors' demonstration of 2017 and in pytorch-openpose; Lightweight OpenPose
keeps people of three.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from trustpose.codecs.heatmaps import CODECS
from trustpose.export.model_folder import Provenance, write_tensors
from trustpose.export.onnx import FIELD_TENSORS, export_fields, export_onnx
from trustpose.files import InputError, new_folder, write_json
from trustpose.models.dense_outputs import HeatmapOutput
from trustpose.models.field_output import FieldOutput
from trustpose.models.inputs import InputSpec
from trustpose.models.spec import MODEL_JSON, MODEL_ONNX, MODEL_WEIGHTS, ModelSpec
from trustpose.networks.openpose import GRID, STRIDE
from trustpose.networks.openpose_limbs import BODY_MAPS, PART_SKELETONS
from trustpose.skeletons import SKELETONS, Skeleton

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
