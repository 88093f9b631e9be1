"""Places decoded in torch against the codec's own, in numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trustpose.codecs import Outputs
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.training.network_task import decode_keypoints

CODEC = HeatmapCodec(width=12, height=16, stride=4.0)


def both(codec: HeatmapCodec, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return decode_keypoints(codec, torch.from_numpy(maps)).numpy(), codec.decode(Outputs([maps])).xy


@given(st.integers(0, 10**6), st.integers(1, 30), st.sampled_from([0.0, 2.0]))
def test_argmax_quarter_is_the_codecs_to_the_last_bit(seed, levels, offset):
    """Few levels make ties, and peaks lie on edges too."""
    random = np.random.default_rng(seed)
    maps = (random.integers(0, levels + 1, (3, 5, 16, 12)) / levels).astype(np.float32)
    found, expected = both(replace(CODEC, offset=offset), maps)
    assert np.array_equal(found, expected)


def test_there_are_no_gradients():
    maps = torch.rand(2, 3, 16, 12, requires_grad=True)
    assert not decode_keypoints(CODEC, maps * 2).requires_grad


@pytest.mark.parametrize("changes", [{"decoding": "dark"}, {"decoding": "integral"}, {"smoothing": 3}])
def test_other_decodings_are_the_codecs(changes):
    maps = np.random.default_rng(0).random((2, 3, 16, 12), dtype=np.float32)
    found, expected = both(replace(CODEC, **changes), maps)
    assert np.allclose(found, expected, atol=1e-5)
