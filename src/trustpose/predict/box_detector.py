"""Person detectors in ONNX files: one photo in, the boxes of its people out."""

from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError
from trustpose.geometry.crops import invert_affine, transform
from trustpose.models.spec import BoxOutput, ModelSpec
from trustpose.predict.boxes import Boxes
from trustpose.predict.crops import cut_out
from trustpose.predict.single_stage import letterbox
from trustpose.runtime.sessions import PerProcess, open_session, output_names, run_session, to_tensor


class BoxDetector:
    """A detector with its spec; calls from many threads run beside each other, each on one CPU.

    min_score: of the boxes that are kept, None for the spec's. Raises InputError where the spec is another model's, and
    where file and spec do not fit each other.
    """

    def __init__(self, spec: ModelSpec, min_score: float | None = None) -> None:
        self.spec = spec
        output = spec.expect(BoxOutput)
        self.min_score = output.min_score if min_score is None else min_score
        self.codec = replace(output, min_score=self.min_score).codec(spec.input)
        self._session = PerProcess(lambda: open_session(spec.onnx, 1))
        self._tensors = output_names(self._session(), spec.onnx, spec.input, output.tensors)

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Boxes:
        """The boxes of the people in a photo, RGB, within it, image pixels, highest score first. Raises InputError."""
        spec, (height, width) = self.spec, pixels.shape[:2]
        affine, wide, high = letterbox(width, height, spec.input)
        blob = to_tensor(cut_out(pixels, affine, wide, high)[None], spec.input)
        (raw,) = run_session(self._session(), spec.onnx, self._tensors, {spec.input.name: blob})
        expected = (1, 5, high // self.codec.stride, wide // self.codec.stride)
        if raw.shape != expected:
            raise InputError(f"{spec.onnx}: gave an output {raw.shape}, expected {expected}")
        box, score = self.codec.decode(raw[0])
        box = transform(invert_affine(affine), box.reshape(-1, 2)).reshape(-1, 4)
        box = np.clip(box, 0, [width, height, width, height])
        some = (box[:, 2:] > box[:, :2]).all(axis=1)
        return Boxes(box[some], np.zeros(int(some.sum()), np.int64), score[some])
