"""The light networks: SimplePose's own weights give SimplePose's heatmaps; parameters; invalid options."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from trustpose.networks.centre_detector import DETECTOR_MULTIPLE, CentreDetector
from trustpose.networks.light_baseline import HalfMobileNet, light_baseline
from trustpose.networks.onnx_weights import read_onnx_weights

# Convolutions', transposed convolutions' and batch norms' weights of simplepose.onnx (gamma and beta, not the
# statistics), counted in the file; its last convolution has no bias, ours has 17 numbers there.
SIMPLEPOSE = 556_832


def count(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters():
    with torch.device("meta"):
        assert count(light_baseline()) == SIMPLEPOSE + 17
        # of timm's EfficientNet-Lite0, 4,652,008 with its classifier: 1,281,000 in that, 412,160 in the layer before
        lite = light_baseline("efficientnet-lite0")
        assert count(lite.backbone) == 4_652_008 - 1_281_000 - 412_160
        assert count(HalfMobileNet()) == half_mobile_net()


def half_mobile_net() -> int:
    """Weights of MobileNetV2's convolutions and batch norms up to the last block, by its table 2, all widths halved."""
    blocks = [(1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1)]  # t, c, n
    total, inputs = 3 * 9 * 16 + 2 * 16, 16
    for expansion, channels, repeats in blocks:
        for _ in range(repeats):
            hidden, outputs = inputs * expansion, channels // 2
            expand = inputs * hidden + 2 * hidden if expansion > 1 else 0
            total += expand + 9 * hidden + 2 * hidden + hidden * outputs + 2 * outputs
            inputs = outputs
    return total


def test_its_last_layer_is_as_wide_as_there_are_keypoints():
    network = light_baseline(keypoints=5).eval()
    with torch.no_grad():
        outputs = network(torch.zeros(1, 3, 64, 96))
    assert outputs.heatmaps[-1].shape == (1, 5, 16, 24) and outputs.features.shape == (1, 128, 16, 24)


def test_invalid_builds():
    with pytest.raises(ValueError, match="there are no public ImageNet weights of mobilenetv2-050"):
        light_baseline(pretrained=True)
    with pytest.raises(ValueError, match="keypoints: expected 1 or more, got 0"):
        light_baseline(keypoints=0)


def test_weights_of_simplepose_give_its_heatmaps(data_dir):
    path = data_dir / "networks" / "simplepose.onnx"
    graph = onnx.load(path).graph
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    kinds = {"Conv": 2, "ConvTranspose": 2, "BatchNormalization": 3}  # inputs up to the last weight
    reread_node = [name for node in graph.node for name in node.input[1 : kinds.get(node.op_type, 1)]]
    assert sum(sizes[name] for name in reread_node) == SIMPLEPOSE
    network = light_baseline().eval()
    network.load_state_dict(read_onnx_weights(path, network))
    image = np.random.default_rng(0).normal(size=(1, 3, 256, 192)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"data": image})
    with torch.no_grad():
        found = network(torch.from_numpy(image)).heatmaps[-1].numpy()
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (160, 32)])
def test_a_detector_on_the_same_backbone(height, width):
    torch.manual_seed(0)
    detector = CentreDetector().eval()
    detector.backbone.load_state_dict(light_baseline().backbone.state_dict())
    assert height % DETECTOR_MULTIPLE == width % DETECTOR_MULTIPLE == 0
    with torch.no_grad():
        answer = detector(torch.randn(2, 3, height, width))
    assert answer.shape == (2, 5, height // detector.stride, width // detector.stride)
    assert (answer[:, 1:] > 0).all() and torch.isfinite(answer).all()
    assert answer[:, 0].sigmoid().mean() == pytest.approx(0.01, rel=0.9)  # hardly any cell is a centre, to begin with


def test_every_part_of_the_detector_learns():
    torch.manual_seed(0)
    detector = CentreDetector()
    detector(torch.randn(2, 3, 64, 64)).square().mean().backward()
    for name, parameter in detector.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name
