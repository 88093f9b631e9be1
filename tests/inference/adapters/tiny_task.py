"""A model for MediaPipe's pose landmarker that sees the same person in every photo, for tests.

Two networks as TFLite files in a zip, like Google's, whose outputs are constants (plus 0 times the input): a detector
that finds one person in the photo's middle, and landmarks that are where they are told to be. Everything around the
networks is MediaPipe's own. Written with the schemas that the package brings.
"""

import zipfile
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np

REACH = 0.4  # from the hips to the top of the body's circle, in shares of the photo's longest side
ENLARGED = 1.25  # by MediaPipe
SIDE = 2 * REACH * ENLARGED  # of the square that the landmark network sees: the whole photo's, letterboxed
_ANCHORS, _DETECTOR_SIZE, _CELLS = 2254, 224, 28
_LANDMARK_SIZE = 256


def write_task(path: Path, landmarks: np.ndarray, *, presence: float = 0.9, detection: float = 0.9) -> Path:
    """A .task file. landmarks (33, 5): x, y in shares of the square around the person, z, visibility, presence.

    `presence` is what the network says of the whole person, `detection` what the detector does.
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
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.writestr("pose_detector.tflite", _network(_DETECTOR_SIZE, [regressors, scores], 127.5, 127.5))
        file.writestr("pose_landmarks_detector.tflite", _network(_LANDMARK_SIZE, outputs, 0.0, 255.0))
    return path


def _logit(share: Any) -> Any:
    return np.log(share / (1 - np.asarray(share)))


def _network(size: int, outputs: list[np.ndarray], mean: float, std: float) -> bytes:
    """TFLite: each output is its constant + 0 · mean(input)."""
    from mediapipe.tasks.metadata import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    graph.tensors, graph.operators, model.operatorCodes = [], [], []
    for code in (schema.BuiltinOperator.MEAN, schema.BuiltinOperator.MUL, schema.BuiltinOperator.ADD):
        kind = schema.OperatorCodeT()
        kind.builtinCode = kind.deprecatedBuiltinCode = code
        kind.version = 1
        model.operatorCodes.append(kind)

    def tensor(name: str, shape: list[int], value: np.ndarray | None = None) -> int:
        one = schema.TensorT()
        one.name, one.shape, one.buffer = name, shape, 0
        one.type = (
            schema.TensorType.INT32 if value is not None and value.dtype == np.int32 else schema.TensorType.FLOAT32
        )
        if value is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(value.tobytes(), np.uint8)
            model.buffers.append(buffer)
            one.buffer = len(model.buffers) - 1
        graph.tensors.append(one)
        return len(graph.tensors) - 1

    def operator(code: int, inputs: list[int], output: int, options: Any, kind: int) -> None:
        one = schema.OperatorT()
        one.opcodeIndex, one.inputs, one.outputs = code, inputs, [output]
        one.builtinOptions, one.builtinOptionsType = options, kind
        graph.operators.append(one)

    image = tensor("image", [1, size, size, 3])
    axes, zero = tensor("axes", [3], np.array([1, 2, 3], np.int32)), tensor("zero", [1], np.zeros(1, np.float32))
    average, nothing = tensor("mean", [1]), tensor("nothing", [1])
    operator(0, [image, axes], average, schema.ReducerOptionsT(), schema.BuiltinOptions.ReducerOptions)
    operator(1, [average, zero], nothing, schema.MulOptionsT(), schema.BuiltinOptions.MulOptions)
    graph.inputs, graph.outputs = [image], []
    for at, value in enumerate(outputs):
        constant, output = tensor(f"constant_{at}", [*value.shape], value), tensor(f"output_{at}", [*value.shape])
        operator(2, [constant, nothing], output, schema.AddOptionsT(), schema.BuiltinOptions.AddOptions)
        graph.outputs.append(output)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(_metadata(len(outputs), mean, std), np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers) - 1
    model.metadata = [entry]
    return _packed(model, b"TFL3")


def _metadata(outputs: int, mean: float, std: float) -> bytes:
    """What MediaPipe asks a network for: the normalisation of its input."""
    from mediapipe.tasks.metadata import metadata_schema_py_generated as schema

    normalisation, unit, image = schema.NormalizationOptionsT(), schema.ProcessUnitT(), schema.TensorMetadataT()
    normalisation.mean, normalisation.std = [mean], [std]
    unit.options, unit.optionsType = normalisation, schema.ProcessUnitOptions.NormalizationOptions
    image.name, image.processUnits = "image", [unit]
    graph, metadata = schema.SubGraphMetadataT(), schema.ModelMetadataT()
    graph.inputTensorMetadata = [image]
    graph.outputTensorMetadata = [schema.TensorMetadataT() for _ in range(outputs)]
    metadata.name, metadata.subgraphMetadata = "tiny", [graph]
    return _packed(metadata, b"M001")


def _packed(value: Any, identifier: bytes) -> bytes:
    builder = flatbuffers.Builder(0)
    builder.Finish(value.Pack(builder), identifier)
    return bytes(builder.Output())
