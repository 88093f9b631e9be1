"""RTMPose: the sizes that its authors print, shapes, gradients."""

import pytest
import torch

from trustpose.networks.rtmpose import rtmpose

PRINTED = {"tiny": 3.34, "s": 5.47, "m": 13.59, "l": 27.66}  # millions of parameters, 256 × 192, 17 keypoints
PRINTED_LARGE = {"m": 13.72, "l": 27.79, "x": 49.43}  # 384 × 288


@pytest.mark.parametrize(("size", "millions"), PRINTED.items())
def test_parameters_are_those_that_are_printed(size, millions):
    with torch.device("meta"):
        network = rtmpose(size)
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize(("size", "millions"), PRINTED_LARGE.items())
def test_parameters_for_large_crops(size, millions):
    with torch.device("meta"):
        network = rtmpose(size, height=384, width=288)
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


def test_shapes_and_gradients():
    torch.manual_seed(0)
    network = rtmpose("tiny", keypoints=5, height=64, width=96, split=3.0)
    outputs = network(torch.randn(2, 3, 64, 96))
    columns, rows = outputs.simcc
    assert (columns.shape, rows.shape) == ((2, 5, 288), (2, 5, 192))
    assert outputs.tokens.shape == (2, 5, network.token_channels)
    assert outputs.features.shape == (2, network.feature_channels, 2, 3)
    (columns.square().mean() + rows.square().mean()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize(("size", "options"), [("xl", {}), ("s", {"height": 250}), ("s", {"keypoints": 0})])
def test_invalid_builds_are_refused(size, options):
    with pytest.raises(ValueError, match="expected"):
        rtmpose(size, **options)
