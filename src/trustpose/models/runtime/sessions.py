"""Open onnxruntime sessions, check them against the spec, and run them; errors become one line."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import onnxruntime
from jaxtyping import Float
from onnxruntime.capi import onnxruntime_pybind11_state as states  # type: ignore no stub

from trustpose.extras import install_line
from trustpose.files import InputError, check_regular, utf8_name
from trustpose.geometry.crops import CropPixels
from trustpose.models.inputs import InputSpec
from trustpose.models.outputs.kinds import CropOutputs
from trustpose.models.outputs.trust import READ_FIELDS, TrustOutput
from trustpose.models.spec import ModelSpec

CPU = "CPUExecutionProvider"
PROVIDERS = {
    "cpu": CPU,
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
AUTO = "auto"
_BY_ITSELF = ("cuda", "directml")
"""Devices that "auto" chooses: GPUs. CoreML and OpenVINO are faster for some networks and slower for others."""
_LARGEST = 1e12

# onnxruntime's errors have no common base class
_ERRORS = (
    states.EPFail,
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.InvalidProtobuf,
    states.ModelLoaded,
    states.NoModel,
    states.NoSuchFile,
    states.NotImplemented,
    states.RuntimeException,
    UnicodeDecodeError,  # for a name in a graph that is not UTF-8
)


def _stop_opencv_threads() -> None:
    """Stop OpenCV's own threads before a fork; the parent may start them again afterwards.

    A forked process has none of them but may inherit a lock that one of them held, for which OpenCV waits for ever in
    the first function that it would run in parallel. With one thread it never asks for these locks.
    """
    _stopped.append(cv2.getNumThreads())
    cv2.setNumThreads(1)


_stopped: list[int] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_stop_opencv_threads, after_in_parent=lambda: cv2.setNumThreads(_stopped.pop()))


def onnx_device(name: str | None) -> str:
    """Return the device to run ONNX files on: the named one, or for "auto" and None a GPU if this onnxruntime has one,
    else the CPU. Raises InputError for an unknown name, and for a device that this onnxruntime was not built for."""
    providers = onnxruntime.get_available_providers()
    if name is None or name == AUTO:
        return next((device for device in _BY_ITSELF if PROVIDERS[device] in providers), "cpu")
    if name not in PROVIDERS:
        raise InputError(f"device: expected {AUTO}, {', '.join(PROVIDERS)} for the onnx backend, got {name!r}")
    if PROVIDERS[name] not in providers:
        has = ", ".join(device for device, provider in PROVIDERS.items() if provider in providers)
        advice = f"; {install_line('gpu')} brings CUDA" if name == "cuda" else ""
        raise InputError(f"device: this onnxruntime has {has}, not {name}{advice}")
    return name


def open_session(path: Path, threads: int, device: str = "cpu") -> onnxruntime.InferenceSession:
    """Open a session with `threads` CPU threads on a device of `PROVIDERS`; operators that another device
    lacks run on the CPU. Raises InputError on failure, also if the device cannot be used at all."""
    options = _options(threads)
    chosen = list(dict.fromkeys((PROVIDERS[onnx_device(device)], CPU)))
    check_regular(path)
    try:
        with utf8_name(path) as name:
            session = onnxruntime.InferenceSession(name, options, providers=chosen, enable_fallback=0)
        for node in (*session.get_inputs(), *session.get_outputs()):
            _ = node.name, node.shape  # decodes the names, which may fail
    except _ERRORS as error:
        raise InputError(f"{path}: onnxruntime cannot load it ({first_line(error)})") from None
    if chosen[0] not in session.get_providers():  # onnxruntime goes on without it
        raise InputError(f"device: {device} cannot be used by this onnxruntime (its driver or libraries are missing)")
    return session


def session_of(model: bytes, path: Path, *, optimise: bool = True) -> onnxruntime.InferenceSession:
    """Open a session for a graph in memory, made from the file `path`, on one CPU thread. Raises InputError naming that
    file.

    Without `optimise` the graph is run as written.
    """
    options = _options(1)
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(model, options, providers=[CPU], enable_fallback=0)
    except _ERRORS as error:
        raise InputError(f"{path}: onnxruntime cannot load the graph made from it ({first_line(error)})") from None


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # fatal messages only: errors are raised as exceptions
    return options


def run_tensors(
    session: onnxruntime.InferenceSession, path: Path, outputs: list[str], inputs: dict[str, np.ndarray]
) -> list[np.ndarray]:
    """Return the outputs of those names. Raises InputError if the network cannot be run."""
    try:
        return [np.asarray(array) for array in session.run(outputs, inputs)]
    except (*_ERRORS, ValueError, TypeError) as error:  # numpy's errors for outputs that are not arrays
        raise InputError(f"{path}: cannot be run as its spec says ({first_line(error)})") from None


def run_session(
    session: onnxruntime.InferenceSession, path: Path, outputs: list[str], inputs: dict[str, np.ndarray]
) -> list[np.ndarray]:
    """Return the outputs of those names.

    Raises InputError if the network cannot be run, or if an output is not a numeric array, not finite, or so large that
    its square is not.
    """
    arrays = run_tensors(session, path, outputs, inputs)
    for array in arrays:
        if array.dtype.kind not in "fiub":
            raise InputError(f"{path}: the network gave {array.dtype}, expected numbers")
        if array.size and not (array.min() >= -_LARGEST and array.max() <= _LARGEST):  # NaN is neither
            raise InputError(f"{path}: the network gave numbers that are not finite, or beyond {_LARGEST:g}")
    return arrays


def output_names(
    session: onnxruntime.InferenceSession,
    path: Path,
    input_spec: InputSpec,
    tensors: Mapping[str, str | None],
    trust: TrustOutput | None = None,
    further_inputs: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Check the session's inputs against the spec, and return the names of the outputs to read.

    `tensors`: the spec's names by field of 'output', None for the first output. `further_inputs`: names by field of the
    spec, beside the trust head's. Raises InputError naming the field that does not match.
    """
    inputs = {node.name: node for node in session.get_inputs()}
    of_trust = {} if trust is None else trust.inputs
    further = {f"trust.{field}": name for field, name in of_trust.items()} | dict(further_inputs)
    if sorted(inputs) != sorted([input_spec.name, *further.values()]):
        listed = ", ".join(inputs)
        expected = " and ".join([repr(input_spec.name), *(f"'{field}' {name!r}" for field, name in further.items())])
        raise InputError(f"{path}: its inputs are {listed}; the spec's field 'input.name' says {expected}")
    height, width = (input_spec.height, input_spec.width) if input_spec.multiple is None else ("H", "W")
    expected = (3, height, width) if input_spec.layout == "NCHW" else (height, width, 3)
    shape = inputs[input_spec.name].shape
    if len(shape) != 4 or any(
        isinstance(has, int) and has > 0 and has != want for has, want in zip(shape[1:], expected, strict=True)
    ):
        raise InputError(f"{path}: its input is {shape}; the spec's field 'input' says {['B', *expected]}")
    dtype = inputs[input_spec.name].type.removeprefix("tensor(").removesuffix(")")
    dtype = {"float": "float32"}.get(dtype, dtype)
    if dtype != input_spec.dtype:
        raise InputError(f"{path}: its input is {dtype}; the spec's field 'input.dtype' says {input_spec.dtype}")
    outputs = [node.name for node in session.get_outputs()]
    for field, name in tensors.items():
        if name is not None and name not in outputs:
            listed = ", ".join(outputs)
            raise InputError(f"{path}: its outputs are {listed}; the spec's field 'output.{field}' says {name!r}")
    return [name or outputs[0] for name in tensors.values()]


