"""SimCC's loss, against scipy's divergence; a network that learns places from it."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from trustpose.codecs import Outputs
from trustpose.codecs.simcc import SimCCCodec
from trustpose.networks.rtmpose import rtmpose
from trustpose.training.simcc_loss import simcc_loss


def test_it_is_the_mean_divergence_of_both_softmaxes():
    rng = np.random.default_rng(0)
    logits = [rng.normal(size=(2, 3, bins)) for bins in (8, 12)]
    labels = [rng.random((2, 3, bins)) for bins in (8, 12)]
    weights = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    expected = 0.0
    for found, wanted in zip(logits, labels, strict=True):
        divergence = entropy(softmax(wanted * 10, axis=-1), softmax(found * 10, axis=-1), axis=-1)
        expected += (divergence / found.shape[-1] * weights).sum() / weights.size
    tensors = [tuple(torch.from_numpy(one) for one in both) for both in (logits, labels)]
    assert simcc_loss(*tensors, torch.from_numpy(weights)).item() == pytest.approx(expected, rel=1e-5)


def test_the_labels_themselves_cost_nothing():
    columns, rows = (torch.from_numpy(one) for one in SimCCCodec(64, 64).encode(np.full((1, 4, 2), 20.0)))
    assert simcc_loss((columns, rows), (columns, rows), torch.ones(1, 4)).item() == pytest.approx(0, abs=1e-7)


@pytest.mark.slow
def test_a_network_learns_places_from_it():
    torch.manual_seed(0)
    codec = SimCCCodec(64, 64)
    xy = np.array([[[10.0, 50.0], [40.0, 20.0]], [[30.0, 30.0], [55.0, 8.0]]])
    labels = tuple(torch.from_numpy(one) for one in codec.encode(xy))
    network, image = rtmpose("tiny", keypoints=2, height=64, width=64), torch.randn(2, 3, 64, 64)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for _ in range(40):
        optimiser.zero_grad()
        simcc_loss(network(image).simcc, labels, torch.ones(2, 2)).backward()
        optimiser.step()
    with torch.no_grad():
        outputs = network(image)
    found = codec.decode(Outputs([], simcc=tuple(one.numpy() for one in outputs.simcc)))
    np.testing.assert_allclose(found.xy, xy, atol=1.0)
