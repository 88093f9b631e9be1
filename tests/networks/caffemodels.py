"""Write small caffemodels byte by byte, by the field numbers of caffe.proto."""

from collections.abc import Mapping, Sequence

import numpy as np

from tests.tiny_onnx import _field, _varint


def caffemodel(layers: Mapping[str, Sequence[np.ndarray]], *, old: bool = False, doubles: bool = False) -> bytes:
    """A network with these layers' blobs; old: V1 layers, and four sides for each blob instead of a shape."""
    content = _field(1, "net") + _field(3, "image")
    for name, blobs in layers.items():
        encoded = [_blob(blob, old=old, doubles=doubles) for blob in blobs]
        if old:
            layer = _field(2, "image") + _field(4, name) + _field(5, 4) + b"".join(_field(6, one) for one in encoded)
        else:
            layer = _field(1, name) + _field(2, "Convolution") + b"".join(_field(7, one) for one in encoded)
        content += _field(2 if old else 100, layer)
    return content


def _blob(blob: np.ndarray, *, old: bool, doubles: bool) -> bytes:
    if old:
        sides = (1,) * (4 - blob.ndim) + blob.shape
        shape = b"".join(_field(index, side) for index, side in enumerate(sides, start=1))
    else:
        shape = _field(7, _field(1, b"".join(_varint(side) for side in blob.shape)))
    numbers = blob.astype("<f8" if doubles else "<f4").tobytes()
    return _field(8 if doubles else 5, numbers) + shape
