"""The torch backend: the same interface as `OnnxNetwork`, on CPU, CUDA or MPS.

Needs the `train` extra. The base install imports this file only on request.
"""

import os
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.files import InputError
from trustpose.geometry.crops import CropPixels
from trustpose.heads.network import TrustNetwork
from trustpose.models.outputs.trust import TrustArrays, head_inputs
from trustpose.models.runtime.sessions import check_shapes, unused_head_inputs
from trustpose.models.spec import ModelSpec
from trustpose.names import expected_one_of

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def best_device() -> str:
    """Return "cuda" if available, else "mps", else "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


class TorchNetwork:
    """A module with its spec: (B, H, W, 3) RGB crops, 0–255, to `Outputs` of numpy arrays.

    The module returns `Outputs`, or `Outputs` and `Trust`, as a `TrustNetwork` does; `module` is then the network
    without its head. `precision` other than float32 runs it under autocast; outputs are always float32. The module is
    put into evaluation mode, on `device`, in channels-last memory. Raises InputError for an unavailable device or an
    unknown precision.
    """

    def __init__(
        self, spec: ModelSpec, module: nn.Module, *, device: str | None = None, precision: str = "float32"
    ) -> None:
        if precision not in _DTYPES:
            raise InputError(f"precision: {expected_one_of(_DTYPES, precision)}")
        try:
            self.device = torch.device(device or best_device())
            self._module = module.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore torch's stub lacks it
        except (RuntimeError, AssertionError) as error:  # torch's errors for a device that it was not built for
            raise InputError(f"device: {device!r} cannot be used ({str(error).splitlines()[0]})") from None
        self.module = self._module.network if isinstance(self._module, TrustNetwork) else self._module
        self.spec = spec
        self._crop_output = spec.crop_output
        self._reads = self._further()
        self.reads_positions = "xy" in self._reads
        self._process = os.getpid()
        self.precision = precision
        input_spec = spec.input
        self._mean = torch.tensor(input_spec.mean, device=self.device).reshape(3, 1, 1)
        self._std = torch.tensor(input_spec.std, device=self.device).reshape(3, 1, 1)

    def __call__(self, pixels: CropPixels) -> Outputs:
        """Run the module on crops of a size that the spec allows.

        Raises InputError if its output does not match the spec.
        """
        return self.with_trust(pixels, *unused_head_inputs(self.spec, len(pixels)))[0]

    def with_trust(
        self,
        pixels: CropPixels,
        box: Float[np.ndarray, "B 2"] | None = None,
        xy: Float[np.ndarray, "B K 2"] | None = None,
    ) -> tuple[Outputs, TrustArrays]:
        """Like a call, with the trust head's output for each crop (see `Runtime`). Raises InputError as above."""
        if self._process != os.getpid():  # torch's threads and CUDA do not survive a fork, and it would hang
            raise InputError("backend torch: the network was loaded before this process was forked; load it after that")
        input_spec = self.spec.input
        input_spec.check(pixels.shape)
        dtype = _DTYPES[self.precision]
        arrays = head_inputs(self._reads, len(pixels), self._crop_output.keypoints, box, xy)
        further = {name: torch.from_numpy(array).to(self.device) for name, array in arrays.items()}
        with torch.inference_mode(), torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            result = self._module(self._prepare(pixels), **further)
        outputs, trust = result if isinstance(result, tuple) else (result, None)
        output, onnx = self._crop_output, self.spec.onnx
        raw = check_shapes([_numpy(tensor) for tensor in output.arrays(outputs)], output, input_spec, pixels, onnx)
        if not all(np.isfinite(array).all() for array in raw):
            raise InputError(f"{onnx}: the network gave numbers that are not finite")
        decoded = output.outputs(raw)
        rest: dict[str, Any] = {name: getattr(outputs, name) for name in ("features", "tokens")}
        rest = {name: _numpy(tensor) for name, tensor in rest.items() if tensor is not None}
        extra = {name: _arrays(value) for name, value in outputs.extra.items()}
        grids = {**outputs.grids, **decoded.grids}  # the spec's grids take precedence: they are those of training
        arrays = {} if trust is None else {name: _numpy(tensor) for name, tensor in trust.filled().items()}
        checked = TrustArrays.of(arrays, len(pixels), output.keypoints, onnx)
        return replace(decoded, **rest, extra=extra, grids=grids), checked

    def _further(self) -> dict[str, bool]:
        """The head's additional inputs, and whether they are required: see `models.outputs.trust.head_inputs`."""
        if not isinstance(self._module, TrustNetwork):
            return {}
        head, trust = self._module.head, self.spec.trust
        needs_places = trust is not None and trust.xy is not None
        return ({"box": True} if head.reads_box else {}) | ({"xy": needs_places} if head.reads_positions else {})

    def _prepare(self, pixels: np.ndarray) -> Tensor:
        """Return (B, 3, H, W), (pixel × scale − mean) / std in the spec's channel order, channels last in memory."""
        crops = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device, non_blocking=True)
        if self.spec.input.channels == "BGR":
            crops = crops.flip(-1)
        scaled = crops.permute(0, 3, 1, 2).float() * self.spec.input.scale  # (B, 3, H, W); memory stays channels last
        return (scaled - self._mean) / self._std


def _arrays(value: Any) -> Any:
    """Convert a tensor to an array; several to a list of arrays."""
    return [_arrays(item) for item in value] if isinstance(value, (list, tuple)) else _numpy(value)


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()
