"""What runs a network: onnxruntime in the base install, torch with the `train` extra, behind one interface."""

from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from trustpose.codecs import Outputs
from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.geometry.crops import CropPixels
from trustpose.models.spec import ModelSpec
from trustpose.models.trust_output import TrustArrays
from trustpose.runtime.onnx_network import OnnxNetwork


@runtime_checkable
class Runtime(Protocol):
    """What runs a network: RGB crops (B, H, W, 3), 0–255, in, `Outputs` of numpy arrays out; `with_trust` adds what the
    network's own trust head gives for them, with no field filled where it has none.

    box (B, 2): the people's boxes' widths and heights as shares of the crops', for heads that read them
    (`TrustOutput.box`); ValueError where such a head gets none.
    """

    spec: ModelSpec

    def __call__(self, pixels: CropPixels) -> Outputs: ...

    def with_trust(
        self, pixels: CropPixels, box: Float[np.ndarray, "B 2"] | None = None
    ) -> tuple[Outputs, TrustArrays]: ...


def open_runtime(
    spec: ModelSpec,
    *,
    backend: str = "onnx",
    device: str | None = None,
    precision: str = "float32",
    threads: int | None = None,
) -> Runtime:
    """The runtime for a spec; see `predict.options.PredictOptions` for the arguments. Raises InputError."""
    if backend not in ("onnx", "torch"):
        raise InputError(f"backend: expected onnx or torch, got {backend!r}")
    if backend == "onnx" and (device is not None or precision != "float32"):
        raise InputError("device, precision: are options of the torch backend, got them with backend onnx")
    if backend == "onnx":
        return OnnxNetwork(spec, threads)
    torch_network, weights = _torch_modules("torch_network", "weights")
    module = weights.load_module(spec) if spec.trust is None else weights.load_trust_network(spec)
    return torch_network.TorchNetwork(spec, module, device=device, precision=precision)


def module_of(runtime: Runtime) -> Any:
    """The network as an `nn.Module`: the one that runs, or, beside an ONNX file, the model folder's weights.

    Without its trust head, so that it gives `Outputs` either way. Raises InputError where torch is not installed or
    there is only an ONNX file.
    """
    module = getattr(runtime, "module", None)
    if module is not None:
        return module
    (weights,) = _torch_modules("weights")
    return weights.load_module(runtime.spec)


def _torch_modules(*names: str) -> list[Any]:
    """Modules of this package that need the `train` extra. Raises InputError with the install line."""
    try:
        return [import_module(f"trustpose.runtime.{name}") for name in names]
    except ModuleNotFoundError as missing:
        raise InputError(not_installed(missing.name, "train")) from None
