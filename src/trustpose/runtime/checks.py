"""Whether a network gives what its spec says."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trustpose.files import InputError
from trustpose.models.inputs import InputSpec
from trustpose.models.outputs import CropOutputs


def check_shapes(
    arrays: Sequence[np.ndarray], output: CropOutputs, inputs: InputSpec, count: int, path: Path
) -> list[np.ndarray]:
    """The tensors of `count` crops, in the shapes that the spec says. Raises InputError where one cannot be."""
    shapes = [(count, *shape) for shape in output.shapes(inputs)]
    if len(arrays) != len(shapes):
        raise InputError(f"{path}: gave no {output.kind}, as its spec's 'output' says")
    for array, shape in zip(arrays, shapes, strict=True):
        if array.shape != shape and (output.is_shaped or array.size != np.prod(shape)):
            raise InputError(f"{path}: gave an output {array.shape}, its spec's 'output' says {shape}")
    return [array.reshape(shape) for array, shape in zip(arrays, shapes, strict=True)]
