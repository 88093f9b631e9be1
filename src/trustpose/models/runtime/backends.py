"""Run networks: on crops, with ONNX Runtime or, with the `train` extra, torch, behind one interface; on whole photos,
with ONNX Runtime."""

from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import numpy as np
import onnxruntime
from jaxtyping import Float, UInt8

from trustpose.codecs import Outputs
from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.geometry.crops import Boxes, CropPixels, invert_affine, transform
from trustpose.models.outputs.kinds import Output
from trustpose.models.outputs.trust import TrustArrays, head_inputs
from trustpose.models.runtime.sessions import (
    AUTO,
    check_shapes,
    onnx_device,
    open_session,
    output_names,
    run_session,
    to_tensor,
    trust_names,
    unused_head_inputs,
)
from trustpose.models.spec import BoxListOutput, BoxOutput, ModelSpec, PeopleOutput
from trustpose.poses import Poses
from trustpose.threads import PerProcess, cpu_count, worker_threads

Pixels = UInt8[np.ndarray, "H W 3"]  # a photo
_PART = 4  # crops per run of one CPU: enough to reuse cached weights, few enough to divide

_MAX_BATCH = 4096  # in a fixed-size batch, which is padded with copies


class OnnxNetwork:
    """A network with its spec: (B, H, W, 3) RGB crops, 0–255, to `Outputs`.

    On CPUs a batch is divided into parts, which run in parallel, each on one CPU. This has 1.05 (ResNet-50) to 1.5
    times (HRNet, with its many small layers) the throughput of all CPUs sharing one run. Only a batch too small for
    half of them is shared. A file with a fixed batch size gets parts of that size; other devices get whole batches. A
    forked process opens the file again. Raises InputError if file and spec do not match.
    """

    def __init__(self, spec: ModelSpec, threads: int | None = None, device: str = "cpu") -> None:
        self.spec = spec
        self._crop_output = spec.crop_output
        self.threads = count = threads or cpu_count()
        self._session = PerProcess(lambda: open_session(spec.onnx, 1, device))
        self._shared = PerProcess(lambda: open_session(spec.onnx, count))  # for runs shared by all CPUs
        self._runners = worker_threads(count, "trustpose-network")
        session = self._session()
        self._further = {} if spec.trust is None else spec.trust.inputs
        self.reads_positions = "xy" in self._further
        self._tensors = output_names(session, spec.onnx, spec.input, self._crop_output.tensors, spec.trust)
        self._trust = trust_names(session, spec.onnx, spec.trust)
        batch = session.get_inputs()[0].shape[0]
        self.fixed_batch: int | None = batch if isinstance(batch, int) and batch > 0 else None
        if self.fixed_batch is not None and self.fixed_batch > _MAX_BATCH:
            raise InputError(f"{spec.onnx}: takes {self.fixed_batch} crops at once, expected at most {_MAX_BATCH}")
        self._is_on_cpu = device == "cpu"

    def __call__(self, pixels: CropPixels) -> Outputs:
        """Run the network on crops of a size that its spec allows. Raises InputError if it cannot be run."""
        return self.with_trust(pixels, *unused_head_inputs(self.spec, len(pixels)))[0]

    def with_trust(
        self,
        pixels: CropPixels,
        box: Float[np.ndarray, "B 2"] | None = None,
        xy: Float[np.ndarray, "B K 2"] | None = None,
    ) -> tuple[Outputs, TrustArrays]:
        """Like a call, with the trust head's output for each crop (see `Runtime`). Raises InputError as above."""
        self.spec.input.check(pixels.shape)
        count = len(pixels)
        further = head_inputs(dict.fromkeys(self._further, True), count, self._crop_output.keypoints, box, xy)
        size = self.fixed_batch or (min(_PART, -(-count // self.threads)) if self._is_on_cpu else count) or 1
        parts = [slice(start, start + size) for start in range(0, max(count, 1), size)]
        is_shared = self._is_on_cpu and len(parts) < self.threads / 2
        run = partial(self._run, (self._shared if is_shared else self._session)())
        done: list[list[np.ndarray]] = [[]] * len(parts)

        def run_some(first: int) -> None:  # strided: one task per CPU costs less than one per part
            for part in range(first, len(parts), self.threads):
                done[part] = run(pixels[parts[part]], {name: rows[parts[part]] for name, rows in further.items()})

        if len(parts) == 1:
            run_some(0)
        else:
            list(self._runners().map(run_some, range(min(self.threads, len(parts)))))
        arrays = [np.concatenate(arrays) for arrays in zip(*done, strict=True)]
        raw, trust = arrays[: len(self._tensors)], arrays[len(self._tensors) :]
        output, onnx = self._crop_output, self.spec.onnx
        outputs = output.outputs(check_shapes(raw, output, self.spec.input, pixels, onnx))
        return outputs, TrustArrays.of(dict(zip(self._trust, trust, strict=True)), count, output.keypoints, onnx)

    def _run(
        self, session: onnxruntime.InferenceSession, pixels: np.ndarray, further: dict[str, np.ndarray]
    ) -> list[np.ndarray]:
        """Return the raw outputs of one run and trust's; crops are padded to a fixed batch size."""
        count = len(pixels)
        if self.fixed_batch is not None and count < self.fixed_batch:
            rows = np.minimum(np.arange(self.fixed_batch), max(count - 1, 0))
            pixels, *further_arrays = (
                array[rows] if count else np.zeros((self.fixed_batch, *array.shape[1:]), array.dtype)
                for array in (pixels, *further.values())
            )
            further = dict(zip(further, further_arrays, strict=True))
        blob = {self.spec.input.name: to_tensor(pixels, self.spec.input)}
        blob |= {self._further[name]: array for name, array in further.items()}
        arrays = run_session(session, self.spec.onnx, [*self._tensors, *self._trust.values()], blob)
        return [array[:count] for array in arrays]


class PhotoNetwork:
    """A network on whole photos; calls from many threads run in parallel, each on one CPU.

    Raises InputError for another kind of spec, and if file and spec do not match.
    """

    def __init__(self, spec: ModelSpec, output: Output, device: str) -> None:
        self.spec = spec
        self._session = PerProcess(lambda: open_session(spec.onnx, 1, device))
        self._tensors = output_names(self._session(), spec.onnx, spec.input, output.tensors)

    def run(self, pixels: Pixels) -> tuple[list[np.ndarray], tuple[int, int], Float[np.ndarray, "2 3"]]:
        """Return the raw outputs for a photo, RGB, the input's width and height, and the affine from its pixels to
        those of the photo."""
        ready, affine = self.spec.input.fit(pixels)
        return self.run_input(ready), (ready.shape[1], ready.shape[0]), invert_affine(affine)

    def run_input(self, ready: Pixels) -> list[np.ndarray]:
        """Return the raw outputs for a photo in the input's size."""
        blob = {self.spec.input.name: to_tensor(ready[None], self.spec.input)}
        return run_session(self._session(), self.spec.onnx, self._tensors, blob)


class BoxDetector(PhotoNetwork):
    """A person detector with its spec; min_score: threshold for boxes, None for the spec's."""

    def __init__(self, spec: ModelSpec, min_score: float | None = None, device: str = "cpu") -> None:
        output = self.output = spec.expect(BoxOutput, BoxListOutput)
        super().__init__(spec, output, device)
        self.min_score = output.min_score if min_score is None else min_score
        self.codec = replace(output, min_score=self.min_score).codec(spec.input)

    def __call__(self, pixels: Pixels) -> Boxes:
        """Detect people in a photo, RGB: boxes within it, image pixels, highest score first. Raises InputError."""
        height, width = pixels.shape[:2]
        arrays, size, to_image = self.run(pixels)
        misfit = self.output.misfit(arrays, *size)
        if misfit is not None:
            raise InputError(f"{self.spec.onnx}: {misfit}")
        box, score = self.codec.decode(*(array[0] for array in arrays))
        box = transform(to_image, box.reshape(-1, 2)).reshape(-1, 4)
        box = np.clip(box, 0, [width, height, width, height])
        is_visible = (box[:, 2:] > box[:, :2]).all(axis=1)
        return Boxes(box[is_visible], np.zeros(int(is_visible.sum()), np.int64), score[is_visible])


class PeopleNetwork(PhotoNetwork):
    """A single-stage network with its spec: maps one photo to its people.

    Every person in the output is kept, however low its score; each photo has the same number of them.
    """

    def __init__(self, spec: ModelSpec, device: str = "cpu") -> None:
        self.output = spec.expect(PeopleOutput)
        super().__init__(spec, self.output, device)
        self.codec = self.output.codec(spec.input)

    def __call__(self, pixels: Pixels) -> Poses:
        """Return the people of a photo, RGB: keypoints, `pose_score` and `box_score` (both the person's score),
        boxes. Raises InputError."""
        output = self.output
        (raw,), size, to_image = self.run(pixels)
        expected = (1, output.people, 3 * output.keypoints + 5)
        if raw.shape != expected:
            raise InputError(f"{self.spec.onnx}: gave an output {raw.shape}, its spec's 'output.shape' says {expected}")
        people = self.codec.decode(raw[0], *size)
        assert people.box is not None
        points = np.concatenate([people.xy, people.box.reshape(-1, 2, 2)], axis=1)  # (N, K + 2, 2), input pixels
        points = transform(np.broadcast_to(to_image, (len(points), 2, 3)), points)
        return Poses(
            xy=points[:, :-2],
            score=people.score,
            pose_score=people.person_score,
            box=points[:, -2:].reshape(-1, 4),
            box_score=people.person_score,
            image_id=np.zeros(len(points), np.int64),
            skeleton=self.spec.skeleton,
        )


@runtime_checkable
class Runtime(Protocol):
    """A network runtime: takes RGB crops (B, H, W, 3), 0–255, returns `Outputs` of numpy arrays; `with_trust` adds the
    output of the network's own trust head, with no field filled if it has none.

    box (B, 2): widths and heights of the people's boxes as fractions of the crops', for heads that read them
    (`TrustOutput.box`). xy (B, K, 2): positions to read at, in pixels of the heatmaps or bins, for heads that accept
    them (`TrustOutput.xy`); NaN for the network's own peaks. Raises ValueError if such a head gets none.
    `reads_positions`: whether it accepts them; a head in torch reads its own peaks without them.
    """

    spec: ModelSpec
    reads_positions: bool

    def __call__(self, pixels: CropPixels) -> Outputs: ...

    def with_trust(
        self,
        pixels: CropPixels,
        box: Float[np.ndarray, "B 2"] | None = None,
        xy: Float[np.ndarray, "B K 2"] | None = None,
    ) -> tuple[Outputs, TrustArrays]: ...


def open_runtime(
    spec: ModelSpec,
    *,
    backend: str = "onnx",
    device: str | None = None,
    precision: str = "float32",
    threads: int | None = None,
) -> Runtime:
    """Open the runtime for a spec; see `predict.options.PredictOptions` for the arguments. Raises InputError."""
    if backend not in ("onnx", "torch"):
        raise InputError(f"backend: expected onnx or torch, got {backend!r}")
    if backend == "onnx" and precision != "float32":
        raise InputError("precision: is an option of the torch backend, got it with backend onnx")
    if backend == "onnx":
        return OnnxNetwork(spec, threads, onnx_device(device))
    device = None if device == AUTO else device
    torch_network, weights = _torch_modules("torch_network", "weights")
    module = weights.load_module(spec) if spec.trust is None else weights.load_trust_network(spec)
    return torch_network.TorchNetwork(spec, module, device=device, precision=precision)


def module_of(runtime: Runtime) -> Any:
    """Return the network as an `nn.Module`: the running one or, for an ONNX runtime, from the model folder's weights.

    Without its trust head, so that it returns `Outputs` in both cases. Raises InputError if torch is not installed or
    there is only an ONNX file.
    """
    module = getattr(runtime, "module", None)
    if module is not None:
        return module
    (weights,) = _torch_modules("weights")
    return weights.load_module(runtime.spec)


def _torch_modules(*names: str) -> list[Any]:
    """Import modules of this package that need the `train` extra. Raises InputError with the install line."""
    try:
        return [import_module(f"trustpose.models.runtime.{name}") for name in names]
    except ModuleNotFoundError as missing:
        raise InputError(not_installed(missing.name, "train")) from None
