"""Networks arranged to run fast: same numbers as the network, and as the published graphs."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from tests.networks.random_weights import build_random, randomise
from trustpose.export.onnx import export_onnx, write_onnx
from trustpose.heads.network import run
from trustpose.networks.inference import for_inference, split_convolution
from trustpose.networks.lite_hrnet import tinypose
from trustpose.networks.onnx_weights import read_onnx_weights
from trustpose.networks.picodet import PicoDet
from trustpose.networks.zoo import build

RANDOM = torch.Generator().manual_seed(0)


def outputs(path, image, names=None):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(names, {"image": image})


@pytest.mark.parametrize("name", ["lite-hrnet-18-naive", "lite-hrnet-18-wider-naive", "tinypose"])
def test_naive_lite_hrnet(name):
    network = build_random(lambda: build(name, keypoints=5)).eval()
    image = torch.randn(2, 3, 64, 96, generator=RANDOM)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.inference_mode():
        expected, found = network(image), for_inference(network)(image)
        (_, (encoded,)), (_, (second,)) = (run(one, image, ("backbone",)) for one in (network, for_inference(network)))
    assert encoded.shape[2:] == (2, 3)
    pairs = ((expected.heatmaps[-1], found.heatmaps[-1]), (expected.features, found.features), (encoded, second))
    for first, second in pairs:
        assert first.std() > 0.01
        torch.testing.assert_close(second, first, atol=1e-4 * float(first.abs().max()), rtol=0)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_mobile_net_with_padded_channels():
    network = build_random(lambda: build("light-mobilenetv2-050", keypoints=5)).eval()
    image = torch.randn(2, 3, 64, 96, generator=RANDOM)
    with torch.inference_mode():
        expected, arranged = network(image), for_inference(network)
        outputs = arranged(image)
    torch.testing.assert_close(outputs.features, expected.features, atol=1e-4, rtol=1e-4)
    before, after = (
        [module.in_channels for module in some.modules() if isinstance(module, nn.Conv2d)]
        for some in (network, arranged)
    )
    assert {8, 12} <= set(before) and {8, 12}.isdisjoint(after)


def test_others_are_left_alone():
    with torch.device("meta"):
        network = build("lite-hrnet-18")
        assert for_inference(network) is network


def test_tinypose_is_the_published_network_without_shuffles(data_dir, tmp_path):
    published, written = data_dir / "small-networks" / "tinypose.onnx", tmp_path / "network.onnx"
    network = tinypose().eval()
    network.load_state_dict(read_onnx_weights(published, network))
    export_onnx(network, written, 256, 192)
    image = np.random.default_rng(0).normal(size=(2, 3, 256, 192)).astype(np.float32)
    (expected,), (found,) = outputs(published, image), outputs(written, image)
    assert expected.max() > 0.05
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    first_counter, second_counter = (
        Counter(node.op_type for node in onnx.load(path).graph.node) for path in (published, written)
    )
    assert first_counter["Transpose"] == 49 and second_counter["Transpose"] == 0
    assert first_counter["Add"] == 79 and second_counter["Add"] < 60
    assert first_counter["Conv"] == 269 and second_counter["Conv"] == 270  # the stem's first makes its halves apart


def test_picodet_is_the_published_network(data_dir, tmp_path):
    published, written = data_dir / "small-networks" / "picodet-s.onnx", tmp_path / "network.onnx"
    network = PicoDet().eval()
    network.read(published)
    write_onnx(Listed(network), ["scores", "boxes"], written, 320, 320)
    image = np.random.default_rng(0).normal(size=(1, 3, 20, 20)).astype(np.float32).repeat(16, 2).repeat(16, 3)
    scores, boxes = outputs(published, image, ["transpose_8.tmp_0", "concat_8.tmp_0"])
    found, positions = outputs(written, image)
    assert scores.max() > 0.1 and scores.std() > 0.005  # else agreement would say little
    np.testing.assert_allclose(found, scores, atol=1e-4)
    np.testing.assert_allclose(positions / 320, boxes / 320, atol=1e-4)
    groups = [
        attribute.i
        for node in onnx.load(written).graph.node
        for attribute in node.attribute
        if attribute.name == "group"
    ]
    assert groups.count(32) == 4  # one for each head, where there were 5×5 convolutions to one channel


@pytest.mark.parametrize(
    "options",
    [
        {"padding": 2},
        {"padding": 2, "stride": 2, "bias": False},
        {"padding": (3, 1), "dilation": (2, 1), "stride": (1, 3)},
    ],
)
def test_thin_convolutions(options):
    convolution = randomise(nn.Conv2d(7, 1, 5 if options["padding"] == 2 else (4, 3), **options))
    image = torch.randn(2, 7, 13, 17, generator=RANDOM)
    split = split_convolution(convolution)
    assert isinstance(split, nn.Sequential)
    torch.testing.assert_close(split(image), convolution(image))


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(7, 2, 5),
        nn.Conv2d(7, 1, 1),
        nn.Conv2d(1, 1, 3, padding="same"),
        nn.Conv2d(7, 1, 3, padding_mode="circular"),
    ],
)
def test_other_convolutions(convolution):
    assert split_convolution(convolution) is convolution


class Listed(nn.Module):
    def __init__(self, detector):
        super().__init__()
        self.detector = detector

    def forward(self, image):
        detections = self.detector(image)
        return detections.scores[:, None], detections.boxes
