"""MoveNet's encoder and heads with the published weights against the published graphs; and what is refused."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from trustpose.files import InputError
from trustpose.networks.movenet import MoveNetDetector, MoveNetEncoder, MoveNetPose, movenet_head, read_movenet

HEADS = {
    "thunder": {"center": 1, "kpt_heatmap": 17, "kpt_offset": 34, "kpt_regress": 34},
    "multipose": {"center": 1, "kpt_heatmap": 17, "kpt_offset": 34, "kpt_regress": 34, "box_scale": 2, "box_offset": 2},
}
PARAMETERS = {"thunder": 6_207_240, "multipose": 4_698_920}  # as many numbers as the files' convolutions have


def published(path, names) -> tuple[onnxruntime.InferenceSession, str]:
    """The published graph with the last layers of its heads as outputs."""
    model = onnx.load(path)
    outputs = {
        name: node.output[0]
        for node in model.graph.node
        for name in names
        if node.op_type == "Conv" and f"/{name}_0/conv2d" in node.name
    }
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(outputs[name], 1, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options), model.graph.input[0].name


@pytest.mark.parametrize("size", ["thunder", "multipose"])
def test_it_is_the_published_network(data_dir, size):
    path = data_dir / "networks" / f"movenet-{size}.onnx"
    encoder = MoveNetEncoder(size).eval()
    heads = {name: movenet_head(outputs).eval() for name, outputs in HEADS[size].items()}
    read_movenet(path, encoder, heads)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == PARAMETERS[size]

    coarse = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.int32)
    pixels = coarse.repeat(8, axis=1).repeat(8, axis=2)
    session, name = published(path, HEADS[size])
    expected = session.run(None, {name: pixels})
    image = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        features = encoder((image - mean) / std)
        for head, wanted in zip(heads.values(), expected, strict=True):
            found = head(features).numpy()
            # the file rounds 1/127.5 to float16
            np.testing.assert_allclose(found, wanted.reshape(found.shape), atol=2e-4 * np.abs(wanted).max())


def test_the_detector_reads_boxes_as_movenet_does(data_dir):
    """Sides and centres of the six people that the published file prints are among the detector's cells."""
    path = data_dir / "networks" / "movenet-multipose.onnx"
    detector = MoveNetDetector().eval()
    detector.read(path)
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (1, 16, 16, 3), dtype=np.int32).repeat(16, axis=1).repeat(16, axis=2)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options)
    (people,) = session.run(None, {"input:0": pixels})
    image = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        answer = detector((image - mean) / std)[0].numpy()
    y, x = (np.indices(answer.shape[1:]) + 0.5) * detector.stride
    left, top, right, bottom = answer[1:]
    boxes = np.stack([y - top, x - left, y + bottom, x + right], axis=-1).reshape(-1, 4)
    boxes = np.clip(boxes, 0, 256) / 256
    for one in people[0]:
        assert np.abs(boxes - one[51:55]).max(axis=1).min() < 2e-3


def test_other_files_are_refused(data_dir):
    with pytest.raises(InputError, match=r"simplepose\.onnx: expected the layers of MoveNet, thunder, as published"):
        MoveNetPose("thunder").read(data_dir / "networks" / "simplepose.onnx")
    with pytest.raises(InputError, match=r"thunder\.onnx: expected the layers of MoveNet, multipose, as published"):
        MoveNetDetector().read(data_dir / "networks" / "movenet-thunder.onnx")


def test_shapes_and_first_layers():
    network = MoveNetPose("multipose", keypoints=5).eval()
    with torch.no_grad():
        outputs = network(torch.zeros(2, 3, 64, 96))
    assert outputs.heatmaps[0].shape == (2, 5, 16, 24) and outputs.features.shape == (2, 96, 16, 24)
    with torch.no_grad():
        answer = MoveNetDetector().eval()(torch.zeros(1, 3, 64, 96))
    assert answer.shape == (1, 5, 16, 24) and (answer[:, 1:] > 0).all()  # boxes have a size before anything is learnt
    early = nn.Sequential(*network.encoder.first_layers())
    assert early(torch.zeros(1, 3, 64, 64)).shape == (1, 40, 16, 16)
