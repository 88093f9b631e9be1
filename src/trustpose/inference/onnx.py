"""Networks in ONNX files, run by onnxruntime: uint8 crops in, `Outputs` out, in any batch size."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import onnxruntime
from jaxtyping import UInt8
from onnxruntime.capi import onnxruntime_pybind11_state as states  # pyright: ignore[reportAttributeAccessIssue] no stub

from trustpose.codecs import Outputs
from trustpose.files import InputError
from trustpose.inference.spec import HeatmapOutput, ModelSpec

# onnxruntime's own errors have no common base of their own
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
)


def cpu_count() -> int:
    """The CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class OnnxNetwork:
    """A network with its spec: (B, H, W, 3) RGB crops, 0–255, to `Outputs`.

    Networks whose file fixes the batch size are run in parts of that size, several at a time, one on each CPU; with a
    free batch size all CPUs share one run. Raises InputError where file and spec do not fit each other.
    """

    def __init__(self, spec: ModelSpec, threads: int | None = None, providers: list[str] | None = None) -> None:
        self.spec = spec
        self.threads = threads or cpu_count()
        self._session = self._open(spec, 1, providers)
        self._output = self._check(self._session)
        batch = self._session.get_inputs()[0].shape[0]
        self.fixed_batch: int | None = batch if isinstance(batch, int) and batch > 0 else None
        if self.fixed_batch is None and self.threads > 1:
            self._session = self._open(spec, self.threads, providers)
        self._runners = ThreadPoolExecutor(self.threads, "trustpose-network") if self.fixed_batch else None

    def __call__(self, pixels: UInt8[np.ndarray, "B H W 3"]) -> Outputs:
        """Run the network on crops of the spec's input size. Raises InputError where it cannot be run."""
        size = self.fixed_batch
        if self._runners is None or size is None:
            return self._outputs(self._run(self.prepare(pixels)), len(pixels))
        parts = [pixels[start : start + size] for start in range(0, max(len(pixels), 1), size)]
        raw = np.concatenate(list(self._runners.map(partial(self._run_padded, size=size), parts)))
        return self._outputs(raw, len(pixels))

    def prepare(self, pixels: UInt8[np.ndarray, "B H W 3"]) -> np.ndarray:
        """Crops as the input tensor: (pixel × scale − mean) / std, in the spec's layout, channel order and dtype."""
        wanted = self.spec.input
        if pixels.shape[1:3] != (wanted.height, wanted.width):
            raise ValueError(f"pixels: expected (B, {wanted.height}, {wanted.width}, 3), got {pixels.shape}")
        if wanted.channels == "BGR":
            pixels = pixels[..., ::-1]
        std = np.array(wanted.std)
        factor, offset = wanted.scale / std, -np.array(wanted.mean) / std
        if wanted.layout == "NCHW":
            pixels = pixels.transpose(0, 3, 1, 2)
            factor, offset = factor[:, None, None], offset[:, None, None]
        if (factor == 1).all() and (offset == 0).all():
            return np.ascontiguousarray(pixels, dtype=wanted.dtype)
        blob = np.multiply(pixels, factor.astype(np.float32), dtype=np.float32, order="C")
        blob += offset.astype(np.float32)
        return blob if wanted.dtype == "float32" else np.rint(blob).astype(wanted.dtype, copy=False)

    def _run_padded(self, pixels: np.ndarray, size: int) -> np.ndarray:
        count = len(pixels)
        if count < size:
            pixels = np.concatenate([pixels, np.zeros((size - count, *pixels.shape[1:]), pixels.dtype)])
        return self._run(self.prepare(pixels))[:count]

    def _run(self, blob: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(self._session.run([self._output], {self.spec.input.name: blob})[0])
        except _ERRORS as error:
            raise InputError(f"{self.spec.onnx}: cannot be run as its spec says ({_first_line(error)})") from None

    def _outputs(self, raw: np.ndarray, count: int) -> Outputs:
        output = self.spec.output
        if not np.isfinite(raw).all():
            raise InputError(f"{self.spec.onnx}: the network gave numbers that are not finite")
        if isinstance(output, HeatmapOutput):
            expected = (count, output.keypoints, output.height, output.width)
            if raw.shape != expected:
                raise InputError(f"{self.spec.onnx}: gave an output {raw.shape}, its spec's 'output' says {expected}")
            return Outputs(heatmaps=[raw])
        if raw.size != count * output.keypoints * 3:
            expected = (count, output.keypoints, 3)
            raise InputError(f"{self.spec.onnx}: gave an output {raw.shape}, its spec's 'output' says {expected}")
        return Outputs(heatmaps=[], coordinates=raw.reshape(count, output.keypoints, 3))

    def _open(self, spec: ModelSpec, threads: int, providers: list[str] | None) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors; they come back as exceptions that we put into words
        known = onnxruntime.get_available_providers()
        chosen = [name for name in known if name == "CPUExecutionProvider"] if providers is None else providers
        unknown = [name for name in chosen if name not in known]
        if unknown:
            raise InputError(f"provider {unknown[0]!r}: this onnxruntime has {', '.join(known)}")
        try:
            return onnxruntime.InferenceSession(str(spec.onnx), options, providers=chosen)
        except _ERRORS as error:
            raise InputError(f"{spec.onnx}: onnxruntime cannot load it ({_first_line(error)})") from None

    def _check(self, session: onnxruntime.InferenceSession) -> str:
        """The name of the output to read, once the session's inputs and outputs are what the spec says."""
        where, wanted = self.spec.onnx, self.spec.input
        inputs = {node.name: node for node in session.get_inputs()}
        if list(inputs) != [wanted.name]:
            listed = ", ".join(inputs)
            raise InputError(f"{where}: its inputs are {listed}; the spec's field 'input.name' says {wanted.name!r}")
        channels_first = wanted.layout == "NCHW"
        expected = (3, wanted.height, wanted.width) if channels_first else (wanted.height, wanted.width, 3)
        shape = inputs[wanted.name].shape
        if len(shape) != 4 or any(
            isinstance(has, int) and has > 0 and has != want for has, want in zip(shape[1:], expected, strict=True)
        ):
            raise InputError(f"{where}: its input is {shape}; the spec's field 'input' says {['B', *expected]}")
        dtype = inputs[wanted.name].type.removeprefix("tensor(").removesuffix(")")
        dtype = {"float": "float32"}.get(dtype, dtype)
        if dtype != wanted.dtype:
            raise InputError(f"{where}: its input is {dtype}; the spec's field 'input.dtype' says {wanted.dtype}")
        outputs = [node.name for node in session.get_outputs()]
        name = self.spec.output.name or outputs[0]
        if name not in outputs:
            listed = ", ".join(outputs)
            raise InputError(f"{where}: its outputs are {listed}; the spec's field 'output.name' says {name!r}")
        return name


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
