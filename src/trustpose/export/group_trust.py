"""Write model folders of bottom-up networks with trust: the network with one more output, and a separate head.

The head reads grouped people (`codecs.group_tokens`), whom only decoding finds, so it is a graph of its own,
`trust.onnx`. Needs the `train` extra, but the base install runs the result.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from trustpose.codecs.group_tokens import GROUP_INPUTS, GROUP_NUMBERS, PLACE, WINDOW
from trustpose.export.inner_tensors import FEATURES, find_maps, with_features
from trustpose.export.model_folder import write_tensors
from trustpose.export.onnx import evaluation_mode, trace_onnx
from trustpose.export.trust_folder import TOLERANCE, Fitted
from trustpose.files import InputError, atomic_write, new_folder, write_json
from trustpose.heads.group_tokens import GroupTokens
from trustpose.models.outputs.kinds import PHOTO_MAPS
from trustpose.models.outputs.trust import TrustOutput
from trustpose.models.runtime.sessions import run_tensors, session_of
from trustpose.models.spec import MODEL_JSON, MODEL_ONNX, MODEL_TRUST, MODEL_WEIGHTS, ModelSpec

_SAMPLES = 3


def save_with_features(out: Path, spec: ModelSpec, tensor: str | None = None) -> ModelSpec:
    """Write a bottom-up network that also gives its features, as `out`.onnx and .json for `BottomUpNetwork`; return its
    spec. tensor: their name in its file, None: the input of the layer that computes the heatmaps. Raises InputError."""
    model = with_features(spec, tensor or find_maps(spec, ("features",))["features"].name)
    with atomic_write(out.with_suffix(".onnx")) as file:
        file.write(model.SerializeToString())
    _copy_files(spec, out.parent)
    extended = replace(spec, onnx=out.with_suffix(".onnx"), trust=None, network=None)
    write_json(out.with_suffix(".json"), extended.to_json())
    return extended


def save_group_trust(out: str | Path, spec: ModelSpec, head: GroupTokens, channels: int, fitted: Fitted) -> ModelSpec:
    """Write a network that `save_with_features` wrote, and a head on its `channels` features, atomically as the new
    model folder `out`; return its spec.

    The folder holds the head's weights for training, not the network's. The head's graph is compared with the head in
    torch before the folder is written. Raises InputError if `out` exists or the numbers differ.
    """
    out, keypoints = Path(out), len(spec.skeleton)
    width = channels + GROUP_NUMBERS
    shapes = ((keypoints, width + WINDOW + PLACE), (width,))
    inputs = {name: torch.zeros(1, *shape) for name, shape in zip(GROUP_INPUTS, shapes, strict=True)}
    with evaluation_mode(head), torch.no_grad():
        names = list(head(*inputs.values()).filled())
    graph = trace_onnx(_Tensors(head), inputs, names).SerializeToString()
    _compare(graph, head, inputs, names, out / MODEL_TRUST)
    parameters = sum(parameter.numel() for parameter in head.parameters())
    outputs = {name: name for name in names}
    options = (outputs, fitted.head, fitted.area, parameters, fitted.fitted_on, fitted.options, {"features": FEATURES})
    trust = TrustOutput(*options, file=MODEL_TRUST)
    named = replace(spec, onnx=out / MODEL_ONNX, network=None, trust=trust, measured=fitted.measured)
    with new_folder(out) as folder:
        (folder / MODEL_ONNX).write_bytes(spec.onnx.read_bytes())
        (folder / MODEL_TRUST).write_bytes(graph)
        _copy_files(spec, folder)
        write_tensors(folder / MODEL_WEIGHTS, head)
        write_json(folder / MODEL_JSON, named.to_json())
        ModelSpec.read(folder)  # validate before publishing
    return ModelSpec.read(out)


def _copy_files(spec: ModelSpec, folder: Path) -> None:
    """Copy what the decoding of a bottom-up network needs beside its file."""
    for name in spec.expect(*PHOTO_MAPS).files:
        (folder / name).write_bytes(spec.onnx.with_name(name).read_bytes())


def _compare(graph: bytes, head: GroupTokens, inputs: dict[str, Tensor], names: list[str], path: Path) -> None:
    """Raise InputError if the graph's numbers for random tokens differ from the head's."""
    random = torch.Generator().manual_seed(0)
    samples = [torch.randn(_SAMPLES, *value.shape[1:], generator=random) for value in inputs.values()]
    blob = {name: value.numpy() for name, value in zip(inputs, samples, strict=True)}
    outputs_of_graph = run_tensors(session_of(graph, path), path, names, blob)
    with evaluation_mode(head), torch.no_grad():
        expected = [value.numpy() for value in head(*samples).filled().values()]
    for name, computed, reference in zip(names, outputs_of_graph, expected, strict=True):
        difference = float(np.abs(computed - reference).max())
        if not difference <= TOLERANCE:
            raise InputError(f"{path}: {name} differs by {difference:.2g}, expected at most {TOLERANCE:.2g}")


class _Tensors(nn.Module):
    """Returns tensors instead of `Trust`."""

    def __init__(self, head: GroupTokens):
        super().__init__()
        self.head = head

    def forward(self, tokens: Tensor, whole: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.head(tokens, whole).filled().values())
