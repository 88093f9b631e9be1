"""Caffemodels: written byte by byte, and read; damaged ones are refused."""

import numpy as np
import pytest

from tests.networks.caffemodels import caffemodel
from tests.tiny_onnx import _field, _varint
from trustpose.files import InputError
from trustpose.networks.checkpoint_files import read_tensors

RNG = np.random.default_rng(0)
LAYERS = {
    "conv1_1": [RNG.normal(size=(4, 3, 3, 3)), RNG.normal(size=4)],
    "data": [],
    "prelu4_2": [RNG.normal(size=200)],
    "Mconv7_stage6_L2": [RNG.normal(size=(1, 4, 1, 1)), RNG.normal(size=1)],
}


@pytest.mark.parametrize("options", [{}, {"old": True}, {"doubles": True}])
def test_written_and_read(tmp_path, options):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(caffemodel(LAYERS, **options))
    tensors = read_tensors(path)
    parts = ("weight", "bias")
    expected = {f"{name}.{parts[index]}": blob for name, blobs in LAYERS.items() for index, blob in enumerate(blobs)}
    assert list(tensors) == list(expected)
    for name, blob in expected.items():
        assert tensors[name].shape == blob.shape and str(tensors[name].dtype) == "torch.float32"
        np.testing.assert_array_equal(tensors[name], blob.astype(np.float32))


def test_numbers_that_are_not_packed(tmp_path):
    """Parsers of protocol buffers must accept a field for each number; also fields that are not read."""
    numbers = np.array([1.5, -2.25], "<f4")
    one_by_one = b"".join(_varint(5 << 3 | 5) + number.tobytes() for number in numbers)
    blob = one_by_one + _field(7, _field(1, 2)) + _varint(99 << 3 | 1) + bytes(8)
    path = tmp_path / "net.caffemodel"
    path.write_bytes(_field(100, _field(1, "scale") + _field(7, blob)))
    np.testing.assert_array_equal(read_tensors(path)["scale.weight"], numbers)


def test_every_cut_is_refused_or_leaves_whole_layers(tmp_path):
    first = caffemodel({"conv1_1": LAYERS["conv1_1"]})
    content = first + caffemodel({"Mconv7_stage6_L2": LAYERS["Mconv7_stage6_L2"]})
    path = tmp_path / "net.caffemodel"
    whole = 0
    for end in {*range(1, len(content), 7), len(first)}:
        path.write_bytes(content[:end])
        try:
            whole += list(read_tensors(path)) == ["conv1_1.weight", "conv1_1.bias"]
        except InputError as error:
            assert "net.caffemodel: " in str(error) and "\n" not in str(error)
    assert whole >= 1  # after the first layer


WRONG = {
    "is there twice": caffemodel({"a": [np.ones(2)]}) * 2,
    "has 3 blobs": caffemodel({"norm": [np.ones(2)] * 3}),
    "holds no weights": caffemodel({"data": []}),
    "holds NaN": caffemodel({"a": [np.full(2, np.nan)]}),
    "not a readable caffemodel": _field(100, _field(1, "a") + _field(7, _field(5, bytes(8)) + _field(7, _field(1, 3)))),
    "damaged": _field(100, _field(1, b"\xff\xfe") + _field(7, _field(5, bytes(8)) + _field(7, _field(1, 2)))),
    "another format": b"PK\x03\x04 not a caffemodel",
    "cut short": b"\xff" * 40,
}


@pytest.mark.parametrize("reason", WRONG)
def test_wrong_files_are_named(tmp_path, reason):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(WRONG[reason])
    with pytest.raises(InputError, match=f"net.caffemodel: .*{reason}"):
        read_tensors(path)
