"""Integral: means against scipy's softmax and numpy's average, gradients in torch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

from trustpose.codecs.coordinates import gaussian_mean, soft_argmax

maps = arrays(np.float64, (2, 3, 5, 7), elements=st.floats(-50, 50))


@given(maps, st.floats(0.05, 20))
def test_the_mean_under_scipys_softmax(heatmaps, temperature):
    share = softmax(heatmaps / temperature, axis=(2, 3))
    y, x = np.indices((5, 7))
    expected = np.stack([(share * x).sum((2, 3)), (share * y).sum((2, 3))], axis=-1)
    np.testing.assert_allclose(soft_argmax(heatmaps, temperature), expected, atol=1e-9)


@given(maps)
def test_a_cold_softmax_is_the_argmax_and_a_hot_one_the_centre(heatmaps):
    heatmaps[:, :, 2, 5] = 60
    np.testing.assert_allclose(soft_argmax(heatmaps, 0.01), np.full((2, 3, 2), [5, 2]))
    np.testing.assert_allclose(soft_argmax(heatmaps, 1e9), np.full((2, 3, 2), [3, 2]), atol=1e-6)


def test_a_bumps_height_and_a_floor_under_it_do_not_move_it():
    y, x = np.indices((64, 48))
    bump = np.exp(-((x - 20.3) ** 2 + (y - 40.6) ** 2) / (2 * 2.0**2))[None, None]
    for heatmaps in (bump, 0.05 * bump, 0.7 * bump + 0.05):
        np.testing.assert_allclose(gaussian_mean(heatmaps, 2.0), [[[20.3, 40.6]]], atol=0.01)


def test_torch_tensors_with_gradients():
    torch = pytest.importorskip("torch")
    heatmaps = np.random.default_rng(0).normal(size=(2, 3, 8, 6))
    tensor = torch.tensor(heatmaps, requires_grad=True)
    mean = soft_argmax(tensor, 0.5)
    np.testing.assert_allclose(mean.detach().numpy(), soft_argmax(heatmaps, 0.5), atol=1e-12)
    assert torch.autograd.gradcheck(lambda maps: soft_argmax(maps, 0.5), tensor[:1, :1])