def trust_names(session: onnxruntime.InferenceSession, path: Path, trust: TrustOutput | None) -> dict[str, str]:
    """Return the output for each trust field that prediction reads. Raises InputError if the network lacks one."""
    outputs = [node.name for node in session.get_outputs()]
    names = {} if trust is None else {field: name for field, name in trust.outputs.items() if field in READ_FIELDS}
    for field, name in ({} if trust is None else trust.outputs).items():
        if name not in outputs:
            listed = ", ".join(outputs)
            raise InputError(
                f"{path}: its outputs are {listed}; the spec's field 'trust.outputs.{field}' says {name!r}"
            )
    return names


def unused_head_inputs(
    spec: ModelSpec, count: int
) -> tuple[Float[np.ndarray, "B 2"], Float[np.ndarray, "B K 2"] | None]:
    """Return default values of boxes' fractions and positions for `count` crops, for callers that ignore trust."""
    reads_xy = spec.trust is not None and spec.trust.xy is not None
    return np.ones((count, 2)), np.full((count, spec.crop_output.keypoints, 2), np.nan) if reads_xy else None


def to_tensor(pixels: CropPixels, input_spec: InputSpec) -> np.ndarray:
    """Convert RGB pixels to the input tensor: (pixel × scale − mean) / std, in the spec's layout, order and dtype."""
    if input_spec.channels == "BGR":
        pixels = pixels[..., ::-1]
    std = np.array(input_spec.std)
    factor, offset = (input_spec.scale / std).astype(np.float32), (-np.array(input_spec.mean) / std).astype(np.float32)
    if (factor == 1).all() and (offset == 0).all():
        ready = pixels.transpose(0, 3, 1, 2) if input_spec.layout == "NCHW" else pixels
        return np.ascontiguousarray(ready, dtype=input_spec.dtype)
    if pixels.dtype != np.uint8:
        scaled = pixels * factor + offset
        blob = np.ascontiguousarray(scaled.transpose(0, 3, 1, 2) if input_spec.layout == "NCHW" else scaled)
        return _typed(blob, input_spec.dtype)
    table = np.arange(256, dtype=np.float32)[:, None] * factor + offset  # (256, 3): all possible values
    blob = _look_up(np.ascontiguousarray(pixels), table, channels_first=input_spec.layout == "NCHW")
    return _typed(blob, input_spec.dtype)


