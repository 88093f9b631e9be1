"""A model for MediaPipe's pose landmarker that sees the same person in every photo, for tests.

Two networks as TFLite files in a zip, like Google's, whose outputs are constants (plus 0 times the input): a detector
that finds one person in the photo's middle, and landmarks at given positions. Everything around the
networks is MediaPipe's own. Written with the schemas that the package brings, and bundled by `tools/mediapipe_task.py`.
"""

import zipfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

REACH = 0.4  # from the hips to the top of the body's circle, in shares of the photo's longest side
ENLARGED = 1.25  # by MediaPipe
SIDE = 2 * REACH * ENLARGED  # of the square that the landmark network sees: the whole photo's, letterboxed
_ANCHORS, _DETECTOR_SIZE, _CELLS = 2254, 224, 28
_LANDMARK_SIZE = 256


def write_task(path: Path, landmarks: np.ndarray, *, presence: float = 0.9, detection: float = 0.9) -> Path:
    """A .task file. landmarks (33, 5): x, y in shares of the square around the person, z, visibility, presence.

    `presence` is the network's score of the whole person, `detection` the detector's.
    """
    regressors = np.zeros((1, _ANCHORS, 12), np.float32)
    middle = 0.5 - 0.5 / _CELLS  # from the first anchor
    regressors[0, 0] = np.array([middle, middle, 0.5, 0.5, *[middle] * 4, *[middle] * 4]) * _DETECTOR_SIZE
    regressors[0, 0, [5, 7]] -= np.array([0.0, REACH]) * _DETECTOR_SIZE  # hips, then straight above them
    scores = np.full((1, _ANCHORS, 1), -20.0, np.float32)
    scores[0, 0] = _logit(detection)
    table = np.zeros((39, 5), np.float32)
    table[:33, :3] = landmarks[:, :3] * _LANDMARK_SIZE
    table[:33, 3:] = _logit(landmarks[:, 3:])
    world = np.zeros((1, 117), np.float32)
    world[0, :99] = np.repeat(np.arange(33), 3)
    heatmaps = np.full((1, 64, 64, 39), -20.0, np.float32)  # nothing that a place would be refined by
    person = np.full((1, 1), presence, np.float32)
    mask = np.zeros((1, 256, 256, 1), np.float32)
    outputs = [table.reshape(1, -1), person, mask, heatmaps, world]
    tool, wheel = bundling_tool(), path.with_suffix(".whl")
    networks = _network(_DETECTOR_SIZE, [regressors, scores]), _network(_LANDMARK_SIZE, outputs)
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_STORED) as file:
        for (name, *_), network in zip(tool.NETWORKS.values(), networks, strict=True):
            file.writestr(name, tool.packed(network, b"TFL3"))
    tool.write_bundle(wheel, path)
    wheel.unlink()
    return path


def bundling_tool() -> ModuleType:
    spec = spec_from_file_location("mediapipe_task", Path(__file__).parents[3] / "tools" / "mediapipe_task.py")
    assert spec is not None and spec.loader is not None
    tool = module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def _logit(share: Any) -> Any:
    return np.log(share / (1 - np.asarray(share)))


class _Graph:
    """A TFLite model that is written tensor by tensor and operator by operator."""

    def __init__(self) -> None:
        from mediapipe.tasks.metadata import schema_py_generated as schema

        self.schema, self.model, self.graph = schema, schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.subgraphs, self.model.buffers = 3, [self.graph], [schema.BufferT()]
        self.graph.tensors, self.graph.operators, self.model.operatorCodes = [], [], []

    def buffer(self, content: bytes) -> int:
        one = self.schema.BufferT()
        one.data = np.frombuffer(content, np.uint8)
        self.model.buffers.append(one)
        return len(self.model.buffers) - 1

    def tensor(self, name: str, shape: tuple[int, ...], value: np.ndarray | None = None) -> int:
        one, types = self.schema.TensorT(), self.schema.TensorType
        is_whole = value is not None and value.dtype == np.int32
        one.name, one.shape, one.type = name, list(shape), types.INT32 if is_whole else types.FLOAT32
        one.buffer = 0 if value is None else self.buffer(value.tobytes())
        self.graph.tensors.append(one)
        return len(self.graph.tensors) - 1

    def operator(self, name: str, inputs: list[int], output: int) -> None:
        kind, one, schema = self.schema.OperatorCodeT(), self.schema.OperatorT(), self.schema
        kind.builtinCode = kind.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name.upper())
        kind.version = 1
        self.model.operatorCodes.append(kind)
        options = {"Mean": "ReducerOptions", "Mul": "MulOptions", "Add": "AddOptions"}[name]
        one.opcodeIndex, one.inputs, one.outputs = len(self.model.operatorCodes) - 1, inputs, [output]
        one.builtinOptions = getattr(schema, f"{options}T")()
        one.builtinOptionsType = getattr(schema.BuiltinOptions, options)
        self.graph.operators.append(one)


def _network(size: int, outputs: list[np.ndarray]) -> Any:
    """A network (`schema.ModelT`) each output of which is its constant + 0 · mean(input)."""
    network = _Graph()
    image = network.tensor("image", (1, size, size, 3))
    axes = network.tensor("axes", (3,), np.array([1, 2, 3], np.int32))
    zero = network.tensor("zero", (1,), np.zeros(1, np.float32))
    average, nothing = network.tensor("mean", (1,)), network.tensor("nothing", (1,))
    network.operator("Mean", [image, axes], average)
    network.operator("Mul", [average, zero], nothing)
    network.graph.inputs, network.graph.outputs = [image], []
    for index, value in enumerate(outputs):
        constant = network.tensor(f"constant_{index}", value.shape, value)
        output = network.tensor(f"output_{index}", value.shape)
        network.operator("Add", [constant, nothing], output)
        network.graph.outputs.append(output)
    return network.model
