"""Read the weights of a caffemodel: Caffe's networks as protocol buffers, of which only names and numbers are read.

Source of the field numbers: caffe.proto of BVLC/caffe. Files have layers (field 100 of the network) or, older ones, V1
layers (field 2); both hold a name and blobs, and a blob its numbers and its shape, older ones as four sides.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trustpose.files import InputError, read_bytes

_LAYERS = {100: (1, 7), 2: (4, 6)}  # field of a layer: the fields of its name and blobs
_SIDES = (1, 2, 3, 4)  # of a blob: num, channels, height, width
_DATA, _SHAPE, _DOUBLES = 5, 7, 8
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # wire types
_LONGEST = 10  # bytes of a varint
_MOST_SIDES = 32  # Caffe's own limit
_PARTS = ("weight", "bias")
_Value = int | memoryview


def read_caffemodel(path: str | Path) -> dict[str, Tensor]:
    """Return a caffemodel's blobs by name, float32: a layer's first is NAME.weight, its second NAME.bias.

    Layers without blobs are left out; training networks have some. Raises InputError if the file cannot be read, is cut
    short or damaged, has no weights, or a layer twice, or with more than two blobs.
    """
    content = memoryview(read_bytes(path, "a caffemodel"))
    tensors: dict[str, Tensor] = {}
    try:
        for number, value in _fields(content):
            if number not in _LAYERS or not isinstance(value, memoryview):
                continue
            name, blobs = _layer(value, *_LAYERS[number])
            if len(blobs) > len(_PARTS):
                raise InputError(f"{path}: layer {name}: has {len(blobs)} blobs, expected weights and biases")
            for part, blob in zip(_PARTS, blobs, strict=False):
                if f"{name}.{part}" in tensors:
                    raise InputError(f"{path}: layer {name}: is there twice")
                tensors[f"{name}.{part}"] = blob
    except (_Damaged, UnicodeDecodeError):
        raise InputError(f"{path}: is not a readable caffemodel (cut short, damaged, or another format)") from None
    if not tensors:
        raise InputError(f"{path}: holds no weights, expected a caffemodel, as Caffe saves trained networks")
    return tensors


class _Damaged(Exception):
    """The bytes are no protocol buffer of this kind."""


def _layer(content: memoryview, of_name: int, of_blobs: int) -> tuple[str, list[Tensor]]:
    name, blobs = "", []
    for number, value in _fields(content):
        if number == of_name and isinstance(value, memoryview):
            name = bytes(value).decode()
        elif number == of_blobs and isinstance(value, memoryview):
            blobs.append(_blob(value))
    return name, blobs


def _blob(content: memoryview) -> Tensor:
    """Return the numbers of a blob in its shape; one row of four sides, (1, 1, 1, N), as Caffe's older biases, is
    (N,)."""
    sides, shape, parts = dict.fromkeys(_SIDES, 0), None, [np.zeros(0, np.float32)]
    for number, value in _fields(content):
        if number in sides and isinstance(value, int):
            sides[number] = value
        elif number == _SHAPE and isinstance(value, memoryview):
            shape = _shape(value)
        elif number in (_DATA, _DOUBLES) and isinstance(value, memoryview):
            kind = np.dtype("<f4" if number == _DATA else "<f8")
            if len(value) % kind.itemsize:
                raise _Damaged
            parts.append(np.frombuffer(value, kind).astype(np.float32))
    numbers = np.concatenate(parts)
    if shape is None:
        shape = list(sides.values())
        shape = shape[3:] if shape[:3] == [1, 1, 1] else shape
    if not len(numbers) or len(shape) > _MOST_SIDES or prod(shape) != len(numbers):
        raise _Damaged
    return torch.from_numpy(numbers.reshape(shape))


def _shape(content: memoryview) -> list[int]:
    shape: list[int] = []
    for number, value in _fields(content):
        if number == 1:
            shape += [value] if isinstance(value, int) else [side for side, _ in _varints(value)]
    return shape


def _fields(content: memoryview) -> Iterator[tuple[int, _Value]]:
    """Yield the fields of a message, number and value: integers, and the bytes of everything else."""
    offset = 0
    while offset < len(content):
        tag, offset = _varint(content, offset)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, offset = _varint(content, offset)
            yield number, value
            continue
        size = {_EIGHT: 8, _FOUR: 4}.get(kind)
        if kind == _BYTES:
            size, offset = _varint(content, offset)
        if size is None or not number or offset + size > len(content):
            raise _Damaged
        yield number, content[offset : offset + size]
        offset += size


def _varints(content: memoryview) -> Iterator[tuple[int, int]]:
    offset = 0
    while offset < len(content):
        value, offset = _varint(content, offset)
        yield value, offset


def _varint(content: memoryview, start: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, the lowest first, and the offset after it."""
    value = 0
    for index, byte in enumerate(content[start : start + _LONGEST]):
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, start + index + 1
    raise _Damaged