def _typed(blob: np.ndarray, dtype: str) -> np.ndarray:
    return blob.astype(dtype, copy=False) if "float" in dtype else np.rint(blob).astype(dtype)


def _look_up(pixels: np.ndarray, table: np.ndarray, *, channels_first: bool) -> np.ndarray:
    """table[pixel] for each pixel and channel, channels first or last."""
    count, height, width, channels = pixels.shape
    if not channels_first:
        blob = np.empty(pixels.shape, np.float32)
        for index in range(count):
            cv2.LUT(pixels[index], table.reshape(1, 256, channels), dst=blob[index])
        return blob
    columns = np.ascontiguousarray(table.T)
    blob = np.empty((count, channels, height, width), np.float32)
    for index in range(count):
        for plane, column, room in zip(cv2.split(pixels[index]), columns, blob[index], strict=True):
            cv2.LUT(plane, column, dst=room)
    return blob


def first_line(error: Exception) -> str:
    """Format a library's error as part of one line."""
    return " ".join(str(error).split())[:160]


def check_shapes(
    arrays: Sequence[np.ndarray], output: CropOutputs, inputs: InputSpec, pixels: CropPixels, path: Path
) -> list[np.ndarray]:
    """Return the tensors of these crops, reshaped as in the spec. Raises InputError if that is impossible."""
    count, height, width = pixels.shape[:3]
    if inputs.multiple is not None:
        inputs = replace(inputs, height=height, width=width)
    shapes = [(count, *shape) for shape in output.shapes(inputs)]
    if len(arrays) != len(shapes):
        raise InputError(f"{path}: gave no {output.kind}, as its spec's 'output' says")
    for array, shape in zip(arrays, shapes, strict=True):
        if array.shape != shape and (output.is_shaped or array.size != np.prod(shape)):
            raise InputError(f"{path}: gave an output {array.shape}, its spec's 'output' says {shape}")
    return [array.reshape(shape) for array, shape in zip(arrays, shapes, strict=True)]
