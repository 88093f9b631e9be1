"""A network of each family gives the same numbers from its ONNX file."""

import pytest

from tests.export.exporting import largest_difference
from tests.networks.short import build_short
from tests.networks.test_zoo import SMALLEST


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_onnx_gives_the_same_numbers_for_any_batch_size(name, tmp_path):
    path = tmp_path / "network.onnx"
    assert largest_difference(lambda: build_short(name), path) < 1e-4
    assert list(tmp_path.iterdir()) == [path]
